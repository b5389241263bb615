//! What `mongoark dump` is told of the oplog.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

#[derive(clap::Args, Debug)]
pub(super) struct Oplog {
    /// Capture the oplog of the time of reading, so that a restore with --oplogReplay has everything as it was at the end; of
    /// one database or collection, what concerns it.
    #[arg(long)]
    pub(super) oplog: bool,
}
