//! Drill: a restore that is only a test, into databases of its own that go afterwards.
//!
//! ```text
//! archive -> verify, proof -> lease -> mark -> restore (measured) -> dump -> compare -> drop -> tag
//! ```
//!
//! What is restored is read back as a dump reads any database, and held against what the verification found in the archive:
//! the number of documents and the sum of their checksums, the options and the indexes of every collection. Nothing expires
//! meanwhile: `expireAfterSeconds` is left out of what is restored, and so are users and roles.
//!
//! A drill touches only databases that were not there when it began, each with a mark in it that it has put there first. It
//! holds a lease, in which their names are: of a drill that died, the next one removes what carries its mark.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::dump::{DumpOptions, SnapshotMode, dump};
use crate::progress::{Monitor, Silent};
use crate::proof::Proof;
use crate::restore::{DocumentValidation, Recipes, RestoreOptions, RestoreReport, restore};
use crate::storage::{Location, Storage, Stored, pipe};
use crate::verify::{VerifyReport, verify};
use crate::{Deployment, Error, ErrorKind, Result, Scope};

mod difference;
mod lease;
mod newest;
mod plan;
mod reading;
mod scratch;
mod shape;

pub use newest::{newest, newest_of};

use lease::Lease;
use plan::Plan;
use reading::Reading;

/// The tag of an object that a drill has restored; its value is the day.
const TAG: &str = "restored-ok";

/// How long a command that was given up may still be at work on the server.
const GIVEN_UP: Duration = Duration::from_millis(500);

/// How to drill.
#[derive(Clone, Debug)]
pub struct DrillOptions {
    /// What the names of the scratch databases begin with, before the archive's own.
    pub prefix: String,
}

impl Default for DrillOptions {
    fn default() -> Self {
        Self { prefix: "mongoark_drill_".to_owned() }
    }
}

/// How a drill went. There is one only where everything was as it should be.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DrillReport {
    /// Collections that were restored and compared, views included.
    pub collections: usize,
    /// Documents that were restored and compared.
    pub documents: u64,
    /// Bytes of the stored archive.
    pub bytes: u64,
    /// How long the restore took, from the first byte to the last index.
    pub restored_in: Duration,
    /// Whether there was a proof record, and the archive is what it says.
    pub proven: bool,
    /// Whether the object carries the tag that says so.
    pub tagged: bool,
}

impl DrillReport {
    /// Documents restored in a second.
    pub fn documents_per_second(&self) -> u64 {
        let millis = self.restored_in.as_millis().max(1);
        u64::try_from(u128::from(self.documents) * 1000 / millis).unwrap_or(u64::MAX)
    }
}

