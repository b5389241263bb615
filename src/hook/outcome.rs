//! The result document.

use std::time::Duration;

use serde::Serialize;

use crate::Scope;
use crate::dump::Snapshot;

use super::archive::Archive;
use super::event::Action;

/// Names in one list of an answer, such as what was left out; with names of at most 255 bytes far below the 6 MB of an answer.
const MAX_NAMED: usize = 100;

/// What an invocation did, as Lambda returns it to its caller in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    action: Action,
    bucket: String,
    key: String,
    /// What was dumped, or touched by the restore: `everything`, or the name of a database. Left out where an archive of
    /// another version does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// What the deployment has beside that, or the archive does not hold of it. Left out where it is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    /// Size of the archive.
    bytes: u64,
    /// The cluster time of everything in it but for `apart`, as `SECONDS.INCREMENT`; of a backup, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_time: Option<String>,
    /// Why there is no such time.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot_reason: Option<String>,
    /// What was read at other times than the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    apart: Vec<String>,
    /// Left out when the work was done by an earlier attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    collections: Option<usize>,
    /// Of an archive that was verified: its namespaces, and the raw bytes of their documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespaces: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_bytes: Option<u64>,
    /// How long the restore of a drill took, from the first byte to the last index.
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_seconds: Option<f64>,
    /// Documents that failed to restore. Always 0, because any other number is an error; left out for a backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u64>,
    /// Present and true when an earlier attempt of the same call had done the work.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    existing: bool,
    /// What somebody has to read although the work succeeded. Left out where there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    seconds: f64,
}

impl Outcome {
    pub(crate) fn backup(archive: &Archive, scope: &Scope, bytes: u64) -> Self {
        Self::new(Action::Backup, archive, bytes).with_scope(scope)
    }

    pub(crate) fn restore(archive: &Archive, scope: &Scope, bytes: u64) -> Self {
        Self { failures: Some(0), ..Self::new(Action::Restore, archive, bytes).with_scope(scope) }
    }

    /// The archive is whole; `scope` is what it says of itself.
    pub(crate) fn verify(archive: &Archive, scope: Option<&str>, bytes: u64) -> Self {
        Self { scope: scope.map(str::to_owned), ..Self::new(Action::Verify, archive, bytes) }
    }

    /// The archive was restored as a test; `scope` is what it says of itself.
    pub(crate) fn drill(archive: &Archive, scope: Option<&str>, bytes: u64, restored_in: Duration) -> Self {
        let scope = scope.map(str::to_owned);
        Self {
            restore_seconds: Some(thousandths(restored_in)),
            scope,
            ..Self::new(Action::Drill, archive, bytes)
        }
    }

    /// The work was done before; `scope` is what the archive says of itself.
    pub(crate) fn existing(action: Action, archive: &Archive, scope: Option<&str>, bytes: u64) -> Self {
        let scope = scope.map(str::to_owned);
        Self { existing: true, scope, ..Self::new(action, archive, bytes) }
    }

    fn new(action: Action, archive: &Archive, bytes: u64) -> Self {
        Self {
            action,
            bucket: archive.bucket.clone(),
            key: archive.key.clone(),
            scope: None,
            left_out: Vec::new(),
            bytes,
            cluster_time: None,
            snapshot_reason: None,
            apart: Vec::new(),
            namespaces: None,
            data_bytes: None,
            restore_seconds: None,
            documents: None,
            collections: None,
            failures: None,
            existing: false,
            warnings: Vec::new(),
            seconds: 0.0,
        }
    }

    fn with_scope(self, scope: &Scope) -> Self {
        let left_out: &[_] = match scope {
            Scope::Everything => &[],
            _ if scope.covers_users() => &["other databases"],
            _ => &["other databases", "users and roles"],
        };
        let left_out = left_out.iter().map(ToString::to_string).collect();
        Self { scope: Some(scope.to_string()), left_out, ..self }
    }

    /// Adds what the dump left out on purpose; of many, the first and how many more there are.
    pub(crate) fn leaving_out(mut self, names: &[String]) -> Self {
        self.left_out.extend(first_named(names));
        self
    }

    /// Adds the moment of which the archive is.
    pub(crate) fn of_moment(mut self, snapshot: &Snapshot) -> Self {
        self.cluster_time = snapshot.at.map(|time| format!("{}.{}", time.time, time.increment));
        self.snapshot_reason.clone_from(&snapshot.reason);
        self.apart = first_named(&snapshot.apart);
        self
    }

    /// Adds what an archive was found to hold.
    pub(crate) fn reading(self, namespaces: usize, documents: u64, data_bytes: u64) -> Self {
        Self {
            namespaces: Some(namespaces),
            documents: Some(documents),
            data_bytes: Some(data_bytes),
            ..self
        }
    }

    /// Adds how much was dumped or restored.
    pub(crate) fn counting(self, documents: u64, collections: usize) -> Self {
        Self { documents: Some(documents), collections: Some(collections), ..self }
    }

