//! Documents that a server refuses, or the archive holds twice; the order of a capped collection; time series of old servers.

use mongoark::ErrorKind;
use mongoark::restore::{DocumentValidation, RestoreOptions};
use mongodb::bson::{DateTime, Document, RawDocument, doc, rawdoc};

use super::super::support::mongod::{Mongod, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::made::Made;
use super::{count, documents, heard, restored, with_drop};

const VALIDATED: &str = r#"{"validator":{"n":{"$gt":{"$numberInt":"5"}}}}"#;

#[tokio::test]
async fn documents_older_than_their_validator_come_back_where_they_are_asked_for() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let ten = || (0..10).map(|id| rawdoc! { "_id": id, "n": id });
    let archive = Made::of("6.0.5").with_options("validated", "c", VALIDATED, ten()).bytes();
    for (validation, drop, expected, failures) in [
        (DocumentValidation::Enforced, true, 4, 6),
        (DocumentValidation::BypassedWhereCreated, true, 10, 0),
        (DocumentValidation::Bypassed, true, 10, 0),
    ] {
        let options = RestoreOptions { drop, validation, ..RestoreOptions::default() };
        let (report, listener) = heard(&server.uri(), &archive, &options).await;
        let report = report.unwrap();
        assert_eq!((report.documents, report.failures), (expected, failures), "{validation:?}");
        assert_eq!(*listener.refused.lock().unwrap(), failures);
        assert_eq!(count(&client, "validated", "c").await, expected);
    }
    // The validator of a collection that was there is not the archive's.
    client.database("validated").collection::<Document>("c").delete_many(doc! {}).await.unwrap();
    let validation = DocumentValidation::BypassedWhereCreated;
    let report =
        restored(&server.uri(), &archive, &RestoreOptions { validation, ..RestoreOptions::default() })
            .await
            .unwrap();
    assert_eq!((report.documents, report.failures), (4, 6));
}

#[tokio::test]
async fn what_the_archive_holds_twice_is_no_failure_and_what_was_there_before_is() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let twice = (0..100).chain([7, 8]).map(|id| rawdoc! { "_id": id });
    let archive = Made::of("6.0.5").with("twice", "c", twice).bytes();
    let (report, listener) = heard(&server.uri(), &archive, &with_drop()).await;
    let report = report.unwrap();
    assert_eq!((report.documents, report.repeated, report.failures), (100, 2, 0));
    assert!(listener.notes.lock().unwrap().iter().any(|note| note.contains("in the archive twice")));
    assert_eq!(count(&client, "twice", "c").await, 100);

    let report = restored(&server.uri(), &archive, &RestoreOptions::default()).await.unwrap();
    assert_eq!((report.documents, report.repeated, report.failures), (0, 0, 102));
}

#[tokio::test]
async fn a_duplicate_whose_text_is_not_utf_8_is_counted_like_any_other() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let document = b"\x11\0\0\0\x02_id\0\x03\0\0\0a\xff\0\0".to_vec();
    assert!(RawDocument::from_bytes(&document).is_ok());
    let archive = Made::of("6.0.5").with_bytes("odd-ids", "c", "{}", vec![document.clone(); 3]).bytes();
    let report = restored(&server.uri(), &archive, &with_drop()).await.unwrap();
    assert_eq!((report.documents, report.repeated, report.failures), (1, 2, 0));
    let report = restored(&server.uri(), &archive, &RestoreOptions::default()).await.unwrap();
    assert_eq!((report.documents, report.repeated, report.failures), (0, 0, 3));
    assert_eq!(documents(&server.client().await, "odd-ids", "c").await, [document]);
}

#[tokio::test]
async fn the_order_of_a_capped_collection_is_that_of_the_archive() {
    let server = Mongod::shared(Version::V6_0_5).await;
    // One refused in the middle stops none of those after it.
    let numbers: Vec<i32> = (0..30_000).map(|id| (id * 7919) % 30_011).chain([5, 40_000]).collect();
    let archive = Made::of("6.0.5")
        .with_options(
            "capped",
            "c",
            r#"{"capped":true,"size":{"$numberInt":"10485760"}}"#,
            numbers.iter().map(|id| rawdoc! { "_id": *id, "text": "some words" }),
        )
        .bytes();
    let report = restored(&server.uri(), &archive, &with_drop()).await.unwrap();
    assert_eq!((report.documents, report.repeated, report.failures), (30_001, 1, 0));
    let found: Vec<i32> = documents(&server.client().await, "capped", "c")
        .await
        .iter()
        .map(|document| RawDocument::from_bytes(document).unwrap().get_i32("_id").unwrap())
        .collect();
    let mut expected = numbers;
    expected.remove(30_000);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn w28_buckets_with_mixed_schemas_go_in_where_the_server_looks_at_them() {
    let source = Mongod::shared(Version::V6_0_27).await;
    let client = source.client().await;
    let db = client.database("mixed");
    db.drop().await.unwrap();
    db.run_command(doc! { "create": "t", "timeseries": { "timeField": "at" } }).await.unwrap();
    let measured = (0..10).map(|n| doc! { "at": DateTime::from_millis(n), "n": n });
    db.collection::<Document>("t").insert_many(measured).await.unwrap();
    let buckets = documents(&client, "mixed", "system.buckets.t").await;
    let metadata = r#"{"options":{"timeseries":{"timeField":"at"}},"indexes":[]}"#;
    let archive = Made::of("6.0.27").with_bytes("mixed", "t", metadata, buckets).bytes();

    // This server does not look yet: the proxy answers as later ones do.
    let proxy = Proxy::start(format!("127.0.0.1:{}", source.port())).await;
    let mixed =
        rawdoc! { "ok": 1.0, "n": 0, "writeErrors": [{ "index": 0, "code": 408, "errmsg": "mixed schema" }] };
    let strips =
        |request: &super::super::support::proxy::Request<'_>| request.collection() == "system.buckets.t";
    proxy.inject(Rule::once("insert", Fault::Answer(mixed)).when(strips));
    let report = restored(&proxy.uri(), &archive, &with_drop()).await.unwrap();
    // The server had the bucket the first time, too.
    assert_eq!(report.documents + report.repeated, 1);
    assert_eq!(proxy.requests("collMod"), 1);
    assert_eq!(count(&client, "mixed", "t").await, 10);
}

#[tokio::test]
async fn an_index_that_cannot_be_built_is_told_last_and_truly() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let unique = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1","unique":true}]}"#;
    let plain = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1"}]}"#;
    let ten = || (0..10).map(|id| rawdoc! { "_id": id, "n": 1 });
    let archive = Made::of("6.0.5")
        .with_metadata("unbuilt", "broken", unique, ten())
        .with_metadata("unbuilt", "right", plain, ten())
        .bytes();
    let error = restored(&server.uri(), &archive, &with_drop()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    assert!(
        error.to_string().contains("unbuilt.broken: 10 of its documents are restored, its indexes are not"),
        "{error}"
    );
    let right = client.database("unbuilt").collection::<Document>("right").list_index_names().await.unwrap();
    assert_eq!(right, ["_id_", "n_1"]);
    // Over what is there, none is restored, and none is said to be.
    let error = restored(&server.uri(), &archive, &RestoreOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("0 of its documents are restored, 10 were refused"), "{error}");
}
