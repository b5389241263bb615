//! Restores into servers that hold something already.

use mongodb::bson::{Document, doc};

use super::{fails, sample};
use crate::support::mongoark::{archive, mongoark};
use crate::support::mongod::{Mongod, Version};
use crate::support::testdata;

#[tokio::test]
async fn duplicates_are_counted_and_do_not_stop_a_restore() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = sample(&client, "duplicates", 50).await;
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    mongoark(["dump", &uri, "--db", &db, &place]).await.success();
    let things = client.database(&db).collection::<Document>("things");
    things.delete_many(doc! { "_id": { "$lt": 20 } }).await.unwrap();
    let restored = mongoark(["restore", &uri, &place]).await.success();
    assert!(
        restored.stderr.contains("20 document(s) restored successfully. 30 document(s) failed to restore.")
    );
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 50);
}

#[tokio::test]
async fn an_index_that_cannot_be_built_fails_the_restore_after_everything_else_is_there() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = client.database("unique");
    for name in ["a", "b"] {
        let things = db.collection::<Document>(name);
        things.drop().await.unwrap();
        things.insert_many((0..50).map(|id| doc! { "_id": id, "n": id })).await.unwrap();
        let index = doc! { "key": { "n": 1 }, "name": "n_1", "unique": true };
        db.run_command(doc! { "createIndexes": name, "indexes": [index] }).await.unwrap();
    }
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    mongoark(["dump", &uri, "--db=unique", &place]).await.success();
    let (a, b) = (db.collection::<Document>("a"), db.collection::<Document>("b"));
    a.drop().await.unwrap();
    b.drop().await.unwrap();
    a.insert_one(doc! { "_id": "already there", "n": 7 }).await.unwrap();
    fails(&["restore", &uri, &place], &["unique.a", "its indexes are not", "11000"]).await;
    assert_eq!(a.count_documents(doc! {}).await.unwrap(), 51);
    assert_eq!(b.count_documents(doc! {}).await.unwrap(), 50);
    assert_eq!(b.list_index_names().await.unwrap(), ["_id_", "n_1"]);
}

#[tokio::test]
async fn an_existing_time_series_is_not_merged_into() {
    let server = Mongod::start(Version::V6_0_5).await;
    let uri = format!("--uri={}", server.uri());
    let golden = format!("--archive={}", testdata("archives/100.18.0/zoo-6.0.27.archive.gz").display());
    mongoark(["restore", &uri, &golden]).await.success();
    let zoo = server.client().await.database("zoo");
    let indexed = zoo.collection::<Document>("indexed");
    let before = indexed.count_documents(doc! {}).await.unwrap();
    fails(&["restore", &uri, &golden], &["time series exists already", "--drop"]).await;
    let after = indexed.count_documents(doc! {}).await.unwrap();
    assert_eq!(before, after, "nothing was written");
}