    /// Notes what somebody has to read, and how long the invocation took, in thousandths of a second.
    pub(crate) fn after(self, taken: Duration, warnings: Vec<String>) -> Self {
        Self { seconds: thousandths(taken), warnings, ..self }
    }

    /// The archive's place, `s3://BUCKET/KEY`.
    pub fn location(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

/// The first of many names, and how many more there are.
fn first_named(names: &[String]) -> Vec<String> {
    let mut first: Vec<_> = names.iter().take(MAX_NAMED).cloned().collect();
    if let Some(more) = names.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        first.push(format!("{more} more"));
    }
    first
}

fn thousandths(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::name::Name;
    use super::*;

    fn archive() -> Archive {
        let name = |text| Name::new("a test", text).unwrap();
        Archive::new("vault", &name("shop"), &name("d-1"))
    }

    #[test]
    fn the_document_of_a_backup_has_the_eight_fields() {
        let outcome = Outcome::backup(&archive(), &Scope::Everything, 1234).counting(56, 7);
        let outcome = outcome.after(Duration::from_micros(1_234_567), Vec::new());
        assert_eq!(
            serde_json::to_value(outcome).unwrap(),
            json!({"action": "backup", "bucket": "vault", "key": "backups/shop/d-1.archive", "scope": "everything",
                   "bytes": 1234, "documents": 56, "collections": 7, "seconds": 1.235})
        );
    }

    #[test]
    fn the_moment_of_a_backup_is_said_as_the_shell_prints_it() {
        let outcome = |snapshot: &Snapshot| {
            serde_json::to_value(Outcome::backup(&archive(), &Scope::Everything, 1).of_moment(snapshot))
                .unwrap()
        };
        let at = Some(bson::Timestamp { time: 1_785_579_630, increment: 7 });
        let apart = vec!["shop.log".to_owned()];
        let said = outcome(&Snapshot { at, apart, ..Snapshot::default() });
        assert_eq!((&said["cluster_time"], &said["apart"]), (&json!("1785579630.7"), &json!(["shop.log"])));
        assert_eq!(said.get("snapshot_reason"), None);
        let reason = Some("a standalone server has no cluster time".to_owned());
        let said = outcome(&Snapshot { reason: reason.clone(), ..Snapshot::default() });
        assert_eq!((said.get("cluster_time"), &said["snapshot_reason"]), (None, &json!(reason)));
    }

    #[test]
    fn what_a_scope_leaves_out_is_said() {
        let fields = |scope: &str| {
            let scope = Scope::database(scope).unwrap();
            let outcome = serde_json::to_value(Outcome::backup(&archive(), &scope, 1)).unwrap();
            (outcome["scope"].clone(), outcome["left_out"].clone())
        };
        assert_eq!(fields("shop"), (json!("shop"), json!(["other databases", "users and roles"])));
        assert_eq!(fields("admin"), (json!("admin"), json!(["other databases"])));
    }

    #[test]
    fn the_document_of_a_restore_counts_failures_and_carries_warnings() {
        let outcome = Outcome::restore(&archive(), &Scope::Everything, 1234);
        let outcome = outcome.after(Duration::ZERO, vec!["a view is left out".to_owned()]);
        let outcome = serde_json::to_value(outcome).unwrap();
        assert_eq!((&outcome["action"], &outcome["failures"]), (&json!("restore"), &json!(0)));
        assert_eq!(outcome["warnings"], json!(["a view is left out"]));
    }

    #[test]
    fn work_that_was_done_before_is_marked_and_has_no_counts() {
        let outcome = Outcome::existing(Action::Backup, &archive(), Some("shop"), 9);
        let outcome = serde_json::to_value(outcome).unwrap();
        assert_eq!((&outcome["existing"], outcome.get("documents")), (&json!(true), None));
        assert_eq!(outcome["scope"], json!("shop"));
    }

    #[test]
    fn of_much_that_is_left_out_the_first_is_named_and_the_rest_counted() {
        let names = |count: usize| (0..count).map(|number| format!("shop.a${number}")).collect::<Vec<_>>();
        let left_out = |count| {
            let outcome = Outcome::backup(&archive(), &Scope::Everything, 1).leaving_out(&names(count));
            serde_json::to_value(outcome).unwrap()["left_out"].as_array().cloned().unwrap_or_default()
        };
        assert_eq!(left_out(2), [json!("shop.a$0"), json!("shop.a$1")]);
        assert_eq!(left_out(MAX_NAMED).len(), MAX_NAMED);
        assert_eq!(left_out(MAX_NAMED + 3).last(), Some(&json!("3 more")));
    }

    #[test]
    fn the_place_of_an_outcome_is_the_place_of_its_archive() {
        let outcome = Outcome::existing(Action::Backup, &archive(), None, 9);
        assert_eq!(outcome.location(), archive().location().unwrap().to_string());
    }
}
