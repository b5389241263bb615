//! `swap`: everything hidden until all of it is there, then everything at once; whatever fails before leaves the databases as
//! they were.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mongoark::restore::RestoreOptions;
use mongoark::{ErrorKind, Scope};
use mongodb::bson::{Document, RawDocumentBuf, doc, rawdoc};
use mongodb::{Client, Database};

use super::super::support::fingerprint::{Fingerprint, assert_same, fingerprint_of};
use super::super::support::mongoark::{archive as place, mongoark, start};
use super::super::support::mongod::{Mongod, Options, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::super::support::replica_set::ReplicaSet;
use super::made::Made;
use super::{count, heard, restored, with_drop};

fn with_swap() -> RestoreOptions {
    RestoreOptions { swap: true, ..RestoreOptions::default() }
}

const INDEX: &str = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1"}]}"#;

fn numbers(documents: i32) -> impl Iterator<Item = RawDocumentBuf> {
    (0..documents).map(|id| rawdoc! { "_id": id, "n": id, "of": "the archive" })
}

/// The longest name that a collection of this database may have.
fn longest(db: &str) -> String {
    "l".repeat(255 - db.len() - 1)
}

/// One of every kind that can be renamed; a name that was a view and is a collection, and the other way round.
fn archive(db: &str) -> Bytes {
    Made::of("6.0.5")
        .with_metadata(db, "orders", INDEX, numbers(1500))
        .with_metadata(db, "people", INDEX, numbers(20))
        .with(db, "empty", [])
        .with(db, &longest(db), numbers(3))
        .with_options(db, "capped", r#"{"capped":true,"size":{"$numberInt":"65536"}}"#, numbers(30))
        .with(db, "was-view", numbers(7))
        .with_options(
            db,
            "is-view",
            r#"{"viewOn":"orders","pipeline":[{"$match":{"n":{"$lt":{"$numberInt":"5"}}}}]}"#,
            [],
        )
        .with_options(db, "was-collection", r#"{"viewOn":"is-view","pipeline":[]}"#, [])
        .bytes()
}

/// What is there before.
async fn fill(client: &Client, db: &str) -> Database {
    let db = client.database(db);
    db.drop().await.unwrap();
    for name in ["orders", "was-collection", "stays", &longest(db.name())] {
        let before = (0..50).map(|id| doc! { "_id": format!("before {id}") });
        db.collection::<Document>(name).insert_many(before).await.unwrap();
    }
    db.run_command(doc! { "create": "was-view", "viewOn": "stays" }).await.unwrap();
    db.run_command(doc! { "create": "is-view", "viewOn": "stays" }).await.unwrap();
    db
}

async fn names(db: &Database) -> Vec<String> {
    let mut names = db.list_collection_names().await.unwrap();
    names.sort_unstable();
    names
}

/// Asserts that what has this name is not of a restore.
#[track_caller]
fn nothing_hidden(names: &[String]) {
    let left: Vec<_> =
        names.iter().filter(|name| name.contains("mongoark") || name.ends_with(".rename")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Asserts that the database is as after the restore of [`archive`] over [`fill`].
async fn is_after(client: &Client, db: &Database, case: &str) {
    nothing_hidden(&names(db).await);
    for (name, expected) in [
        ("orders", 1500),
        ("people", 20),
        ("empty", 0),
        ("capped", 30),
        ("was-view", 7),
        ("is-view", 5),
        ("was-collection", 5),
        ("stays", 50),
        (&longest(db.name()), 3),
    ] {
        assert_eq!(count(client, db.name(), name).await, expected, "{case}: {name:.20}");
    }
    for name in ["orders", "people"] {
        let indexes = db.collection::<Document>(name).list_index_names().await.unwrap();
        assert_eq!(indexes, ["_id_", "n_1"], "{case}");
    }
}

#[tokio::test]
async fn everything_takes_its_name_and_nothing_is_left() {
    for version in [Version::V4_4_2, Version::V5_0_4, Version::V6_0_5, Version::V6_0_27] {
        let server = Mongod::shared(version).await;
        let client = server.client().await;
        let db = fill(&client, "swapped").await;
        let report = restored(&server.uri(), &archive("swapped"), &with_swap()).await.unwrap();
        assert_eq!((report.collections, report.documents, report.failures), (8, 1560, 0));
        is_after(&client, &db, version.name()).await;
        let swapped = fingerprint_of(&db).await;

        // The same as with `drop`, and again over itself.
        db.collection::<Document>("orders").insert_one(doc! {}).await.unwrap();
        restored(&server.uri(), &archive("swapped"), &with_drop()).await.unwrap();
        assert_same(&fingerprint_of(&db).await, &swapped);
        restored(&server.uri(), &archive("swapped"), &with_swap()).await.unwrap();
        assert_same(&fingerprint_of(&db).await, &swapped);
    }
}

#[tokio::test]
async fn a_standalone_server_switches_too() {
    let options = Options { replica_set: false, ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_5, options).await;
    let client = server.client().await;
    let db = fill(&client, "alone").await;
    restored(&server.uri(), &archive("alone"), &with_swap()).await.unwrap();
    is_after(&client, &db, "standalone").await;
}

#[tokio::test]
async fn nobody_reads_a_state_between() {
    const COLLECTIONS: i32 = 40;
    for version in [Version::V4_4_2, Version::V6_0_27] {
        let server = Mongod::shared(version).await;
        let client = server.client().await;
        let made = |of: &str| {
            (0..COLLECTIONS).fold(Made::of("6.0.5"), |made, number| {
                let db = if number % 2 == 0 { "between-one" } else { "between-two" };
                made.with(db, &format!("c{number}"), [rawdoc! { "_id": 1, "of": of }])
            })
        };
        restored(&server.uri(), &made("old").bytes(), &with_drop()).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let readers = (0..4).map(|reader| {
            let (client, stop) = (client.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut new = 0_u32;
                let of = async |number: i32| {
                    let db = if number % 2 == 0 { "between-one" } else { "between-two" };
                    let found = client.database(db).collection::<Document>(&format!("c{number}"));
                    let found = found.find_one(doc! {}).await.expect("read").expect("there at any time");
                    found.get_str("of").expect("of").to_owned()
                };
                while new < 20 && !(stop.load(Ordering::Relaxed) && new == 0) {
                    for step in 1..COLLECTIONS {
                        let one = of((reader * 7 + step) % COLLECTIONS).await;
                        let other = of((reader * 7 + step * 3) % COLLECTIONS).await;
                        assert!(
                            one != "new" || other == "new",
                            "one was new and another, read later, was not"
                        );
                        new += u32::from(one == "new");
                    }
                }
                new
            })
        });
        let readers: Vec<_> = readers.collect();
        restored(&server.uri(), &made("new").bytes(), &with_swap()).await.unwrap();
        for reader in readers {
            assert!(reader.await.unwrap() > 0, "the new state was seen");
        }
        stop.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn what_cannot_be_renamed_is_named_before_anything_is_touched() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    client
        .database("shop")
        .collection::<Document>("orders")
        .insert_one(doc! { "_id": "before" })
        .await
        .unwrap();
    let one = || [rawdoc! { "_id": 1 }];
    let archive = Made::of("6.0.5")
        .with("shop", "orders", one())
        .with_metadata("shop", "series", r#"{"options":{"timeseries":{"timeField":"at"}},"indexes":[]}"#, [])
        .with("shop", "system.js", one())
        .with("admin", "mine", one())
        .with("shop", &"x".repeat(251), one())
        .bytes();
    let error = restored(&server.uri(), &archive, &with_swap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    for part in [
        "shop.series (a time series)",
        "shop.system.js",
        "admin.mine",
        "longer than 255",
        "nothing was touched",
    ] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    assert_eq!(client.database("shop").list_collection_names().await.unwrap(), ["orders"]);
    assert_eq!(count(&client, "shop", "orders").await, 1);

    // A collection over a time series, and what is merged afterwards, are no reason.
    client
        .database("shop")
        .run_command(doc! { "create": "people", "timeseries": { "timeField": "at" } })
        .await
        .unwrap();
    let archive = Made::of("6.0.5")
        .with("admin", "system.version", [rawdoc! { "_id": "authSchema", "currentVersion": 5 }])
        .with("shop", "people", one())
        .bytes();
    let report = restored(&server.uri(), &archive, &with_swap()).await.unwrap();
    assert_eq!((report.documents, report.versions), (1, 1));
    let mut found = client.database("shop").list_collection_names().await.unwrap();
    found.retain(|name| name != "system.views");
    found.sort_unstable();
    assert_eq!(found, ["orders", "people"]);
}

/// A swap through a proxy that does this: the database before, after, and what the restore said.
async fn broken(server: &Mongod, db: &str, rule: Rule) -> (Fingerprint, Database, mongoark::Result<()>) {
    let client = server.client().await;
    let database = fill(&client, db).await;
    let before = fingerprint_of(&database).await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    proxy.inject(rule);
    let result = restored(&proxy.uri(), &archive(db), &with_swap()).await;
    (before, database, result.map(drop))
}

#[tokio::test]
async fn one_fault_in_any_command_is_survived() {
    for version in [Version::V4_4_2, Version::V6_0_5] {
        let server = Mongod::shared(version).await;
        for command in ["listCollections", "insert", "update", "create", "createIndexes", "count", "applyOps"]
        {
            for fault in [Fault::CutRequest, Fault::CutReply, Fault::RefuseAfter(11602, "Interrupted")] {
                let case = format!("{} {command} {fault:?}", version.name());
                let (_, db, result) = broken(server, "swap-once", Rule::once(command, fault)).await;
                result.unwrap_or_else(|error| panic!("{case}: {}", error.report()));
                is_after(&server.client().await, &db, &case).await;
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_of_any_command_before_the_switch_leaves_the_database_as_it_was() {
    for version in [Version::V4_4_2, Version::V6_0_5] {
        let server = Mongod::shared(version).await;
        for (command, passes) in [
            ("listCollections", 0),
            ("listCollections", 1),
            ("insert", 0),
            ("insert", 2),
            ("create", 0),
            ("create", 5),
            ("createIndexes", 0),
            ("createIndexes", 1),
            ("count", 1),
            ("update", 0),
        ] {
            let case = format!("{} {command} {passes}", version.name());
            let rule = Rule::once(command, Fault::RefuseAfter(1, "InternalError")).after(passes);
            let (before, db, result) = broken(server, "swap-refused", rule).await;
            let error = result.expect_err(&case);
            assert_eq!(error.kind(), ErrorKind::Server, "{case}: {}", error.report());
            let after = fingerprint_of(&db).await;
            // An answer that was lost after it took effect is the one that decides the switch: the next restore goes on.
            if command == "update" {
                restored(&server.uri(), &archive(db.name()), &with_swap()).await.unwrap();
                is_after(&server.client().await, &db, &case).await;
                continue;
            }
            assert_same(&before, &after);
            nothing_hidden(&names(&db).await);
        }
    }
}

#[tokio::test]
async fn a_count_that_differs_and_documents_that_are_refused_change_nothing() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let fewer = Fault::Answer(rawdoc! { "ok": 1.0, "n": 1499 });
    let (before, db, result) = broken(server, "swap-counts", Rule::always("count", fewer).times(2)).await;
    let error = result.unwrap_err();
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    assert_same(&before, &fingerprint_of(&db).await);
    nothing_hidden(&names(&db).await);

    let validated = r#"{"validator":{"n":{"$gt":{"$numberInt":"5"}}}}"#;
    let archive = Made::of("6.0.5").with_options("swap-counts", "orders", validated, numbers(10)).bytes();
    let error = restored(&server.uri(), &archive, &with_swap()).await.unwrap_err();
    assert!(error.to_string().contains("refused 6 of its documents"), "{error}");
    assert_same(&before, &fingerprint_of(&db).await);
    nothing_hidden(&names(&db).await);
}

#[tokio::test]
async fn a_damaged_archive_or_an_index_that_cannot_be_built_changes_nothing() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = fill(&client, "swap-damaged").await;
    let before = fingerprint_of(&db).await;
    let whole = archive("swap-damaged");
    let mut flipped = whole.to_vec();
    let place = whole.len() / 2;
    flipped[place] ^= 1;
    let unique = r#"{"options":{},"indexes":[{"v":2,"key":{"of":1},"name":"of_1","unique":true}]}"#;
    let unbuilt = Made::of("6.0.5").with_metadata("swap-damaged", "orders", unique, numbers(10)).bytes();
    let view = r#"{"viewOn":"orders","pipeline":[{"$nonsense":{}}]}"#;
    let refused = Made::of("6.0.5").with_options("swap-damaged", "is-view", view, []).bytes();
    for (archive, part) in [
        (whole.slice(..whole.len() - 20), "the archive"),
        (Bytes::from(flipped), ""),
        (unbuilt, "its indexes are not"),
        (refused, "cannot create"),
    ] {
        let error = restored(&server.uri(), &archive, &with_swap()).await.unwrap_err();
        assert!(error.to_string().contains(part), "{}", error.report());
        assert_same(&before, &fingerprint_of(&db).await);
        nothing_hidden(&names(&db).await);
    }
}

#[tokio::test]
async fn only_what_is_recorded_as_ours_is_removed() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = fill(&client, "swap-ours").await;
    // As a user could have named them, with a record that is none, and one of a restore that was killed.
    let (theirs, ours) = ("0123456789abcdef01234567", "76543210fedcba9876543210");
    for name in ["mongoark_swap_orders".to_owned(), format!("mongoark_swap_{theirs}_1")] {
        db.collection::<Document>(&name).insert_one(doc! { "_id": "mine" }).await.unwrap();
    }
    db.collection::<Document>(&format!("mongoark_swap_{theirs}_record"))
        .insert_one(doc! { "_id": 1 })
        .await
        .unwrap();
    db.collection::<Document>(&format!("mongoark_swap_{ours}_1")).insert_one(doc! {}).await.unwrap();
    let record = doc! { "_id": "mongoark", "run": ours, "databases": [db.name()], "state": "hidden" };
    db.collection::<Document>(&format!("mongoark_swap_{ours}_record")).insert_one(record).await.unwrap();
    let options = RestoreOptions { scope: Scope::collection("swap-ours", "people").unwrap(), ..with_swap() };
    let (report, listener) = heard(&server.uri(), &archive("swap-ours"), &options).await;
    assert_eq!(report.unwrap().documents, 20);
    assert!(listener.notes.lock().unwrap().iter().any(|note| note.contains("are removed")));
    let left: Vec<_> = names(&db).await.into_iter().filter(|name| name.contains("mongoark")).collect();
    let expected = [
        format!("mongoark_swap_{theirs}_1"),
        format!("mongoark_swap_{theirs}_record"),
        "mongoark_swap_orders".to_owned(),
    ];
    assert_eq!(left, expected);
}

/// An account that may not do everything: for it the names are switched one after the other.
fn limited_user(db: &str) -> Document {
    let roles = vec![doc! { "role": "readWrite", "db": db }, doc! { "role": "dbAdmin", "db": db }];
    doc! { "createUser": "shop", "pwd": "hunter2hunter2", "roles": roles }
}

/// What befalls the primary of a set.
#[derive(Clone, Copy, Debug)]
enum Election {
    StepDown,
    Death,
}

impl Election {
    /// Lets it happen when a few names have been switched and others have not.
    async fn happen(self, set: &ReplicaSet, db: &Database) {
        while !names(db).await.iter().any(|name| name == "people") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        match self {
            Self::StepDown => {
                set.step_down(30).await;
            }
            Self::Death => {
                let primary = set.primary().await;
                set.kill(primary);
                set.restart(primary).await;
            }
        }
    }
}

#[tokio::test]
async fn an_election_in_the_middle_of_a_switch_of_single_steps_leaves_nothing_between() {
    for version in [Version::V4_4_2, Version::V6_0_5] {
        let set = ReplicaSet::start_with(version, Options { auth: true, ..Options::default() }).await;
        set.client().await.database("admin").run_command(limited_user("elected")).await.unwrap();
        let hosts: Vec<_> = (0..3).map(|member| set.address(member)).collect();
        let uri =
            format!("mongodb://shop:hunter2hunter2@{}/?replicaSet=rs0&authSource=admin", hosts.join(","));
        for election in [Election::StepDown, Election::Death] {
            let case = format!("{} {election:?}", version.name());
            let client = set.client().await;
            let db = fill(&client, "elected").await;
            set.caught_up().await;
            // Each takes so long that there is a middle.
            set.slow(&["renameCollection"], Duration::from_millis(400)).await;
            let bytes = archive("elected");
            let options = with_swap();
            let switching = heard(&uri, &bytes, &options);
            let ((result, listener), ()) = tokio::join!(switching, election.happen(&set, &db));
            set.settled().await;
            let client = set.client().await;
            let db = client.database("elected");
            let one_by_one =
                listener.notes.lock().unwrap().iter().any(|note| note.contains("one after the other"));
            assert!(one_by_one, "{case}");
            if let Err(error) = result {
                assert!(error.to_string().contains("the next restore"), "{case}: {}", error.report());
                let people = Made::of("6.0.5").with_metadata("elected", "people", INDEX, numbers(20)).bytes();
                restored(&uri, &people, &options)
                    .await
                    .unwrap_or_else(|error| panic!("{case}: {}", error.report()));
            }
            is_after(&client, &db, &case).await;
            restored(&uri, &bytes, &options)
                .await
                .unwrap_or_else(|error| panic!("{case}: {}", error.report()));
            is_after(&client, &db, &case).await;
        }
    }
}

#[tokio::test]
async fn a_switch_of_single_steps_that_was_killed_is_completed_by_the_next_restore() {
    for version in [Version::V4_4_2, Version::V6_0_5] {
        let server = Mongod::start_with(version, Options { auth: true, ..Options::default() }).await;
        let client = server.client().await;
        let db = fill(&client, "steps").await;
        let user = limited_user("steps");
        client.database("admin").run_command(user).await.unwrap();
        let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
        let through =
            |proxy: &str| proxy.replace("mongodb://", "mongodb://shop:hunter2hunter2@") + "&authSource=admin";
        let (_folder, path) = place("a");
        std::fs::write(&path, archive("steps")).unwrap();
        let arguments = |uri: &str| {
            [
                "restore".to_owned(),
                format!("--uri={uri}"),
                format!("--archive={}", path.display()),
                "--swap".to_owned(),
            ]
        };
        proxy.inject(Rule::once("renameCollection", Fault::Swallow).after(2));
        let mut child = start(arguments(&through(&proxy.uri())), &[]);
        proxy.arrived("renameCollection", 3).await;
        child.kill().await.unwrap();
        assert!(names(&db).await.iter().any(|name| name.contains("mongoark")), "it was killed in the middle");

        // Whatever is restored next, the switch is completed first.
        let other = Made::of("6.0.5").with("steps", "people", numbers(20)).bytes();
        std::fs::write(&path, other).unwrap();
        let direct = format!("mongodb://127.0.0.1:{}/?directConnection=true", server.port());
        let finished = mongoark(arguments(&through(&direct))).await.success();
        assert!(finished.stderr.contains("is completed now"), "{}", finished.stderr);
        db.run_command(doc! { "createIndexes": "people", "indexes": [{ "key": { "n": 1 }, "name": "n_1" }] })
            .await
            .unwrap();
        is_after(&client, &db, version.name()).await;
    }
}

#[tokio::test]
async fn hidden_collections_in_an_archive_are_left_out() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    client.database("swap-archived").drop().await.unwrap();
    let id = "0123456789abcdef01234567";
    let archive = Made::of("6.0.5")
        .with("swap-archived", &format!("mongoark_swap_{id}_0"), numbers(3))
        .with("swap-archived", &format!("mongoark_swap_{id}_record"), numbers(1))
        .with("swap-archived", "mongoark_swap_mine", numbers(2))
        .bytes();
    let (report, listener) = heard(&server.uri(), &archive, &with_drop()).await;
    assert_eq!(report.unwrap().documents, 2);
    listener.was_warned_once("2 hidden collections are left out");
    assert_eq!(names(&client.database("swap-archived")).await, ["mongoark_swap_mine"]);
}
