//! Which indexes are there after a restore.

use mongoark::ErrorKind;
use mongoark::restore::{IndexOptions, RestoreOptions};
use mongodb::Client;
use mongodb::bson::{Document, RawDocumentBuf, doc, rawdoc};

use super::super::support::mongod::{Mongod, Version};
use super::made::Made;
use super::{count, heard, restored};

fn building(indexes: IndexOptions) -> RestoreOptions {
    RestoreOptions { drop: true, indexes, ..RestoreOptions::default() }
}

fn ten() -> impl Iterator<Item = RawDocumentBuf> {
    (0..10).map(|id| rawdoc! { "_id": id, "n": 1, "m": id })
}

async fn names(client: &Client, db: &str) -> Vec<String> {
    let mut names = client.database(db).collection::<Document>("c").list_index_names().await.unwrap();
    names.sort();
    names
}

#[tokio::test]
async fn w20_an_index_that_cannot_be_built_takes_no_other_with_it() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let metadata = r#"{"options":{},"indexes":[
        {"v":2,"key":{"n":1},"name":"n_unique","unique":true},{"v":2,"key":{"m":1},"name":"m_1"},
        {"v":2,"key":{"m":"nonsense"},"name":"unknown"},{"v":2,"key":{"x":1},"name":"x_1"}]}"#;
    let archive = Made::of("6.0.5").with_metadata("w20", "c", metadata, ten()).bytes();
    let error = restored(&server.uri(), &archive, &building(IndexOptions::default())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    let text = error.to_string();
    assert!(text.contains("w20.c: 10 of its documents are restored, 2 of its 4 indexes are not"), "{text}");
    assert!(text.contains("n_unique: ") && text.contains("unknown: ") && text.contains("11000"), "{text}");
    assert_eq!(names(&client, "w20").await, ["_id_", "m_1", "x_1"]);
    // A value of a document is not told.
    assert!(!text.contains("{ n: 1 }"), "{text}");
}

#[tokio::test]
async fn w21_indexes_without_a_name_of_their_own_are_built_all_the_same() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let metadata = r#"{"options":{},"indexes":[
        {"v":2,"key":{"n":1},"name":"same"},{"v":2,"key":{"m":1},"name":"same"},{"v":2,"key":{"x":1},"name":7},
        {"v":2,"key":{"y":-1}}]}"#;
    let archive = Made::of("6.0.5").with_metadata("w21", "c", metadata, ten()).bytes();
    let (report, listener) = heard(&server.uri(), &archive, &building(IndexOptions::default())).await;
    report.unwrap();
    assert_eq!(names(&server.client().await, "w21").await, ["_id_", "m_1", "same", "x_1", "y_-1"]);
    let notes = listener.notes.lock().unwrap();
    assert_eq!(notes.iter().filter(|note| note.contains("without a name of its own")).count(), 3);
}

#[tokio::test]
async fn b66_legacy_keys_are_put_right_where_it_is_asked_for_and_fail_otherwise() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let metadata = r#"{"options":{},"indexes":[
        {"v":1,"key":{"foo":""},"name":"foo_","ns":"d.c","safe":null,"dropDups":true},{"v":1,"key":{"foo":1},"name":"foo_1"},
        {"v":1,"key":{"bar":true,"baz":0},"name":"bar_true","background":1},{"v":2,"key":{"n":-1e-10},"name":"n"},
        {"v":2,"key":{"m":"2dsphere"},"name":"geo"}]}"#;
    let archive = Made::of("6.0.5").with_metadata("b66", "c", metadata, []).bytes();
    let convert = IndexOptions { convert_legacy: true, ..IndexOptions::default() };
    restored(&server.uri(), &archive, &building(convert)).await.unwrap();
    assert_eq!(names(&client, "b66").await, ["_id_", "bar_true", "foo_1", "geo", "n"]);
    let error = restored(&server.uri(), &archive, &building(IndexOptions::default())).await.unwrap_err();
    assert!(error.to_string().contains("bar_true"), "{error}");
}

#[tokio::test]
async fn b66_hashed_indexes_on_nested_fields_become_ascending_where_it_is_asked_for() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let metadata = r#"{"options":{},"indexes":[
        {"v":2,"key":{"a.b":"hashed"},"name":"a.b_hashed"},{"v":2,"key":{"b":"hashed"},"name":"b_hashed"}]}"#;
    let archive = Made::of("6.0.5").with_metadata("b66h", "c", metadata, ten()).bytes();
    for (fix, expected) in [(true, doc! { "a.b": 1 }), (false, doc! { "a.b": "hashed" })] {
        let rules = IndexOptions { fix_dotted_hash: fix, ..IndexOptions::default() };
        restored(&server.uri(), &archive, &building(rules)).await.unwrap();
        let listed = client.database("b66h").run_command(doc! { "listIndexes": "c" }).await.unwrap();
        let listed = listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone();
        let keys: Vec<_> = listed
            .iter()
            .map(|index| index.as_document().unwrap().get_document("key").unwrap().clone())
            .collect();
        assert!(keys.contains(&expected) && keys.contains(&doc! { "b": "hashed" }), "{keys:?}");
    }
}

