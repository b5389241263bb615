//! Backup: a dump into an object that is overwritten by nobody who was not told to, and proven before it counts.

use futures::FutureExt;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::codec::{Compression, GzipLevel};
use crate::dump::{DumpOptions, DumpReport, dump_checked};
use crate::hook::archive::Archive;
use crate::hook::claim::{Claim, Held, Theirs, Turn, Waited};
use crate::hook::event::Action;
use crate::hook::job::Job;
use crate::hook::labels;
use crate::hook::lease::Look;
use crate::hook::outcome::Outcome;
use crate::hook::pace::Pace;
use crate::hook::proving;
use crate::hook::services::Services;
use crate::hook::stage::Stage;
use crate::hook::waiting::Waiting;
use crate::proof::Proof;
use crate::scope::SCOPE_LABEL;
use crate::storage::{CreateOptions, Location, Sink, Stored};
use crate::{Deployment, Error, ErrorKind, Result, Scope};

/// A dump is judged when it has run for so long, or for a tenth of the time left where that is less: the first seconds say
/// little.
const JUDGED_AFTER: Duration = Duration::from_secs(20);

/// Time between two judgements; a fiftieth of the time left where that is less.
const JUDGED_EVERY: Duration = Duration::from_secs(5);

/// A rate says something when a fiftieth of the data has been read: small collections come first, and slowly.
const JUDGED_FROM: u64 = 50;

/// How much longer than the time left the rest of a dump has to take, twice in a row, for it to be given up.
const HOPELESS: f64 = 1.25;

/// What is asked for, and what distinguishes a deployment's backup from one by hand.
struct Call {
    waiting: Option<Waiting>,
    overwrite: bool,
    /// The label of an archive that an earlier attempt of the same call has written.
    label: (&'static str, String),
}

impl Call {
    fn new<S: Services>(job: &Job<S>, waiting: Option<Waiting>, overwrite: bool) -> Self {
        let label = match &waiting {
            // Labels are visible ASCII, and so are CodeDeploy's ids; whatever else is sent must not look like one.
            Some(waiting) => (labels::DEPLOYMENT, labels::visible(waiting.deployment.as_str())),
            None => (labels::REQUEST, job.request_id.clone()),
        };
        Self { waiting, overwrite, label }
    }

    fn is_hook(&self) -> bool {
        self.waiting.is_some()
    }

    fn has_written(&self, found: &Stored) -> bool {
        let (label, value) = &self.label;
        labels::find(found, label) == Some(value)
    }

