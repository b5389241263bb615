//! The arguments, by mongodump's and mongorestore's names.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use super::manner::Manner;
use crate::storage::Location;
use crate::{Error, ErrorKind, Result};

mod bucket;
mod config;
mod connection;
mod credentials;
mod drill;
mod dump;
#[cfg(test)]
mod flags;
mod general;
mod named;
mod namespaces;
mod oplog;
mod prompt;
mod read_preference;
mod refusal;
mod replay;
mod restore;
mod seeds;
mod selection;
mod setting;
mod tls;
mod tool;
mod verify;
mod wire;
mod writes;

pub(super) use drill::Drill;
pub(super) use dump::Dump;
pub(super) use general::General;
use general::LAST;
pub(super) use restore::{Reading, Restore};
pub(super) use verify::Verify;

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
    // As in the tools: of an option that is given again, the last value counts.
    args_override_self = true,
    // The letters are mongodump's: -h is the host and -v the verbosity. A script that gives one wants an archive.
    disable_help_flag = true,
    disable_help_subcommand = true,
    disable_version_flag = true
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,

    #[command(flatten)]
    pub(super) general: General,

    /// Print the version.
    #[arg(long, action = clap::ArgAction::Version, display_order = LAST)]
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
    Answered(String),
    /// They make no sense; the sentence says why and repeats no value, which may be a password. The command explains them.
    Refused { sentence: String, help: &'static str },
}

impl Args {
    /// Reads the arguments, the first of which is the program's name, in this manner.
    pub(super) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        manner: Manner,
    ) -> Result<Self, Rejected> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let help = match (manner, arguments.get(1).and_then(|verb| verb.to_str())) {
            (Manner::Mongodump, _) => "mongodump --help",
            (Manner::Mongorestore, _) => "mongorestore --help",
            (Manner::Own, Some("dump")) => "mongoark dump --help",
            (Manner::Own, Some("restore")) => "mongoark restore --help",
            (Manner::Own, Some("verify")) => "mongoark verify --help",
            (Manner::Own, Some("drill")) => "mongoark drill --help",
            (Manner::Own, _) => "mongoark --help",
        };
        let parsed = match manner {
            Manner::Own => Self::try_parse_from(&arguments),
            Manner::Mongodump | Manner::Mongorestore => tool::parse(manner, &arguments),
        };
        let args = parsed.map_err(|error| {
            if !error.use_stderr() {
                return Rejected::Answered(error.render().to_string());
            }
            Rejected::Refused { sentence: refusal::sentence(&error, &arguments), help }
        })?;
        if args.version == Some(true) {
            return Err(Rejected::Answered(manner.version()));
        }
        if let Some(stray) = args.command.stray() {
            return Err(Rejected::Refused { sentence: refusal::stray(stray, &arguments), help });
        }
        let checked = args.general.check();
        checked.map_err(|error| Rejected::Refused { sentence: error.to_string(), help })?;
        Ok(args)
    }
}

impl Command {
    fn stray(&self) -> Option<&str> {
        match self {
            Self::Dump(dump) => dump.stray(),
            Self::Restore(restore) => restore.stray(),
            Self::Drill(drill) => drill.stray(),
            Self::Verify(_) => None,
        }
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

/// Neither tool needs one; this program does.
fn no_archive() -> Error {
    invalid(
        "--archive is missing: write --archive=PATH, or --archive alone for standard input or output; folders of BSON files, \
         which are the official tools' default, are not supported",
    )
}

fn is_s3(archive: &str) -> bool {
    Location::parse(archive).is_ok_and(|at| at.is_s3())
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Args, Rejected> {
        Args::read(["mongoark"].iter().chain(arguments).map(OsString::from), Manner::Own)
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
    fn the_last_value_of_an_option_counts() {
        let arguments =
            ["dump", "--archive=a", "--db=x", "-d", "y", "--gzip", "--gzip", "--archive=b", "-vv", "-v=2"];
        let Args { command: Command::Dump(dump), general, .. } = read(&arguments).unwrap() else {
            panic!("dump")
        };
        assert!(general.is_verbose());
        let (_, options, location) = dump.check(Manner::Mongodump).unwrap();
        assert_eq!((options.scope.db(), location.to_string().as_str()), (Some("y"), "b"));
    }

    #[test]
    fn no_value_is_repeated() {
        for arguments in [
            &["mongodb://ann:hunter2@h"][..],
            &["dump", "hunter2", "--archive=x"],
            &["dump", "--archive=x", "--gzip=hunter2"],
            &["dump", "--archive=x", "--gzip", "--gzipLevel=hunter2"],
            &["dump", "--archive=x", "--port=hunter2"],
            &["dump", "--archive=x", "-j", "hunter2"],
            &["dump", "--archive=x", "--verbose=hunter2"],
            &["dump", "--archive=x", "--out=hunter2"],
            &["dump", "--archive=x", "-ohunter2"],
            &["hunter2"],
        ] {
            let sentence = refused(arguments);
            assert!(!sentence.contains("hunter2"), "{sentence}");
        }
    }
}
