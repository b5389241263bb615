//! Commands in an oplog: collections and indexes come, change and go.

use mongodb::bson::Binary;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;

use super::*;

async fn indexes(client: &Client, db: &str, name: &str) -> Vec<Document> {
    let command = doc! { "listIndexes": name };
    let mut cursor = client.database(db).run_cursor_command(command).await.unwrap();
    let mut all = Vec::new();
    while cursor.advance().await.unwrap() {
        let mut index = Document::try_from(cursor.current()).unwrap();
        for field in ["v", "ns"] {
            index.remove(field);
        }
        all.push(index);
    }
    all.sort_by_key(|index| index.get_str("name").unwrap().to_owned());
    all
}

async fn names(client: &Client, db: &str) -> Vec<String> {
    let mut names = client.database(db).list_collection_names().await.unwrap();
    names.sort();
    names
}

const INDEXES: &str = r#"{"options":{},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"},{"v":2,"key":{"a":1},"name":"a_1"},{"v":2,"key":{"t":1},"name":"t_1","expireAfterSeconds":100},{"v":2,"key":{"b":1},"name":"b_1"}]}"#;

async fn commands(version: Version) {
    let server = Mongod::start(version).await;
    let client = server.client().await;
    let made = Made::of(version.name())
        .with_metadata("d", "c", INDEXES, [rawdoc! { "_id": 1, "a": 1 }])
        .with_metadata("d", "goes", INDEXES, [rawdoc! { "_id": 1 }])
        .with_metadata("d", "old", INDEXES, [rawdoc! { "_id": "old" }])
        .with_metadata(
            "d",
            "target",
            r#"{"indexes":[{"v":2,"key":{"of_target":1},"name":"x"}]}"#,
            [rawdoc! { "_id": "target" }],
        )
        .with("gone", "c", [rawdoc! { "_id": 1 }])
        .with("d", "capped", (0..5).map(|id| rawdoc! { "_id": id }));
    let new = doc! { "v": 2, "key": { "n": 1 }, "name": "n_1" };
    let uuid = Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] };
    let mut oplog = Oplog::default()
        .command("d", doc! { "create": "new", "validator": { "n": { "$gt": 0 } }, "recordIdsReplicated": false, "idIndex": { "v": 2, "key": { "_id": 1 }, "name": "_id_" } })
        .insert("d.new", doc! { "_id": 1, "n": 1 })
        .command("d", doc! { "create": "new" })
        .command("d", doc! { "startIndexBuild": "new", "indexBuildUUID": uuid.clone(), "indexes": [new.clone()] })
        .command("d", doc! { "commitIndexBuild": "new", "indexBuildUUID": uuid.clone(), "indexes": [new] })
        .command("d", doc! { "createIndexes": "new", "v": 2, "key": { "m": -1 }, "name": "m_-1", "sparse": true })
        .command("d", doc! { "createIndexes": "other", "v": 2, "key": { "m": 1 }, "name": "m_1" })
        .command("d", doc! { "dropIndexes": "c", "index": "a_1" })
        .command("d", doc! { "deleteIndexes": "c", "index": { "b": 1.0 } })
        .command("d", doc! { "collMod": "c", "index": { "name": "t_1", "expireAfterSeconds": 3600 } })
        .command("d", doc! { "collMod": "c", "validationLevel": "moderate", "usePowerOf2Sizes": true })
        .command("d", doc! { "drop": "goes" })
        .command("d", doc! { "drop": "never there" })
        .command("gone", doc! { "dropDatabase": 1 })
        .command("gone", doc! { "dropDatabase": 1 })
        .command("d", doc! { "renameCollection": "d.old", "to": "d.target", "dropTarget": uuid })
        .command("d", doc! { "convertToCapped": "capped", "size": 4096 })
        .command("d", doc! { "dbCheck": "c" });
    if version != Version::V4_4_2 {
        let bucket = doc! {
            "_id": ObjectId::from_bytes([0x60; 12]),
            "control": { "version": 1, "min": { "t": DateTime::from_millis(0), "x": 1 }, "max": { "t": DateTime::from_millis(0), "x": 1 } },
            "data": { "t": { "0": DateTime::from_millis(0) }, "x": { "0": 1 } },
        };
        oplog = oplog
            .command("d", doc! {
                "create": "system.buckets.series", "validationAction": "error", "clusteredIndex": true,
                "timeseries": { "timeField": "t", "granularity": "seconds", "bucketMaxSpanSeconds": 3600 },
            })
            .insert("d.system.views", doc! {
                "_id": "d.series", "viewOn": "system.buckets.series",
                "pipeline": [{ "$_internalUnpackBucket": { "timeField": "t", "bucketMaxSpanSeconds": 3600, "exclude": [] } }],
            })
            .insert("d.system.buckets.series", bucket);
    }
    restored(&server.uri(), &with_oplog(made, oplog), &replay()).await.unwrap();

    let mut expected = vec!["c", "capped", "new", "other", "target"];
    if version != Version::V4_4_2 {
        expected.extend(["series", "system.buckets.series", "system.views"]);
        expected.sort_unstable();
        assert_eq!(count(&client, "d", "series").await, 1);
    }
    // Nothing is left of what had the name of another.
    assert_eq!(names(&client, "d").await, expected);
    assert_eq!(found(&client, "d", "target").await, [doc! { "_id": "old" }]);
    let of_target: Vec<String> = indexes(&client, "d", "target")
        .await
        .iter()
        .map(|index| index.get_str("name").unwrap().to_owned())
        .collect();
    assert_eq!(of_target, ["_id_", "a_1", "b_1", "t_1"]);
    assert_eq!(
        indexes(&client, "d", "new").await,
        [
            doc! { "key": { "_id": 1 }, "name": "_id_" },
            doc! { "key": { "m": -1 }, "name": "m_-1", "sparse": true },
            doc! { "key": { "n": 1 }, "name": "n_1" },
        ]
    );
    assert_eq!(indexes(&client, "d", "other").await.len(), 2);
    assert_eq!(
        indexes(&client, "d", "c").await,
        [
            doc! { "key": { "_id": 1 }, "name": "_id_" },
            doc! { "key": { "t": 1 }, "name": "t_1", "expireAfterSeconds": 3600 }
        ]
    );
    let database = client.database("d");
    let listed = database
        .run_command(doc! { "listCollections": 1, "filter": { "name": { "$in": ["c", "capped", "new"] } } });
    let listed = listed.await.unwrap().to_string();
    assert!(
        listed.contains("moderate") && listed.contains("\"capped\": true") && listed.contains("$gt"),
        "{listed}"
    );
    assert_eq!(names(&client, "gone").await, Vec::<String>::new());
}