    /// What is there if it is this call's; refused where it is not, and not to be overwritten.
    fn ours(&self, archive: &Archive, found: Option<Stored>) -> Result<Option<Stored>> {
        match found {
            Some(found) if self.has_written(&found) => Ok(Some(found)),
            Some(_) if !self.overwrite => {
                let message = if self.is_hook() {
                    "another archive, not taken for this deployment, has its name; move it away and deploy again"
                } else {
                    "there is an archive already; send another DeploymentId, or none, or Overwrite: true to replace it"
                };
                Err(Error::new(ErrorKind::AlreadyExists, message).at(archive))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Refuses for a deployment that waits no longer.
    fn refuse_ended(&self) -> Result<()> {
        let Some(Waiting { deployment, ended: Some(status), .. }) = &self.waiting else { return Ok(()) };
        let message = format!(
            "the deployment {} has ended ({status}) and gets no archive any more, which would look as if it had been taken \
             before the installation; start a new deployment",
            deployment.as_str()
        );
        Err(Error::new(ErrorKind::InvalidInput, message))
    }
}

/// Dumps, unless this call's archive is there already or another invocation writes it; `waiting` is the deployment for which
/// it is taken.
pub(in crate::hook) async fn run<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    waiting: Option<Waiting>,
    overwrite: bool,
) -> Result<Outcome> {
    let mut call = Call::new(job, waiting, overwrite);
    let location = archive.location()?;
    let claim = job.claim(archive)?;
    let mut dead: Option<Theirs> = None;
    let held = loop {
        // The archive first: one that is there and proven needs neither the secret nor the database.
        if let Some(outcome) = proven(job, archive, &location, &call, claim).await? {
            return Ok(outcome);
        }
        call.refuse_ended()?;
        job.enter(Stage::Bucket);
        let taking = Box::pin(claim.take(dead.as_ref(), &job.cancel));
        match job.unless_cancelled(taking).await? {
            Turn::Ours(held) => break held,
            Turn::Theirs(theirs) => dead = wait(job, archive, &mut call, claim, theirs).await?,
        }
    };
    match under_claim(job, archive, &location, &call, claim, &held).boxed().await {
        Ok(outcome) => give_back(job, &call, held).await.map(|()| outcome),
        Err(error) => {
            let error = held.cause(error);
            // A hook's failure is written down as its answer, which gives the key back too.
            if !call.is_hook()
                && let Err(kept) = Box::pin(held.release()).await
            {
                warn!(reason = kept.report(), "the key of the archive could not be given back");
            }
            Err(error)
        }
    }
}

/// The end of a call whose archive is there and proven.
async fn proven<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    location: &Location,
    call: &Call,
    claim: &Claim,
) -> Result<Option<Outcome>> {
    job.enter(Stage::Bucket);
    if call.is_hook() {
        Box::pin(claim.refuse_failed()).await?;
    }
    let storage = job.services.storage()?;
    let found = Box::pin(storage.stat(location)).await?;
    let Some(found) = call.ours(archive, found)? else { return Ok(None) };
    let proof = Box::pin(Proof::find(storage, location)).await?;
    Ok(proof.map(|_| existing(archive, &found)))
}

fn existing(archive: &Archive, found: &Stored) -> Outcome {
    info!(%archive, "an earlier attempt has written the archive, and it is proven");
    Outcome::existing(Action::Backup, archive, labels::find(found, SCOPE_LABEL), found.bytes)
}

/// Waits for another invocation that has claimed the key, which is returned where it is dead.
async fn wait<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    call: &mut Call,
    claim: &Claim,
    mut theirs: Theirs,
) -> Result<Option<Theirs>> {
    job.enter(Stage::Turn);
    info!(%archive, request = theirs.request(), "waiting for another invocation, which is at work on the archive");
    let waited = Box::pin(claim.wait(&mut theirs, call.is_hook(), job.deadline.completion)).await;
    if waited == Waited::AtWork {
        let advice = if call.is_hook() {
            "which CodeDeploy hears of; send the event again if it hears nothing"
        } else {
            "wait for its result, or send another DeploymentId"
        };
        let message = format!("the request {} is writing this archive; {advice}", theirs.request());
        return Err(Error::new(ErrorKind::AlreadyExists, message).at(archive));
    }
    if let Some(waiting) = &mut call.waiting {
        waiting.ask_again(job).await?;
    }
    Ok((waited == Waited::Dead).then_some(theirs))
}

/// Writes down that the archive is complete and proven.
async fn give_back<S: Services>(job: &Job<S>, call: &Call, held: Held) -> Result<()> {
    let given = if call.is_hook() { Box::pin(held.succeed()).await } else { Box::pin(held.release()).await };
    match given {
        // The archive is there, and whoever comes next finds it.
        Err(error) if error.kind() == ErrorKind::Storage => {
            job.warn(&format!("the key of the archive could not be given back: {}", error.report()));
            Ok(())
        }
        given => given,
    }
}

/// What the invocation does that holds the key: it alone writes the archive, or proves what is there.
async fn under_claim<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    location: &Location,
    call: &Call,
    claim: &Claim,
    held: &Held,
) -> Result<Outcome> {
    job.enter(Stage::Bucket);
    let succeeded = call.is_hook() && Box::pin(claim.refuse_failed()).await?;
    let found = Box::pin(job.services.storage()?.stat(location)).await?;
    if let Some(found) = call.ours(archive, found)? {
        proving::read(job, location, &held.stop).await?;
        return Ok(existing(archive, &found));
    }
    if succeeded {
        let message = "the deployment's archive was there and is gone, and another one would look as if it had been taken \
                       before the installation; start a new deployment";
        return Err(Error::new(ErrorKind::NotFound, message).at(archive));
    }
    match write(job, archive, location, call, held).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists || job.stage() == Stage::Completion => {
            settle(job, archive, location, call, error).await
        }
        ended => ended,
    }
}