#[tokio::test]
async fn b67_no_index_is_built_where_none_is_asked_for_and_one_that_no_server_has_does_not_matter_then() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let metadata = r#"{"options":{},"indexes":[
        {"v":2,"key":{"p":"geoHaystack","t":1},"name":"hay","bucketSize":1},{"v":2,"key":{"m":1},"name":"m_1"},
        {"v":2,"key":{"_id":1},"name":"_id_"}]}"#;
    let archive = Made::of("6.0.5").with_metadata("b67", "c", metadata, ten()).bytes();
    let error = restored(&server.uri(), &archive, &building(IndexOptions::default())).await.unwrap_err();
    assert!(
        error.to_string().contains("geoHaystack") && error.to_string().contains("--noIndexRestore"),
        "{error}"
    );
    let none = IndexOptions { none: true, ..IndexOptions::default() };
    restored(&server.uri(), &archive, &building(none)).await.unwrap();
    assert_eq!(names(&client, "b67").await, ["_id_"]);
    assert_eq!(count(&client, "b67", "c").await, 10);
}

#[tokio::test]
async fn b51_b62_b63_b64_b65_every_kind_of_index_is_as_it_was() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let metadata = r#"{"options":{"collation":{"locale":"fr"}},"indexes":[
        {"v":2,"key":{"_id":1},"name":"_id_","collation":{"locale":"fr"}},
        {"v":2,"key":{"_id":"hashed"},"name":"_id_hashed"},{"v":1,"key":{"m":1},"name":"first"},
        {"v":2,"key":{"p":"2dsphere"},"name":"sphere"},{"v":2,"key":{"n":1},"name":"partial","partialFilterExpression":{}},
        {"v":2,"key":{"x":1},"name":"legacy","safe":true,"dropDups":true,"unheardOf":1,"background":true}]}"#;
    let archive = Made::of("6.0.5").with_metadata("b62", "c", metadata, ten()).bytes();
    let index = async |name: &str| {
        let listed = client.database("b62").run_command(doc! { "listIndexes": "c" }).await.unwrap();
        let listed = listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone();
        let found =
            listed.into_iter().find(|index| index.as_document().unwrap().get_str("name").ok() == Some(name));
        found.and_then(|index| index.as_document().cloned()).unwrap_or_else(|| panic!("no {name}"))
    };
    restored(&server.uri(), &archive, &building(IndexOptions::default())).await.unwrap();
    assert_eq!(index("_id_").await.get_document("collation").unwrap().get_str("locale").ok(), Some("fr"));
    for name in ["_id_hashed", "first", "sphere", "partial", "legacy"] {
        let found = index(name).await;
        assert!(!found.contains_key("collation"), "{name} compares bytes: {found}");
        assert_eq!(found.get_i32("v").ok(), Some(2), "{name}");
    }
    assert_eq!(index("sphere").await.get_i32("2dsphereIndexVersion").ok(), Some(1));
    assert_eq!(index("partial").await.get_document("partialFilterExpression").ok(), Some(&doc! {}));

    let kept = r#"{"options":{},"indexes":[{"v":1,"key":{"_id":1},"name":"_id_"},{"v":1,"key":{"m":1},"name":"first"}]}"#;
    let archive = Made::of("6.0.5").with_metadata("b62", "c", kept, ten()).bytes();
    let keep = IndexOptions { keep_version: true, ..IndexOptions::default() };
    restored(&server.uri(), &archive, &building(keep)).await.unwrap();
    for name in ["_id_", "first"] {
        assert_eq!(index(name).await.get_i32("v").ok(), Some(1), "{name}");
    }
}

#[tokio::test]
async fn b52_without_drop_options_stay_documents_come_on_top_and_indexes_are_built() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = client.database("b52");
    db.drop().await.unwrap();
    db.run_command(doc! { "create": "c", "validator": { "kept": { "$exists": false } } }).await.unwrap();
    db.collection::<Document>("c").insert_one(doc! { "_id": "there", "m": 1 }).await.unwrap();
    let metadata = r#"{"options":{"capped":true,"size":{"$numberInt":"4096"}},"indexes":[{"v":2,"key":{"m":1},"name":"m_1"}]}"#;
    let archive = Made::of("6.0.5").with_metadata("b52", "c", metadata, ten()).bytes();
    restored(&server.uri(), &archive, &RestoreOptions::default()).await.unwrap();
    assert_eq!(count(&client, "b52", "c").await, 11);
    assert_eq!(names(&client, "b52").await, ["_id_", "m_1"]);
    let listed = db.run_command(doc! { "listCollections": 1 }).await.unwrap();
    let first =
        listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap()[0].as_document().unwrap();
    assert_eq!(
        first.get_document("options").ok(),
        Some(&doc! { "validator": { "kept": { "$exists": false } } })
    );
}
