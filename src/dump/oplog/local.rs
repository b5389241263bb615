//! What the member tells of its oplog and of transactions that are open.

use std::collections::HashMap;
use std::time::Duration;

use bson::{RawDocumentBuf, Timestamp, doc};
use mongodb::error::Error as DriverError;

use super::entry::{Entry, Transaction};
use crate::dump::source::Source;
use crate::server_error::{code, driver_error, is_unauthorized};
use crate::{Error, ErrorKind, Result};

/// Where members of a replica set keep it, in the database `local`.
pub(super) const OPLOG: &str = "oplog.rs";

/// How long the newest writes may take until they are on a majority of the members: far more than replication takes. In a
/// set that has lost its majority they never are.
const MAJORITY_PATIENCE: Duration = Duration::from_secs(30);

/// The answer when `maxTimeMS` is over.
const TIME_EXCEEDED: i32 = 50;

/// Open transactions that have entries in the oplog, and when the first of them was made.
pub(super) type Open = HashMap<Transaction, Timestamp>;

/// The newest entry before which nothing is missing: by the time that this returns, everything up to it is there for every
/// read that follows.
///
/// The very last entry is not enough. Writes take their times before they are there, and overtake one another: what is older
/// than the last entry may come after it. A scan from the front waits until there are no such holes before the last entry
/// that there was when it began, and on a secondary the newest that is applied is told by the member itself.
pub(super) async fn newest(source: &Source) -> Result<Timestamp> {
    let last = edge(source, -1).await?;
    let applied = source.applied().await?;
    let newest = applied.map_or(last, |applied| applied.min(last));
    let find = doc! {
        "find": OPLOG,
        "filter": { "ts": { "$gte": newest } },
        "projection": { "ts": 1 },
        "limit": 1,
        "singleBatch": true,
    };
    let found = source.documents("local", find).await.map_err(|error| cannot_read(&error))?;
    let found = found.first().and_then(|entry| entry.get_timestamp("ts").ok());
    if found == Some(newest) {
        return Ok(newest);
    }
    Err(Error::new(
        ErrorKind::Server,
        "the newest entry of the oplog has gone again (a rollback); dump again",
    ))
}

/// The oldest entry that there still is.
pub(super) async fn oldest(source: &Source) -> Result<Timestamp> {
    edge(source, 1).await
}

/// The entry at one of the oplog's ends.
async fn edge(source: &Source, direction: i32) -> Result<Timestamp> {
    let find = doc! {
        "find": OPLOG,
        "filter": {},
        "hint": { "$natural": direction },
        "projection": { "ts": 1 },
        "limit": 1,
        "singleBatch": true,
    };
    let found = source.documents("local", find).await.map_err(|error| cannot_read(&error))?;
    let at = found.first().and_then(|entry| entry.get_timestamp("ts").ok());
    at.ok_or_else(|| {
        Error::new(ErrorKind::Server, "the server has no oplog (local.oplog.rs), or an empty one")
    })
}

/// Waits until a majority of the members has what was written up to then, so that no election takes it back. Whether they
/// have.
pub(super) async fn is_on_majority(source: &Source, at: Timestamp) -> Result<bool> {
    let patience = MAJORITY_PATIENCE.min(source.answer_timeout() / 2);
    let find = doc! {
        "find": OPLOG,
        "filter": { "ts": at },
        "projection": { "ts": 1 },
        "limit": 1,
        "singleBatch": true,
        "readConcern": { "level": "majority", "afterClusterTime": at },
        "maxTimeMS": i64::try_from(patience.as_millis()).unwrap_or(i64::MAX),
    };
    match source.documents("local", find).await {
        Ok(_) => Ok(true),
        Err(error) if code(&error) == Some(TIME_EXCEEDED) => Ok(false),
        // A server that reads no majorities.
        Err(error) if code(&error).is_some() && !is_unauthorized(&error) => Ok(false),
        Err(error) => Err(cannot_read(&error)),
    }
}

/// The transactions that are open now and have entries in the oplog: prepared ones, and long ones whose end a secondary has
/// not seen yet.
pub(super) async fn open_transactions(source: &Source) -> Result<Open> {
    let find = doc! {
        "find": "transactions",
        "filter": { "state": { "$in": ["prepared", "inProgress"] } },
        "readConcern": { "level": "local" },
    };
    let found = source.documents("config", find).await.map_err(|error| {
        let message = if is_unauthorized(&error) {
            "this account may not ask which transactions are open (find on config.transactions), without which no oplog is \
             captured; grant it the role backup"
        } else {
            "cannot ask which transactions are open"
        };
        driver_error(message, &error)
    })?;
    found.iter().map(open).collect()
}

/// The transactions that have entries up to this time and have gone on since.
pub(super) async fn ended_since(source: &Source, at: Timestamp) -> Result<Vec<Transaction>> {
    let nothing = Timestamp { time: 0, increment: 0 };
    let find = doc! {
        "find": OPLOG,
        "filter": { "ts": { "$gt": at }, "op": "c", "prevOpTime.ts": { "$gt": nothing, "$lte": at } },
    };
    let found = source.documents("local", find).await.map_err(|error| cannot_read(&error))?;
    let transactions = found.iter().map(|document| Entry::new(document)?.transaction());
    transactions.filter_map(Result::transpose).collect()
}

fn open(document: &RawDocumentBuf) -> Result<(Transaction, Timestamp)> {
    let transaction = Transaction::of(document, "_id", "txnNum");
    let began = document.get_document("startOpTime").and_then(|start| start.get_timestamp("ts"));
    match (transaction, began) {
        (Some(transaction), Ok(began)) => Ok((transaction, began)),
        _ => Err(Error::new(
            ErrorKind::Server,
            "the server does not say when an open transaction began (config.transactions, startOpTime)",
        )),
    }
}

pub(super) fn cannot_read(error: &DriverError) -> Error {
    let message = if is_unauthorized(error) {
        "this account may not read the oplog (find on local.oplog.rs); grant it the role backup"
    } else {
        "cannot read the oplog"
    };
    driver_error(message, error)
}
