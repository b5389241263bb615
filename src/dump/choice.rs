//! The moment at which a dump reads is chosen together with its catalog.
//!
//! `listCollections` and `listIndexes` cannot be asked for a time. So the catalog is read, the time is chosen, not before
//! anything that the catalog shows, and the catalog is read again: when both are the same, it is the catalog of the time
//! between them. What is created, dropped or changed later is none of the archive's; whether a name still means the planned
//! collection when it is read is asked as ever ([`identity`](super::identity)).

use std::time::Duration;

use bson::{Document, Timestamp, doc};
use futures::StreamExt;
use mongodb::error::{Error as DriverError, ErrorKind as DriverKind};

use super::catalog::{Catalog, Sizes};
use super::moment::{Loss, Moment, at_cluster_time, not_believed};
use super::snapshot::Snapshot;
use super::source::Source;
use crate::server_error::{answer, code, driver_error};
use crate::{Result, Scope};

/// How often the catalog may change while it is read before there is no snapshot.
const TRIES: usize = 5;

/// How long the first read waits until the newest writes are on a majority of the members, and the member knows: far more
/// than replication takes. In a set that has lost its majority they never are.
const MAJORITY_PATIENCE: Duration = Duration::from_secs(30);

/// The answer when `maxTimeMS` is over.
const TIME_EXCEEDED: i32 = 50;

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
            source.read_at(Moment::new(at, loss));
            let apart = catalog.apart();
            return Ok((catalog, Snapshot { at: Some(at), apart, ..Snapshot::default() }));
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
