//! What `mongoark verify` is told.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::io::IsTerminal;

use super::{invalid, location};
use crate::Result;
use crate::storage::Location;

#[derive(clap::Args, Debug)]
pub(in crate::cli) struct Verify {
    /// Where the archive is: =PATH, =s3://BUCKET/KEY, or nothing for standard input.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "-", required = true)]
    archive: String,

    /// Accepted for mongorestore's sake: compression is recognised by itself.
    #[arg(long)]
    gzip: bool,
}

impl Verify {
    pub(in crate::cli) fn check(self) -> Result<Location> {
        let location = location(&self.archive, self.gzip)?;
        if location == Location::standard() && std::io::stdin().is_terminal() {
            return Err(invalid(
                "standard input is a terminal: redirect an archive into it, or give --archive=PATH",
            ));
        }
        Ok(location)
    }
}
