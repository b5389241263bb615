//! The Lambda function: a backup before a deployment goes ahead, and backup and restore by hand.
//!
//! # The event
//!
//! | field | |
//! |---|---|
//! | `ApplicationName` | names the archive; in a hook call only the fallback for what CodeDeploy says |
//! | `Action` | `backup` (default) or `restore`; blanks around it and capitals do not matter |
//! | `DeploymentId` | names the archive; a backup by hand that has none is named by the time |
//! | `LifecycleEventHookExecutionId` | sent by CodeDeploy; its presence makes the event a hook call |
//!
//! The archive is `s3://$BUCKET_NAME/backups/<ApplicationName>/<DeploymentId>.archive`, the secret
//! `$MONGO_URI_SECRET_ID` a JSON object whose `mongo_uri` is the connection string. `AWS_REGION` is set by Lambda.
//!
//! # What CodeDeploy hears
//!
//! `Succeeded` when the archive is complete, and not before. `Failed`, and then `StopDeployment`, on any other end that
//! this process lives to see: an event that cannot be used, a missing variable, a panic, and the function's time running
//! out, for which the last seconds are kept ([`DEADLINE_MARGIN`]). The error is the function's error as well.
//!
//! If the archive is complete and `Succeeded` cannot be delivered, that is the function's error and nothing else: the
//! deployment is not stopped for it. Lambda sends a failed asynchronous event again, and the next attempt finds the
//! archive and reports once more.
//!
//! # Events that arrive twice
//!
//! Lambda runs failed asynchronous events again and may deliver any of them twice; the AWS CLI repeats a call that
//! takes longer than its read timeout. So no archive is ever overwritten, and each carries who wrote it:
//!
//! - A hook call that finds the archive of its own deployment reports `Succeeded` and dumps nothing: that archive was
//!   taken before the installation, another one would not be. A deployment that has ended gets no archive any more.
//! - A backup by hand that finds an archive is refused, unless it is the same invocation delivered again.
//! - A restore is refused while another one of the same application runs; see the lock in `hook/lock.rs`.

use std::sync::Arc;
use std::time::SystemTime;

use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::Value;
use tracing::{Instrument, error, info, info_span, warn};

use crate::{Error, ErrorKind, Result};

mod aws;
mod backup;
mod deadline;
mod deployment;
mod event;
mod job;
mod lock;
mod log;
mod monitor;
mod outcome;
mod restore;
mod secret;
mod services;
mod settings;
mod stage;

pub use aws::Aws;
pub use deadline::DEADLINE_MARGIN;
pub use deployment::{Deployment, Verdict};
pub use event::HookCall;
pub use log::start_log;
pub use outcome::Outcome;
pub use services::Services;

use deadline::Deadline;
use event::Request;
use job::Job;

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
    let hook = HookCall::find(&event.payload);
    let result = match Request::parse(&event.payload, now) {
        Ok(request) => Job::run(services, request, &event.context, deadline).await,
        Err(error) => Err(error),
    };
    match (result, hook) {
        (Ok(outcome), Some(hook)) => succeeded(&**services, &hook, deadline, outcome).await,
        (Err(error), Some(hook)) => {
            failed(&**services, &hook, deadline).await;
            Err(error)
        }
        (result, None) => result,
    }
}

/// The archive is complete: whatever happens now, it must not be reported as a failure.
async fn succeeded<S: Services>(
    services: &S,
    hook: &HookCall,
    deadline: Deadline,
    outcome: Outcome,
) -> Result<Outcome> {
    let reported = deadline.before_end(services.report(hook, Verdict::Succeeded)).await;
    match reported {
        Ok(()) => {
            info!(deployment = hook.deployment_id(), "reported Succeeded to CodeDeploy");
            Ok(outcome)
        }
        Err(error) => Err(Error::new(
            ErrorKind::Service,
            format!(
                "the archive {} is complete, but CodeDeploy could not be told; send the same event again",
                outcome.location()
            ),
        )
        .with_source(error)),
    }
}

/// Reports `Failed` and stops the deployment; the second is tried whatever became of the first.
async fn failed<S: Services>(services: &S, hook: &HookCall, deadline: Deadline) {
    let deployment = hook.deployment_id();
    match deadline.before_report(services.report(hook, Verdict::Failed)).await {
        Ok(()) => info!(deployment, "reported Failed to CodeDeploy"),
        Err(error) => warn!(deployment, reason = error.report(), "could not report Failed to CodeDeploy"),
    }
    match deadline.before_end(services.stop(deployment)).await {
        Ok(()) => info!(deployment, "stopped the deployment"),
        Err(error) => warn!(deployment, reason = error.report(), "could not stop the deployment"),
    }
}

#[cfg(test)]
mod tests;
