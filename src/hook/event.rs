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
const OVERWRITE: &str = "Overwrite";
const FIELDS: [&str; 5] = [APPLICATION_NAME, ACTION, DEPLOYMENT_ID, EXECUTION_ID, OVERWRITE];

/// What is to be done, in the event's word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Backup,
    Restore,
    Verify,
    Drill,
}

impl Action {
    /// All, with the words that stand for them.
    const WORDS: [(Self, &'static str); 4] = [
        (Self::Backup, "backup"),
        (Self::Restore, "restore"),
        (Self::Verify, "verify"),
        (Self::Drill, "drill"),
    ];

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(action, _)| *action == self).map_or("", |(_, word)| word)
    }
}

/// What an event asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Request {
    /// A deployment waits for its backup. CodeDeploy knows the application's name; the event's is the fallback.
    CodeDeploy { deployment: Name, fallback: Option<Name> },
    /// A backup by hand, in the place of an archive that is there if so asked for.
    Backup { application: Name, deployment: Name, overwrite: bool },
    /// A restore by hand.
    Restore { application: Name, deployment: Name },
    /// An archive is read to its end.
    Verify { application: Name, deployment: Name },
    /// An archive is restored as a test: this one, or the newest.
    Drill { application: Name, deployment: Option<Name> },
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
        let overwrite = flag(fields, OVERWRITE)?;
        if let Some(execution) = text(fields, EXECUTION_ID)? {
            refuse_overwriting(overwrite, "a deployment hook")?;
            return Self::code_deploy(action, application, deployment, execution);
        }
        let application = application
            .ok_or_else(|| refused("the event has no ApplicationName; send the application's name in it"))?;
        if action != Action::Backup {
            refuse_overwriting(overwrite, &format!("the Action {:?}", action.word()))?;
        }
        let named = |deployment: Option<Name>| {
            deployment.ok_or_else(|| {
                refused(format!(
                    "the event has no DeploymentId; send the one of the backup to {}: the name of its object in \
                     backups/<ApplicationName>/ without .archive",
                    action.word()
                ))
            })
        };
        Ok(match action {
            Action::Backup => {
                let deployment = match deployment {
                    Some(deployment) => deployment,
                    None => Name::new("the time", &timestamp(now)?)?,
                };
                Self::Backup { application, deployment, overwrite }
            }
            Action::Restore => Self::Restore { application, deployment: named(deployment)? },
            Action::Verify => Self::Verify { application, deployment: named(deployment)? },
            Action::Drill => Self::Drill { application, deployment },
        })
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
            Action::Verify | Action::Drill => Err(refused(format!(
                "a deployment hook cannot {}: the deployment waits for a backup; send the {0} by hand, without \
                 LifecycleEventHookExecutionId",
                action.word()
            ))),
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

fn flag(fields: &Map<String, Value>, field: &str) -> Result<bool> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(refused(format!("the event's {field} is {}; send true or false", kind_of(other)))),
    }
}

fn refuse_overwriting(overwrite: bool, who: &str) -> Result<()> {
    if overwrite {
        let message = format!("{who} cannot overwrite; Overwrite belongs to a backup by hand, leave it out");
        return Err(refused(message));
    }
    Ok(())
}

fn action(text: Option<&str>) -> Result<Action> {
    let Some(text) = text else { return Ok(Action::Backup) };
    let word = text.trim().to_lowercase();
    let known = Action::WORDS.iter().find(|(_, known)| *known == word);
    known.map(|(action, _)| *action).ok_or_else(|| {
        let shown: String = word.chars().take(40).collect();
        refused(format!(
            "the event's Action is {shown:?}; send \"backup\", \"restore\", \"verify\" or \"drill\""
        ))
    })
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
