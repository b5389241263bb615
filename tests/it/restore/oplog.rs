//! Archives with an oplog, replayed.

mod commands;
mod generated;
mod refused;

use std::io::Read;

use mongoark::restore::{DocumentValidation, OplogLimit, OplogReplay, RestoreOptions};
use mongoark::{ErrorKind, Scope};
use mongodb::Client;
use mongodb::bson::{DateTime, Document, RawDocumentBuf, Timestamp, doc, rawdoc};

use super::super::support::fingerprint::{assert_same, fingerprint, load};
use super::super::support::mongoark::{archive as place, mongoark, mongoark_with};
use super::super::support::mongod::{Mongod, Version};
use super::super::support::testdata;
use super::made::Made;
use super::{count, documents, heard, restored};

const REPLAYED: OplogReplay = OplogReplay::Replayed { limit: None };

fn replay() -> RestoreOptions {
    RestoreOptions { oplog: REPLAYED, drop: true, ..RestoreOptions::default() }
}

/// An oplog being made; every entry is a second after the one before it.
#[derive(Debug, Default)]
struct Oplog(Vec<RawDocumentBuf>);

impl Oplog {
    fn with(mut self, entry: Document) -> Self {
        let seconds = 100 + u32::try_from(self.0.len()).unwrap();
        let mut whole = entry;
        whole.insert("ts", Timestamp { time: seconds, increment: 1 });
        whole.insert("t", 1_i64);
        whole.insert("v", 2_i64);
        whole.insert("wall", DateTime::from_millis(0));
        self.0.push(RawDocumentBuf::try_from(&whole).unwrap());
        self
    }

    fn insert(self, namespace: &str, object: Document) -> Self {
        let id = object.get("_id").cloned();
        self.with(doc! { "op": "i", "ns": namespace, "o": object, "o2": { "_id": id } })
    }

    fn update(self, namespace: &str, id: i32, object: Document) -> Self {
        self.with(doc! { "op": "u", "ns": namespace, "o": object, "o2": { "_id": id } })
    }

    fn delete(self, namespace: &str, id: i32) -> Self {
        self.with(doc! { "op": "d", "ns": namespace, "o": { "_id": id } })
    }

    fn command(self, db: &str, object: Document) -> Self {
        self.with(doc! { "op": "c", "ns": format!("{db}.$cmd"), "o": object })
    }

    fn transaction(self, session: i32, object: Document) -> Self {
        self.with(doc! {
            "op": "c", "ns": "admin.$cmd", "o": object, "lsid": { "id": session }, "txnNumber": 1_i64,
            "prevOpTime": { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 },
        })
    }
}

fn inner(namespace: &str, id: i32) -> Document {
    doc! { "op": "i", "ns": namespace, "o": { "_id": id, "by": "transaction" }, "o2": { "_id": id } }
}

fn with_oplog(made: Made, oplog: Oplog) -> bytes::Bytes {
    made.with_bytes("", "oplog", "", oplog.0.into_iter().map(RawDocumentBuf::into_bytes)).bytes()
}

fn collection(version: &str) -> Made {
    Made::of(version).with("d", "c", (0..5).map(|id| rawdoc! { "_id": id, "a": 0 }))
}

async fn found(client: &Client, db: &str, name: &str) -> Vec<Document> {
    let mut all: Vec<Document> = documents(client, db, name)
        .await
        .into_iter()
        .map(|bytes| Document::try_from(RawDocumentBuf::from_bytes(bytes).unwrap().as_ref()).unwrap())
        .collect();
    all.sort_by_key(|document| document.get_i32("_id").unwrap_or(-1));
    all
}

