//! The one moment at which a dump reads: chosen together with the catalog of that moment, proven by every cursor, and lost
//! when the server no longer has it.
//!
//! `find` with the read concern `snapshot` at a cluster time shows a collection as it was then, on any member and however
//! long after, within the server's window of history. `listCollections` and `listIndexes` cannot be asked for a time. So the
//! catalog is read, the time is chosen, not before anything that the catalog shows, and the catalog is read again: when both
//! are the same, it is the catalog of the time between them. What is created, dropped or changed later is none of the
//! archive's; whether a name still means the planned collection when it is read is asked as ever ([`identity`](super::identity)).
//!
//! No server is believed: one that takes the read concern and ignores it would yield what a dump without it yields, and call
//! it something better. MongoDB tells the time with the first reply of such a cursor (`cursor.atClusterTime`); a reply that
//! tells none, or another, ends the snapshot.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bson::{Bson, Document, RawDocument, Timestamp, doc};
use futures::StreamExt;
use mongodb::error::{Error as DriverError, ErrorKind as DriverKind};

use super::catalog::{Catalog, Sizes};
use super::snapshot::Snapshot;
use super::source::Source;
use crate::server_error::{answer, code, driver_error, is_transient};
use crate::{Error, ErrorKind, Result, Scope};

/// How often the catalog may change while it is read before there is no snapshot.
const TRIES: usize = 5;

/// How long the first read waits until the newest writes are on a majority of the members, and the member knows: far more
/// than replication takes. In a set that has lost its majority they never are.
const MAJORITY_PATIENCE: Duration = Duration::from_secs(30);

/// Answers when the server cannot show a collection as it was at that time: `SnapshotUnavailable`, `SnapshotTooOld`.
const UNAVAILABLE: i32 = 246;
const TOO_OLD: i32 = 239;

/// The answer when `maxTimeMS` is over.
const TIME_EXCEEDED: i32 = 50;

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

/// Reads the catalog, and chooses the moment at which it is what it is: from then on the source reads at that moment.
/// Without one the report says why.
pub(super) async fn choose(source: &mut Source, scope: &Scope, loss: &Loss) -> Result<(Catalog, Snapshot)> {
    let mut before = Catalog::read(source, scope, Sizes::Unknown).await?;
    let mut reason = None;
    for _ in 0..TRIES {
        let at = match now(source, &before).await? {
            Ok(at) => at,
            Err(why) => {
                reason = Some(why);
                break;
            }
        };
        let catalog = Catalog::read(source, scope, Sizes::Asked).await?;
        if catalog.is_same_as(&before) {
            source.read_at(Moment { at, loss: Arc::clone(loss) });
            let apart = catalog.apart();
            return Ok((catalog, Snapshot { at: Some(at), apart, reason: None }));
        }
        before = catalog;
    }
    let reason = reason.unwrap_or_else(|| {
        "collections are created, dropped or changed faster than the server lists them".to_owned()
    });
    let catalog = Catalog::read(source, scope, Sizes::Asked).await?;
    Ok((catalog, Snapshot { reason: Some(reason), ..Snapshot::default() }))
}

/// A cluster time that the member can show: not before anything that the catalog shows, nor before what its set had when the
/// dump began. Otherwise why there is none.
async fn now(source: &Source, catalog: &Catalog) -> Result<std::result::Result<Timestamp, String>> {
    if source.is_router() {
        return Ok(Err(
            "a router stands before the deployment, and snapshots through one are not tried".to_owned()
        ));
    }
    let reached = source.operation_time().await?;
    let after = source.newest().max(reached);
    let mut read_concern = doc! { "level": "snapshot" };
    if let Some(after) = after {
        read_concern.insert("afterClusterTime", after);
    }
    // Of a collection that is not there the server tells no time; this one is everywhere.
    let nowhere = || ("admin", "system.version");
    let (db, collection) =
        catalog.any_of_one_moment().map_or_else(nowhere, |data| (data.db(), data.collection()));
    let patience = MAJORITY_PATIENCE.min(source.answer_timeout() / 2);
    let find = doc! {
        "find": collection,
        "filter": {},
        "limit": 1,
        "singleBatch": true,
        "readConcern": read_concern,
        "maxTimeMS": i64::try_from(patience.as_millis()).unwrap_or(i64::MAX),
    };
    let told = match first_reply(source, db, &find).await {
        Ok(told) => told,
        Err(error) if code(&error) == Some(TIME_EXCEEDED) => {
            return Ok(Err(format!(
                "its newest writes did not reach a majority of the members in {} s",
                patience.as_secs()
            )));
        }
        Err(error) => match error.kind.as_ref() {
            DriverKind::Command(_) => {
                return Ok(Err(format!("the server does not read at one moment: {}", answer(&error))));
            }
            _ => return Err(driver_error("the member to dump from no longer answers", &error)),
        },
    };
    match told {
        Some(at) if after.is_none_or(|after| at >= after) => Ok(Ok(at)),
        told => {
            Ok(Err(format!("asked for its state at one cluster time, the server {}", not_believed(told))))
        }
    }
}

async fn first_reply(
    source: &Source,
    db: &str,
    find: &Document,
) -> std::result::Result<Option<Timestamp>, DriverError> {
    let mut cursor = source.cursor(db, find, None).await?;
    let first = cursor.next().await.transpose()?;
    Ok(first.and_then(|batch| at_cluster_time(batch.as_raw_document())))
}

/// Whether the server cannot show its state at the time that was asked for.
pub(super) fn is_unavailable(error: &DriverError) -> bool {
    code(error).is_some_and(|code| matches!(code, UNAVAILABLE | TOO_OLD))
}

/// The time at which a cursor reads, as its reply says.
pub(super) fn at_cluster_time(reply: &RawDocument) -> Option<Timestamp> {
    reply.get_document("cursor").ok()?.get_timestamp("atClusterTime").ok()
}

fn not_believed(told: Option<Timestamp>) -> &'static str {
    match told {
        None => "answers without saying at which it has read (cursor.atClusterTime): that is no snapshot",
        Some(_) => "has read at another: that is no snapshot",
    }
}

/// Seconds of history that the server keeps, where the account may ask.
pub(super) async fn window(source: &Source) -> Option<Duration> {
    let command = doc! { "getParameter": 1, WINDOW: 1 };
    let reply = source.command("admin", command).await.ok()?;
    let seconds =
        reply.get(WINDOW).and_then(|value: &Bson| value.as_i64().or(value.as_i32().map(i64::from)))?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}
