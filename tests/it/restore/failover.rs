//! Elections, broken connections and lost answers during a restore: nothing is lost, nothing is there twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use archive_format::Namespace;
use bytes::Bytes;
use mongoark::progress::Monitor;
use mongoark::restore::{RestoreOptions, restore};
use mongoark::storage::Source;
use mongoark::{ErrorKind, Result};
use mongodb::bson::{RawDocumentBuf, Timestamp, doc, rawdoc};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::super::support::mongod::{Mongod, Options, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::super::support::replica_set::ReplicaSet;
use super::made::Made;
use super::{connect, count, restored, with_drop};

fn numbers(documents: i32) -> impl Iterator<Item = RawDocumentBuf> {
    (0..documents).map(|id| rawdoc! { "_id": id, "text": "some words that take a little room in a batch" })
}

/// Two collections with an index, one of them with empty timestamps.
fn archive(db: &str) -> Bytes {
    let zero = Timestamp { time: 0, increment: 0 };
    let metadata = r#"{"options":{},"indexes":[{"v":2,"key":{"text":1},"name":"text_1"}]}"#;
    Made::of("6.0.5")
        .with_metadata(db, "plain", metadata, numbers(1000))
        .with_metadata(db, "zero", metadata, (0..100).map(|id| rawdoc! { "_id": id, "at": zero }))
        .bytes()
}

/// Restores through a proxy that does this to one command, over collections that are there already, and expects everything.
async fn survives(server: &Mongod, db: &str, rule: Rule) {
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let client = server.client().await;
    let text = format!("{rule:?}");
    proxy.inject(rule);
    let report = restored(&proxy.uri(), &archive(db), &with_drop()).await;
    let report = report.unwrap_or_else(|error| panic!("{text}: {}", error.report()));
    assert_eq!((report.documents, report.failures, report.repeated), (1100, 0, 0), "{text}");
    assert_eq!(count(&client, db, "plain").await, 1000, "{text}");
    assert_eq!(count(&client, db, "zero").await, 100, "{text}");
    let indexes = client.database(db).collection::<RawDocumentBuf>("plain").list_index_names().await.unwrap();
    assert_eq!(indexes, ["_id_", "text_1"], "{text}");
}

#[tokio::test]
async fn one_fault_in_any_command_is_survived() {
    let server = Mongod::shared(Version::V6_0_5).await;
    restored(&server.uri(), &archive("faults"), &with_drop()).await.unwrap();
    for command in ["insert", "update", "create", "drop", "createIndexes", "listCollections"] {
        for fault in [
            Fault::CutRequest,
            Fault::CutReply,
            Fault::RefuseAfter(91, "ShutdownInProgress"),
            Fault::RefuseAfter(10107, "NotWritablePrimary"),
            Fault::RefuseAfter(11602, "InterruptedDueToReplStateChange"),
        ] {
            survives(server, "faults", Rule::once(command, fault)).await;
        }
    }
}

#[tokio::test]
async fn a_write_concern_interrupted_by_an_election_is_waited_for_again() {
    let server = Mongod::shared(Version::V6_0_5).await;
    restored(&server.uri(), &archive("concerns"), &with_drop()).await.unwrap();
    for command in ["insert", "create", "drop", "createIndexes"] {
        let concern = rawdoc! {
            "ok": 1.0, "n": 0, "writeConcernError": { "code": 11602, "errmsg": "operation was interrupted" },
        };
        survives(server, "concerns", Rule::once(command, Fault::Answer(concern))).await;
    }
}

#[tokio::test]
async fn an_answer_that_does_not_add_up_or_is_not_safe_is_an_error() {
    let server = Mongod::shared(Version::V6_0_5).await;
    for (answer, part) in [
        (rawdoc! { "ok": 1.0, "n": 7 }, "answers that it took 7"),
        (
            rawdoc! { "ok": 1.0, "n": 1000, "writeConcernError": { "code": 64, "errmsg": "waiting timed out" } },
            "write concern was not satisfied",
        ),
    ] {
        let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
        proxy.inject(Rule::always("insert", Fault::Answer(answer)));
        let error = restored(&proxy.uri(), &archive("sums"), &with_drop()).await.unwrap_err();
        assert!(error.to_string().contains(part), "{}", error.report());
    }
}

#[tokio::test]
async fn an_insert_that_is_never_answered_is_sent_again_once_and_then_ends_the_restore() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let uri = format!("{}&socketTimeoutMS=2000", proxy.uri());
    proxy.inject(Rule::once("insert", Fault::Swallow));
    let report = restored(&uri, &archive("silent"), &with_drop()).await.unwrap();
    assert_eq!((report.documents, report.failures), (1100, 0));

    proxy.inject(Rule::always("insert", Fault::Swallow));
    let error = restored(&uri, &archive("silent"), &with_drop()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{}", error.report());
    assert!(error.to_string().contains("did not take a batch"), "{}", error.report());
}

#[tokio::test]
async fn where_the_server_does_not_know_writes_that_are_sent_again_a_lost_answer_is_told() {
    let options = Options { replica_set: false, ..Options::default() };
    let standalone = Mongod::start_with(Version::V6_0_5, options).await;
    let set = Mongod::shared(Version::V6_0_5).await;
    for (port, more) in [(standalone.port(), ""), (set.port(), "&retryWrites=false")] {
        let proxy = Proxy::start(format!("127.0.0.1:{port}")).await;
        let uri = format!("{}{more}", proxy.uri());
        let report = restored(&uri, &archive("alone"), &with_drop()).await.unwrap();
        assert_eq!((report.documents, report.failures), (1100, 0));
        proxy.inject(Rule::once("insert", Fault::CutReply));
        let error = restored(&uri, &archive("alone"), &with_drop()).await.unwrap_err();
        assert!(error.to_string().contains("restore again with --drop"), "{}", error.report());
    }
}

/// Lets a test act when some documents have been inserted.
#[derive(Debug, Default)]
struct Begun {
    told: AtomicBool,
    begun: Notify,
}

impl Monitor for Begun {
    fn advanced(&self, _: &Namespace, _: u64, _: u64) {
        if !self.told.swap(true, Ordering::Relaxed) {
            self.begun.notify_one();
        }
    }
}

const MANY: i32 = 50_000;

/// Restores many documents, and does something when the first are there.
async fn many_while(
    uri: &str,
    disturb: impl Future<Output = ()>,
) -> Result<mongoark::restore::RestoreReport> {
    let begun = Arc::<Begun>::default();
    let monitor = Arc::clone(&begun) as Arc<dyn Monitor>;
    let deployment = connect(uri).await;
    let archive = Made::of("6.0.5").with("many", "numbers", numbers(MANY)).bytes();
    let (options, cancel): (RestoreOptions, _) = (with_drop(), CancellationToken::new());
    let work = restore(&deployment, &options, Source::memory([archive]), &monitor, &cancel);
    let disturb = async {
        begun.begun.notified().await;
        disturb.await;
    };
    let (result, ()) = tokio::join!(work, disturb);
    deployment.close().await;
    result
}

#[tokio::test]
async fn a_step_down_in_the_middle_loses_and_doubles_nothing() {
    for version in [Version::V4_4_2, Version::V6_0_5] {
        let server = Mongod::start(version).await;
        let client = server.client().await;
        restored(
            &server.uri(),
            &Made::of("6.0.5").with("many", "numbers", numbers(10)).bytes(),
            &with_drop(),
        )
        .await
        .unwrap();
        let step_down = async {
            let command = doc! { "replSetStepDown": 2, "force": true };
            // The answer may be lost with the connection.
            let _ = client.database("admin").run_command(command).await;
        };
        let report =
            many_while(&server.uri(), step_down).await.unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!((report.documents, report.failures), (50_000, 0), "{version:?}");
        assert_eq!(count(&server.client().await, "many", "numbers").await, 50_000, "{version:?}");
    }
}

#[tokio::test]
async fn the_death_of_the_primary_of_three_loses_and_doubles_nothing() {
    let set = ReplicaSet::start(Version::V6_0_5).await;
    let primary = set.primary().await;
    let report = many_while(&set.uri(), async { set.kill(primary) })
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!((report.documents, report.failures), (50_000, 0));
    assert_eq!(count(&set.client().await, "many", "numbers").await, 50_000);
}
