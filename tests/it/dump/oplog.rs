//! What the oplog in an archive holds, when there is none, and that with it everything is of one moment.

// What mongorestore makes of it.
mod interop;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use archive_format::{Decoder, Event};
use bytes_crate::BytesMut;
use mongodb::Client;
use mongodb::bson::{Document, RawBsonRef, RawDocument, Timestamp, doc, rawdoc};
use tokio::sync::Semaphore;

use super::super::support::mongod::{Mongod, Options, Version};
use super::super::support::proxy::{Fault, Proxy, Request, Rule};
use super::super::support::replica_set::ReplicaSet;
use super::super::support::tools::Finished;
use super::{Dump, bytes_crate, contents, insert};

/// Documents of `d.things`, which come in several replies.
const COUNT: i32 = 3000;

/// A server with `d.things`, and a proxy before it.
struct Stage {
    server: Mongod,
    client: Client,
    proxy: Proxy,
}

impl Stage {
    async fn set(version: Version) -> Self {
        Self::set_with(version, Options::default()).await
    }

    async fn set_with(version: Version, options: Options) -> Self {
        let server = Mongod::start_with(version, options).await;
        let client = server.client().await;
        insert(&client.database("d"), "things", 0..COUNT, 4000).await;
        let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
        Self { server, client, proxy }
    }

    /// Starts a dump that waits in the middle of `d.things`.
    async fn held(&self, arguments: &[&str]) -> Held {
        let gate = Arc::new(Semaphore::new(0));
        self.proxy.inject(Rule::once("getMore", Fault::Hold(Arc::clone(&gate))).on("things"));
        let before = self.proxy.requests("getMore");
        let dump = Dump::start(&self.proxy.uri(), arguments);
        self.proxy.arrived("getMore", before + 1).await;
        Held { dump, gate }
    }

    async fn command(&self, db: &str, command: Document) {
        self.client.database(db).run_command(command).await.expect("done");
    }
}

/// A dump that waits until it may go on.
struct Held {
    dump: Dump,
    gate: Arc<Semaphore>,
}

impl Held {
    fn released(self) -> Dump {
        self.gate.add_permits(1);
        self.dump
    }

    async fn succeeds(self) -> (String, Vec<Document>) {
        let (said, contents) = self.released().succeeds().await;
        (said, captured(&contents))
    }

    async fn fails(self, words: &[&str]) {
        self.released().fails(words).await;
    }
}