/// Restores the archive at `at` into scratch databases, holds every document, index and option against the archive and the
/// archive against its proof, and drops them.
///
/// The archive is read twice, and a third time where the server has changed what it stored.
///
/// # Errors
/// A scratch database that exists already; another drill at work; any damage; any difference; a scratch database that cannot
/// be dropped.
///
/// # Cancellation
/// When `cancel` fires, the scratch databases are dropped and [`ErrorKind::Cancelled`] returned. When the future is dropped
/// they stay, and the next drill on the deployment removes them.
pub async fn drill(
    deployment: &Deployment,
    options: &DrillOptions,
    storage: &Storage,
    at: &Location,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<DrillReport> {
    let looked_at = Box::pin(look_at(options, storage, at, monitor, cancel));
    let (stored, plan, proven) = or_cancelled(looked_at, cancel).await?;
    let lost = CancellationToken::new();
    let lease = Lease::take(deployment, &plan.databases, &lost, cancel).await?;
    let drill = Drill { deployment, storage, at, monitor, plan: &plan, lease: &lease };
    let result = tokio::select! {
        result = Box::pin(drill.run(proven)) => result,
        () = cancel.cancelled() => Err(cancelled()),
        () = lost.cancelled() => Err(lost_lease()),
    };
    if result.is_err() {
        sleep(GIVEN_UP).await;
    }
    let removed = drill.remove().await;
    let removed = match removed {
        Ok(()) => lease.give_back().await,
        // The lease stays, and with it the names: the next drill tries again.
        left => left,
    };
    let mut report = match (result, removed) {
        (Ok(report), removed) => removed.map(|()| report)?,
        (Err(error), Ok(())) => return Err(error),
        (Err(error), Err(left)) => {
            monitor.warn(&format!(
                "not everything could be removed; the next drill tries again: {}",
                left.report()
            ));
            return Err(error);
        }
    };
    unchanged(storage, at, &stored).await?;
    report.bytes = stored.bytes;
    report.tagged = tag(storage, at, monitor.as_ref()).await;
    Ok(report)
}

/// Proves the archive, and plans what is restored of it.
async fn look_at(
    options: &DrillOptions,
    storage: &Storage,
    at: &Location,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<(Stored, Plan, bool)> {
    let Some(stored) = storage.stat(at).await? else {
        storage.open(at).await?;
        let message = "a drill reads the archive more than once: give a file or an S3 object";
        return Err(Error::new(ErrorKind::InvalidInput, message).at(at));
    };
    let silent = Arc::new(Silent) as Arc<dyn Monitor>;
    let mut verified = Box::pin(verify(storage.open(at).await?, &silent, cancel)).await?;
    if let Some(damage) = verified.damage.take() {
        return Err(damage.at(at));
    }
    let proof = Proof::find(storage, at).await?;
    match &proof {
        Some(proof) => proof.compare(&verified).map_err(|error| error.at(at))?,
        None => {
            monitor.note("there is no proof record of this archive: it is held against its own checksums");
        }
    }
    let prelude = Archive::open(storage.open(at).await?).prelude().await.map_err(|error| error.at(at))?;
    let plan = Plan::new(prelude, &verified, &options.prefix)?;
    tell(&plan, &verified, monitor.as_ref());
    Ok((stored, plan, proof.is_some()))
}

fn tell(plan: &Plan, verified: &VerifyReport, monitor: &dyn Monitor) {
    let bytes: u64 = verified.whole.iter().map(|whole| whole.end.bytes).sum();
    let documents: u64 = plan.expected.values().map(|content| content.documents).sum();
    monitor.note(&format!(
        "the archive is whole; {documents} document(s) of {} collection(s) go into {} scratch database(s), for which {bytes} \
         bytes of the server's disk will do, indexes aside",
        plan.expected.len(),
        plan.databases.len()
    ));
    if plan.has_accounts {
        monitor.note("users and roles are left out: they would be the deployment's own");
    }
}

/// A drill that has its lease.
struct Drill<'a> {
    deployment: &'a Deployment,
    storage: &'a Storage,
    at: &'a Location,
    monitor: &'a Arc<dyn Monitor>,
    plan: &'a Plan,
    lease: &'a Lease,
}

impl Drill<'_> {
    async fn run(&self, proven: bool) -> Result<DrillReport> {
        for database in &self.lease.left {
            if scratch::remove(self.deployment, database, &self.lease.dead).await? {
                self.monitor
                    .note(&format!("removed the scratch database {database} of a drill that was cut short"));
            }
        }
        let existing = scratch::databases(self.deployment).await?;
        for database in &self.plan.databases {
            // Servers tell names apart by their letters, and refuse those that differ only in case.
            if let Some(name) = existing.iter().find(|name| name.eq_ignore_ascii_case(database)) {
                return Err(scratch::exists(name));
            }
        }
        for database in &self.plan.databases {
            scratch::mark(self.deployment, database, &self.lease.holder).await?;
        }
        let began = Instant::now();
        let restored = self.restore().await?;
        let restored_in = began.elapsed();
        self.compare(&restored).await?;
        Ok(DrillReport {
            collections: restored.collections,
            documents: restored.documents,
            restored_in,
            proven,
            ..DrillReport::default()
        })
    }

    async fn restore(&self) -> Result<RestoreReport> {
        let options = RestoreOptions {
            prefix: self.plan.prefix().to_owned(),
            // The validator is the archive's own, and so are the documents.
            validation: DocumentValidation::BypassedWhereCreated,
            keep_expired: true,
            ..RestoreOptions::default()
        };
        let source = self.storage.open(self.at).await?;
        // Whoever cancels drops this future.
        let never = CancellationToken::new();
        let restored = Box::pin(restore(self.deployment, &options, source, self.monitor, &never)).await?;
        if restored.failures > 0 {
            let message = format!("{} document(s) failed to restore", restored.failures);
            return Err(Error::new(ErrorKind::Server, message).at(self.at));
        }
        Ok(restored)
    }

    /// Holds what was restored against the archive.
    async fn compare(&self, restored: &RestoreReport) -> Result<()> {
        let found = self.read_back(false).await?;
        difference::collections(&self.plan.expected, &found)?;
        let recipes = Recipes::of(self.deployment).await?;
        for (namespace, content) in &self.plan.expected {
            let Some(other) = found.get(namespace) else { continue };
            let (archive, here) = (recipes.recipe(&content.entry)?, recipes.recipe(&other.entry)?);
            if let Some(difference) = shape::difference(&archive, &here) {
                return Err(difference::error(namespace, &format!("restored, {difference}")));
            }
        }
        if difference::documents(&self.plan.expected, &found).is_none() {
            return Ok(());
        }
        let archive = reading::read(self.storage.open(self.at).await?, true).await?;
        let found = self.read_back(true).await?;
        let unknown = difference::closely(&self.plan.expected, &archive, &found, restored.repeated)?;
        for namespace in unknown {
            self.monitor.warn(&format!(
                "{namespace}: documents are in the archive twice, as they changed during the dump; one version of each was \
                 restored, and of this collection only the number of documents is proven"
            ));
        }
        Ok(())
    }

    /// What is in the scratch databases, by the archive's names.
    async fn read_back(&self, closely: bool) -> Result<Reading> {
        let mut found = Reading::new();
        let silent = Arc::new(Silent) as Arc<dyn Monitor>;
        for database in &self.plan.databases {
            let options = DumpOptions {
                scope: Scope::database(database)?,
                // Nobody else writes there.
                snapshot: SnapshotMode::Off,
                ..DumpOptions::default()
            };
            let (sink, source) = pipe();
            let never = CancellationToken::new();
            let dumped = Box::pin(dump(self.deployment, &options, sink, &silent, &never));
            let (_, read) = futures::try_join!(dumped, reading::read(source, closely))?;
            let mark = scratch::mark_of(database);
            let restored = read.into_iter().filter(|(namespace, _)| namespace.collection() != mark);
            found.extend(restored.filter_map(|(name, content)| Some((self.plan.original(&name)?, content))));
        }
        Ok(found)
    }

    /// Drops what this drill has made.
    async fn remove(&self) -> Result<()> {
        let holder = [self.lease.holder.clone()];
        let mut first = Ok(());
        for database in &self.plan.databases {
            let removed = scratch::remove(self.deployment, database, &holder).await;
            first = first.and(removed.map(drop));
        }
        first
    }
}

/// Whether the archive that was verified is the one that was restored.
async fn unchanged(storage: &Storage, at: &Location, stored: &Stored) -> Result<()> {
    if storage.stat(at).await?.as_ref() == Some(stored) {
        return Ok(());
    }
    let message = "another archive has taken the place of the one that was drilled; drill again";
    Err(Error::new(ErrorKind::Storage, message).at(at))
}

/// Whether the object carries the tag now. A file has no place for one.
async fn tag(storage: &Storage, at: &Location, monitor: &dyn Monitor) -> bool {
    if at.path().is_some() {
        return false;
    }
    let now = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
    let day = now.split('T').next().unwrap_or_default();
    match storage.tag(at, &[(TAG, day)]).await {
        Ok(()) => true,
        Err(error) => {
            monitor.warn(&format!("the object could not be tagged {TAG}: {}", error.report()));
            false
        }
    }
}

async fn or_cancelled<T>(work: impl Future<Output = Result<T>>, cancel: &CancellationToken) -> Result<T> {
    cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(cancelled()))
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "cancelled; nothing of the drill was kept")
}

fn lost_lease() -> Error {
    let message =
        "another drill has taken this one for dead, as it stood still: drill again when that has ended";
    Error::new(ErrorKind::Server, message)
}