async fn changes_of_documents(version: Version) {
    let server = Mongod::start(version).await;
    let client = server.client().await;
    let mut oplog = Oplog::default()
        .with(doc! { "op": "n", "ns": "", "o": { "msg": "periodic noop" } })
        .insert("d.c", doc! { "_id": 5, "a": 5 })
        .insert("d.c", doc! { "_id": 1, "inserted": "again" })
        .update("d.c", 2, doc! { "$v": 1, "$set": { "a": 2, "b": 1 } })
        .update("d.c", 2, doc! { "$v": 1, "$unset": { "b": true } })
        .update("d.c", 3, doc! { "_id": 3, "replaced": true })
        .delete("d.c", 4)
        .delete("d.c", 40)
        .insert("config.system.sessions", doc! { "_id": 1 })
        .with(doc! { "op": "km", "ns": "d.c", "o": {} })
        .insert("d.c", doc! { "_id": 6, "zero": Timestamp { time: 0, increment: 0 }, "$odd": 1, "a.b": 2 });
    if version == Version::V4_4_2 {
        oplog = oplog.update("d.c", 5, doc! { "$set": { "a": 50, "new": [1] } });
    } else {
        oplog = oplog.update("d.c", 5, doc! { "$v": 2, "diff": { "u": { "a": 50 }, "i": { "new": [1] } } });
    }
    let archive = with_oplog(collection(version.name()), oplog);
    let (report, listener) = heard(&server.uri(), &archive, &replay()).await;
    assert_eq!(report.unwrap().documents, 5);
    assert_eq!(*listener.notes.lock().unwrap(), ["replaying oplog", "applied 9 oplog entries"]);
    let zero = Timestamp { time: 0, increment: 0 };
    assert_eq!(
        found(&client, "d", "c").await,
        [
            doc! { "_id": 0, "a": 0 },
            doc! { "_id": 1, "inserted": "again" },
            doc! { "_id": 2, "a": 2 },
            doc! { "_id": 3, "replaced": true },
            doc! { "_id": 5, "a": 50, "new": [1] },
            doc! { "_id": 6, "zero": zero, "$odd": 1, "a.b": 2 },
        ]
    );
}

#[tokio::test]
async fn b73_documents_are_inserted_updated_and_deleted_on_4_4() {
    changes_of_documents(Version::V4_4_2).await;
}

#[tokio::test]
async fn b73_documents_are_inserted_updated_and_deleted_on_6_0() {
    changes_of_documents(Version::V6_0_27).await;
}

#[tokio::test]
async fn b73_transactions_wait_for_their_commit_and_vectored_inserts_do_not() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let vectored = |ids: [i32; 2]| {
        let operations: Vec<Document> = ids.iter().map(|id| inner("d.c", *id)).collect();
        doc! {
            "op": "c", "ns": "admin.$cmd", "o": { "applyOps": operations }, "lsid": { "id": 9 }, "txnNumber": 3_i64,
            "multiOpType": 1, "prevOpTime": { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 },
        }
    };
    let oplog = Oplog::default()
        // Large: in several entries, of which the last commits.
        .transaction(1, doc! { "applyOps": [inner("d.c", 10), inner("config.transactions", 1)], "partialTxn": true })
        // Prepared, and later committed.
        .transaction(2, doc! { "applyOps": [inner("d.c", 20), { "op": "u", "ns": "d.c", "o": { "$set": { "a": 1 } }, "o2": { "_id": 0 } }], "prepare": true })
        // Prepared, and later aborted.
        .transaction(3, doc! { "applyOps": [inner("d.c", 30)], "prepare": true })
        .update("d.c", 0, doc! { "$set": { "a": 7 } })
        // In one entry.
        .transaction(4, doc! { "applyOps": [inner("d.c", 40), { "op": "d", "ns": "d.c", "o": { "_id": 1 } }] })
        .transaction(3, doc! { "abortTransaction": 1 })
        .transaction(1, doc! { "applyOps": [inner("d.c", 11)], "count": 2_i64 })
        .transaction(2, doc! { "commitTransaction": 1, "prepared": true })
        // Its commit is not in the archive.
        .transaction(5, doc! { "applyOps": [inner("d.c", 50)], "prepare": true })
        // Its beginning is not, which was before the dump.
        .transaction(6, doc! { "commitTransaction": 1 })
        .with(vectored([60, 61]))
        .with(vectored([62, 63]))
        .command("admin", doc! { "applyOps": [inner("d.c", 70), { "op": "c", "ns": "d.$cmd", "o": { "create": "made" } }, inner("d.made", 1)] });
    let (report, listener) = heard(&server.uri(), &with_oplog(collection("6.0.27"), oplog), &replay()).await;
    report.unwrap();
    let ids: Vec<i32> =
        found(&client, "d", "c").await.iter().map(|document| document.get_i32("_id").unwrap()).collect();
    assert_eq!(ids, [0, 2, 3, 4, 10, 11, 20, 40, 60, 61, 62, 63, 70]);
    // What was committed last came last.
    assert_eq!(found(&client, "d", "c").await[0], doc! { "_id": 0, "a": 1 });
    assert_eq!(count(&client, "d", "made").await, 1);
    assert!(listener.notes.lock().unwrap().contains(&"applied 17 oplog entries".to_owned()));
}