/// The entries in an archive, in order.
fn captured(contents: &BTreeMap<String, Vec<Vec<u8>>>) -> Vec<Document> {
    let entries = contents.get("oplog").cloned().unwrap_or_default();
    let entries: Vec<_> =
        entries.iter().map(|bytes| Document::from_reader(bytes.as_slice()).expect("a document")).collect();
    let times: Vec<_> = entries.iter().map(|entry| entry.get_timestamp("ts").expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    entries
}

/// What the entries do, as in `i d.things`; of commands their name, of lists what is in them.
fn done(entries: &[Document]) -> Vec<String> {
    entries.iter().flat_map(one).collect()
}

fn one(entry: &Document) -> Vec<String> {
    let (op, ns) = (entry.get_str("op").expect("op"), entry.get_str("ns").expect("ns"));
    let o = entry.get_document("o").expect("o");
    if op != "c" {
        return vec![format!("{op} {ns}")];
    }
    let (name, value) = o.iter().next().expect("a command");
    match value.as_array() {
        Some(list) if name == "applyOps" => {
            let inside: Vec<_> = list.iter().flat_map(|one_| one(one_.as_document().expect("one"))).collect();
            vec![format!("applyOps[{}]", inside.join(", "))]
        }
        _ => vec![format!("{name} {ns}")],
    }
}

/// Inserts one document in each of two databases, in one transaction.
async fn insert_across(client: &Client, id: i32) {
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    for db in ["d", "e"] {
        let things = client.database(db).collection::<Document>("things");
        things.insert_one(doc! { "_id": id, "n": id }).session(&mut session).await.unwrap();
    }
    session.commit_transaction().await.unwrap();
}

#[tokio::test]
async fn b34_at_rest_it_holds_the_newest_entry_and_w18_not_a_rename_of_before() {
    for version in Version::MATRIX {
        let stage = Stage::set(version).await;
        insert(&stage.client.database("d"), "things", COUNT..=COUNT, 10).await;
        let (said, contents) = Dump::start(&stage.server.uri(), &["--oplog"]).succeeds().await;
        assert!(said.contains("\tdumped 1 oplog entry"), "{said}");
        assert!(
            said.contains("once its oplog is replayed, everything is of one moment, cluster time 2"),
            "{said}"
        );
        assert_eq!(done(&captured(&contents)), ["i d.things"]);

        stage.command("admin", doc! { "renameCollection": "d.things", "to": "d.others" }).await;
        let (said, contents) = Dump::start(&stage.server.uri(), &["--oplog"]).succeeds().await;
        let entries = captured(&contents);
        assert!(done(&entries).iter().all(|done| done.starts_with("n ")), "{:?}", done(&entries));
        assert!(said.contains("oplog entr"), "{said}");
        assert!(contents.contains_key("d.others"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b34_what_is_written_meanwhile_is_in_it_to_the_end_and_b13_it_comes_last() {
    for version in Version::MATRIX {
        let stage = Stage::set(version).await;
        stage.command("e", doc! { "create": "things" }).await;
        let held = stage.held(&["--oplog", "-j=1"]).await;
        insert_across(&stage.client, COUNT).await;
        let things = stage.client.database("d").collection::<Document>("things");
        things.delete_one(doc! { "_id": 1 }).await.unwrap();
        // More than comes in one reply.
        insert(&stage.client.database("d"), "late", 0..5000, 10).await;
        let path = held.dump.path.clone();
        held.gate.add_permits(1);
        let finished = held.dump.running.await.unwrap();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let entries = captured(&contents(&path));
        let done = done(&entries);
        let after: Vec<_> = done.iter().skip_while(|done| !done.starts_with("applyOps")).collect();
        assert_eq!(after[..2], ["applyOps[i d.things, i e.things]", "d d.things"]);
        assert_eq!(done.iter().filter(|done| *done == "i d.late").count(), 5000);
        assert!(
            entries.iter().any(|entry| entry.contains_key("ui") && entry.contains_key("wall")),
            "as they are"
        );
        assert_eq!(order(&path).last().map(String::as_str), Some("oplog"));
    }
}

/// Namespaces in the order in which they end.
fn order(path: &Path) -> Vec<String> {
    let mut decoder = Decoder::new();
    let mut buffer = BytesMut::from(std::fs::read(path).unwrap().as_slice());
    let mut order = Vec::new();
    while let Some(event) = decoder.decode(&mut buffer).unwrap() {
        if let Event::End(end) = event {
            order.push(end.namespace.to_string());
        }
    }
    order
}

/// A transaction that is prepared and can be committed by [`commit`].
async fn prepare(client: &Client, id: i32) -> (mongodb::ClientSession, Timestamp) {
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    for db in ["d", "e"] {
        let things = client.database(db).collection::<Document>("things");
        things.insert_one(doc! { "_id": id, "n": id }).session(&mut session).await.unwrap();
    }
    let prepare = doc! { "prepareTransaction": 1 };
    let reply = client.database("admin").run_command(prepare).session(&mut session).await.unwrap();
    (session, reply.get_timestamp("prepareTimestamp").unwrap())
}

async fn commit(client: &Client, (mut session, prepared): (mongodb::ClientSession, Timestamp)) {
    let commit = doc! { "commitTransaction": 1, "commitTimestamp": prepared };
    let admin = client.database("admin");
    // A majority has to have the preparation first.
    while let Err(error) = admin.run_command(commit.clone()).session(&mut session).await {
        assert!(error.to_string().contains("majority"), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const TEST_COMMANDS: Options =
    Options { auth: false, replica_set: true, arguments: &["--setParameter", "enableTestCommands=1"] };

#[tokio::test(flavor = "multi_thread")]
async fn b34_of_what_is_older_it_holds_the_transactions_that_are_open_and_nothing_else() {
    for version in [Version::V4_4_2, Version::V6_0_27] {
        let stage = Stage::set_with(version, TEST_COMMANDS).await;
        stage.command("e", doc! { "create": "things" }).await;
        let done_before = prepare(&stage.client, -1).await;
        let open = prepare(&stage.client, COUNT).await;
        commit(&stage.client, done_before).await;
        insert(&stage.client.database("f"), "before", 0..3, 10).await;
        stage.command("admin", doc! { "renameCollection": "f.before", "to": "f.renamed" }).await;
        let held = stage.held(&["--oplog"]).await;
        commit(&stage.client, open).await;
        let (_, entries) = held.succeeds().await;
        let done = done(&entries);
        let done: Vec<_> = done.iter().filter(|done| !done.starts_with("n ")).collect();
        assert_eq!(done, ["applyOps[i d.things, i e.things]", "commitTransaction admin.$cmd"]);

        // Cut to the scope it is one transaction still.
        let open = prepare(&stage.client, COUNT + 1).await;
        let held = stage.held(&["--oplog", "--db=d"]).await;
        commit(&stage.client, open).await;
        let (_, entries) = held.succeeds().await;
        assert_eq!(self::done(&entries), ["applyOps[i d.things]", "commitTransaction admin.$cmd"]);
        assert!(entries[0].get_document("o").unwrap().get_bool("prepare").unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b37_of_a_part_of_the_deployment_it_holds_what_concerns_that() {
    let stage = Stage::set(Version::V6_0_27).await;
    for name in ["things", "others"] {
        stage.command("e", doc! { "create": name }).await;
    }
    stage.command("d", doc! { "create": "others" }).await;
    for (scope, expected) in [
        (
            &["--db=d"][..],
            &["applyOps[i d.things]", "i d.others", "create d.$cmd", "i d.things", "drop d.$cmd"][..],
        ),
        (&["--db=d", "-c=things"], &["applyOps[i d.things]", "i d.things"]),
    ] {
        let arguments: Vec<_> = scope.iter().copied().chain(["--oplog"]).collect();
        let held = stage.held(&arguments).await;
        insert_across(&stage.client, COUNT).await;
        insert(&stage.client.database("d"), "others", 0..1, 10).await;
        insert(&stage.client.database("e"), "others", 0..1, 10).await;
        stage.command("d", doc! { "create": "new" }).await;
        insert(&stage.client.database("d"), "things", COUNT + 1..COUNT + 2, 10).await;
        // What is renamed elsewhere ends nothing.
        stage.command("admin", doc! { "renameCollection": "e.others", "to": "e.renamed" }).await;
        stage.command("d", doc! { "drop": "new" }).await;
        let (said, entries) = held.succeeds().await;
        assert_eq!(done(&entries), expected, "{said}");
        for name in ["d.things", "e.things"] {
            let (db, name) = name.split_once('.').unwrap();
            let things = stage.client.database(db).collection::<Document>(name);
            things.delete_many(doc! { "_id": { "$gte": COUNT } }).await.unwrap();
        }
        stage.command("d", doc! { "delete": "others", "deletes": [{ "q": {}, "limit": 0 }] }).await;
        stage.command("admin", doc! { "renameCollection": "e.renamed", "to": "e.others" }).await;
        stage.command("e", doc! { "delete": "others", "deletes": [{ "q": {}, "limit": 0 }] }).await;
        // Not the newest entry before the next dump.
        stage.command("x", doc! { "create": "x" }).await;
        stage.command("x", doc! { "drop": "x" }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b35_what_no_replay_makes_good_ends_the_dump() {
    let stage = Stage::set(Version::V6_0_27).await;
    stage.command("e", doc! { "create": "others" }).await;
    let again = doc! { "setFeatureCompatibilityVersion": "6.0" };
    for (db, command, words) in [
        ("admin", doc! { "renameCollection": "e.others", "to": "e.renamed" }, "while renames occur"),
        ("admin", doc! { "setFeatureCompatibilityVersion": "5.0" }, "admin.system.version is modified"),
        ("config", doc! { "create": "reshardingOperations" }, "cannot dump with oplog while resharding"),
    ] {
        let held = stage.held(&["--oplog"]).await;
        stage.command(db, command).await;
        held.fails(&["cannot dump with oplog", words]).await;
        let noted = stage.client.database("config").collection::<Document>("reshardingOperations");
        noted.drop().await.unwrap();
        stage.command("admin", again.clone()).await;
    }
}

#[tokio::test]
async fn b36_resharding_that_is_under_way_is_refused() {
    let stage = Stage::set(Version::V6_0_27).await;
    for name in
        ["reshardingOperations", "localReshardingOperations.donor", "localReshardingOperations.recipient"]
    {
        stage.command("config", doc! { "create": name }).await;
        let said = "detected resharding in progress. Cannot dump with --oplog while resharding";
        Dump::start(&stage.server.uri(), &["--oplog"]).fails(&[said]).await;
        Dump::start(&stage.server.uri(), &[]).succeeds().await;
        stage.command("config", doc! { "drop": name }).await;
    }
}

#[tokio::test]
async fn b37_a_server_without_an_oplog_is_refused() {
    let alone = Options { replica_set: false, ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_27, alone).await;
    insert(&server.client().await.database("d"), "things", 0..10, 10).await;
    Dump::start(&server.uri(), &["--oplog"]).fails(&["--oplog needs a member of a replica set"]).await;
    let both = ["--oplog", "--snapshot=required"];
    Dump::start(&server.uri(), &both).fails(&["with the oplog there is no snapshot"]).await;
    let some = ["--oplog", "--db=d", "--excludeCollection=things"];
    Dump::start(&server.uri(), &some).fails(&["would bring back", "without --oplog"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b34_entries_that_have_gone_before_or_while_it_is_read_end_the_dump() {
    let stage = Stage::set(Version::V6_0_27).await;
    let is_oldest = |request: &Request<'_>| {
        request.collection() == "oplog.rs"
            && request
                .command
                .get_document("hint")
                .is_ok_and(|hint| hint.get_i32("$natural").is_ok_and(|natural| natural == 1))
    };
    let later = Timestamp { time: u32::MAX / 2, increment: 1 };
    let answer = rawdoc! {
        "cursor": { "firstBatch": [{ "ts": later }], "id": 0_i64, "ns": "local.oplog.rs" }, "ok": 1.0
    };
    for after in 0..3 {
        stage.proxy.heal();
        let gone = Rule::once("find", Fault::Answer(answer.clone())).when(is_oldest).after(after);
        stage.proxy.inject(gone);
        Dump::start(&stage.proxy.uri(), &["--oplog"]).fails(&["oplog overflow", "replSetResizeOplog"]).await;
    }
    stage.proxy.heal();
    stage.proxy.inject(
        Rule::once("find", Fault::RefuseAfter(136, "CappedPositionLost")).when(|request| {
            request.collection() == "oplog.rs" && request.command.get_i64("batchSize").is_ok()
        }),
    );
    Dump::start(&stage.proxy.uri(), &["--oplog"]).fails(&["oplog overflow"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_on_the_oplog_that_is_lost_goes_on_behind_what_was_read() {
    let stage = Stage::set(Version::V6_0_27).await;
    let held = stage.held(&["--oplog", "--db=d"]).await;
    insert(&stage.client.database("d"), "late", 0..9000, 10).await;
    stage.proxy.inject(Rule::once("getMore", Fault::CutReply).on("oplog.rs").after(1));
    let (_, entries) = held.succeeds().await;
    let ids: Vec<_> = entries
        .iter()
        .filter(|entry| one(entry) == ["i d.late"])
        .map(|entry| entry.get_document("o").unwrap().get_i32("_id").unwrap())
        .collect();
    assert_eq!(ids, (0..9000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_collections_meanwhile_is_no_error() {
    let stage = Stage::set(Version::V6_0_27).await;
    let d = stage.client.database("d");
    let unique =
        doc! { "createIndexes": "things", "indexes": [{ "key": { "n": 1 }, "name": "n", "unique": true }] };
    d.run_command(unique).await.unwrap();
    for change in ["drop", "replace", "collMod", "index"] {
        let held = stage.held(&["--oplog"]).await;
        match change {
            "collMod" => {
                stage.command("d", doc! { "collMod": "things", "validationLevel": "moderate" }).await;
            }
            "index" => stage.command("d", doc! { "dropIndexes": "things", "index": "n" }).await,
            _ => stage.command("d", doc! { "drop": "things" }).await,
        }
        if change == "replace" {
            insert(&d, "things", 0..10, 10).await;
        }
        let (_, entries) = held.succeeds().await;
        let expected = match change {
            "drop" | "replace" => "drop d.$cmd",
            "collMod" => "collMod d.$cmd",
            _ => "dropIndexes d.$cmd",
        };
        assert!(done(&entries).iter().any(|done| done == expected), "{change}: {:?}", done(&entries));
        d.run_command(doc! { "drop": "things" }).await.ok();
        insert(&d, "things", 0..COUNT, 4000).await;
        let index = doc! { "key": { "n": 1 }, "name": "n", "unique": true };
        stage.command("d", doc! { "createIndexes": "things", "indexes": [index] }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_is_followed_too_and_a_set_without_a_majority_is_told_of() {
    let set = ReplicaSet::start(Version::V6_0_27).await;
    let client = set.client().await;
    insert(&client.database("d"), "things", 0..COUNT, 4000).await;
    set.caught_up().await;
    let proxy = Proxy::start(set.address(set.secondaries().await[0])).await;
    let gate = Arc::new(Semaphore::new(0));
    proxy.inject(Rule::once("getMore", Fault::Hold(Arc::clone(&gate))).on("things"));
    let dump = Dump::start(&proxy.uri(), &["--oplog", "--db=d"]);
    proxy.arrived("getMore", 1).await;
    insert(&client.database("d"), "late", 0..10, 10).await;
    set.caught_up().await;
    gate.add_permits(1);
    let (_, contents) = dump.succeeds().await;
    assert_eq!(done(&captured(&contents)).iter().filter(|done| *done == "i d.late").count(), 10);

    for member in set.secondaries().await {
        set.pause(member);
    }
    let newest =
        doc! { "insert": "things", "documents": [{ "_id": -1, "n": -1 }], "writeConcern": { "w": 1 } };
    client.database("d").run_command(newest).await.unwrap();
    let primary = format!("{}&socketTimeoutMS=3000", set.direct_uri(set.primary().await));
    let (said, contents) = Dump::start(&primary, &["--oplog", "--db=d"]).succeeds().await;
    assert!(said.contains("not yet on a majority of the members"), "{said}");
    assert_eq!(done(&captured(&contents)), ["i d.things"]);
}

/// Makes the dump's snapshot too old once it has read some of `d.things`, and holds it there when it has begun again.
async fn outlived(stage: &Stage) -> Held {
    let is_of_one_moment = |request: &Request<'_>| {
        let moment =
            |opened: &RawDocument| matches!(opened.get("readConcern"), Ok(Some(RawBsonRef::Document(_))));
        request.collection() == "things" && request.opened_by.is_some_and(moment)
    };
    stage.proxy.inject(
        Rule::once("getMore", Fault::RefuseAfter(239, "SnapshotTooOld")).when(is_of_one_moment).after(6),
    );
    let before = stage.proxy.requests("getMore");
    let gate = Arc::new(Semaphore::new(0));
    let is_plain =
        move |request: &Request<'_>| request.collection() == "things" && !is_of_one_moment(request);
    stage.proxy.inject(Rule::once("getMore", Fault::Hold(Arc::clone(&gate))).when(is_plain));
    let dump = Dump::start(&stage.proxy.uri(), &["--db=d"]);
    stage.proxy.arrived("getMore", before + 8).await;
    Held { dump, gate }
}

fn replays_unasked(finished: &Finished, path: &Path) -> bool {
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let mut buffer = BytesMut::from(std::fs::read(path).unwrap().as_slice());
    match Decoder::new().decode(&mut buffer).unwrap() {
        Some(Event::Prelude(prelude)) => prelude.replay_oplog,
        other => panic!("no prelude: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_outlives_its_snapshot_captures_the_oplog_and_the_archive_wants_it_replayed() {
    let stage = Stage::set(Version::V6_0_27).await;
    let held = outlived(&stage).await;
    insert(&stage.client.database("d"), "things", COUNT..COUNT + 10, 10).await;
    insert(&stage.client.database("e"), "things", 0..10, 10).await;
    let path = held.dump.path.clone();
    held.gate.add_permits(1);
    let finished = held.dump.running.await.unwrap();
    assert!(replays_unasked(&finished, &path));
    for word in ["begins once more", "once its oplog is replayed, everything is of one moment", "dumped 1"] {
        assert!(finished.stderr.contains(word), "{word}: {}", finished.stderr);
    }
    let done = done(&captured(&contents(&path)));
    // The newest of before, and the ten.
    assert_eq!(done.iter().filter(|done| *done == "i d.things").count(), 11);
    assert!(!done.iter().any(|done| done.contains("e.things")), "{done:?}");
    // One that was asked for is replayed when that is asked for.
    stage.proxy.heal();
    let dump = Dump::start(&stage.server.uri(), &["--oplog"]);
    let finished = dump.running.await.unwrap();
    assert!(!replays_unasked(&finished, &dump.path));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_oplog_cannot_make_it_good_the_dump_is_what_it_was_without() {
    let stage = Stage::set(Version::V6_0_27).await;
    let held = outlived(&stage).await;
    stage.command("d", doc! { "create": "new" }).await;
    stage.command("admin", doc! { "renameCollection": "d.new", "to": "d.newer" }).await;
    let path = held.dump.path.clone();
    held.gate.add_permits(1);
    let finished = held.dump.running.await.unwrap();
    assert!(!replays_unasked(&finished, &path));
    for word in ["begins once more, and without the oplog", "while renames occur"] {
        assert!(finished.stderr.contains(word), "{word}: {}", finished.stderr);
    }
    assert!(!contents(&path).contains_key("oplog"));
}
