//! The lease of a deployment: one object that says which invocations restore it, and how the latest of them ended.
//!
//! Restores take it before their first write, by compare-and-swap, so that of two on the same data one is refused, however
//! close together they come; restores of different databases do not mind each other. It needs no renewal and cannot be left
//! behind: an invocation does not outlive its deadline. A request is remembered with its end, because Lambda runs a failed
//! asynchronous event again, and a restore that drops must not be repeated by itself.
//!
//! Backups only look: before they begin, and when everything has been read and nothing is complete yet. A restore is written
//! down before it touches anything, so the second look shows every restore that the backup may have seen a part of.
//!
//! The object is `locks/<deployment>.lease` and holds JSON. Restores by other means, such as the command, are not in it.

mod record;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::storage::{Expected, Location, Storage, Swap, Versioned};
use crate::{Error, ErrorKind, Result, Scope};

use self::record::{Begun, Record, Restore};

/// Times that a change is tried while others are faster. Each time somebody else has got on.
const SWAPS: u32 = 32;

/// The lease of one deployment, and what an invocation wants to work on.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    storage: Storage,
    at: Location,
    database: Option<String>,
}

/// What became of the attempt to take a lease.
#[derive(Debug)]
pub(super) enum Taken {
    /// The restore may begin.
    Now(Held),
    /// The same request has been carried out before, with this end.
    Before(Result<()>),
}

/// A lease that is held.
#[derive(Debug)]
pub(super) struct Held {
    lease: Lease,
    attempt: String,
}

/// The lease as a backup found it before it began.
#[derive(Debug)]
pub(super) struct Look {
    lease: Lease,
    revision: u64,
    /// What is to be said of the state that the backup finds.
    pub(super) warning: Option<String>,
}

impl Lease {
    pub(super) fn new(storage: &Storage, bucket: &str, key: &str, scope: &Scope) -> Result<Self> {
        let database = scope.db().map(str::to_owned);
        Ok(Self { storage: storage.clone(), at: Location::s3(bucket, key)?, database })
    }

    /// Refuses while a restore is at work on the same data.
    pub(super) async fn look(&self) -> Result<Look> {
        let record = self.read().await?.1;
        record
            .refuse_at_work(
                self.database.as_deref(),
                now(),
                "and a backup would hold a half of what it restores",
            )
            .map_err(|error| error.at(&self.at))?;
        let warning = record.unfinished(self.database.as_deref());
        Ok(Look { lease: self.clone(), revision: record.revision(), warning })
    }

    /// Takes the lease for a restore that ends at `until`, in milliseconds since 1970.
    pub(super) async fn take(&self, request: &str, archive: &str, until: u64) -> Result<Taken> {
        let attempt = format!("{:016x}", RandomState::new().hash_one(request));
        let wanted =
            Restore::new(request, attempt.clone(), archive.to_owned(), self.database.as_deref(), until);
        let begin = |record: &mut Record| match record.begin(wanted.clone(), now())? {
            Begun::Now => Ok(None),
            Begun::Before(end) => Ok(Some(end)),
        };
        match self.change(begin).await {
            Ok(Some(end)) => return Ok(Taken::Before(end)),
            Ok(None) => {}
            // Whether the change was stored is not known; the lease tells.
            Err(error) if error.kind() != ErrorKind::Storage => return Err(error),
            Err(error) => {
                let there = self.read().await.is_ok_and(|(_, record)| record.holds(&attempt));
                if !there {
                    return Err(error);
                }
            }
        }
        Ok(Taken::Now(Held { lease: self.clone(), attempt }))
    }

    /// Changes the record by compare-and-swap, until nobody else was faster. A change that says `Some` is not written.
    async fn change<T>(&self, change: impl Fn(&mut Record) -> Result<Option<T>>) -> Result<Option<T>> {
        let (mut version, mut record) = self.read().await?;
        for _ in 0..SWAPS {
            if let Some(answer) = change(&mut record).map_err(|error| error.at(&self.at))? {
                return Ok(Some(answer));
            }
            let expected = version.as_deref().map_or(Expected::Absent, Expected::Version);
            match Box::pin(self.storage.swap(&self.at, expected, self.bytes(&record)?)).await? {
                Swap::Done(_) => return Ok(None),
                Swap::Lost(found) => (version, record) = self.parse(found)?,
            }
        }
        let message = "others keep changing the lease; send the event again";
        Err(Error::new(ErrorKind::Storage, message).at(&self.at))
    }

    async fn read(&self) -> Result<(Option<String>, Record)> {
        let found = Box::pin(self.storage.read_small(&self.at)).await?;
        self.parse(found)
    }

    fn parse(&self, found: Option<Versioned>) -> Result<(Option<String>, Record)> {
        let Some(found) = found else { return Ok((None, Record::default())) };
        let record = serde_json::from_slice(&found.bytes).map_err(|error| {
            let message = "this is no lease that this version can read; remove it when no restore is at work";
            Error::new(ErrorKind::Storage, message).at(&self.at).with_source(error)
        })?;
        Ok((Some(found.etag), record))
    }

    fn bytes(&self, record: &Record) -> Result<Bytes> {
        serde_json::to_vec_pretty(record).map(Bytes::from).map_err(|error| {
            Error::new(ErrorKind::Internal, "the lease cannot be written").at(&self.at).with_source(error)
        })
    }
}

impl Held {
    /// Gives the lease back and notes how the restore ended.
    pub(super) async fn give_back(self, result: Result<(), &Error>) -> Result<()> {
        let end = |record: &mut Record| record.end(&self.attempt, result).map(|()| None::<()>);
        self.lease.change(end).await.map(drop)
    }
}

impl Look {
    /// Looks again when everything has been read: refuses if a restore has begun since.
    pub(super) async fn again(&self) -> Result<()> {
        let record = self.lease.read().await?.1;
        record
            .refuse_begun_since(self.revision, self.lease.database.as_deref())
            .map_err(|error| error.at(&self.lease.at))
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
