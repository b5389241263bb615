//! Drill: an archive is restored as a test, into scratch databases that go afterwards.
//!
//! It takes no lease: it must not be in the way of a deployment's backup, and what it writes is nobody else's. It only does
//! not begin while a restore is at work, whose time it would measure.

use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::drill::{DrillOptions, DrillReport, drill, newest_of};
use crate::hook::archive::Archive;
use crate::hook::job::Job;
use crate::hook::labels;
use crate::hook::name::Name;
use crate::hook::outcome::Outcome;
use crate::hook::services::Services;
use crate::hook::stage::Stage;
use crate::scope::SCOPE_LABEL;
use crate::storage::Location;
use crate::{Deployment, Result, Scope};

/// Time that is kept for dropping the scratch databases, before the end of all work: a server drops some hundred collections
/// in a second. At most a tenth of the time left.
const REMOVAL: Duration = Duration::from_secs(30);

/// Restores this deployment's archive, or the application's newest that is proven.
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

/// The newest of the application's archives that is proven.
async fn newest<S: Services>(job: &Job<S>, bucket: &str, application: &Name) -> Result<Archive> {
    job.enter(Stage::Bucket);
    let folder = Archive::folder(bucket, application)?;
    let named = |at: &Location| Archive::listed(bucket, application, at);
    let monitor = job.monitor();
    let finding = newest_of(job.services.storage()?, &folder, named, monitor.as_ref());
    job.unless_cancelled(Box::pin(finding)).await
}

async fn beside_no_restore<S: Services>(
    job: &Job<S>,
    server: &Deployment,
    at: &Location,
) -> Result<DrillReport> {
    let lease = job.lease(server, &Scope::Everything).await?;
    job.unless_cancelled(Box::pin(lease.look("and a drill would measure that one's load"))).await?;
    job.enter(Stage::Drill);
    info!(archive = %at, "drilling");
    let (options, storage, monitor) = (DrillOptions::default(), job.services.storage()?, job.monitor());
    let stop = job.cancel.child_token();
    let end = job.deadline.work - (job.deadline.work - Instant::now()).min(REMOVAL * 10) / 10;
    let mut drilling = pin!(drill(server, &options, storage, at, &monitor, &stop).boxed());
    let drilled = tokio::select! {
        drilled = &mut drilling => drilled,
        () = sleep_until(end) => {
            warn!("the function's time is running out, and the scratch databases are dropped");
            stop.cancel();
            drilling.await
        }
    };
    drilled.map_err(|error| if error.is_cancelled() { Stage::Drill.out_of_time() } else { error })
}
