//! The arguments, by mongodump's and mongorestore's names.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::ffi::OsString;

use clap::{ArgAction, Parser, Subcommand};

use crate::storage::Location;
use crate::{Error, ErrorKind, Result};

mod bucket;
mod config;
mod connection;
mod drill;
mod dump;
mod prompt;
mod refusal;
mod restore;
mod seeds;
mod verify;

pub(super) use drill::Drill;
pub(super) use dump::Dump;
pub(super) use restore::{Reading, Restore};
pub(super) use verify::Verify;

/// The place of the options that every command has: behind its own.
const LAST: usize = 100;

/// What the program promises to those who call it from scripts.
const PROMISES: &str = "\
Exit status: 0 when everything asked for was done, 1 on any error, bad arguments included. `mongoark verify --help` has more \
for damaged archives.

Everything but an archive goes to standard error. On a terminal, bars show the whole work and the largest collections at \
work, and a line remains of each collection that took longer than a second. Elsewhere every collection leaves \
mongodump's line (done dumping `db.c` (2 documents)) or mongorestore's (finished restoring `db.c` (2 documents, 0 \
failures)), and progress is told every 3 seconds. --quiet hides both, and nothing else.

SIGINT, SIGTERM and SIGHUP stop the work in good order; a second one stops it at once.";

/// Backs MongoDB up into mongodump's archive format and restores it: files, pipes, S3.
#[derive(Debug, Parser)]
#[command(
    name = "mongoark",
    version,
    after_help = PROMISES,
    // The letters are mongodump's: -h is the host and -v the verbosity. A script that gives one wants an archive.
    disable_help_flag = true,
    disable_help_subcommand = true,
    disable_version_flag = true
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,

    /// Hide progress: print only errors, what failed to restore, and what is left out or left behind.
    #[arg(long, global = true, display_order = LAST)]
    pub(super) quiet: bool,

    /// Print help.
    #[arg(long, global = true, action = ArgAction::Help, display_order = LAST)]
    help: Option<bool>,

    /// Print the version.
    #[arg(long, action = ArgAction::Version, display_order = LAST)]
    version: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Dump a deployment, a database or a collection into an archive that mongorestore reads.
    #[command(disable_help_flag = true)]
    Dump(Dump),
    /// Restore an archive that this program or mongodump wrote.
    #[command(disable_help_flag = true)]
    Restore(Restore),
    /// Read an archive to its end, without a server, and say what of it is whole.
    #[command(disable_help_flag = true, after_help = verify::STATUS)]
    Verify(Verify),
    /// Restore an archive into scratch databases, hold it against its proof, and drop them.
    #[command(disable_help_flag = true)]
    Drill(Drill),
}

/// Arguments from which nothing can be started.
#[derive(Debug)]
pub(super) enum Rejected {
    /// Help or the version was asked for: this is it.
    Answered(clap::Error),
    /// They make no sense; the sentence says why and repeats no value, which may be a password. The command explains them.
    Refused { sentence: String, help: &'static str },
}

impl Args {
    pub(super) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Rejected> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        Self::try_parse_from(&arguments).map_err(|error| {
            if !error.use_stderr() {
                return Rejected::Answered(error);
            }
            let help = match arguments.get(1).and_then(|verb| verb.to_str()) {
                Some("dump") => "mongoark dump --help",
                Some("restore") => "mongoark restore --help",
                Some("verify") => "mongoark verify --help",
                Some("drill") => "mongoark drill --help",
                _ => "mongoark --help",
            };
            Rejected::Refused { sentence: refusal::sentence(&error, &arguments), help }
        })
    }
}

/// A folder means the file of the tools' own name in it.
fn location(text: &str, gzip: bool) -> Result<Location> {
    let location = Location::parse(text).map_err(|error| error.at("--archive"))?;
    match location.path() {
        Some(path) if path.is_dir() => {
            Ok(Location::file(path.join(if gzip { "archive.gz" } else { "archive" })))
        }
        _ => Ok(location),
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Args, Rejected> {
        Args::read(["mongoark"].iter().chain(arguments).map(OsString::from))
    }

    fn refused(arguments: &[&str]) -> String {
        match read(arguments) {
            Err(Rejected::Refused { sentence, .. }) => sentence,
            other => panic!("{arguments:?}: {other:?}"),
        }
    }

    #[test]
    fn the_arguments_agree_with_each_other() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn an_archive_takes_its_value_only_with_an_equals_sign() {
        for verb in ["dump", "restore"] {
            let sentence = refused(&[verb, "--archive", "FILE"]);
            assert!(sentence.contains("--archive=") && !sentence.contains("FILE"), "{sentence}");
        }
        let Args { command: Command::Restore(bare), .. } = read(&["restore", "--archive"]).unwrap() else {
            panic!("restore")
        };
        assert_eq!(bare.archive(), "-");
    }

    #[test]
    fn help_is_not_the_value_of_another_option() {
        for arguments in
            [&["dump", "--archive=x", "--db", "--help"][..], &["dump", "--archive=x", "-h", "--help"]]
        {
            refused(arguments);
        }
    }

    #[test]
    fn no_value_is_repeated() {
        for arguments in [
            &["mongodb://ann:hunter2@h"][..],
            &["dump", "mongodb://ann:hunter2@h", "--archive=x"],
            &["dump", "--archive=x", "-p", "hunter2"],
            &["dump", "--archive=x", "-phunter2"],
            &["dump", "--archive=x", "--password=hunter2"],
            &["dump", "--archive=x", "--gzip=hunter2"],
            &["dump", "--archive=x", "--gzip", "--gzipLevel=hunter2"],
            &["dump", "--archive=x", "--port=hunter2"],
            &["dump", "--archive=x", "-j", "hunter2"],
            &["dump", "--archive=x", "--uri=mongodb://ann:hunter2@h", "--uri=mongodb://ann:hunter2@h"],
            &["hunter2"],
        ] {
            let sentence = refused(arguments);
            assert!(!sentence.contains("hunter2"), "{sentence}");
        }
    }
}