#[tokio::test]
async fn b73_collections_and_indexes_come_change_and_go_on_4_4() {
    commands(Version::V4_4_2).await;
}

#[tokio::test]
async fn b73_collections_and_indexes_come_change_and_go_on_5_0() {
    commands(Version::V5_0_4).await;
}

#[tokio::test]
async fn b73_collections_and_indexes_come_change_and_go_on_6_0() {
    commands(Version::V6_0_27).await;
}

#[tokio::test]
async fn w43_an_index_that_became_unique_during_the_dump_is_built() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let made = Made::of("6.0.27").with_metadata("d", "c", INDEXES, [rawdoc! { "_id": 1, "a": 1 }]);
    let oplog = Oplog::default()
        .command("d", doc! { "collMod": "c", "index": { "name": "a_1", "prepareUnique": true } })
        .command("d", doc! { "collMod": "c", "index": { "name": "a_1", "unique": true } })
        .command("d", doc! { "collMod": "c", "index": { "keyPattern": { "b": 1 }, "prepareUnique": true } });
    restored(&server.uri(), &with_oplog(made, oplog), &replay()).await.unwrap();
    let found = indexes(&client, "d", "c").await;
    assert_eq!(found[1], doc! { "key": { "a": 1 }, "name": "a_1", "unique": true });
    assert_eq!(found[2], doc! { "key": { "b": 1 }, "name": "b_1", "prepareUnique": true });
}

/// It was dropped after the oplog begins and before the dump looked: the archive does not have it.
#[tokio::test]
async fn writes_to_a_collection_that_is_dropped_later_do_not_end_the_replay() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let mut oplog = Oplog::default();
    for id in 0..20 {
        oplog = oplog
            .insert("d.brief", doc! { "_id": id })
            .insert("d.c", doc! { "_id": 100 + id })
            .update("d.brief", id, doc! { "$set": { "a": 1 } })
            .delete("d.brief", id)
            .insert("e.brief", doc! { "_id": id })
            .insert("d.moved", doc! { "_id": id });
    }
    let oplog = oplog
        .command("d", doc! { "drop": "brief" })
        .command("e", doc! { "dropDatabase": 1 })
        .command("d", doc! { "renameCollection": "d.moved", "to": "d.c2" })
        .command("d", doc! { "create": "brief" })
        .insert("d.brief", doc! { "_id": "new" });
    restored(&server.uri(), &with_oplog(collection("6.0.27"), oplog), &replay()).await.unwrap();
    assert_eq!((count(&client, "d", "c").await, count(&client, "d", "brief").await), (25, 1));
    assert_eq!(names(&client, "d").await, ["brief", "c"]);
}

/// The first view of a database was made and dropped before the dump looked, or after it.
#[tokio::test]
async fn views_come_into_a_database_that_had_none() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    let oplog =
        Oplog::default().insert("d.system.views", doc! { "_id": "d.view", "viewOn": "c", "pipeline": [] });
    restored(&server.uri(), &with_oplog(collection("6.0.27"), oplog), &replay()).await.unwrap();
    assert_eq!(count(&client, "d", "view").await, 5);
}
