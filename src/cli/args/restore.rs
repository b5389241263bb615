//! What `mongoark restore` is told.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::io::IsTerminal;

use super::bucket::Bucket;
use super::connection::Connection;
use super::namespaces::Namespaces;
use super::replay::Replay;
use super::writes::Writes;
use super::{invalid, is_s3, location, no_archive};
use crate::cli::manner::Manner;
use crate::restore::{DocumentValidation, RestoreOptions};
use crate::storage::{Location, S3Options};
use crate::{MongoUri, Result};

#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(in crate::cli) struct Restore {
    #[command(flatten)]
    connection: Connection,

    #[command(flatten)]
    namespaces: Namespaces,

    /// Where the archive is: =PATH, =s3://BUCKET/KEY, or nothing for standard input.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    archive: Option<String>,

    #[command(flatten)]
    bucket: Bucket,

    /// Drop each collection of the archive before it is restored; users and roles are replaced.
    #[arg(long)]
    drop: bool,

    /// Restore into hidden collections and rename them over the originals when everything is there, counted and indexed: what
    /// fails before that leaves the databases as they were. Users and roles are replaced after it. Time series and the
    /// collections of admin, config and local cannot be renamed and are refused.
    #[arg(long)]
    swap: bool,

    /// Remove from the databases of the archive what the archive does not have. With --swap in the same step, otherwise
    /// with --drop, at the end.
    #[arg(long)]
    exact: bool,

    /// Write nothing: read the archive to its end, prove it, and print what would be done to standard output.
    #[arg(long = "dryRun")]
    dry_run: bool,

    /// Read the archive to its end and prove it before anything is dropped: of files and S3 objects. The proof record beside an
    /// object saves the reading, where the store tells the object's checksum.
    #[arg(long = "verifyFirst")]
    verify_first: bool,

    /// From a damaged archive, restore the collections that are whole and say what is missing. The exit status is 1 where
    /// something is. Of files and S3 objects.
    #[arg(long, conflicts_with_all = ["exact", "verify_first"])]
    salvage: bool,

    #[command(flatten)]
    replay: Replay,

    /// Accepted for mongorestore's sake: compression is recognised by itself.
    #[arg(long)]
    gzip: bool,

    #[command(flatten)]
    writes: Writes,
}

/// How the archive is read before it is restored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Reading {
    Once,
    /// To its end, to prove it.
    Twice,
    /// To its end, to see what is whole.
    Salvage,
}

impl Restore {
    /// See [`Connection::stray`].
    pub(super) fn stray(&self) -> Option<&str> {
        self.connection.stray()
    }

    pub(in crate::cli) fn reading(&self) -> Reading {
        match (self.salvage, self.verify_first) {
            (true, _) => Reading::Salvage,
            // These read all of it before they change anything.
            (false, true) if !self.swap && !self.dry_run => Reading::Twice,
            (false, _) => Reading::Once,
        }
    }

    /// Whether it was asked to be read twice and need not be.
    pub(in crate::cli) fn saves_reading(&self) -> bool {
        self.verify_first && self.reading() == Reading::Once
    }

    /// What is asked of S3 for an archive there.
    pub(in crate::cli) fn s3_options(&self) -> Result<S3Options> {
        self.bucket.options(self.archive.as_deref().is_some_and(is_s3))
    }

    /// Whether --db says what is restored, and not the connection string.
    pub(in crate::cli) fn names_database(&self) -> bool {
        self.namespaces.name_database()
    }

    /// What is said of flags that mongorestore will not always have.
    pub(in crate::cli) fn deprecations(&self) -> Vec<&'static str> {
        self.namespaces.deprecations()
    }

    pub(in crate::cli) fn check(self, manner: Manner) -> Result<(MongoUri, RestoreOptions, Location)> {
        let uri = self.connection.uri(manner, self.namespaces.database())?;
        let (scope, filter, accounts) = self.namespaces.check(&uri)?;
        let location = location(&self.archive.ok_or_else(no_archive)?, self.gzip)?;
        if location == Location::standard() && std::io::stdin().is_terminal() {
            return Err(invalid(
                "standard input is a terminal: redirect an archive into it, or give --archive=PATH",
            ));
        }
        let options = RestoreOptions {
            drop: self.drop,
            swap: self.swap,
            exact: self.exact,
            dry_run: self.dry_run,
            oplog: self.replay.check()?,
            // A validator may be younger than the documents, and here each is the archive's own.
            validation: match (self.writes.bypass_document_validation, self.swap) {
                (true, _) => DocumentValidation::Bypassed,
                (false, true) => DocumentValidation::BypassedWhereCreated,
                (false, false) => DocumentValidation::Enforced,
            },
            scope,
            filter,
            accounts,
            writes: self.writes.writes()?,
            indexes: self.writes.indexes(),
            ..RestoreOptions::default()
        };
        // Before anything is read or asked.
        options.complete()?;
        Ok((uri, options, location))
    }

    #[cfg(test)]
    pub(super) fn archive(&self) -> &str {
        self.archive.as_deref().unwrap_or_default()
    }
}
