//! Backup: a dump into an object that is never overwritten.

use tokio::time::sleep_until;
use tracing::{info, warn};

use crate::codec::{Compression, GzipLevel};
use crate::dump::{DumpOptions, DumpReport, dump_checked};
use crate::hook::archive::Archive;
use crate::hook::event::Action;
use crate::hook::job::Job;
use crate::hook::labels;
use crate::hook::lease::Look;
use crate::hook::outcome::Outcome;
use crate::hook::services::Services;
use crate::hook::stage::Stage;
use crate::hook::waiting::Waiting;
use crate::scope::SCOPE_LABEL;
use crate::storage::{CreateOptions, Location, Sink, Stored};
use crate::{Deployment, Error, ErrorKind, Result, Scope};

/// What distinguishes a deployment's backup from one by hand.
struct Call {
    /// The label of an archive that an earlier attempt of the same call has written.
    label: (&'static str, String),
    /// What to say of any other archive under the same key.
    foreign: &'static str,
}

impl Call {
    fn new<S: Services>(job: &Job<S>, waiting: Option<&Waiting>) -> Self {
        match waiting {
            // Labels are visible ASCII, and so are CodeDeploy's ids; whatever else is sent must not look like one.
            Some(waiting) => Self {
                label: (labels::DEPLOYMENT, labels::visible(waiting.deployment.as_str())),
                foreign: "another archive, not taken for this deployment, has its name; move it away and deploy again",
            },
            None => Self {
                label: (labels::REQUEST, job.request_id.clone()),
                foreign: "there is an archive already; send another DeploymentId, or none, or delete that archive first",
            },
        }
    }

    /// The end of a call that finds this archive.
    fn existing(&self, archive: &Archive, found: &Stored) -> Result<Outcome> {
        let (label, value) = &self.label;
        if labels::find(found, label) != Some(value) {
            return Err(Error::new(ErrorKind::AlreadyExists, self.foreign).at(archive));
        }
        info!(%archive, "an earlier attempt has written the archive");
        Ok(Outcome::existing(Action::Backup, archive, labels::find(found, SCOPE_LABEL), found.bytes))
    }
}

/// Dumps, unless an archive is there already; `waiting` is the deployment for which it is taken.
pub(in crate::hook) async fn run<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    waiting: Option<&Waiting>,
) -> Result<Outcome> {
    let call = Call::new(job, waiting);
    let location = archive.location()?;
    job.enter(Stage::Bucket);
    // The archive first: one that is there already needs neither the secret nor the database.
    let found = job.unless_cancelled(Box::pin(job.services.storage()?.stat(&location))).await?;
    if let Some(found) = found {
        return call.existing(archive, &found);
    }
    if let Some(Waiting { deployment, ended: Some(status), .. }) = waiting {
        let message = format!(
            "the deployment {} has ended ({status}) and gets no archive any more, which would look as if it had been taken \
             before the installation; start a new deployment",
            deployment.as_str()
        );
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    match write(job, archive, &location, &call).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists || job.stage() == Stage::Completion => {
            settle(job, archive, &location, &call, error).await
        }
        ended => ended,
    }
}

async fn write<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    location: &Location,
    call: &Call,
) -> Result<Outcome> {
    let (uri, scope) = job.target().await?;
    job.enter(Stage::Bucket);
    let mut labels = vec![
        (labels::REQUEST.to_owned(), job.request_id.clone()),
        (SCOPE_LABEL.to_owned(), scope.label()),
        (call.label.0.to_owned(), call.label.1.clone()),
    ];
    labels.sort();
    labels.dedup();
    let options = CreateOptions { overwrite: false, labels, ..CreateOptions::default() };
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
    let dumped = tokio::select! {
        dumped = dump_between(job, &deployment, &scope, sink, &look) => dumped,
        () = completion_given_up(job) => Err(Stage::Completion.out_of_time()),
    };
    job.disconnect(deployment).await;
    let report = dumped?;
    if report.collections == 0 {
        job.warn(&format!("the archive holds no collection: there is none in {scope}"));
    }
    info!(archive = %location, bytes = report.bytes, documents = report.documents, "the archive is complete");
    let outcome = Outcome::backup(archive, &scope, report.bytes).leaving_out(&report.left_out);
    Ok(outcome.counting(report.documents, report.collections))
}

async fn look<S: Services>(job: &Job<S>, deployment: &Deployment, scope: &Scope) -> Result<Look> {
    let lease = job.lease(deployment, scope).await?;
    let look = job.unless_cancelled(Box::pin(lease.look())).await?;
    if let Some(warning) = &look.warning {
        job.warn(warning);
    }
    Ok(look)
}

/// Dumps, and completes the archive only if no restore has begun since the look.
async fn dump_between<S: Services>(
    job: &Job<S>,
    deployment: &Deployment,
    scope: &Scope,
    sink: Sink,
    look: &Look,
) -> Result<DumpReport> {
    let options = DumpOptions {
        scope: scope.clone(),
        compression: Compression::Gzip(GzipLevel::default()),
        ..DumpOptions::default()
    };
    let check = async {
        job.enter(Stage::Lease);
        Box::pin(look.again()).await?;
        job.enter(Stage::Completion);
        Ok(())
    };
    Box::pin(dump_checked(deployment, &options, sink, &job.monitor(), &job.cancel, check)).await
}

/// Returns when an archive is being completed and there is just enough time left to look for it.
async fn completion_given_up<S: Services>(job: &Job<S>) {
    sleep_until(job.deadline.completion).await;
    if job.stage() != Stage::Completion {
        std::future::pending::<()>().await;
    }
    warn!("the archive's completion is not waited for any longer");
}

/// Looks what is there after an archive was refused or its completion has failed: it may be there all the same, complete, by
/// this attempt or by another delivery of the same call.
async fn settle<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    location: &Location,
    call: &Call,
    error: Error,
) -> Result<Outcome> {
    // Also when time has run out: this is what the last of it is kept for.
    match Box::pin(job.services.storage()?.stat(location)).await {
        Ok(Some(found)) => call.existing(archive, &found),
        Ok(None) | Err(_) => Err(error),
    }
}

async fn abort(sink: Sink) {
    if let Err(error) = Box::pin(sink.abort()).await {
        warn!(reason = error.report(), "what was begun in the bucket could not be removed");
    }
}
