//! The event: what an invocation asks for, checked field by field.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use crate::{Error, ErrorKind, Result};

use super::fields::{ACTION, APPLICATION_NAME, DEPLOYMENT_ID, EXACT, EXECUTION_ID, Fields, OVERWRITE, SWAP};
use super::name::{Name, refused};

/// The flags: the action by hand that each belongs to, and what it does.
const FLAGS: [(&str, Action, &str); 3] = [
    (OVERWRITE, Action::Backup, "overwrite"),
    (SWAP, Action::Restore, "swap"),
    (EXACT, Action::Restore, "restore exactly"),
];

/// Letters of an unknown word that are repeated.
const MAX_SHOWN: usize = 40;

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

    /// The action of an event; a backup where it names none.
    fn read(text: Option<&str>) -> Result<Self> {
        let Some(text) = text else { return Ok(Self::Backup) };
        let word = text.trim().to_lowercase();
        let known = Self::WORDS.iter().find(|(_, known)| *known == word);
        known.map(|(action, _)| *action).ok_or_else(|| {
            let shown: String = word.chars().take(MAX_SHOWN).collect();
            refused(format!(
                "the event's Action is {shown:?}; send \"backup\", \"restore\", \"verify\" or \"drill\""
            ))
        })
    }
}

/// What an event asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Request {
    /// A deployment waits for its backup. CodeDeploy knows the application's name; the event's is the fallback.
    CodeDeploy { deployment: Name, fallback: Option<Name> },
    /// A backup by hand, in the place of an archive that is there if so asked for.
    Backup { application: Name, deployment: Name, overwrite: bool },
    /// A restore by hand: by a swap, and of nothing beside what the archive holds, if so asked for.
    Restore { application: Name, deployment: Name, swap: bool, exact: bool },
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
        let fields = Fields::of(event)?;
        let action = Action::read(fields.text(ACTION)?)?;
        let application = fields.name(APPLICATION_NAME)?;
        let deployment = fields.name(DEPLOYMENT_ID)?;
        let execution = fields.text(EXECUTION_ID)?;
        refuse_misplaced(fields, action, execution.is_some())?;
        if let Some(execution) = execution {
            return Self::code_deploy(action, application, deployment, execution);
        }
        let application = application
            .ok_or_else(|| refused("the event has no ApplicationName; send the application's name in it"))?;
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
                Self::Backup { application, deployment, overwrite: fields.flag(OVERWRITE)? }
            }
            Action::Restore => Self::Restore {
                application,
                deployment: named(deployment)?,
                swap: fields.flag(SWAP)?,
                exact: fields.flag(EXACT)?,
            },
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

/// Refuses a flag that belongs to another action than this one, or that a deployment's hook has set.
fn refuse_misplaced(fields: Fields<'_>, action: Action, is_hook: bool) -> Result<()> {
    for (field, owner, what) in FLAGS {
        if fields.flag(field)? && (is_hook || action != owner) {
            let who = if is_hook {
                "a deployment hook".to_owned()
            } else {
                format!("the Action {:?}", action.word())
            };
            let owner = owner.word();
            return Err(refused(format!(
                "{who} cannot {what}; {field} belongs to a {owner} by hand, leave it out"
            )));
        }
    }
    Ok(())
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
