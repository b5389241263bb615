//! Restore: an archive of the bucket replaces the data, with `drop`.

use tracing::{info, warn};

use crate::restore::{RestoreOptions, RestoreReport};
use crate::storage::Location;
use crate::{Error, ErrorKind, Result};

use super::event::Name;
use super::job::Job;
use super::lock::{Lock, Locked};
use super::outcome::{Action, Archive, Outcome};
use super::services::Services;
use super::stage::Stage;

/// Restores `archive` unless a restore of the same application runs, or this very call has been answered before.
pub(super) async fn restore<S: Services>(
    job: &Job<S>,
    application: &Name,
    archive: &Archive,
) -> Result<Outcome> {
    job.enter(Stage::Bucket);
    let location = archive.location()?;
    let stat = Box::pin(job.services.storage()?.stat(&location));
    let stored = job.unless_cancelled(stat).await?.ok_or_else(|| {
        let message = "there is no such archive; check ApplicationName, DeploymentId and BUCKET_NAME";
        Error::new(ErrorKind::NotFound, message).at(&location)
    })?;
    let lock = match Lock::take(job, application, archive).await? {
        Locked::Taken(lock) => lock,
        Locked::Restored => {
            info!(archive = %location, "an earlier attempt has restored the archive");
            return Ok(Outcome::existing(Action::Restore, archive, stored.bytes));
        }
    };
    let replayed = replay(job, &location).await;
    if let Err(error) = lock.release(job, replayed.is_ok()).await {
        warn!(reason = error.report(), "the lock of the restore stays until this invocation's deadline");
    }
    let report = replayed?;
    Ok(Outcome::restore(archive, stored.bytes, report.documents, report.collections))
}

async fn replay<S: Services>(job: &Job<S>, location: &Location) -> Result<RestoreReport> {
    let client = job.connect().await?;
    job.enter(Stage::Restore);
    info!(archive = %location, "restoring");
    let replayed = async {
        let source = job.unless_cancelled(Box::pin(job.services.storage()?.open(location))).await?;
        let options = RestoreOptions { drop: true, ..RestoreOptions::default() };
        Box::pin(crate::restore::restore(&client, &options, source, &job.monitor, &job.cancel)).await
    };
    let replayed = replayed.await;
    job.disconnect(client).await;
    let report = replayed.map_err(|error| match error.kind() {
        ErrorKind::Archive => error.at(location),
        _ => error,
    })?;
    info!(documents = report.documents, failures = report.failures, "the archive is restored");
    if report.failures > 0 {
        let message = format!(
            "{} documents failed to restore and {} are in place; the server refused them as duplicates or by a validator: \
             remove what refuses them and restore again",
            report.failures, report.documents
        );
        return Err(Error::new(ErrorKind::Server, message).at(location));
    }
    Ok(report)
}
