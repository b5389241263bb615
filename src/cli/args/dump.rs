//! What `mongoark dump` is told.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::io::IsTerminal;
use std::num::NonZeroUsize;

use clap::builder::NonEmptyStringValueParser;

use super::bucket::{Bucket, NewObject};
use super::connection::Connection;
use super::oplog::Oplog;
use super::selection::Choice;
use super::{invalid, is_s3, location, no_archive};
use crate::cli::manner::Manner;
use crate::codec::{Compression, GzipLevel};
use crate::dump::{DumpOptions, SnapshotMode};
use crate::storage::{CreateOptions, Location, S3Options};
use crate::{MongoUri, Result, Scope};

#[derive(clap::Args, Debug)]
pub(in crate::cli) struct Dump {
    #[command(flatten)]
    connection: Connection,

    /// Dump only this database.
    #[arg(short, long, value_parser = NonEmptyStringValueParser::new())]
    db: Option<String>,

    /// Dump only this collection of --db.
    #[arg(short, long, value_parser = NonEmptyStringValueParser::new())]
    collection: Option<String>,

    /// Where the archive goes: =PATH, =s3://BUCKET/KEY, or nothing for standard output.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    archive: Option<String>,

    /// Whether an archive that is there already is replaced, when the new one is complete and proven. It is kept until then.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    overwrite: bool,

    /// Compress the archive.
    #[arg(long)]
    gzip: bool,

    /// With --gzip, from 1 (fastest) to 12 (smallest) [default: the fastest that comes within 5 % of mongodump's size].
    #[arg(long = "gzipLevel", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=12), requires = "gzip")]
    gzip_level: Option<u8>,

    /// Size in MiB of each part of an S3 object but the last, 5 to 5120 [default: 8, or a 9,000th of the data].
    #[arg(long = "s3PartSize", value_name = "MIB", value_parser = clap::value_parser!(u64).range(5..=5120))]
    s3_part_size: Option<u64>,

    #[command(flatten)]
    bucket: Bucket,

    #[command(flatten)]
    new_object: NewObject,

    /// Collections dumped at once.
    #[arg(short = 'j', long = "numParallelCollections", value_name = "N", default_value = "4")]
    num_parallel_collections: NonZeroUsize,

    /// Whether everything is read as it was at one moment: where the server can show that, or fail, or not.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Snapshot::Auto)]
    snapshot: Snapshot,

    #[command(flatten)]
    choice: Choice,

    #[command(flatten)]
    oplog: Oplog,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Snapshot {
    Auto,
    Required,
    Off,
}

impl From<Snapshot> for SnapshotMode {
    fn from(snapshot: Snapshot) -> Self {
        match snapshot {
            Snapshot::Auto => Self::Auto,
            Snapshot::Required => Self::Required,
            Snapshot::Off => Self::Off,
        }
    }
}

impl Dump {
    /// See [`Connection::stray`].
    pub(super) fn stray(&self) -> Option<&str> {
        self.connection.stray()
    }

    /// Whether --db says what is dumped, and not the connection string.
    pub(in crate::cli) fn names_database(&self) -> bool {
        self.db.is_some()
    }

    /// Whether a collection that is not there is no failure.
    pub(in crate::cli) fn allows_missing(&self) -> bool {
        self.choice.allow_missing
    }

    /// How the archive is created.
    pub(in crate::cli) fn create_options(&self) -> CreateOptions {
        CreateOptions {
            overwrite: self.overwrite,
            part_bytes: self.s3_part_size.map(|mebibytes| mebibytes << 20),
            ..CreateOptions::default()
        }
    }

    /// What is asked of S3 for an archive there.
    pub(in crate::cli) fn s3_options(&self) -> Result<S3Options> {
        let in_s3 = self.archive.as_deref().is_some_and(is_s3);
        self.new_object.add_to(self.bucket.options(in_s3)?, in_s3)
    }

    pub(in crate::cli) fn check(self, manner: Manner) -> Result<(MongoUri, DumpOptions, Location)> {
        let mut uri = self.connection.uri(manner, self.db.as_deref())?;
        let level = self.gzip_level.map_or_else(|| Ok(GzipLevel::default()), GzipLevel::new)?;
        let compression = if self.gzip { Compression::Gzip(level) } else { Compression::None };
        let archive = self.archive.ok_or_else(no_archive)?;
        let location = match archive.as_str() {
            // Its other names: opened by them, a closed one would be the null device.
            "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Location::standard(),
            archive => location(archive, self.gzip)?,
        };
        if location == Location::standard() && std::io::stdout().is_terminal() {
            return Err(invalid(
                "an archive is not for a terminal: redirect standard output, or give --archive=PATH",
            ));
        }
        let scope = Scope::resolve(&uri, self.db.as_deref(), self.collection.as_deref())?;
        let options = DumpOptions {
            selection: self.choice.check(&mut uri, &scope)?,
            oplog: self.oplog.check(&scope, manner.is_own())?,
            scope,
            compression,
            parallel_collections: self.num_parallel_collections.get(),
            snapshot: self.snapshot.into(),
        };
        Ok((uri, options, location))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Args, Command};
    use super::*;

    #[test]
    fn a_database_in_the_connection_string_is_the_one_that_is_dumped() {
        let dump = |arguments: &[&str]| {
            let start = ["mongoark", "dump", "--archive=x"].iter().chain(arguments);
            let Command::Dump(dump) = Args::try_parse_from(start).unwrap().command else { panic!("dump") };
            dump.check(Manner::Own)
        };
        assert_eq!(dump(&["--uri=mongodb://h/shop"]).unwrap().1.scope.db(), Some("shop"));
        assert_eq!(dump(&["--uri=mongodb://h/shop", "-d", "shop"]).unwrap().1.scope.db(), Some("shop"));
        assert!(dump(&["--uri=mongodb://h/shop", "-d", "other"]).is_err());
        assert!(dump(&["--uri=mongodb://h", "-c", "orders"]).is_err());
    }
}
