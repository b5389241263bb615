//! The archive is written: what comes before the dump, and its proof after it.

use tracing::{info, warn};

use super::Backup;
use super::dumping::dump_in_time;
use crate::dump::DumpReport;
use crate::hook::claim::Held;
use crate::hook::job::Job;
use crate::hook::labels;
use crate::hook::lease::Look;
use crate::hook::outcome::Outcome;
use crate::hook::services::Services;
use crate::hook::stage::Stage;
use crate::proof::Proof;
use crate::scope::SCOPE_LABEL;
use crate::storage::{CreateOptions, Location, Sink};
use crate::{Deployment, Error, Result, Scope};

impl<S: Services> Backup<'_, S> {
    /// Dumps into the object, whose key this invocation holds, and proves what is stored.
    pub(super) async fn write(&self, held: &Held) -> Result<Outcome> {
        let (job, location) = (self.job, &self.location);
        let (uri, scope) = job.target().await?;
        job.enter(Stage::Bucket);
        remove_uploads(job, location).await?;
        let labels = self.labels(&scope);
        let options = CreateOptions { overwrite: self.call.overwrite, labels, ..CreateOptions::default() };
        let sink = job.unless_cancelled(Box::pin(job.services.storage()?.create(location, &options))).await?;
        let deployment = match job.connect(&uri).await {
            Ok(deployment) => deployment,
            Err(error) => {
                abort(sink).await;
                return Err(error);
            }
        };
        let look = match look(job, &deployment, &scope).await {
            Ok(look) => look,
            Err(error) => {
                abort(sink).await;
                job.disconnect(deployment).await;
                return Err(error);
            }
        };
        job.enter(Stage::Dump);
        info!(archive = %location, %scope, "dumping");
        let dumped = dump_in_time(job, &deployment, &scope, sink, &look, held).await;
        job.disconnect(deployment).await;
        let report = dumped?;
        prove(job, location, &report).await?;
        if report.collections == 0 {
            job.warn(&format!("the archive holds no collection: there is none in {scope}"));
        }
        let outcome = Outcome::backup(self.archive, &scope, report.bytes).leaving_out(&report.left_out);
        Ok(outcome.counting(report.documents, report.collections).of_moment(&report.snapshot))
    }

    /// What the archive says of itself.
    fn labels(&self, scope: &Scope) -> Vec<(String, String)> {
        let mut labels = vec![
            (labels::REQUEST.to_owned(), self.job.request_id.clone()),
            (SCOPE_LABEL.to_owned(), scope.label()),
            (self.call.label.0.to_owned(), self.call.label.1.clone()),
        ];
        labels.sort();
        labels.dedup();
        labels
    }
}

/// Whoever else has begun an upload of this key, which is claimed, is dead.
async fn remove_uploads<S: Services>(job: &Job<S>, location: &Location) -> Result<()> {
    let removing = Box::pin(job.services.storage()?.remove_uploads(location));
    match job.unless_cancelled(removing).await {
        Ok(0) => {}
        Ok(removed) => info!(removed, "unfinished uploads of killed invocations are removed"),
        Err(error) if error.is_cancelled() => return Err(error),
        // The bucket's lifecycle rule does it where this role must not.
        Err(error) => {
            warn!(reason = error.report(), "whether killed invocations have left uploads is not known");
        }
    }
    Ok(())
}

/// What is stored has to be what the dump has written.
async fn prove<S: Services>(job: &Job<S>, location: &Location, report: &DumpReport) -> Result<()> {
    job.enter(Stage::Proof);
    let at = report.snapshot.at.map(|time| format!("{}.{}", time.time, time.increment));
    let (bytes, documents) = (report.bytes, report.documents);
    info!(archive = %location, bytes, documents, cluster_time = at, "the archive is complete");
    if let Some(reason) = &report.snapshot.reason {
        info!(reason, "the archive is not of one moment");
    }
    Box::pin(Proof::of_dump(job.services.storage()?, location, report)).await.map_err(|error| {
        let message = format!(
            "the archive was stored and cannot be proven to be whole ({}); it stays, verify it before you rely on it",
            error.report()
        );
        Error::new(error.kind(), message).at(location)
    })?;
    info!(archive = %location, "the archive is proven");
    Ok(())
}

async fn look<S: Services>(job: &Job<S>, deployment: &Deployment, scope: &Scope) -> Result<Look> {
    let lease = job.lease(deployment, scope).await?;
    let because = "and a backup would hold a half of what it restores";
    let look = job.unless_cancelled(Box::pin(lease.look(because))).await?;
    if let Some(warning) = &look.warning {
        job.warn(warning);
    }
    Ok(look)
}

async fn abort(sink: Sink) {
    if let Err(error) = Box::pin(sink.abort()).await {
        warn!(reason = error.report(), "what was begun in the bucket could not be removed");
    }
}
