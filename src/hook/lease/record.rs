//! What a lease object holds, and how it changes: pure, with the time handed in.

use serde::{Deserialize, Serialize};

use crate::hook::failure::Failure;
use crate::{Error, ErrorKind, Result};

/// Restores that are remembered: far more than Lambda repeats at a time, and with the limits below half of the 64 KiB of a
/// small object.
const MAX_RESTORES: usize = 24;

/// How long after its deadline a restore without an end counts as being at work: Lambda's clocks agree within
/// milliseconds, and what a server still has of a killed restore's commands ends with their connections.
const GRACE_MILLIS: u64 = 5_000;

/// The restores of one deployment: those at work, and the latest that have ended.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Record {
    /// Grows with every change: it tells what came later without a clock, and no two versions have the same bytes.
    revision: u64,
    /// The latest beginning of a restore that is no longer remembered.
    forgotten: u64,
    /// By their beginnings.
    restores: Vec<Restore>,
}

/// One restore.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Restore {
    /// Lambda's name of the invocation, the same when an event is run again.
    pub(super) request: String,
    /// Random: tells two deliveries of one request apart.
    pub(super) attempt: String,
    /// The place of the archive.
    pub(super) archive: String,
    /// The one database it touches; all of them where there is none.
    pub(super) database: Option<String>,
    /// When its invocation ends at the latest, in milliseconds since 1970.
    pub(super) until: u64,
    /// The revision that brought it.
    #[serde(default)]
    began: u64,
    #[serde(default)]
    end: Option<End>,
}

/// How a restore ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum End {
    Restored,
    Failed(Failure),
}

/// What became of the wish to restore.
#[derive(Debug)]
pub(super) enum Begun {
    /// It is written down.
    Now,
    /// This request has been carried out, and this was its end: it is not repeated.
    Before(Result<()>),
}

impl Restore {
    /// A restore that is about to begin.
    pub(super) fn new(
        request: &str,
        attempt: String,
        archive: String,
        database: Option<&str>,
        until: u64,
    ) -> Self {
        let database = database.map(str::to_owned);
        Self { request: request.to_owned(), attempt, archive, database, until, began: 0, end: None }
    }

    fn is_at_work(&self, now: u64) -> bool {
        self.end.is_none() && now < self.until.saturating_add(GRACE_MILLIS)
    }

    fn touches(&self, database: Option<&str>) -> bool {
        match (self.database.as_deref(), database) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => true,
        }
    }

    fn seconds_left(&self, now: u64) -> u64 {
        self.until.saturating_add(GRACE_MILLIS).saturating_sub(now).div_ceil(1000)
    }

    fn what(&self) -> &str {
        self.database.as_deref().unwrap_or("everything")
    }

    /// The answer to the same request once more.
    fn answer(&self, now: u64) -> Result<()> {
        let Restore { request, archive, .. } = self;
        match &self.end {
            Some(End::Restored) => Ok(()),
            Some(End::Failed(failure)) => Err(failure.again(
                "the end of the first attempt: a restore that has failed is not repeated by itself, send a new request for that",
            )),
            None if self.is_at_work(now) => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "another delivery of the request {request} is restoring {archive}; wait for its result"
                ),
            )),
            None => Err(Error::new(
                ErrorKind::Cancelled,
                format!(
                    "the request {request} was ended from outside while it restored {archive}, and part of the data may be \
                     in place; it is not repeated by itself: give the function more time or memory, and send a new request"
                ),
            )),
        }
    }
}