#[tokio::test]
async fn b74_the_limit_is_exclusive_and_the_rest_of_the_archive_is_read_and_proven() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let oplog = || {
        let noop = Oplog::default()
            .insert("d.c", doc! { "_id": 10 })
            .insert("d.c", doc! { "_id": 11 })
            .with(doc! { "op": "n", "ns": "", "o": { "msg": "x" } });
        (12..3000).fold(noop, |oplog, id| oplog.insert("d.c", doc! { "_id": id }))
    };
    let archive = with_oplog(collection("6.0.27"), oplog());
    for (limit, last) in [((101, 1), 10), ((101, 2), 11), ((102, 1), 11), ((103, 1), 11), ((103, 2), 12)] {
        let limit = Some(OplogLimit { seconds: limit.0, increment: limit.1 });
        let options = RestoreOptions { oplog: OplogReplay::Replayed { limit }, ..replay() };
        restored(&server.uri(), &archive, &options).await.unwrap();
        let ids = found(&client, "d", "c").await;
        assert_eq!(ids.last().unwrap().get_i32("_id").unwrap(), last, "{limit:?}");
    }
    // A flipped bit behind the limit is found.
    let mut damaged = archive.to_vec();
    let behind = damaged.len() - 200;
    damaged[behind] ^= 1;
    let limit = Some(OplogLimit { seconds: 101, increment: 1 });
    let options = RestoreOptions { oplog: OplogReplay::Replayed { limit }, ..replay() };
    assert_eq!(
        restored(&server.uri(), &damaged.into(), &options).await.unwrap_err().kind(),
        ErrorKind::Archive
    );

    let (_folder, path) = place("a");
    std::fs::write(&path, &archive).unwrap();
    let uri = format!("--uri={}", server.uri());
    let arguments = [
        format!("--archive={}", path.display()),
        "--drop".into(),
        "--oplogReplay".into(),
        "--oplogLimit=101:2".into(),
    ];
    // w03: mongorestore exits 1 where two entries remain.
    let finished = mongoark(["restore".to_owned(), uri].into_iter().chain(arguments)).await.success();
    assert!(finished.stderr.contains("applied 2 oplog entries"), "{}", finished.stderr);
    assert_eq!(count(&client, "d", "c").await, 7);
}

#[tokio::test]
async fn b73_an_archive_of_a_busy_server_is_what_that_server_held() {
    let server = Mongod::start(Version::V6_0_27).await;
    let archive = testdata("archives/100.18.0/busy-oplog-6.0.27.archive.gz");
    let uri = format!("--uri={}", server.uri());
    mongoark(["restore", &uri, &format!("--archive={}", archive.display()), "--drop", "--oplogReplay"])
        .await
        .success();
    let expected = load(testdata("archives/100.18.0/busy-oplog-6.0.27.fingerprint.json"));
    assert_same(&expected, &fingerprint(&server.client().await).await);
}

