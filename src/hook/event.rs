//! The event: what an invocation asks for, checked field by field.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Result};

use super::name::{Name, refused};

const APPLICATION_NAME: &str = "ApplicationName";
const ACTION: &str = "Action";
const DEPLOYMENT_ID: &str = "DeploymentId";
const EXECUTION_ID: &str = "LifecycleEventHookExecutionId";
const FIELDS: [&str; 4] = [APPLICATION_NAME, ACTION, DEPLOYMENT_ID, EXECUTION_ID];

/// What is to be done, in the event's word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Backup,
    Restore,
}

/// What an event asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Request {
    /// A deployment waits for its backup. CodeDeploy knows the application's name; the event's is the fallback.
    CodeDeploy { deployment: Name, fallback: Option<Name> },
    /// A backup by hand.
    Backup { application: Name, deployment: Name },
    /// A restore by hand.
    Restore { application: Name, deployment: Name },
}

/// The two ids with which CodeDeploy is answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HookCall {
    deployment_id: String,
    execution_id: String,
}

impl HookCall {
    /// The ids of an event that carries both, whatever else may be wrong with it: its sender must hear of that too.
    pub(crate) fn find(event: &Value) -> Option<Self> {
        let id = |field| event.get(field)?.as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        Some(Self { deployment_id: id(DEPLOYMENT_ID)?, execution_id: id(EXECUTION_ID)? })
    }

    /// The deployment that waits.
    pub fn deployment_id(&self) -> &str {
        &self.deployment_id
    }

    /// The lifecycle hook's execution that waits.
    pub fn execution_id(&self) -> &str {
        &self.execution_id
    }
}

impl Request {
    /// Reads an event; `now` names the backup of one that does not name it.
    ///
    /// `null` is the same as no field. Fields that are not ours are ignored.
    pub(crate) fn parse(event: &Value, now: SystemTime) -> Result<Self> {
        let Value::Object(fields) = event else {
            return Err(refused(format!(
                "the event is {}; send a JSON object such as {{\"ApplicationName\": \"shop\"}}",
                kind_of(event)
            )));
        };
        refuse_misspelt(fields)?;
        let action = action(text(fields, ACTION)?)?;
        let application = name(fields, APPLICATION_NAME)?;
        let deployment = name(fields, DEPLOYMENT_ID)?;
        if let Some(execution) = text(fields, EXECUTION_ID)? {
            return Self::code_deploy(action, application, deployment, execution);
        }
        let application = application
            .ok_or_else(|| refused("the event has no ApplicationName; send the application's name in it"))?;
        match (action, deployment) {
            (Action::Backup, deployment) => {
                let deployment = match deployment {
                    Some(deployment) => deployment,
                    None => Name::new("the time", &timestamp(now)?)?,
                };
                Ok(Self::Backup { application, deployment })
            }
            (Action::Restore, Some(deployment)) => Ok(Self::Restore { application, deployment }),
            (Action::Restore, None) => Err(refused(
                "the event has no DeploymentId; send the one of the backup to restore: the name of its object in \
                 backups/<ApplicationName>/ without .archive",
            )),
        }
    }

    fn code_deploy(
        action: Action,
        fallback: Option<Name>,
        deployment: Option<Name>,
        execution: &str,
    ) -> Result<Self> {
        if execution.is_empty() {
            return Err(refused(
                "the event's LifecycleEventHookExecutionId is empty; send the one CodeDeploy gave, or leave the field out",
            ));
        }
        let deployment = deployment.ok_or_else(|| {
            refused("the event has a LifecycleEventHookExecutionId and no DeploymentId; send both, as CodeDeploy does")
        })?;
        match action {
            Action::Backup => Ok(Self::CodeDeploy { deployment, fallback }),
            Action::Restore => Err(refused(
                "a deployment hook cannot restore: it would drop the live data before every installation; send the \
                 restore by hand, without LifecycleEventHookExecutionId",
            )),
        }
    }
}

/// A field in the wrong case would be ignored, and an `action` that asks for a restore become a backup.
fn refuse_misspelt(fields: &Map<String, Value>) -> Result<()> {
    for field in fields.keys() {
        if let Some(ours) = FIELDS.iter().find(|ours| ours.eq_ignore_ascii_case(field) && **ours != field) {
            return Err(refused(format!("the event has a field {field}; write it {ours}")));
        }
    }
    Ok(())
}

fn text<'a>(fields: &'a Map<String, Value>, field: &str) -> Result<Option<&'a str>> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(refused(format!("the event's {field} is {}; send a string", kind_of(other)))),
    }
}

fn name(fields: &Map<String, Value>, field: &str) -> Result<Option<Name>> {
    text(fields, field)?.map(|text| Name::new(&format!("the event's {field}"), text)).transpose()
}

fn action(text: Option<&str>) -> Result<Action> {
    match text.map(|text| text.trim().to_lowercase()).as_deref() {
        None | Some("backup") => Ok(Action::Backup),
        Some("restore") => Ok(Action::Restore),
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            Err(refused(format!("the event's Action is {shown:?}; send \"backup\" or \"restore\"")))
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// ISO-8601 in UTC with exactly three decimals, as JavaScript's `new Date().toISOString()` prints it.
fn timestamp(now: SystemTime) -> Result<String> {
    let broken = || Error::new(ErrorKind::Internal, "the clock is out of range; send a DeploymentId");
    let since = now.duration_since(UNIX_EPOCH).map_err(|_| broken())?;
    let seconds = i64::try_from(since.as_secs()).map_err(|_| broken())?;
    // A whole second prints without decimals: they are added here, because bson leaves out trailing zeros.
    let text = bson::DateTime::from_millis(seconds.saturating_mul(1000))
        .try_to_rfc3339_string()
        .map_err(|error| broken().with_source(error))?;
    Ok(format!("{}.{:03}Z", text.trim_end_matches('Z'), since.subsec_millis()))
}

#[cfg(test)]
mod tests;
