use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongoark::dump::{DumpOptions, DumpReport, SnapshotMode, dump};
use mongoark::progress::Monitor;
use mongoark::storage::Sink;
use mongoark::{Deployment, Error, MongoUri, Scope};
use mongodb::Client;
use mongodb::bson::{DateTime, Document, RawDocument, Timestamp, doc, rawdoc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::super::support::mongod::{Mongod, Options, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::super::support::replica_set::ReplicaSet;
use super::{Dump, archived, insert, numbers};

/// Versions that read at one moment.
const ABLE: [Version; 2] = [Version::V5_0_4, Version::V6_0_27];

/// Remembers what is said.
#[derive(Debug, Default)]
struct Said(Mutex<String>);

impl Monitor for Said {
    fn note(&self, text: &str) {
        let mut told = self.0.lock().unwrap();
        told.push_str(text);
        told.push('\n');
    }

    fn warn(&self, text: &str) {
        self.note(text);
    }
}

/// A dump in this process: its report, the documents by namespace, and all that was said.
struct Dumped {
    report: DumpReport,
    contents: BTreeMap<String, Vec<Vec<u8>>>,
    said: String,
}

async fn dumped(uri: &str, snapshot: SnapshotMode) -> Result<Dumped, Error> {
    let deployment = Deployment::connect(&MongoUri::parse(uri).unwrap()).await.unwrap();
    let scope = Scope::Database("d".to_owned());
    let options = DumpOptions { scope, parallel_collections: 1, snapshot, ..DumpOptions::default() };
    let (sink, memory) = Sink::memory();
    let said = Arc::<Said>::default();
    let monitor: Arc<dyn Monitor> = Arc::<Said>::clone(&said);
    let result = Box::pin(dump(&deployment, &options, sink, &monitor, &CancellationToken::new())).await;
    deployment.close().await;
    assert_eq!(result.is_ok(), memory.bytes().is_some());
    let report = result?;
    let contents = archived(&memory.bytes().unwrap());
    let said = said.0.lock().unwrap().clone();
    Ok(Dumped { report, contents, said })
}

/// What the moment of a dump is chosen before, and everything is read after.
fn hold_before_reading(proxy: &Proxy) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    proxy.inject(Rule::once("getParameter", Fault::Hold(Arc::clone(&gate))));
    gate
}

/// Changes, deletes and inserts documents of two collections, and moves one from one to the other in a transaction.
async fn write(client: &Client, count: i32) {
    let d = client.database("d");
    let (things, others) = (d.collection::<Document>("things"), d.collection::<Document>("others"));
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let moved = things.find_one_and_delete(doc! { "_id": count - 1 }).session(&mut session).await.unwrap();
    others.insert_one(moved.unwrap()).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    things.delete_many(doc! { "_id": { "$gte": count / 2 } }).await.unwrap();
    others.delete_many(doc! { "_id": { "$gte": 0 } }).await.unwrap();
    things.update_many(doc! {}, doc! { "$set": { "n": -1 } }).await.unwrap();
    insert(&d, "things", count..count + 100, 10).await;
    insert(&d, "new", 0..10, 10).await;
}

/// `d.things` of this many documents and `d.others` of 1,000.
async fn fill(client: &Client, count: i32) {
    let d = client.database("d");
    insert(&d, "things", 0..count, 4000).await;
    insert(&d, "others", -1000..0, 4000).await;
}

fn assert_is_of_before(contents: &BTreeMap<String, Vec<Vec<u8>>>, count: i32, what: &str) {
    assert_eq!(contents.keys().collect::<Vec<_>>(), ["d.others", "d.things"], "{what}");
    for (name, expected) in [("d.things", 0..count), ("d.others", -1000..0)] {
        let mut found = numbers(&contents[name]);
        found.sort_unstable();
        assert_eq!(found, expected.collect::<Vec<_>>(), "{what}: {name}");
    }
}

async fn what_is_written_meanwhile_is_not_in_the_archive(client: &Client, server: String, what: &str) {
    // In one part, and in four.
    for count in [3000, 18_000] {
        client.database("d").drop().await.unwrap();
        fill(client, count).await;
        let proxy = Proxy::start(server.clone()).await;
        let gate = hold_before_reading(&proxy);
        let uri = proxy.uri();
        let dumping = tokio::spawn(async move { dumped(&uri, SnapshotMode::Required).await });
        proxy.arrived("getParameter", 1).await;
        write(client, count).await;
        gate.add_permits(1);
        let dumped = dumping.await.unwrap().unwrap();
        assert_is_of_before(&dumped.contents, count, what);
        let snapshot = dumped.report.snapshot;
        assert!(snapshot.at.is_some() && snapshot.apart.is_empty() && snapshot.reason.is_none(), "{what}");
        let is_sorted = numbers(&dumped.contents["d.things"]).is_sorted();
        // A secondary has an order of its own.
        assert!(what == "a secondary" || is_sorted == (count == 3000), "{what}: in parts");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_meanwhile_is_not_in_the_archive_of_a_primary() {
    for version in ABLE {
        let server = Mongod::start(version).await;
        let address = format!("127.0.0.1:{}", server.port());
        what_is_written_meanwhile_is_not_in_the_archive(&server.client().await, address, version.name())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_meanwhile_is_not_in_the_archive_of_a_secondary() {
    let set = ReplicaSet::start(Version::V6_0_27).await;
    let uri = set.uri_with("w=3");
    let client = super::super::support::mongod::client(&uri).await;
    let secondary = set.secondaries().await[0];
    what_is_written_meanwhile_is_not_in_the_archive(&client, set.address(secondary), "a secondary").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_series_users_and_indexes_are_those_of_the_moment() {
    for version in ABLE {
        let server = Mongod::start(version).await;
        let client = server.client().await;
        let d = client.database("d");
        let series = doc! { "create": "series", "timeseries": { "timeField": "t", "metaField": "m" } };
        d.run_command(series).await.unwrap();
        let measure = async |meta: i32| {
            let at = DateTime::from_millis(1_700_000_000_000 + i64::from(meta) * 1000);
            d.collection::<Document>("series").insert_one(doc! { "t": at, "m": meta }).await.unwrap();
        };
        for meta in 0..5 {
            measure(meta).await;
        }
        insert(&d, "things", 0..10, 10).await;
        let index = |name: &str| doc! { "key": { name: 1 }, "name": name, "unique": name == "n" };
        d.run_command(doc! { "createIndexes": "things", "indexes": [index("n")] }).await.unwrap();
        let user = |name: &str| doc! { "createUser": name, "pwd": "hunter2hunter2", "roles": [] };
        d.run_command(user("ann")).await.unwrap();

        let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
        let gate = hold_before_reading(&proxy);
        let dump = Dump::start(&proxy.uri(), &["--snapshot=required"]);
        proxy.arrived("getParameter", 1).await;
        for meta in 5..9 {
            measure(meta).await;
        }
        d.run_command(user("bob")).await.unwrap();
        d.run_command(doc! { "dropIndexes": "things", "index": "n" }).await.unwrap();
        d.run_command(doc! { "createIndexes": "things", "indexes": [index("late")] }).await.unwrap();
        // What the dropped index would have refused.
        insert(&d, "things", 10..12, 10).await;
        let same = doc! { "n": 3 };
        d.collection::<Document>("things").insert_one(same).await.unwrap();
        gate.add_permits(1);
        let path = dump.path.clone();
        let folder = dump.running.await.unwrap();
        assert_eq!(folder.code, Some(0), "{}", folder.stderr);
        assert!(folder.stderr.contains("everything is of one moment, cluster time 2"), "{}", folder.stderr);
        let bytes = std::fs::read(&path).unwrap();
        let found = archived(&bytes);
        assert_eq!(numbers(&found["d.things"]), (0..10).collect::<Vec<_>>());
        assert_eq!(found["d.system.buckets.series"].len(), 5, "a bucket for each meta value");
        assert_eq!(found["admin.system.users"].len(), 1);
        let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(contains(r#""name":"n""#) && !contains("late"));
    }
}

#[tokio::test]
async fn nothing_is_of_one_moment_too() {
    for version in ABLE {
        let server = Mongod::start(version).await;
        let dumped = dumped(&server.uri(), SnapshotMode::Required).await.unwrap();
        assert!(dumped.report.snapshot.at.is_some() && dumped.contents.is_empty());
    }
}

#[tokio::test]
async fn a_set_without_a_majority_is_dumped_without_a_snapshot_rather_than_as_it_was_before() {
    let set = ReplicaSet::start(Version::V6_0_27).await;
    let client = set.client().await;
    insert(&client.database("d"), "things", 0..10, 10).await;
    set.caught_up().await;
    for member in set.secondaries().await {
        set.pause(member);
    }
    let newest =
        doc! { "insert": "things", "documents": [{ "_id": 10, "n": 10 }], "writeConcern": { "w": 1 } };
    client.database("d").run_command(newest).await.unwrap();
    let primary = format!("{}&socketTimeoutMS=3000", set.direct_uri(set.primary().await));
    let dumped = dumped(&primary, SnapshotMode::Auto).await.unwrap();
    let reason = dumped.report.snapshot.reason.unwrap();
    assert!(reason.contains("did not reach a majority of the members"), "{reason}");
    assert_eq!(numbers(&dumped.contents["d.things"]), (0..11).collect::<Vec<_>>());
}

#[tokio::test]
async fn capped_collections_are_read_apart_and_refused_where_a_snapshot_is_required() {
    let server = Mongod::start(Version::V6_0_27).await;
    let d = server.client().await.database("d");
    insert(&d, "things", 0..10, 10).await;
    d.run_command(doc! { "create": "log", "capped": true, "size": 1 << 20 }).await.unwrap();
    insert(&d, "log", 0..10, 10).await;
    let dumped = dumped(&server.uri(), SnapshotMode::Auto).await.unwrap();
    assert!(dumped.report.snapshot.at.is_some());
    assert_eq!(dumped.report.snapshot.apart, ["d.log"]);
    assert_eq!(numbers(&dumped.contents["d.log"]), (0..10).collect::<Vec<_>>());
    let (said, _) = Dump::start(&server.uri(), &["--db=d"]).succeeds().await;
    assert!(said.contains("d.log; everything else is of one moment"), "{said}");
    Dump::start(&server.uri(), &["--db=d", "--snapshot=required"])
        .fails(&["a snapshot is required", "d.log", "nothing was dumped"])
        .await;
}

#[tokio::test]
async fn servers_without_snapshots_are_dumped_without_and_refused_where_one_is_required() {
    let alone = Options { replica_set: false, ..Options::default() };
    for server in [Mongod::start(Version::V4_4_2).await, Mongod::start_with(Version::V6_0_5, alone).await] {
        insert(&server.client().await.database("d"), "things", 0..10, 10).await;
        let uri = server.uri();
        let (said, found) = Dump::start(&uri, &["--db=d"]).succeeds().await;
        assert!(said.contains("of different moments: the server does not read at one moment"), "{said}");
        assert_eq!(found["d.things"].len(), 10);
        let (said, _) = Dump::start(&uri, &["--db=d", "--snapshot=off"]).succeeds().await;
        assert!(!said.contains("moment"), "{said}");
        Dump::start(&uri, &["--db=d", "--snapshot=required"])
            .fails(&["a snapshot is required, and there is none", "the server does not read at one moment"])
            .await;
    }
}

/// The server has lost the history of the dump's moment when the second reply is wanted.
async fn outlived(snapshot: SnapshotMode) -> (Result<Dumped, Error>, Client, Mongod) {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    fill(&client, 3000).await;
    let keep = doc! { "setParameter": 1, "minSnapshotHistoryWindowInSeconds": 1 };
    client.database("admin").run_command(keep).await.unwrap();
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let gate = Arc::new(Semaphore::new(0));
    proxy.inject(Rule::once("getMore", Fault::Hold(Arc::clone(&gate))).on("things").after(4));
    let uri = proxy.uri();
    let dumping = tokio::spawn(async move { dumped(&uri, snapshot).await });
    proxy.arrived("getMore", 5).await;
    // History goes as time does, in steps of the writes.
    for number in 0..8 {
        insert(&client.database("d"), "things", 3000 + number..3001 + number, 10).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    gate.add_permits(1);
    (dumping.await.unwrap(), client, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_outlives_the_history_begins_once_more_without_a_snapshot() {
    let (dumped, ..) = outlived(SnapshotMode::Auto).await;
    let Dumped { report, mut contents, said } = dumped.unwrap();
    assert_eq!(report.snapshot.at, None);
    let oplog = report.oplog.expect("the oplog is captured instead");
    assert!(oplog.is_fallback && report.snapshot.replayed == Some(oplog.end));
    contents.remove("oplog");
    let reason = report.snapshot.reason.unwrap();
    assert!(reason.contains("minSnapshotHistoryWindowInSeconds"), "{reason}");
    assert!(said.contains("the dump begins once more, and not of one moment"), "{said}");
    assert_eq!(report.documents, 4008);
    assert_is_of_before(&contents, 3008, "all that was there when it began again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_outlives_the_history_fails_where_a_snapshot_is_required() {
    let (dumped, ..) = outlived(SnapshotMode::Required).await;
    let error = dumped.err().expect("no archive").report();
    for word in ["d.things", "raise its parameter minSnapshotHistoryWindowInSeconds", "setParameter"] {
        assert!(error.contains(word), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_changes_before_anything_is_stored_is_read_at_a_newer_moment() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    fill(&client, 3000).await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let at_moment = |command: &RawDocument| {
        command
            .get_document("readConcern")
            .is_ok_and(|concern| concern.get_timestamp("atClusterTime").is_ok())
    };
    let refuse = Fault::RefuseAfter(246, "SnapshotUnavailable");
    proxy.inject(Rule::always("find", refuse).when(move |request| at_moment(request.command)).times(2));
    let dumped = dumped(&proxy.uri(), SnapshotMode::Required).await.unwrap();
    assert!(dumped.said.contains("reading at a newer moment: d.things"), "{}", dumped.said);
    assert!(dumped.report.snapshot.at.is_some());
    assert_is_of_before(&dumped.contents, 3000, "a newer moment");
}

/// A reply of nothing, with this as its time.
fn reply(at: Option<Timestamp>) -> Fault {
    let mut cursor = rawdoc! { "firstBatch": [], "id": 0_i64, "ns": "d.things" };
    if let Some(at) = at {
        cursor.append(mongodb::bson::cstr!("atClusterTime"), at);
    }
    Fault::Answer(rawdoc! { "cursor": cursor, "ok": 1.0 })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_is_believed_that_says_no_time_or_another() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    fill(&client, 3000).await;
    let forged = Some(Timestamp { time: 1_700_000_000, increment: 1 });
    for (told, word) in [(None, "without saying at which it has read"), (forged, "has read at another")] {
        // From the first time it is asked, or from a later cursor on: the one of the second collection.
        for after in [0, 1, 2] {
            let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
            let lies = || {
                Rule::always("find", reply(told))
                    .after(after)
                    .when(|request| request.command.get("readConcern").unwrap().is_some())
            };
            proxy.inject(lies());
            let plain = dumped(&proxy.uri(), SnapshotMode::Auto).await.unwrap();
            assert_eq!(plain.report.snapshot.at, None);
            let reason = plain.report.snapshot.reason.unwrap();
            assert!(reason.contains(word), "{reason}");
            assert_is_of_before(&plain.contents, 3000, word);

            proxy.heal();
            proxy.inject(lies());
            let error =
                dumped(&proxy.uri(), SnapshotMode::Required).await.err().expect("no archive").report();
            assert!(error.contains(word), "{error}");
        }
    }
}
