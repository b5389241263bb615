//! What the programs in `tests/fuzz` call of the parts that nobody else sees. No part of the interface.

use std::time::SystemTime;

use bson::RawDocumentBuf;

use crate::extended_json::{read_document, write_document};

pub use crate::restore::fuzzing::commands;

// The function's own modules, without the AWS SDK, which takes minutes to build with these flags.
#[path = "hook/archive.rs"]
mod archive;
#[path = "hook/event.rs"]
mod event;
#[path = "hook/fields.rs"]
mod fields;
#[path = "hook/name.rs"]
mod name;

use archive::Archive;
use event::{HookCall, Request};

/// Makes the commands for a collection with this metadata; whatever can be read is the same when it is written and read again.
pub fn metadata(text: &str) {
    commands(text);
    let Ok(document) = read_document(text) else { return };
    let again = written(&document).map(|text| (read_document(&text), text));
    if let Some((again, text)) = again {
        assert_eq!(again.ok().as_ref(), Some(&document), "{text}");
    }
}

/// The text of a document; `None` for what no archive holds.
fn written(document: &RawDocumentBuf) -> Option<String> {
    let mut text = String::new();
    write_document(document, &mut text).ok()?;
    Some(text)
}

/// The application and the key of each archive that this event names.
pub fn archives(event: &[u8]) -> Vec<(String, String)> {
    let Ok(event) = serde_json::from_slice(event) else { return Vec::new() };
    if let Some(call) = HookCall::find(&event) {
        assert!(!call.deployment_id().is_empty() && !call.execution_id().is_empty());
    }
    let named = match Request::parse(&event, SystemTime::UNIX_EPOCH) {
        Ok(Request::CodeDeploy { deployment, fallback }) => {
            fallback.map(|application| (application, deployment))
        }
        Ok(
            Request::Backup { application, deployment, .. }
            | Request::Restore { application, deployment, .. }
            | Request::Verify { application, deployment },
        ) => Some((application, deployment)),
        Ok(Request::Drill { application, deployment }) => {
            deployment.map(|deployment| (application, deployment))
        }
        Err(error) => {
            assert!(!error.report().is_empty());
            None
        }
    };
    let key = |(application, deployment)| {
        let archive = Archive::new("bucket", &application, &deployment);
        archive.location().expect("a key that S3 takes");
        (application.as_str().to_owned(), archive.key)
    };
    named.map(key).into_iter().collect()
}