#[tokio::test]
async fn b49_an_oplog_is_left_out_unless_it_is_asked_for() {
    let server = Mongod::start(Version::V6_0_27).await;
    let archive = with_oplog(collection("6.0.27"), Oplog::default().insert("d.c", doc! { "_id": 10 }));
    let (report, listener) = heard(&server.uri(), &archive, &RestoreOptions::default()).await;
    report.unwrap();
    listener.was_warned_once("restored without its oplog");
    assert_eq!(count(&server.client().await, "d", "c").await, 5);
}

/// As the archives of our own dumps that are of one moment only with their oplog.
#[tokio::test]
async fn an_oplog_that_the_archive_needs_is_replayed_unasked_as_far_as_it_is_of_the_scope() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let archive = || {
        let oplog = Oplog::default()
            .insert("d.c", doc! { "_id": 10 })
            .insert("d.other", doc! { "_id": 10 })
            .transaction(1, doc! { "applyOps": [inner("d.c", 11), inner("e.c", 11)] });
        let made = collection("6.0.27").with("d", "other", [rawdoc! { "_id": 1 }]).with(
            "e",
            "c",
            [rawdoc! { "_id": 1 }],
        );
        with_oplog(made.wanting_its_oplog(), oplog)
    };
    for (scope, counts) in [
        (Scope::Everything, [7, 2, 2]),
        (Scope::database("d").unwrap(), [7, 2, 0]),
        (Scope::collection("d", "c").unwrap(), [7, 0, 0]),
    ] {
        for db in ["d", "e"] {
            client.database(db).drop().await.unwrap();
        }
        let options = RestoreOptions { scope: scope.clone(), ..RestoreOptions::default() };
        restored(&server.uri(), &archive(), &options).await.unwrap();
        let found = [
            count(&client, "d", "c").await,
            count(&client, "d", "other").await,
            count(&client, "e", "c").await,
        ];
        assert_eq!(found, counts, "{scope}");
    }
    let options = RestoreOptions { swap: true, ..RestoreOptions::default() };
    let (report, listener) = heard(&server.uri(), &archive(), &options).await;
    report.unwrap();
    listener.was_warned_once("restored without its oplog");
}

#[tokio::test]
async fn an_oplog_without_entries_is_replayed() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let index = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1"}]}"#;
    let made = Made::of("6.0.27").with_metadata("d", "c", index, [rawdoc! { "_id": 1 }]);
    let (report, listener) = heard(&server.uri(), &with_oplog(made, Oplog::default()), &replay()).await;
    report.unwrap();
    assert!(listener.notes.lock().unwrap().contains(&"applied 0 oplog entries".to_owned()));
    assert_eq!(
        client.database("d").collection::<Document>("c").list_index_names().await.unwrap(),
        ["_id_", "n_1"]
    );
}

/// Values that swap their documents are in the way of a unique index, if there is one meanwhile.
#[tokio::test]
async fn w43_a_unique_index_is_built_when_the_oplog_has_been_replayed() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let index = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1","unique":true}]}"#;
    // The dump has read one document before, and one after they swapped.
    let made = Made::of("6.0.27").with_metadata(
        "d",
        "c",
        index,
        [rawdoc! { "_id": 1, "n": 1 }, rawdoc! { "_id": 2, "n": 1 }],
    );
    let oplog = Oplog::default()
        .update("d.c", 1, doc! { "_id": 1, "n": 3 })
        .update("d.c", 2, doc! { "_id": 2, "n": 1 })
        .update("d.c", 1, doc! { "_id": 1, "n": 2 });
    restored(&server.uri(), &with_oplog(made, oplog), &replay()).await.unwrap();
    assert_eq!(found(&client, "d", "c").await, [doc! { "_id": 1, "n": 2 }, doc! { "_id": 2, "n": 1 }]);
    assert_eq!(
        client.database("d").collection::<Document>("c").list_index_names().await.unwrap(),
        ["_id_", "n_1"]
    );
}

