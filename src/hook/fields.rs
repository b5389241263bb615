//! The fields of an event, each read as what it has to be. `null` is the same as no field.

use serde_json::{Map, Value};

use crate::Result;

use super::name::{Name, refused};

pub(super) const APPLICATION_NAME: &str = "ApplicationName";
pub(super) const ACTION: &str = "Action";
pub(super) const DEPLOYMENT_ID: &str = "DeploymentId";
pub(super) const EXECUTION_ID: &str = "LifecycleEventHookExecutionId";
pub(super) const OVERWRITE: &str = "Overwrite";
pub(super) const SWAP: &str = "Swap";
pub(super) const EXACT: &str = "Exact";

/// All of ours.
pub(super) const FIELDS: [&str; 7] =
    [APPLICATION_NAME, ACTION, DEPLOYMENT_ID, EXECUTION_ID, OVERWRITE, SWAP, EXACT];

/// An event's fields, those of others among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// Refuses one of ours in the wrong case: it would be ignored, and an `action` that asks for a restore become a backup.
    pub(super) fn of(event: &'a Value) -> Result<Self> {
        let Value::Object(fields) = event else {
            return Err(refused(format!(
                "the event is {}; send a JSON object such as {{\"ApplicationName\": \"shop\"}}",
                kind_of(event)
            )));
        };
        for field in fields.keys() {
            if let Some(ours) = FIELDS.iter().find(|ours| ours.eq_ignore_ascii_case(field) && **ours != field)
            {
                return Err(refused(format!("the event has a field {field}; write it {ours}")));
            }
        }
        Ok(Self(fields))
    }

    pub(super) fn text(self, field: &str) -> Result<Option<&'a str>> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(refused(format!("the event's {field} is {}; send a string", kind_of(other)))),
        }
    }

    pub(super) fn name(self, field: &str) -> Result<Option<Name>> {
        self.text(field)?.map(|text| Name::new(&format!("the event's {field}"), text)).transpose()
    }

    pub(super) fn flag(self, field: &str) -> Result<bool> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => {
                Err(refused(format!("the event's {field} is {}; send true or false", kind_of(other))))
            }
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
