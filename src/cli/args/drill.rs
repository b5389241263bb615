//! What `mongoark drill` is told.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use clap::builder::NonEmptyStringValueParser;

use super::bucket::Bucket;
use super::connection::Connection;
use super::location;
use crate::cli::manner::Manner;
use crate::drill::DrillOptions;
use crate::storage::{Location, S3Options};
use crate::{MongoUri, Result};

#[derive(clap::Args, Debug)]
pub(in crate::cli) struct Drill {
    #[command(flatten)]
    connection: Connection,

    /// Where the archive is: =PATH or =s3://BUCKET/KEY. With a slash at the end, the newest archive there.
    #[arg(long, value_name = "PATH", require_equals = true, required = true)]
    archive: String,

    #[command(flatten)]
    bucket: Bucket,

    /// What the names of the scratch databases begin with [default: mongoark_drill_].
    #[arg(long, value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
    prefix: Option<String>,
}

impl Drill {
    /// See [`Connection::stray`].
    pub(super) fn stray(&self) -> Option<&str> {
        self.connection.stray()
    }

    /// Whether the newest archive of a folder is meant.
    pub(in crate::cli) fn names_folder(&self) -> bool {
        self.archive.ends_with('/')
    }

    /// What is asked of S3 for an archive there.
    pub(in crate::cli) fn s3_options(&self) -> Result<S3Options> {
        self.bucket.options(Location::parse(&self.archive).is_ok_and(|at| at.is_s3()))
    }

    pub(in crate::cli) fn check(self) -> Result<(MongoUri, DrillOptions, Location)> {
        let location = if self.names_folder() {
            Location::parse(&self.archive).map_err(|error| error.at("--archive"))?
        } else {
            location(&self.archive, false)?
        };
        let uri = self.connection.uri(Manner::Own, None)?;
        let mut options = DrillOptions::default();
        if let Some(prefix) = self.prefix {
            options.prefix = prefix;
        }
        Ok((uri, options, location))
    }
}
