//! `exact`: afterwards the databases of the archive hold what it holds, and nothing else.

use mongoark::restore::{RestoreOptions, RestoreReport};
use mongoark::{ErrorKind, Result, Scope};
use mongodb::Client;
use mongodb::bson::{Document, doc, rawdoc};

use super::super::support::mongod::{Mongod, Version};
use super::made::Made;
use super::{count, restored};

/// A database with what an archive of `orders` does not have: a collection, a view, a capped one, a time series.
async fn fill(client: &Client, name: &str, version: Version) {
    let db = client.database(name);
    db.drop().await.unwrap();
    for name in ["orders", "migrated"] {
        db.collection::<Document>(name).insert_one(doc! { "_id": "before", "n": 1 }).await.unwrap();
        let index = doc! { "createIndexes": name, "indexes": [{ "key": { "n": 1 }, "name": "migrated" }] };
        db.run_command(index).await.unwrap();
    }
    db.run_command(doc! { "create": "view", "viewOn": "migrated" }).await.unwrap();
    db.run_command(doc! { "create": "capped", "capped": true, "size": 4096 }).await.unwrap();
    db.collection::<Document>("system.js").insert_one(doc! { "_id": "f", "value": 1 }).await.unwrap();
    if version.has_time_series() {
        db.run_command(doc! { "create": "series", "timeseries": { "timeField": "at" } }).await.unwrap();
    }
}

async fn names(client: &Client, db: &str) -> Vec<String> {
    let mut names = client.database(db).list_collection_names().await.unwrap();
    names.retain(|name| name != "system.views");
    names.sort_unstable();
    names
}

async fn run(server: &Mongod, swap: bool, scope: Scope) -> Result<RestoreReport> {
    let archive =
        Made::of("6.0.5").with("exactly", "orders", (0..10).map(|id| rawdoc! { "_id": id })).bytes();
    let options = RestoreOptions { exact: true, swap, scope, ..RestoreOptions::default() };
    restored(&server.uri(), &archive, &options).await
}

#[tokio::test]
async fn what_the_archive_does_not_have_goes_and_other_databases_stay() {
    for version in [Version::V4_4_2, Version::V5_0_4, Version::V6_0_27] {
        let server = Mongod::start(version).await;
        let client = server.client().await;
        for swap in [false, true] {
            fill(&client, "exactly", version).await;
            fill(&client, "other", version).await;
            let mine = client.database("admin").collection::<Document>("mine");
            mine.insert_one(doc! {}).await.unwrap();
            let others = names(&client, "other").await;
            run(&server, swap, Scope::Everything).await.unwrap();
            assert_eq!(names(&client, "exactly").await, ["orders", "system.js"], "{version:?} {swap}");
            assert_eq!(count(&client, "exactly", "orders").await, 10);
            let indexes =
                client.database("exactly").collection::<Document>("orders").list_index_names().await.unwrap();
            assert_eq!(indexes, ["_id_"]);
            assert_eq!(names(&client, "other").await, others, "{version:?} {swap}");
            assert!(mine.find_one(doc! {}).await.unwrap().is_some());
        }
    }
}

#[tokio::test]
async fn nothing_goes_outside_the_scope_or_before_everything_is_there() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    for swap in [false, true] {
        fill(&client, "exactly", Version::V6_0_5).await;
        let before = names(&client, "exactly").await;
        for scope in [Scope::database("other").unwrap(), Scope::collection("exactly", "orders").unwrap()] {
            run(&server, swap, scope).await.unwrap();
            assert_eq!(names(&client, "exactly").await, before);
        }
        let unique = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1","unique":true}]}"#;
        let twice = (0..2).map(|id| rawdoc! { "_id": id, "n": 1 });
        let archive = Made::of("6.0.5").with_metadata("exactly", "orders", unique, twice).bytes();
        let options = RestoreOptions { exact: true, swap, ..RestoreOptions::default() };
        restored(&server.uri(), &archive, &options).await.unwrap_err();
        assert_eq!(names(&client, "exactly").await, before);
    }
    let options = RestoreOptions {
        exact: true,
        only: Some(["exactly.orders".to_owned()].into()),
        ..RestoreOptions::default()
    };
    let archive = Made::of("6.0.5").with("exactly", "orders", []).bytes();
    let error = restored(&server.uri(), &archive, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