#[tokio::test]
async fn w43_validators_are_asked_unless_they_are_to_be_bypassed() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let archive = || {
        let oplog = Oplog::default()
            .command("d", doc! { "create": "strict", "validator": { "a": { "$gt": 0 } } })
            .insert("d.strict", doc! { "_id": 1, "a": 1 })
            .insert("d.strict", doc! { "_id": 2, "a": -1 })
            .insert("d.strict", doc! { "_id": 3, "a": 3 });
        with_oplog(collection("6.0.27"), oplog)
    };
    let error = restored(&server.uri(), &archive(), &replay()).await.unwrap_err();
    let said = error.report();
    assert!(said.contains("102:1") && said.contains("d.strict") && said.contains("was refused"), "{said}");
    client.database("d").drop().await.unwrap();
    let options = RestoreOptions { validation: DocumentValidation::Bypassed, ..replay() };
    restored(&server.uri(), &archive(), &options).await.unwrap();
    assert_eq!(count(&client, "d", "strict").await, 3);
}

#[tokio::test]
async fn entries_on_users_are_applied_when_those_of_the_archive_are_there() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let user = |name: &str| {
        let id = format!("d.{name}");
        rawdoc! { "_id": id, "user": name, "db": "d", "credentials": {}, "roles": [] }
    };
    let schema = rawdoc! { "_id": "authSchema", "currentVersion": 5 };
    let made = Made::of("6.0.27")
        .with("admin", "system.users", [user("ann"), user("bob")])
        .with("admin", "system.version", [schema])
        .with("d", "c", [rawdoc! { "_id": 1 }]);
    let entry = |name: &str| Document::try_from(user(name).as_ref()).unwrap();
    let oplog = Oplog::default()
        .insert("admin.system.users", entry("cid"))
        .with(doc! { "op": "d", "ns": "admin.system.users", "o": { "_id": "d.bob" } })
        .with(doc! { "op": "u", "ns": "admin.system.version", "o": { "_id": "authSchema", "currentVersion": 9 }, "o2": { "_id": "authSchema" } });
    let (report, listener) = heard(&server.uri(), &with_oplog(made, oplog), &replay()).await;
    report.unwrap();
    listener.was_warned_once("admin.system.version is left out");
    let users = client.database("admin").collection::<Document>("system.users");
    assert_eq!(users.distinct("_id", doc! {}).await.unwrap(), ["d.ann".into(), "d.cid".into()]);
    let version = client.database("admin").collection::<Document>("system.version");
    let schema = version.find_one(doc! { "_id": "authSchema" }).await.unwrap();
    assert!(schema.is_none_or(|schema| schema.get_i32("currentVersion").is_ok_and(|version| version == 5)));
}

#[tokio::test]
async fn a_dry_run_lists_the_replay_and_applies_nothing() {
    let server = Mongod::start(Version::V6_0_27).await;
    let archive = with_oplog(collection("6.0.27"), Oplog::default().insert("d.c", doc! { "_id": 10 }));
    let options = RestoreOptions { dry_run: true, ..replay() };
    let report = restored(&server.uri(), &archive, &options).await.unwrap();
    let actions: Vec<String> = report.actions.iter().map(ToString::to_string).collect();
    assert_eq!(actions, ["d.c: create", "d.c: insert 5 documents", "oplog: replay up to 1 entries"]);
    assert_eq!(count(&server.client().await, "d", "c").await, 0);
}

#[tokio::test]
async fn an_archive_on_standard_input_is_replayed() {
    let server = Mongod::start(Version::V4_4_2).await;
    let mut plain = Vec::new();
    let archive = with_oplog(collection("4.4.2"), Oplog::default().insert("d.c", doc! { "_id": 10 }));
    archive.as_ref().read_to_end(&mut plain).unwrap();
    let uri = format!("--uri={}", server.uri());
    let finished = mongoark_with(["restore", &uri, "--archive", "--oplogReplay"], &plain).await.success();
    assert!(finished.stderr.contains("applied 1 oplog entries"), "{}", finished.stderr);
    assert_eq!(count(&server.client().await, "d", "c").await, 6);
}
