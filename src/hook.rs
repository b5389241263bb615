//! The Lambda function: a backup before a deployment goes ahead, and backup and restore by hand.
//!
//! # The event
//!
//! | field | |
//! |---|---|
//! | `ApplicationName` | names the archive; in a hook call only the fallback for what CodeDeploy says |
//! | `Action` | `backup` (default), `restore`, `verify` or `drill`; blanks around it and capitals do not matter |
//! | `DeploymentId` | names the archive; a backup by hand that has none is named by the time, a drill takes the newest proven one |
//! | `Overwrite` | `true` lets a backup by hand replace an archive; never in a hook call |
//! | `Swap` | `true` lets a restore by hand prepare everything in hidden collections and rename them over the originals: what fails before that leaves the databases as they were |
//! | `Exact` | `true` lets a restore by hand remove, from the databases that the archive has, what the archive does not have |
//! | `LifecycleEventHookExecutionId` | sent by CodeDeploy; its presence makes the event a hook call |
//!
//! The archive is `s3://$BUCKET_NAME/backups/<ApplicationName>/<DeploymentId>.archive`, the secret
//! `$MONGO_URI_SECRET_ID` a JSON object whose `mongo_uri` is the connection string. `AWS_REGION` is set by Lambda. Beside an
//! archive lies its proof record, `<DeploymentId>.archive.proof.json`. `SNAPSHOT` is `auto` (default), `required` or `off`, see
//! [`SnapshotMode`](crate::dump::SnapshotMode); `DRILL_URI_SECRET_ID` names the secret of another deployment for drills.
//! What is asked of S3, see [`S3Options`](crate::storage::S3Options): `EXPECTED_BUCKET_OWNER`, `KMS_KEY_ID`,
//! `OBJECT_LOCK_MODE` with `OBJECT_LOCK_DAYS`, `TAGS` (`name=value,name=value`).
//!
//! # The scope
//!
//! A database in the connection string's path, or in the variable `DATABASE`, is all that a backup holds and all that a
//! restore touches, whatever the account may do and the archive holds; its users and roles, which MongoDB keeps in `admin`,
//! are not in it. Without either it is everything. A path of `admin` is refused, because most who write it mean where to log
//! in (`/?authSource=admin`) and not what to back up; `DATABASE=admin` says that it is meant.
//!
//! # The result
//!
//! | field | |
//! |---|---|
//! | `action`, `bucket`, `key` | what was done, with which archive |
//! | `scope`, `left_out` | `everything`, or the database; what the deployment has beside it |
//! | `bytes` | size of the archive |
//! | `cluster_time`, `apart` | the moment of which a backup is, as `SECONDS.INCREMENT`; what was read at others |
//! | `snapshot_reason` | why there is no such moment |
//! | `documents`, `collections` | how much was dumped or restored; not there with `existing` |
//! | `failures` | of a restore, always 0: any other number is an error |
//! | `existing` | `true`: an earlier attempt of the same call had done the work |
//! | `warnings` | what somebody has to read although the work succeeded |
//! | `seconds` | how long it took |
//!
//! # What CodeDeploy hears
//!
//! `Succeeded` when the archive is complete and proven, and not before: the object that is there has our token, size and
//! checksum, and the record says so. `Failed`, and then `StopDeployment`, on any other end that this process lives to see: an
//! event that cannot be used, a missing variable, a panic, and the function's time running out, for which the last seconds are
//! kept ([`DEADLINE_MARGIN`]); a dump that by its measured rate cannot end in time is given up early, and says what it would
//! have needed. The error is the function's error as well.
//!
//! If the archive is complete and `Succeeded` cannot be delivered, that is the function's error and nothing else: the
//! deployment is not stopped for it. Lambda sends a failed asynchronous event again, and the next attempt finds the
//! archive and reports once more.
//!
//! # Events that arrive twice
//!
//! Lambda runs failed asynchronous events again and may deliver any of them twice; the AWS CLI repeats a call that
//! takes longer than its read timeout. So no archive is overwritten unasked, each carries who wrote it, and the key of each is
//! claimed (`locks/backups/..`) by whoever writes it:
//!
//! - A hook call that finds the archive of its own deployment reports `Succeeded` and dumps nothing: that archive was
//!   taken before the installation, another one would not be. One whose record is missing or damaged is read to its end
//!   first, and gets a new one. A deployment that has ended, or has been answered `Failed`, gets no archive any more.
//! - A delivery that finds another at work waits for its archive, and takes over where that one is dead.
//! - A backup by hand that finds an archive is refused, unless it is the same invocation delivered again.
//! - A restore is refused while another one is at work on the same data, by whichever function: the lease of the deployment
//!   is `locks/<deployment>.lease` in the bucket. A request that has restored, failed, or was killed on the way is answered
//!   with that end when it comes again: a restore drops, and is never repeated by itself.
//! - A backup is refused while a restore is at work on the same data, and fails, without an archive, if one begins before
//!   everything has been read.

use std::sync::Arc;
use std::time::SystemTime;

use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde_json::Value;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span, error, info_span, warn};

use crate::{Error, ErrorKind, Result};

