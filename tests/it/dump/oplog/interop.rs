use std::path::Path;

use mongodb::bson::{DateTime, Document, doc};

use super::super::super::support::fingerprint::{assert_same, fingerprint, fingerprint_of};
use super::super::super::support::mongod::{Mongod, Version};
use super::super::super::support::tools::mongorestore;
use super::{COUNT, Dump, Stage, TEST_COMMANDS, commit, insert, insert_across, outlived, prepare};

/// The archive, restored and replayed by mongorestore into a server of its own.
async fn replayed(path: &Path, version: Version) -> Mongod {
    let target = Mongod::start(version).await;
    let arguments = [
        format!("--uri={}", target.uri()),
        format!("--archive={}", path.display()),
        "--oplogReplay".to_owned(),
    ];
    mongorestore(arguments).await.success();
    target
}

/// Everything that may happen while a dump is under way.
async fn write(stage: &Stage, version: Version) {
    let d = stage.client.database("d");
    let things = d.collection::<Document>("things");
    things.update_many(doc! { "_id": { "$mod": [3, 0] } }, doc! { "$inc": { "n": 1 } }).await.unwrap();
    things.delete_many(doc! { "_id": { "$mod": [7, 0] } }).await.unwrap();
    insert(&d, "things", COUNT..COUNT + 100, 100).await;
    things.update_many(doc! { "_id": { "$mod": [5, 1] } }, doc! { "$unset": { "text": 1 } }).await.unwrap();
    for id in 0..10 {
        insert_across(&stage.client, 10_000 + id).await;
    }
    insert(&d, "log", 100..200, 100).await;
    insert(&d, "late", 0..10, 100).await;
    let run = async |command: Document| d.run_command(command).await.expect("done");
    let index = doc! { "key": { "n": 1, "text": -1 }, "name": "n_text" };
    run(doc! { "createIndexes": "things", "indexes": [index.clone()] }).await;
    run(doc! { "createIndexes": "late", "indexes": [index] }).await;
    run(doc! { "dropIndexes": "others", "index": "n" }).await;
    run(doc! { "collMod": "others", "validator": { "n": { "$exists": true } } }).await;
    run(doc! { "drop": "gone" }).await;
    run(doc! { "drop": "again" }).await;
    run(doc! { "create": "again", "collation": { "locale": "de" } }).await;
    insert(&d, "again", 0..10, 100).await;
    run(doc! { "create": "view", "viewOn": "things", "pipeline": [{ "$match": { "n": 1 } }] }).await;
    if version.has_time_series() {
        measure(stage, 5..10).await;
    }
}

async fn measure(stage: &Stage, metas: std::ops::Range<i32>) {
    let series = stage.client.database("d").collection::<Document>("series");
    for meta in metas {
        let at = DateTime::from_millis(1_700_000_000_000 + i64::from(meta) * 1000);
        series.insert_one(doc! { "t": at, "m": meta % 3, "v": meta }).await.unwrap();
    }
}

async fn begin(version: Version) -> Stage {
    let stage = Stage::set_with(version, TEST_COMMANDS).await;
    let d = stage.client.database("d");
    stage.command("e", doc! { "create": "things" }).await;
    stage.command("d", doc! { "create": "log", "capped": true, "size": 1 << 20 }).await;
    for name in ["log", "others", "gone", "again"] {
        insert(&d, name, 0..100, 100).await;
    }
    let unique = doc! { "key": { "n": 1 }, "name": "n", "unique": true };
    stage.command("d", doc! { "createIndexes": "others", "indexes": [unique] }).await;
    if version.has_time_series() {
        let series = doc! { "create": "series", "timeseries": { "timeField": "t", "metaField": "m" } };
        stage.command("d", series).await;
        measure(&stage, 0..5).await;
    }
    stage
}

async fn a_replay_gives_the_state_of_the_end(version: Version) {
    let stage = begin(version).await;
    let open = prepare(&stage.client, 20_000).await;
    let held = stage.held(&["--oplog"]).await;
    commit(&stage.client, open).await;
    write(&stage, version).await;
    let path = held.dump.path.clone();
    held.gate.add_permits(1);
    let finished = held.dump.running.await.unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let target = replayed(&path, version).await;
    assert_same(&fingerprint(&stage.client).await, &fingerprint(&target.client().await).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn a_replay_gives_the_state_of_the_end_on_4_4() {
    a_replay_gives_the_state_of_the_end(Version::V4_4_2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn a_replay_gives_the_state_of_the_end_on_6_0() {
    a_replay_gives_the_state_of_the_end(Version::V6_0_27).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn b37_of_one_database_a_replay_gives_the_state_of_the_end_and_touches_no_other() {
    let version = Version::V6_0_27;
    let stage = begin(version).await;
    // Asked for, and because the snapshot was lost: mongorestore reads that archive like any other.
    for asked in [true, false] {
        let held = if asked {
            stage.held(&["--oplog", "--db=d"]).await
        } else {
            insert(&stage.client.database("d"), "things", 40_000..40_000 + COUNT, 4000).await;
            outlived(&stage).await
        };
        if asked {
            insert_across(&stage.client, 20_000).await;
            write(&stage, version).await;
        } else {
            insert(&stage.client.database("d"), "things", 30_000..30_010, 10).await;
        }
        let path = held.dump.path.clone();
        held.gate.add_permits(1);
        let finished = held.dump.running.await.unwrap();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let server = replayed(&path, version).await;
        let target = server.client().await;
        let source = stage.client.database("d");
        assert_same(&fingerprint_of(&source).await, &fingerprint_of(&target.database("d")).await);
        assert!(!target.list_database_names().await.unwrap().contains(&"e".to_owned()));
        stage.proxy.heal();
    }
}

#[tokio::test]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn w18_an_archive_without_an_entry_is_replayed_and_a_rename_of_before_is_not() {
    let stage = Stage::set(Version::V6_0_27).await;
    stage.command("admin", doc! { "renameCollection": "d.things", "to": "d.others" }).await;
    for arguments in [&["--oplog"][..], &["--oplog", "--db=d"]] {
        let dump = Dump::start(&stage.server.uri(), arguments);
        let finished = dump.running.await.unwrap();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let target = replayed(&dump.path, Version::V6_0_27).await;
        let expected = fingerprint_of(&stage.client.database("d")).await;
        assert_same(&expected, &fingerprint_of(&target.client().await.database("d")).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn w4_entries_of_more_than_16_mib_are_read_by_mongorestore() {
    let stage = Stage::set(Version::V6_0_27).await;
    let held = stage.held(&["--oplog", "--db=d"]).await;
    let large = stage.client.database("d").collection::<Document>("large");
    // With all that is beside it in an entry, more than an archive takes.
    large.insert_one(doc! { "_id": 1, "text": "x".repeat((16 << 20) - 120) }).await.unwrap();
    let path = held.dump.path.clone();
    held.gate.add_permits(1);
    let finished = held.dump.running.await.unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let target = replayed(&path, Version::V6_0_27).await;
    let source = stage.client.database("d");
    assert_same(&fingerprint_of(&source).await, &fingerprint_of(&target.client().await.database("d")).await);
}
