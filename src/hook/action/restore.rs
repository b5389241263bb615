//! Restore: an archive of the bucket replaces the data, with `drop`.

use futures::FutureExt;
use tracing::info;

use crate::hook::archive::Archive;
use crate::hook::event::Action;
use crate::hook::job::Job;
use crate::hook::labels;
use crate::hook::lease::Taken;
use crate::hook::outcome::Outcome;
use crate::hook::proving;
use crate::hook::services::Services;
use crate::hook::stage::Stage;
use crate::proof::Proof;
use crate::restore::{DocumentValidation, RestoreOptions, RestoreReport, restore};
use crate::scope::SCOPE_LABEL;
use crate::storage::{Location, Stored};
use crate::{Deployment, Error, ErrorKind, Result, Scope};

/// Restores an archive, unless a restore of the same data is at work or this very request has been answered before.
pub(in crate::hook) async fn run<S: Services>(job: &Job<S>, archive: &Archive) -> Result<Outcome> {
    let stored = job.stored(archive).await?;
    let location = archive.location()?;
    prove(job, &location, &stored).await?;
    let (uri, scope) = job.target().await?;
    let warning = compare(labels::find(&stored, SCOPE_LABEL), &scope).map_err(|error| error.at(&location))?;
    let deployment = job.connect(&uri).await?;
    let ended = under_lease(job, &deployment, archive, &location, &scope, &stored).await;
    job.disconnect(deployment).await;
    let Some(report) = ended? else {
        info!(archive = %location, "an earlier attempt has restored the archive");
        return Ok(Outcome::existing(Action::Restore, archive, Some(&scope.to_string()), stored.bytes));
    };
    if report.collections == 0 && warning.is_some() {
        let message = format!("the archive holds nothing of {scope}, and nothing was changed");
        return Err(Error::new(ErrorKind::NotFound, message).at(&location));
    }
    if let Some(warning) = warning {
        job.warn(&warning);
    }
    let outcome = Outcome::restore(archive, &scope, stored.bytes);
    Ok(outcome.counting(report.documents, report.collections))
}

/// Nothing is dropped for an archive that is not whole: it is read to its end before, unless the store says of its bytes what
/// they were when they were proven.
async fn prove<S: Services>(job: &Job<S>, location: &Location, stored: &Stored) -> Result<()> {
    let found = Box::pin(Proof::find(job.services.storage()?, location));
    match job.unless_cancelled(found).await {
        Ok(Some(proof)) if proof.crc64.is_some() && proof.crc64 == stored.crc64 => Ok(()),
        Err(error) if error.is_cancelled() => Err(error),
        // A damaged record is named by the reading.
        _ => Box::pin(proving::read(job, location, &job.cancel)).await.map(drop),
    }
}

/// Refuses where another archive is there by now than the one that is proven. The source that is open already reads no other.
async fn refuse_replaced<S: Services>(job: &Job<S>, location: &Location, proven: &Stored) -> Result<()> {
    let stat = Box::pin(job.services.storage()?.stat(location));
    let found = job.unless_cancelled(stat).await?;
    if found.is_some_and(|found| found.etag == proven.etag && found.bytes == proven.bytes) {
        return Ok(());
    }
    let message = "the archive was replaced while this restore was about to begin, and nothing was changed; send a new request";
    Err(Error::new(ErrorKind::Storage, message).at(location))
}

/// What is to be said where an archive covers something else than the function's scope.
fn compare(label: Option<&str>, scope: &Scope) -> Result<Option<String>> {
    let (everything, ours) = (Scope::Everything.label(), scope.label());
    match label {
        Some(held) if held != ours && *scope == Scope::Everything => {
            Ok(Some(format!("the archive holds {held} only, and the rest of the deployment stays as it is")))
        }
        Some(held) if held.strip_prefix(&ours).is_some_and(|rest| rest.starts_with('.')) => {
            Ok(Some(format!("the archive holds {held} only, and the rest of {scope} stays as it is")))
        }
        Some(held) if held != ours && held == everything => {
            Ok(Some(format!("the archive holds everything, and {scope} alone is restored")))
        }
        Some(held) if held != ours => Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "the archive holds {held}, and this function works on {scope} only (the connection string's path, or the \
                 variable DATABASE); restore it by a function whose connection string names {held}"
            ),
        )),
        _ => Ok(None),
    }
}

