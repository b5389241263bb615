//! What `mongoark dump` is told.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::io::IsTerminal;
use std::num::NonZeroUsize;

use clap::builder::NonEmptyStringValueParser;

use super::connection::Connection;
use super::{invalid, location};
use crate::codec::{Compression, GzipLevel};
use crate::dump::DumpOptions;
use crate::storage::Location;
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

impl Dump {
    /// Whether --db says what is dumped, and not the connection string.
    pub(in crate::cli) fn names_database(&self) -> bool {
        self.db.is_some()
    }

    pub(in crate::cli) fn check(self) -> Result<(MongoUri, DumpOptions, Location)> {
        let uri = self.connection.uri()?;
        let level = self.gzip_level.map_or_else(|| Ok(GzipLevel::default()), GzipLevel::new)?;
        let compression = if self.gzip { Compression::Gzip(level) } else { Compression::None };
        let location = location(&self.archive, self.gzip)?;
        if is_standard_output(&location) {
            if std::io::stdout().is_terminal() {
                return Err(invalid(
                    "an archive is not for a terminal: redirect standard output, or give --archive=PATH",
                ));
            }
            if is_closed(&std::io::stdout()) {
                return Err(invalid(
                    "standard output is closed, and the archive would be lost: redirect it, or give --archive=PATH",
                ));
            }
        }
        let options = DumpOptions {
            scope: Scope::resolve(&uri, self.db.as_deref(), self.collection.as_deref())?,
            compression,
            parallel_collections: self.num_parallel_collections.get(),
        };
        Ok((uri, options, location))
    }
}

/// Standard output, by whichever of its names.
fn is_standard_output(location: &Location) -> bool {
    *location == Location::standard()
        || location
            .path()
            .and_then(|path| path.to_str())
            .is_some_and(|path| matches!(path, "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1"))
}

/// Whether nobody can read what is written there. Rust opens the null device, for reading and writing, in the place of a
/// standard stream that is closed at start; nobody else opens an output for reading, but for programs that throw it away.
#[cfg(target_os = "linux")]
fn is_closed(stream: &impl std::os::fd::AsFd) -> bool {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;
    /// `O_ACCMODE` and its value `O_RDWR`.
    const ACCESS: (u32, u32) = (0o3, 0o2);
    let stream = stream.as_fd();
    let is_null = || {
        let device = std::fs::File::from(stream.try_clone_to_owned().ok()?).metadata().ok()?.rdev();
        Some(device == std::fs::metadata("/dev/null").ok()?.rdev())
    };
    let is_read_too = || {
        let information =
            std::fs::read_to_string(format!("/proc/self/fdinfo/{}", stream.as_raw_fd())).ok()?;
        let flags = information.lines().find_map(|line| line.strip_prefix("flags:"))?;
        Some(u32::from_str_radix(flags.trim(), 8).ok()? & ACCESS.0 == ACCESS.1)
    };
    is_null() == Some(true) && is_read_too() == Some(true)
}

/// Elsewhere it cannot be told from the null device.
#[cfg(not(target_os = "linux"))]
fn is_closed<T>(_: &T) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Args, Command};

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
