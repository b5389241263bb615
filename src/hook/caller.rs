//! Who calls, and how that one hears of the end.

use serde_json::Value;
use tracing::{info, warn};

use crate::{Error, ErrorKind, Result};

use super::claim::Claim;
use super::deadline::Deadline;
use super::deployment::Verdict;
use super::event::HookCall;
use super::outcome::Outcome;
use super::services::Services;

/// Who waits for the end of an invocation. Another caller that wants an answer of its own (ECS decides by the function's
/// result) is another variant, found in the event and answered here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Caller {
    /// Somebody who reads the function's result.
    Hand,
    /// A deployment of CodeDeploy, which waits to be told.
    CodeDeploy(HookCall),
}

impl Caller {
    /// The caller of an event, whatever else may be wrong with it.
    pub(super) fn find(event: &Value) -> Self {
        HookCall::find(event).map_or(Self::Hand, Self::CodeDeploy)
    }

    /// Answers the caller; what is returned is the function's result. `claim` is that of the archive's key, where it is known.
    pub(super) async fn answer<S: Services>(
        self,
        services: &S,
        deadline: Deadline,
        claim: Option<&Claim>,
        result: Result<Outcome>,
    ) -> Result<Outcome> {
        match (self, result) {
            (Self::Hand, result) => result,
            (Self::CodeDeploy(hook), Ok(outcome)) => succeeded(services, &hook, deadline, outcome).await,
            (Self::CodeDeploy(hook), Err(error)) => {
                if is_ours_to_answer(&hook, deadline, claim, &error).await {
                    failed(services, &hook, deadline).await;
                }
                Err(error)
            }
        }
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

/// Writes down that the hook is answered `Failed`, unless another invocation has answered it or is going to: a second
/// delivery that fails must not stop a deployment whose archive is there. Where nobody can tell, `Failed` is answered.
async fn is_ours_to_answer(
    hook: &HookCall,
    deadline: Deadline,
    claim: Option<&Claim>,
    error: &Error,
) -> bool {
    let deployment = hook.deployment_id();
    let Some(claim) = claim else { return true };
    match deadline.before_answer(Box::pin(claim.fail(error))).await {
        Ok(ours) => {
            if !ours {
                info!(deployment, "CodeDeploy is answered by another invocation, and not by this one");
            }
            ours
        }
        Err(lost) => {
            warn!(
                deployment,
                reason = lost.report(),
                "the answer could not be written down before it was given"
            );
            true
        }
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
