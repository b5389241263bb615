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

use crate::storage::Storage;
use crate::{Error, ErrorKind, Result, Scope};

use self::record::{Begun, Record, Restore};
use super::shared::{Shared, attempt, now};

/// The lease of one deployment, and what an invocation wants to work on.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    shared: Shared<Record>,
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
        Ok(Self { shared: Shared::new(storage, bucket, key)?, database })
    }

    /// Refuses while a restore is at work on the same data: `because` completes the sentence.
    pub(super) async fn look(&self, because: &str) -> Result<Look> {
        let record = self.shared.read().await?;
        record
            .refuse_at_work(self.database.as_deref(), now(), because)
            .map_err(|error| error.at(&self.shared.at))?;
        let warning = record.unfinished(self.database.as_deref());
        Ok(Look { lease: self.clone(), revision: record.revision(), warning })
    }

    /// Takes the lease for a restore that ends at `until`, in milliseconds since 1970.
    pub(super) async fn take(&self, request: &str, archive: &str, until: u64) -> Result<Taken> {
        let attempt = attempt(request);
        let wanted =
            Restore::new(request, attempt.clone(), archive.to_owned(), self.database.as_deref(), until);
        let begin = |record: &mut Record| match record.begin(wanted.clone(), now())? {
            Begun::Now => Ok(None),
            Begun::Before(end) => Ok(Some(end)),
        };
        match self.shared.change(begin).await {
            Ok(Some(end)) => return Ok(Taken::Before(end)),
            Ok(None) => {}
            // Whether the change was stored is not known; the lease tells.
            Err(error) if error.kind() != ErrorKind::Storage => return Err(error),
            Err(error) => {
                let there = self.shared.read().await.is_ok_and(|record| record.holds(&attempt));
                if !there {
                    return Err(error);
                }
            }
        }
        Ok(Taken::Now(Held { lease: self.clone(), attempt }))
    }
}

impl Held {
    /// Gives the lease back and notes how the restore ended; [`ErrorKind::AlreadyExists`] where it was lost before.
    pub(super) async fn give_back(self, result: Result<(), &Error>) -> Result<()> {
        let end = |record: &mut Record| record.end(&self.attempt, result).map(|()| None::<()>);
        self.lease.shared.change(end).await.map(drop)
    }
}

impl Look {
    /// Looks again when everything has been read: refuses if a restore has begun since.
    pub(super) async fn again(&self) -> Result<()> {
        let record = self.lease.shared.read().await?;
        record
            .refuse_begun_since(self.revision, self.lease.database.as_deref())
            .map_err(|error| error.at(&self.lease.shared.at))
    }
}
