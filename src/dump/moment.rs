//! The one moment at which a dump reads: proven by every cursor, and lost when the server no longer has it.
//!
//! `find` with the read concern `snapshot` at a cluster time shows a collection as it was then, on any member and however
//! long after, within the server's window of history.
//!
//! No server is believed: one that takes the read concern and ignores it would yield what a dump without it yields, and call
//! it something better. MongoDB tells the time with the first reply of such a cursor (`cursor.atClusterTime`); a reply that
//! tells none, or another, ends the snapshot.

use std::sync::{Arc, OnceLock};

use bson::{Document, RawDocument, Timestamp, doc};
use mongodb::error::{Error as DriverError, ErrorKind as DriverKind};

use crate::server_error::{answer, code, is_transient};
use crate::{Error, ErrorKind, Result};

/// Answers when the server cannot show a collection as it was at that time: `SnapshotUnavailable`, `SnapshotTooOld`.
const UNAVAILABLE: i32 = 246;
const TOO_OLD: i32 = 239;

/// The parameter that says how much history a server keeps.
pub(super) const WINDOW: &str = "minSnapshotHistoryWindowInSeconds";

/// Why a snapshot did not last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lost {
    /// Something else may be had at a newer time.
    Unavailable,
    /// The history has gone.
    TooOld,
    /// The server does not do it.
    NotBelieved,
}

/// Tells the whole dump that its snapshot is lost.
pub(super) type Loss = Arc<OnceLock<Lost>>;

/// The cluster time at which everything is read.
#[derive(Debug)]
pub(super) struct Moment {
    at: Timestamp,
    loss: Loss,
}

impl Moment {
    pub(super) fn new(at: Timestamp, loss: &Loss) -> Self {
        Self { at, loss: Arc::clone(loss) }
    }

    /// What makes `find` read at this time.
    pub(super) fn read_concern(&self) -> Document {
        doc! { "level": "snapshot", "atClusterTime": self.at }
    }

    /// Demands that the first reply of a cursor says that it was read at this time.
    pub(super) fn check(&self, told: Option<Timestamp>) -> Result<()> {
        if told == Some(self.at) {
            return Ok(());
        }
        self.loss.get_or_init(|| Lost::NotBelieved);
        Err(Error::new(
            ErrorKind::Server,
            format!("asked for its state at one cluster time, the server {}", not_believed(told)),
        ))
    }

    /// What the error of a read at this time means, if it means that there is no such state (any more).
    pub(super) fn lost(&self, error: &DriverError, is_opening: bool) -> Option<Error> {
        let refused = matches!(error.kind.as_ref(), DriverKind::Command(_)) && !is_transient(error);
        let (lost, message) = match code(error) {
            Some(TOO_OLD) => (
                Lost::TooOld,
                format!(
                    "the dump took longer than the server keeps the state of one moment: raise its parameter {WINDOW} (with \
                     setParameter, on every member; 300 by default), or dump without a snapshot (--snapshot off)"
                ),
            ),
            Some(UNAVAILABLE) => (
                Lost::Unavailable,
                format!(
                    "the server cannot show its state of the dump's moment: something was changed meanwhile (collMod, indexes, a \
                     rename), or the moment is further back than its {WINDOW}; dump again"
                ),
            ),
            _ if is_opening && refused => (
                Lost::NotBelieved,
                "the server refuses to show its state of one moment; dump without a snapshot (--snapshot off)".to_owned(),
            ),
            _ => return None,
        };
        self.loss.get_or_init(|| lost);
        Some(Error::new(ErrorKind::Server, message).with_source(answer(error)))
    }
}

/// Whether the server cannot show its state at the time that was asked for.
pub(super) fn is_unavailable(error: &DriverError) -> bool {
    code(error).is_some_and(|code| matches!(code, UNAVAILABLE | TOO_OLD))
}

/// The time at which a cursor reads, as its reply says.
pub(super) fn at_cluster_time(reply: &RawDocument) -> Option<Timestamp> {
    reply.get_document("cursor").ok()?.get_timestamp("atClusterTime").ok()
}

pub(super) fn not_believed(told: Option<Timestamp>) -> &'static str {
    match told {
        None => "answers without saying at which it has read (cursor.atClusterTime): that is no snapshot",
        Some(_) => "has read at another: that is no snapshot",
    }
}
