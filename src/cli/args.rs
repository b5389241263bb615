//! The arguments, by mongodump's and mongorestore's names.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::io::IsTerminal;
use std::num::NonZeroUsize;

use clap::{Parser, Subcommand};

use crate::codec::{Compression, GzipLevel};
use crate::dump::DumpOptions;
use crate::restore::RestoreOptions;
use crate::storage::Location;
use crate::{Error, ErrorKind, MongoUri, Result, Scope};

/// Backs MongoDB up into mongodump's archive format and restores it: files, pipes, S3.
#[derive(Debug, Parser)]
#[command(name = "mongoark", version, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,

    /// Print errors only.
    #[arg(long, global = true)]
    pub(super) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Dump a deployment, a database or a collection into an archive that mongorestore reads.
    Dump(Dump),
    /// Restore an archive that this program or mongodump wrote.
    Restore(Restore),
}

#[derive(clap::Args, Debug)]
pub(super) struct Dump {
    #[command(flatten)]
    connection: Connection,

    /// Dump only this database.
    #[arg(short, long)]
    db: Option<String>,

    /// Dump only this collection of --db.
    #[arg(short, long)]
    collection: Option<String>,

    /// Where the archive goes: =PATH, =s3://BUCKET/KEY, or nothing for standard output.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "-", required = true)]
    archive: String,

    /// Compress the archive.
    #[arg(long)]
    gzip: bool,

    /// With --gzip, from 1 (fastest) to 12 (smallest) [default: the fastest that comes within 5 % of mongodump's size].
    #[arg(long = "gzipLevel", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=12), requires = "gzip")]
    gzip_level: Option<u8>,

    /// Collections dumped at once.
    #[arg(short = 'j', long = "numParallelCollections", value_name = "N", default_value = "4")]
    num_parallel_collections: NonZeroUsize,
}

#[derive(clap::Args, Debug)]
pub(super) struct Restore {
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

#[derive(clap::Args)]
struct Connection {
    /// Connection string; also taken from the environment variable MONGODB_URI, which other users cannot see.
    #[arg(long, value_name = "URI")]
    uri: Option<String>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// mongodump's own default.
const DEFAULT_URI: &str = "mongodb://localhost:27017";

impl Connection {
    fn uri(self) -> Result<MongoUri> {
        let text = self.uri.or_else(|| std::env::var("MONGODB_URI").ok());
        MongoUri::parse(text.as_deref().unwrap_or(DEFAULT_URI)).map_err(|error| error.at("--uri"))
    }
}

impl Dump {
    pub(super) fn check(self) -> Result<(MongoUri, DumpOptions, Location)> {
        let uri = self.connection.uri()?;
        let level = self.gzip_level.map_or_else(|| Ok(GzipLevel::default()), GzipLevel::new)?;
        let compression = if self.gzip { Compression::Gzip(level) } else { Compression::None };
        let location = location(&self.archive, if self.gzip { "archive.gz" } else { "archive" })?;
        if location == Location::standard() && std::io::stdout().is_terminal() {
            return Err(invalid(
                "an archive is not for a terminal: redirect standard output, or give --archive=PATH",
            ));
        }
        let options = DumpOptions {
            scope: Scope::resolve(&uri, self.db.as_deref(), self.collection.as_deref())?,
            compression,
            parallel_collections: self.num_parallel_collections.get(),
        };
        Ok((uri, options, location))
    }
}

impl Restore {
    pub(super) fn check(self) -> Result<(MongoUri, RestoreOptions, Location)> {
        let uri = self.connection.uri()?;
        let location = location(&self.archive, if self.gzip { "archive.gz" } else { "archive" })?;
        if location == Location::standard() && std::io::stdin().is_terminal() {
            return Err(invalid(
                "standard input is a terminal: redirect an archive into it, or give --archive=PATH",
            ));
        }
        let scope = Scope::resolve(&uri, None, None)?;
        let options = RestoreOptions { drop: self.drop, scope, ..RestoreOptions::default() };
        Ok((uri, options, location))
    }
}

/// A folder means the file of the tools' own name in it.
fn location(text: &str, name: &str) -> Result<Location> {
    let location = Location::parse(text).map_err(|error| error.at("--archive"))?;
    match location.path() {
        Some(path) if path.is_dir() => Ok(Location::file(path.join(name))),
        _ => Ok(location),
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_takes_its_value_only_with_an_equals_sign() {
        assert!(Args::try_parse_from(["mongoark", "restore", "--archive", "FILE"]).is_err());
        let Args { command: Command::Restore(bare), .. } =
            Args::try_parse_from(["mongoark", "restore", "--archive"]).unwrap()
        else {
            panic!("restore")
        };
        assert_eq!(bare.archive, "-");
    }

    #[test]
    fn a_database_in_the_connection_string_is_the_one_that_is_dumped() {
        let dump = |arguments: &[&str]| {
            let start = ["mongoark", "dump", "--archive=x"].iter().chain(arguments);
            let Command::Dump(dump) = Args::try_parse_from(start).unwrap().command else { panic!("dump") };
            dump.check()
        };
        assert_eq!(dump(&["--uri=mongodb://h/shop"]).unwrap().1.scope.db(), Some("shop"));
        assert_eq!(dump(&["--uri=mongodb://h/shop", "-d", "shop"]).unwrap().1.scope.db(), Some("shop"));
        assert!(dump(&["--uri=mongodb://h/shop", "-d", "other"]).is_err());
        assert!(dump(&["--uri=mongodb://h", "-c", "orders"]).is_err());
    }
}
