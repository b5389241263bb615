//! What `mongoark restore` is told.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::io::IsTerminal;

use super::connection::Connection;
use super::{invalid, location};
use crate::restore::RestoreOptions;
use crate::storage::Location;
use crate::{MongoUri, Result, Scope};

#[derive(clap::Args, Debug)]
pub(in crate::cli) struct Restore {
    #[command(flatten)]
    connection: Connection,

    /// Where the archive is: =PATH, =s3://BUCKET/KEY, or nothing for standard input.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "-", required = true)]
    archive: String,

    /// Drop each collection of the archive before it is restored; users and roles are replaced.
    #[arg(long)]
    drop: bool,

    /// Accepted for mongorestore's sake: compression is recognised by itself.
    #[arg(long)]
    gzip: bool,
}

impl Restore {
    pub(in crate::cli) fn check(self) -> Result<(MongoUri, RestoreOptions, Location)> {
        let uri = self.connection.uri()?;
        let location = location(&self.archive, self.gzip)?;
        if location == Location::standard() && std::io::stdin().is_terminal() {
            return Err(invalid(
                "standard input is a terminal: redirect an archive into it, or give --archive=PATH",
            ));
        }
        let options = RestoreOptions { drop: self.drop, scope: Scope::resolve(&uri, None, None)? };
        Ok((uri, options, location))
    }

    #[cfg(test)]
    pub(super) fn archive(&self) -> &str {
        &self.archive
    }
}