mod action;
mod archive;
mod aws;
mod caller;
mod claim;
mod deadline;
mod deployment;
mod event;
mod failure;
mod fields;
mod identity;
mod job;
mod labels;
mod lease;
mod log;
mod monitor;
mod name;
mod outcome;
mod pace;
mod proving;
mod refusal;
mod secret;
mod services;
mod settings;
mod shared;
mod stage;
mod waiting;

pub use aws::Aws;
pub use deadline::DEADLINE_MARGIN;
pub use deployment::{DeploymentInfo, Verdict};
pub use event::HookCall;
pub use log::start_log;
pub use outcome::Outcome;
pub use services::Services;

use action::{backup, drill, restore, verify};
use archive::Archive;
use caller::Caller;
use claim::Claim;
use deadline::Deadline;
use event::Request;
use job::Job;
use monitor::LogLines;
use stage::Stage;
use waiting::Waiting;

/// Handles one invocation: does what the event asks for and tells CodeDeploy how it ended.
///
/// # Errors
/// Everything that went wrong, as the function's error: its type is the name of the [`ErrorKind`], its message one line
/// that says what to do.
///
/// # Cancellation
/// Lambda does not cancel. A dropped future stops the work and reports nothing.
pub async fn handle<S: Services>(
    services: &Arc<S>,
    event: LambdaEvent<Value>,
) -> Result<Outcome, Diagnostic> {
    let span = info_span!("invocation", request_id = %event.context.request_id);
    let ended = Box::pin(invocation(services, event)).instrument(span.clone()).await;
    ended.map_err(|error| {
        let diagnostic =
            Diagnostic { error_type: format!("{:?}", error.kind()), error_message: error.report() };
        span.in_scope(|| error!(error_type = diagnostic.error_type, "{}", diagnostic.error_message));
        diagnostic
    })
}

async fn invocation<S: Services>(services: &Arc<S>, event: LambdaEvent<Value>) -> Result<Outcome> {
    let now = SystemTime::now();
    let deadline = Deadline::new(event.context.deadline, now);
    let caller = Caller::find(&event.payload);
    let (claim, result) = match Request::parse(&event.payload, now) {
        Ok(request) => in_time(services, request, &event.context, deadline).await,
        Err(error) => (None, Err(error)),
    };
    caller.answer(&**services, deadline, claim.as_ref(), result).await
}

/// Does what `request` asks for, cancelled before Lambda kills the process.
///
/// The task makes a panic an error like any other, one that CodeDeploy hears of. Beside the result this returns the claim of
/// the archive's key, where the work has come to it.
async fn in_time<S: Services>(
    services: &Arc<S>,
    request: Request,
    context: &Context,
    deadline: Deadline,
) -> (Option<Claim>, Result<Outcome>) {
    let began = Instant::now();
    let (cancel, monitor) = (CancellationToken::new(), Arc::new(LogLines::new()));
    let job = Job::new(services, context, deadline, &monitor, cancel.clone());
    let (reached, claim) = (job.stages(), job.claimed());
    let work = async move { Box::pin(perform(&job, request)).await }.instrument(Span::current());
    let mut task = AbortOnDropHandle::new(tokio::spawn(work));
    let result = tokio::select! {
        ended = &mut task => unwound(ended),
        () = sleep_until(deadline.work) => {
            warn!("the function's time is running out, cancelling");
            cancel.cancel();
            let stopped = timeout_at(deadline.stopped, &mut task).await;
            match stopped.map_or_else(|_| Err(Error::cancelled()), unwound) {
                Err(error) if error.is_cancelled() => {
                    let stage = *reached.borrow();
                    let advice = monitor.advice(deadline, services.memory()).filter(|_| stage == Stage::Dump);
                    Err(stage.out_of_time_for(advice.as_deref()))
                }
                ended => ended,
            }
        }
    };
    let claim = claim.get().cloned();
    (claim, result.map(|outcome| outcome.after(began.elapsed(), monitor.warnings())))
}

async fn perform<S: Services>(job: &Job<S>, request: Request) -> Result<Outcome> {
    let bucket = job.services.bucket()?;
    match request {
        Request::CodeDeploy { deployment, fallback } => {
            let waiting = Waiting::ask(job, deployment, fallback).await?;
            let archive = Archive::new(bucket, &waiting.application, &waiting.deployment);
            backup::run(job, &archive, Some(waiting), false).await
        }
        Request::Backup { application, deployment, overwrite } => {
            backup::run(job, &Archive::new(bucket, &application, &deployment), None, overwrite).await
        }
        Request::Restore { application, deployment, swap, exact } => {
            restore::run(job, &Archive::new(bucket, &application, &deployment), swap, exact).await
        }
        Request::Verify { application, deployment } => {
            verify::run(job, &Archive::new(bucket, &application, &deployment)).await
        }
        Request::Drill { application, deployment } => {
            drill::run(job, bucket, &application, deployment.as_ref()).await
        }
    }
}

fn unwound(ended: Result<Result<Outcome>, JoinError>) -> Result<Outcome> {
    ended.unwrap_or_else(|lost| {
        let message = "the work ended in a panic, which is a defect of mongoark; its place is in the log, please report it";
        Err(Error::new(ErrorKind::Internal, message).with_source(crate::panic::ending(lost)))
    })
}

#[cfg(test)]
mod tests;
