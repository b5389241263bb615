//! The result document.

use std::fmt;

use serde::Serialize;

use crate::Result;
use crate::storage::Location;

use super::event::Name;

/// What an event asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Backup,
    Restore,
}

/// The object that an invocation writes or reads.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl Archive {
    pub(crate) fn new(bucket: &str, application: &Name, deployment: &Name) -> Self {
        let key = format!("backups/{}/{}.archive", application.as_str(), deployment.as_str());
        Self { bucket: bucket.to_owned(), key }
    }

    pub(crate) fn location(&self) -> Result<Location> {
        Location::s3(&self.bucket, &self.key)
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// What an invocation did, as Lambda returns it to its caller in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    action: Action,
    bucket: String,
    key: String,
    /// Size of the archive.
    bytes: u64,
    /// Left out when the work was done by an earlier attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    collections: Option<usize>,
    /// Documents that failed to restore. Always 0, because any other number is an error; left out for a backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u64>,
    /// Present and true when an earlier attempt of the same call had done the work.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    existing: bool,
    seconds: f64,
}

impl Outcome {
    pub(crate) fn backup(archive: &Archive, bytes: u64, documents: u64, collections: usize) -> Self {
        Self {
            documents: Some(documents),
            collections: Some(collections),
            ..Self::new(Action::Backup, archive, bytes)
        }
    }

    pub(crate) fn restore(archive: &Archive, bytes: u64, documents: u64, collections: usize) -> Self {
        let outcome = Self::new(Action::Restore, archive, bytes);
        Self { documents: Some(documents), collections: Some(collections), failures: Some(0), ..outcome }
    }

    /// The work was done before.
    pub(crate) fn existing(action: Action, archive: &Archive, bytes: u64) -> Self {
        Self { existing: true, ..Self::new(action, archive, bytes) }
    }

    fn new(action: Action, archive: &Archive, bytes: u64) -> Self {
        Self {
            action,
            bucket: archive.bucket.clone(),
            key: archive.key.clone(),
            bytes,
            documents: None,
            collections: None,
            failures: None,
            existing: false,
            seconds: 0.0,
        }
    }

    /// Notes how long the invocation took, in thousandths of a second.
    pub(crate) fn after(mut self, taken: std::time::Duration) -> Self {
        self.seconds = (taken.as_secs_f64() * 1e3).round() / 1e3;
        self
    }

    /// The archive's place, `s3://BUCKET/KEY`.
    pub fn location(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn archive() -> Archive {
        let name = |text| Name::new("a test", text).unwrap();
        Archive::new("vault", &name("shop"), &name("d-1"))
    }

    #[test]
    fn the_document_of_a_backup_has_the_seven_fields() {
        let outcome = Outcome::backup(&archive(), 1234, 56, 7).after(Duration::from_micros(1_234_567));
        assert_eq!(
            serde_json::to_value(outcome).unwrap(),
            json!({"action": "backup", "bucket": "vault", "key": "backups/shop/d-1.archive", "bytes": 1234,
                   "documents": 56, "collections": 7, "seconds": 1.235})
        );
    }

    #[test]
    fn the_document_of_a_restore_counts_failures() {
        let outcome = serde_json::to_value(Outcome::restore(&archive(), 1234, 56, 7)).unwrap();
        assert_eq!((&outcome["action"], &outcome["failures"]), (&json!("restore"), &json!(0)));
    }

    #[test]
    fn work_that_was_done_before_is_marked_and_has_no_counts() {
        let outcome = serde_json::to_value(Outcome::existing(Action::Backup, &archive(), 9)).unwrap();
        assert_eq!((&outcome["existing"], outcome.get("documents")), (&json!(true), None));
    }

    #[test]
    fn the_place_of_an_outcome_is_the_place_of_its_archive() {
        let outcome = Outcome::existing(Action::Backup, &archive(), 9);
        assert_eq!(outcome.location(), archive().location().unwrap().to_string());
    }
}