async fn write<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    location: &Location,
    call: &Call,
    held: &Held,
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
    remove_uploads(job, location).await?;
    let options = CreateOptions { overwrite: call.overwrite, labels, ..CreateOptions::default() };
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
    let outcome = Outcome::backup(archive, &scope, report.bytes).leaving_out(&report.left_out);
    Ok(outcome.counting(report.documents, report.collections).of_moment(&report.snapshot))
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

/// Dumps, unless that would take longer than there is time.
async fn dump_in_time<S: Services>(
    job: &Job<S>,
    deployment: &Deployment,
    scope: &Scope,
    sink: Sink,
    look: &Look,
    held: &Held,
) -> Result<DumpReport> {
    let mut dumping = pin!(dump_between(job, deployment, scope, sink, look, held));
    let reason = tokio::select! {
        dumped = &mut dumping => return dumped,
        () = completion_given_up(job) => return Err(Stage::Completion.out_of_time()),
        reason = hopeless(job) => reason,
    };
    warn!(reason = reason.report(), "giving the dump up");
    held.stop.cancel();
    match dumping.await {
        Err(error) if error.is_cancelled() => Err(reason),
        ended => ended,
    }
}

/// Dumps, and completes the archive only if no restore has begun since the look and the key is still this invocation's.
async fn dump_between<S: Services>(
    job: &Job<S>,
    deployment: &Deployment,
    scope: &Scope,
    sink: Sink,
    look: &Look,
    held: &Held,
) -> Result<DumpReport> {
    let options = DumpOptions {
        scope: scope.clone(),
        compression: Compression::Gzip(GzipLevel::default()),
        snapshot: job.services.snapshot()?,
        ..DumpOptions::default()
    };
    let check = async {
        job.enter(Stage::Lease);
        Box::pin(look.again()).await?;
        Box::pin(held.check()).await?;
        job.enter(Stage::Completion);
        Ok(())
    };
    let monitor = job.monitor();
    // A type of its own: the compiler gives up on the whole as one.
    dump_checked(deployment, &options, sink, &monitor, &held.stop, check).boxed().await
}

/// Returns when it is certain that the dump cannot end in time, and says what it would take.
async fn hopeless<S: Services>(job: &Job<S>) -> Error {
    let left = || job.deadline.work.saturating_duration_since(Instant::now());
    let (after, every) = ((left() / 10).min(JUDGED_AFTER), (left() / 50).min(JUDGED_EVERY));
    let (mut before, mut hopeless) = (None, false);
    loop {
        sleep(every).await;
        let says = |pace: &Pace| pace.elapsed >= after && pace.done >= pace.expected / JUDGED_FROM;
        let Some(pace) = job.pace().filter(|pace| job.stage() == Stage::Dump && says(pace)) else { continue };
        let too_slow = pace.rest(before.as_ref()).is_some_and(|rest| rest > left().mul_f64(HOPELESS));
        if too_slow
            && hopeless
            && let Some(advice) = job.advice()
        {
            let message =
                format!("the dump cannot end in time and was given up, and no archive was kept: {advice}");
            return Error::new(ErrorKind::Cancelled, message);
        }
        (before, hopeless) = (Some(pace), too_slow);
    }
}

/// Returns when an archive is being completed and there is just enough time left to look for it.
async fn completion_given_up<S: Services>(job: &Job<S>) {
    sleep_until(job.deadline.completion).await;
    if job.stage() != Stage::Completion {
        std::future::pending::<()>().await;
    }
    warn!("the archive's completion is not waited for any longer");
}

/// Looks what is there after an archive was refused or its completion has failed: it may be there all the same, by this
/// attempt or by another delivery of the same call, and then it is read to its end.
async fn settle<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    location: &Location,
    call: &Call,
    error: Error,
) -> Result<Outcome> {
    // Also when time has run out: this is what the last of it is kept for.
    let found = match Box::pin(job.services.storage()?.stat(location)).await {
        Ok(found) if call.overwrite => found.filter(|found| call.has_written(found)),
        Ok(found) => call.ours(archive, found)?,
        Err(_) => None,
    };
    let Some(found) = found else { return Err(error) };
    proving::read(job, location, &CancellationToken::new()).await?;
    Ok(existing(archive, &found))
}

async fn abort(sink: Sink) {
    if let Err(error) = Box::pin(sink.abort()).await {
        warn!(reason = error.report(), "what was begun in the bucket could not be removed");
    }
}
