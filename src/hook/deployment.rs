//! CodeDeploy: which application a deployment installs, and whether it may go on.

use aws_sdk_codedeploy::Client;
use aws_sdk_codedeploy::error::SdkError;
use aws_sdk_codedeploy::types::{DeploymentStatus, LifecycleEventStatus};

use crate::Result;

use super::event::HookCall;
use super::refusal::refusal;

const SERVICE: &str = "CodeDeploy";

/// How a hook ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The deployment may go on.
    Succeeded,
    /// The deployment must not go on.
    Failed,
}

/// What CodeDeploy knows about a deployment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DeploymentInfo {
    /// The application that is installed.
    pub application: Option<String>,
    /// The status of a deployment that is over: `Succeeded`, `Failed` or `Stopped`.
    pub ended: Option<String>,
}

pub(super) async fn get(client: &Client, id: &str) -> Result<DeploymentInfo> {
    let answer = client.get_deployment().deployment_id(id).send().await.map_err(|error| {
        let action = format!("tell about the deployment {id}");
        refusal(SERVICE, &action, "codedeploy:GetDeployment", &error)
    })?;
    let Some(known) = answer.deployment_info else { return Ok(DeploymentInfo::default()) };
    let ended = known.status.filter(|status| {
        matches!(status, DeploymentStatus::Succeeded | DeploymentStatus::Failed | DeploymentStatus::Stopped)
    });
    Ok(DeploymentInfo {
        application: known.application_name,
        ended: ended.map(|status| status.as_str().to_owned()),
    })
}

pub(super) async fn report(client: &Client, hook: &HookCall, verdict: Verdict) -> Result<()> {
    let status = match verdict {
        Verdict::Succeeded => LifecycleEventStatus::Succeeded,
        Verdict::Failed => LifecycleEventStatus::Failed,
    };
    let told = client
        .put_lifecycle_event_hook_execution_status()
        .deployment_id(hook.deployment_id())
        .lifecycle_event_hook_execution_id(hook.execution_id())
        .status(status)
        .send()
        .await;
    match told {
        Ok(_) => Ok(()),
        // An earlier attempt has told it, or the deployment was stopped: the matter is decided.
        Err(SdkError::ServiceError(refused))
            if refused.err().is_lifecycle_event_already_completed_exception() =>
        {
            Ok(())
        }
        Err(error) => Err(refusal(
            SERVICE,
            &format!("take the status of the deployment {}", hook.deployment_id()),
            "codedeploy:PutLifecycleEventHookExecutionStatus",
            &error,
        )),
    }
}

pub(super) async fn stop(client: &Client, id: &str) -> Result<()> {
    let stopped = client.stop_deployment().deployment_id(id).auto_rollback_enabled(false).send().await;
    match stopped {
        Ok(_) => Ok(()),
        Err(SdkError::ServiceError(refused)) if refused.err().is_deployment_already_completed_exception() => {
            Ok(())
        }
        Err(error) => {
            let action = format!("stop the deployment {id}");
            Err(refusal(SERVICE, &action, "codedeploy:StopDeployment", &error))
        }
    }
}