/// `None` where an earlier attempt of the same request has restored.
async fn under_lease<S: Services>(
    job: &Job<S>,
    deployment: &Deployment,
    archive: &Archive,
    location: &Location,
    scope: &Scope,
    stored: &Stored,
) -> Result<Option<RestoreReport>> {
    let lease = job.lease(deployment, scope).await?;
    let archive = archive.to_string();
    let taking = lease.take(&job.request_id, &archive, job.killed_at);
    let held = match job.unless_cancelled(Box::pin(taking)).await? {
        Taken::Now(held) => held,
        Taken::Before(end) => return end.map(|()| None),
    };
    job.enter(Stage::Restore);
    info!(archive, %scope, "restoring");
    let replayed =
        replay(job, deployment, location, scope, stored).await.map_err(|error| match error.kind() {
            ErrorKind::Archive => error.at(location),
            // As the caller is going to read it, and whoever sends the request again.
            ErrorKind::Cancelled => Stage::Restore.out_of_time(),
            _ => error,
        });
    match Box::pin(held.give_back(replayed.as_ref().map(drop))).await {
        Ok(()) => {}
        // Without the lease another restore may have been at work.
        Err(lost) if lost.kind() == ErrorKind::AlreadyExists && replayed.is_ok() => return Err(lost),
        Err(error) => job.warn(&format!(
            "the lease of the restore stays until this invocation's deadline: {}",
            error.report()
        )),
    }
    replayed.map(Some)
}

async fn replay<S: Services>(
    job: &Job<S>,
    deployment: &Deployment,
    location: &Location,
    scope: &Scope,
    stored: &Stored,
) -> Result<RestoreReport> {
    let storage = job.services.storage()?;
    let source = job.unless_cancelled(Box::pin(storage.open(location))).await?;
    refuse_replaced(job, location, stored).await?;
    let options = RestoreOptions {
        drop: true,
        scope: scope.clone(),
        // A backup that succeeded can be restored: a validator may be younger than the documents.
        validation: DocumentValidation::BypassedWhereCreated,
        ..RestoreOptions::default()
    };
    let report = restore(deployment, &options, source, &job.monitor(), &job.cancel).boxed().await?;
    let RestoreReport { documents, failures, repeated, .. } = report;
    info!(documents, failures, repeated, "the archive is restored");
    if failures > 0 {
        let message = format!(
            "{failures} documents failed to restore and {documents} are in place; the server refused them as duplicates or by \
             a validator: remove what refuses them and restore again",
        );
        return Err(Error::new(ErrorKind::Server, message).at(location));
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_of_another_scope_is_named() {
        let shop = Scope::database("shop").unwrap();
        let said = |label, scope: &Scope| compare(label, scope).map_err(|error| error.report());
        for (label, scope) in [
            (None, &shop),
            (None, &Scope::Everything),
            (Some("shop"), &shop),
            (Some("everything"), &Scope::Everything),
        ] {
            assert_eq!(said(label, scope), Ok(None));
        }
        assert!(said(Some("everything"), &shop).unwrap().unwrap().contains("shop alone is restored"));
        assert!(said(Some("shop"), &Scope::Everything).unwrap().unwrap().contains("holds shop only"));
        assert!(said(Some("shop.orders"), &shop).unwrap().unwrap().contains("holds shop.orders only"));
        assert!(said(Some("shopping"), &shop).is_err());
        let refusal = said(Some("crm"), &shop).unwrap_err();
        assert!(refusal.contains("holds crm") && refusal.contains("works on shop only"), "{refusal}");
    }
}
