//! What every command is told.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::num::NonZeroUsize;

use clap::ArgAction;

use super::invalid;
use crate::Result;

/// The place of the options that every command has: behind its own.
pub(super) const LAST: usize = 100;

#[derive(clap::Args, Debug)]
pub(in crate::cli) struct General {
    /// Hide progress: print only errors, what failed to restore, and what is left out or left behind.
    #[arg(long, global = true, display_order = LAST)]
    pub(in crate::cli) quiet: bool,

    /// Say more: a line of every collection on a terminal, too. Any of -vvv, -v=N and --verbose=N.
    #[arg(short, long, global = true, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1",
          action = ArgAction::Append, display_order = LAST)]
    verbose: Vec<String>,

    /// Threads that the program uses; 0 for as many as there are processors.
    #[arg(long = "numThreads", global = true, value_name = "N", hide = true)]
    num_threads: Option<usize>,

    /// Accepted for the tools' sake.
    #[arg(long, global = true, hide = true)]
    trace: bool,

    /// Print help.
    #[arg(long, global = true, action = ArgAction::Help, display_order = LAST)]
    help: Option<bool>,
}

impl General {
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a verbosity that is no number.
    pub(super) fn check(&self) -> Result<()> {
        if self.verbose.iter().all(|level| level.parse::<u32>().is_ok()) {
            return Ok(());
        }
        Err(invalid("its value is no number: write -vvv or --verbose=3").at("--verbose"))
    }

    pub(in crate::cli) fn is_verbose(&self) -> bool {
        self.verbose.iter().any(|level| level != "0")
    }

    pub(in crate::cli) fn threads(&self) -> Option<NonZeroUsize> {
        self.num_threads.and_then(NonZeroUsize::new)
    }
}
