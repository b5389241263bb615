//! What `mongoark verify` is told.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::io::IsTerminal;

use super::bucket::Bucket;
use super::{invalid, location};
use crate::Result;
use crate::storage::{Location, S3Options};

/// What the exit code says.
pub(super) const STATUS: &str = "\
Exit status: 0 when the archive is whole. What is wrong first decides otherwise:
  1  it cannot be read: wrong arguments, no such file, a failing disk or store
  3  it ends too early, or a namespace in it never ends
  4  the checksum of a namespace is wrong
  5  bytes that cannot be an archive's, a document or metadata that cannot be read
  6  it is no archive
  7  it contradicts itself: its prelude or metadata does not fit its data
  8  compressed bytes are damaged
  9  it is whole, and not the archive that the proof record beside it (FILE.proof.json) was made of

Standard output has every namespace that is whole with its documents, bytes and checksum (CRC-64/XZ of the documents, as in the \
archive); standard error has what is wrong, where, and which namespaces are whole in spite of it.";

#[derive(clap::Args, Debug)]
pub(in crate::cli) struct Verify {
    /// Where the archive is: =PATH, =s3://BUCKET/KEY, or nothing for standard input.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "-", required = true)]
    archive: String,

    #[command(flatten)]
    bucket: Bucket,

    /// Accepted for mongorestore's sake: compression is recognised by itself.
    #[arg(long)]
    gzip: bool,

    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(in crate::cli) fn json(&self) -> bool {
        self.json
    }

    /// What is asked of S3 for an archive there.
    pub(in crate::cli) fn s3_options(&self) -> Result<S3Options> {
        self.bucket.options(Location::parse(&self.archive).is_ok_and(|at| at.is_s3()))
    }

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
