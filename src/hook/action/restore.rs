//! Restore: an archive of the bucket replaces the data, by `drop` or by `swap`.

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
use crate::restore::{DocumentValidation, Proven, RestoreOptions, RestoreReport, prove_first, restore};
use crate::scope::{SCOPE_LABEL, refuse_exact_part};
use crate::storage::Location;
use crate::{Deployment, Error, ErrorKind, Result, Scope};

/// Restores an archive, unless a restore of the same data is at work or this very request has been answered before.
pub(in crate::hook) async fn run<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    swap: bool,
    exact: bool,
) -> Result<Outcome> {
    // Before the archive is read: what is missing is said with the names to check.
    job.stored(archive).await?;
    let location = archive.location()?;
    let proven = prove(job, &location).await?;
    let stored = proven.stored();
    if exact {
        refuse_exact_part(&stored.labels).map_err(|error| error.at(&location))?;
    }
    let (uri, scope) = job.target().await?;
    let warning = compare(labels::find(stored, SCOPE_LABEL), &scope).map_err(|error| error.at(&location))?;
    let options = RestoreOptions {
        drop: true,
        swap,
        exact,
        scope: scope.clone(),
        // A backup that succeeded can be restored: a validator may be younger than the documents.
        validation: DocumentValidation::BypassedWhereCreated,
        expected: proven.expected.clone(),
        ..RestoreOptions::default()
    };
    let deployment = job.connect(&uri).await?;
    let ended = under_lease(job, &deployment, &location, &proven, &options).await;
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
/// they were when they were proven. A reading is kept in the record, for the next time.
async fn prove<S: Services>(job: &Job<S>, location: &Location) -> Result<Proven> {
    job.enter(Stage::Reading);
    let storage = job.services.storage()?;
    let monitor = job.monitor();
    let proving = Box::pin(prove_first(storage, location, &monitor, &job.cancel));
    let proven = job.unless_cancelled(proving).await?;
    if let Some(report) = &proven.reading {
        job.unless_cancelled(Box::pin(proving::keep(job, location, report))).await?;
    }
    info!(archive = %location, by_record = proven.reading.is_none(), "the archive is proven");
    Ok(proven)
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
    location: &Location,
    proven: &Proven,
    options: &RestoreOptions,
) -> Result<Option<RestoreReport>> {
    let lease = job.lease(deployment, &options.scope).await?;
    let archive = location.to_string();
    let taking = lease.take(&job.request_id, &archive, job.killed_at);
    let held = match job.unless_cancelled(Box::pin(taking)).await? {
        Taken::Now(held) => held,
        Taken::Before(end) => return end.map(|()| None),
    };
    let stage = if options.swap { Stage::Swap } else { Stage::Restore };
    job.enter(stage);
    info!(archive, scope = %options.scope, swap = options.swap, exact = options.exact, "restoring");
    let replayed =
        replay(job, deployment, location, proven, options).await.map_err(|error| match error.kind() {
            ErrorKind::Archive => error.at(location),
            // As the caller is going to read it, and whoever sends the request again.
            ErrorKind::Cancelled => stage.out_of_time(),
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
    proven: &Proven,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let source = job.unless_cancelled(Box::pin(proven.open())).await?;
    let report = restore(deployment, options, source, &job.monitor(), &job.cancel).boxed().await?;
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