impl Record {
    /// Writes a restore down as being at work, unless another one is on the same data or its request has been answered.
    pub(super) fn begin(&mut self, mut restore: Restore, now: u64) -> Result<Begun> {
        // The answer to its writing was lost, and others have changed the record since.
        if self.holds(&restore.attempt) {
            return Ok(Begun::Now);
        }
        let same = |known: &&Restore| known.request == restore.request && known.archive == restore.archive;
        if let Some(known) = self.restores.iter().rev().find(same) {
            return match known.answer(now) {
                Err(error) if known.is_at_work(now) => Err(error),
                answer => Ok(Begun::Before(answer)),
            };
        }
        self.refuse_at_work(
            restore.database.as_deref(),
            now,
            "and this one would drop what that one restores",
        )?;
        self.forget(now)?;
        self.revision += 1;
        restore.began = self.revision;
        self.restores.push(restore);
        Ok(Begun::Now)
    }

    /// Writes down how a restore ended; [`ErrorKind::AlreadyExists`] where the record no longer knows of it.
    pub(super) fn end(&mut self, attempt: &str, result: Result<(), &Error>) -> Result<()> {
        let Some(restore) = self.restores.iter_mut().find(|restore| restore.attempt == attempt) else {
            let message = "the lease was removed while this restore was at work, so that another one may have been, too; \
                           restore again";
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        };
        restore.end = Some(match result {
            Ok(()) => End::Restored,
            Err(error) => End::Failed(Failure::of(error)),
        });
        self.revision += 1;
        Ok(())
    }

    /// Whether this attempt is written down and at work.
    pub(super) fn holds(&self, attempt: &str) -> bool {
        self.restores.iter().any(|restore| restore.attempt == attempt && restore.end.is_none())
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Refuses while a restore is at work on the same data: `because` completes the sentence.
    pub(super) fn refuse_at_work(&self, database: Option<&str>, now: u64, because: &str) -> Result<()> {
        let at_work = |restore: &&Restore| restore.touches(database) && restore.is_at_work(now);
        let Some(holder) = self.restores.iter().find(at_work) else { return Ok(()) };
        let message = format!(
            "the request {} is restoring {}, {because}; wait for its result, or {} seconds if it was killed",
            holder.request,
            holder.what(),
            holder.seconds_left(now)
        );
        Err(Error::new(ErrorKind::AlreadyExists, message))
    }

    /// Refuses what was read since `revision` if a restore has begun on the same data.
    pub(super) fn refuse_begun_since(&self, revision: u64, database: Option<&str>) -> Result<()> {
        let since = |restore: &&Restore| restore.began > revision && restore.touches(database);
        let message = match self.restores.iter().find(since) {
            Some(restore) => format!(
                "a restore was at work while this backup was taken (the request {} on {}), which would hold half of it; \
                 nothing was kept: back up again when the restore has ended",
                restore.request,
                restore.what()
            ),
            None if self.revision < revision || self.forgotten > revision => {
                "the lease was removed or rewritten while this backup was taken, so that nobody knows whether a restore was at \
                 work; nothing was kept: back up again"
                    .to_owned()
            }
            None => return Ok(()),
        };
        Err(Error::new(ErrorKind::AlreadyExists, message))
    }

    /// The latest restore of the same data, if it did not come to a good end: what to say of a backup after it.
    pub(super) fn unfinished(&self, database: Option<&str>) -> Option<String> {
        let latest = self.restores.iter().rev().find(|restore| restore.touches(database))?;
        let how = match &latest.end {
            Some(End::Restored) => return None,
            Some(End::Failed(_)) => "failed",
            None => "was ended from outside",
        };
        Some(format!(
            "the last restore of this data (the request {} on {}) {how}: unless that was repaired since, this archive may hold \
             a half-restored state",
            latest.request,
            latest.what()
        ))
    }

    /// Makes room for one more restore.
    fn forget(&mut self, now: u64) -> Result<()> {
        while self.restores.len() >= MAX_RESTORES {
            let Some(oldest) = self.restores.iter().position(|restore| !restore.is_at_work(now)) else {
                let message =
                    format!("{MAX_RESTORES} restores are at work on this deployment; wait for one to end");
                return Err(Error::new(ErrorKind::AlreadyExists, message));
            };
            self.forgotten = self.forgotten.max(self.restores.remove(oldest).began);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
