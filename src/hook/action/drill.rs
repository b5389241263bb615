//! Drill: an archive is restored as a test, into scratch databases that go afterwards.
//!
//! It takes no lease: it must not be in the way of a deployment's backup, and what it writes is nobody else's. It only does
//! not begin while a restore is at work, whose time it would measure.

use futures::FutureExt;
use tracing::info;

use crate::drill::{DrillOptions, drill};
use crate::hook::archive::Archive;
use crate::hook::job::Job;
use crate::hook::labels;
use crate::hook::name::Name;
use crate::hook::outcome::Outcome;
use crate::hook::services::Services;
use crate::hook::stage::Stage;
use crate::proof::Proof;
use crate::scope::SCOPE_LABEL;
use crate::storage::{Listed, Location};
use crate::{Deployment, Error, ErrorKind, Result, Scope};

/// Restores this deployment's archive, or the application's newest that has a proof.
pub(in crate::hook) async fn run<S: Services>(
    job: &Job<S>,
    bucket: &str,
    application: &Name,
    deployment: Option<&Name>,
) -> Result<Outcome> {
    let archive = match deployment {
        Some(deployment) => Archive::new(bucket, application, deployment),
        None => newest(job, bucket, application).await?,
    };
    let stored = job.stored(&archive).await?;
    let location = archive.location()?;
    job.enter(Stage::Secret);
    let uri = job.unless_cancelled(Box::pin(job.services.drill_uri())).await?;
    let server = job.connect(&uri).await?;
    let ended = Box::pin(beside_no_restore(job, &server, &location)).await;
    job.disconnect(server).await;
    let report = ended?;
    if !report.tagged {
        job.warn("the archive does not carry the tag that says that it was restored");
    }
    let outcome =
        Outcome::drill(&archive, labels::find(&stored, SCOPE_LABEL), stored.bytes, report.restored_in);
    Ok(outcome.counting(report.documents, report.collections))
}

async fn beside_no_restore<S: Services>(
    job: &Job<S>,
    server: &Deployment,
    at: &Location,
) -> Result<crate::drill::DrillReport> {
    let lease = job.lease(server, &Scope::Everything).await?;
    job.unless_cancelled(Box::pin(lease.look("and a drill would measure that one's load"))).await?;
    job.enter(Stage::Drill);
    info!(archive = %at, "drilling");
    let storage = job.services.storage()?;
    let monitor = job.monitor();
    drill(server, &DrillOptions::default(), storage, at, &monitor, &job.cancel).boxed().await
}

/// The application's newest archive that has a proof.
async fn newest<S: Services>(job: &Job<S>, bucket: &str, application: &Name) -> Result<Archive> {
    job.enter(Stage::Bucket);
    let storage = job.services.storage()?;
    let folder = Archive::folder(bucket, application)?;
    let mut archives = Vec::new();
    let mut listing = job.unless_cancelled(Box::pin(storage.list(&folder))).await?;
    while let Some(page) = job.unless_cancelled(Box::pin(listing.next())).await? {
        let named = |Listed { at, modified, .. }: &Listed| {
            Archive::listed(bucket, application, at).map(|archive| (*modified, archive))
        };
        archives.extend(page.iter().filter_map(named));
    }
    archives.sort_by_key(|(modified, _)| *modified);
    for (_, archive) in archives.into_iter().rev() {
        let location = archive.location()?;
        let found = Box::pin(Proof::find(storage, &location));
        if job.unless_cancelled(found).await?.is_some() {
            return Ok(archive);
        }
    }
    let message =
        "there is no archive with a proof; verify one, which proves it, or send the DeploymentId of one";
    Err(Error::new(ErrorKind::NotFound, message).at(&folder))
}
