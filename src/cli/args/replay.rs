//! What is done with an archive's oplog.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use super::invalid;
use crate::Result;
use crate::restore::{OplogLimit, OplogReplay};

#[derive(clap::Args, Debug)]
pub(super) struct Replay {
    /// When all documents are there, replay the oplog of the archive, which mongodump --oplog has put into it: everything is
    /// then as it was when the dump ended. Of whole archives only, into their own names.
    #[arg(long = "oplogReplay", id = "oplogReplay")]
    is_asked_for: bool,

    /// Replay only what was written before this time, seconds since 1970 and the operation of that second.
    #[arg(long = "oplogLimit", value_name = "SECONDS[:INCREMENT]", allow_hyphen_values = true)]
    limit: Option<String>,

    /// Refused: the oplog is that of the archive.
    #[arg(long = "oplogFile", value_name = "FILE", hide = true)]
    file: Option<String>,
}

impl Replay {
    pub(super) fn check(&self) -> Result<OplogReplay> {
        let limit = self.limit.as_deref().filter(|text| !text.is_empty());
        if limit.is_some() && !self.is_asked_for {
            return Err(invalid("cannot use --oplogLimit without --oplogReplay enabled"));
        }
        if self.file.as_deref().is_some_and(|file| !file.is_empty()) {
            return Err(invalid(if self.is_asked_for {
                "cannot use --oplogFile with --archive specified: the oplog is that of the archive"
            } else {
                "cannot use --oplogFile without --oplogReplay enabled"
            }));
        }
        if !self.is_asked_for {
            return Ok(OplogReplay::Ignored);
        }
        let limit = limit.map(str::parse).transpose()?;
        // As with mongorestore, zero is no limit.
        Ok(OplogReplay::Replayed {
            limit: limit.filter(|limit| *limit != OplogLimit { seconds: 0, increment: 0 }),
        })
    }
}
