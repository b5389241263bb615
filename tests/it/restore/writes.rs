//! How documents and collections are written: order, errors, write concern, UUIDs, options.

use std::num::NonZeroUsize;

use mongoark::ErrorKind;
use mongoark::restore::{DocumentValidation, RestoreOptions, WriteOptions};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Bson, Document, RawArrayBuf, RawDocument, RawDocumentBuf, doc, rawdoc};

use super::super::support::mongoark::{archive, mongoark};
use super::super::support::mongod::{Mongod, Options, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::made::Made;
use super::{count, documents, heard, restored};

const VALIDATED: &str = r#"{"validator":{"n":{"$gte":{"$numberInt":"0"}}}}"#;

fn numbered(ids: impl IntoIterator<Item = i32>) -> impl Iterator<Item = RawDocumentBuf> {
    ids.into_iter().map(|id| rawdoc! { "_id": id })
}

fn writing(writes: WriteOptions) -> RestoreOptions {
    RestoreOptions { drop: true, writes, ..RestoreOptions::default() }
}

/// 10,000 documents, one that is there already, and 10,000 more.
fn one_twice(db: &str) -> Made {
    Made::of("6.0.5").with(db, "c", numbered((0..10_000).chain([5]).chain(10_000..20_000)))
}

#[tokio::test]
async fn b58_a_duplicate_stops_an_ordered_restore_at_its_place_and_another_where_it_is_asked_for() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let archive = one_twice("b58").bytes();

    let report = restored(&server.uri(), &archive, &writing(WriteOptions::default())).await.unwrap();
    assert_eq!((report.documents, report.repeated), (20_000, 1));

    let ordered = writing(WriteOptions { ordered: true, ..WriteOptions::default() });
    let (result, listener) = heard(&server.uri(), &archive, &ordered).await;
    let error = result.unwrap_err();
    assert!(
        error.to_string().contains("refused a document") && error.to_string().contains("11000"),
        "{error}"
    );
    assert_eq!(count(&client, "b58", "c").await, 10_000, "not one more");
    assert_eq!(*listener.refused.lock().unwrap(), 1);

    let stopping = writing(WriteOptions { stop_on_error: true, ..WriteOptions::default() });
    restored(&server.uri(), &archive, &stopping).await.unwrap_err();
    let there = count(&client, "b58", "c").await;
    assert!((10_000..=11_000).contains(&there), "{there}");
}

#[tokio::test]
async fn b58_a_document_that_a_validator_refuses_is_counted_or_stops() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let archive = Made::of("6.0.5")
        .with_options("b58v", "c", VALIDATED, [1, -1, 2].map(|n| rawdoc! { "_id": n, "n": n }))
        .bytes();
    let report = restored(&server.uri(), &archive, &writing(WriteOptions::default())).await.unwrap();
    assert_eq!((report.documents, report.failures), (2, 1));
    let stopping = writing(WriteOptions { stop_on_error: true, ..WriteOptions::default() });
    let error = restored(&server.uri(), &archive, &stopping).await.unwrap_err();
    assert!(error.to_string().contains("121"), "{error}");
    let bypassing = RestoreOptions { validation: DocumentValidation::Bypassed, ..stopping };
    assert_eq!(restored(&server.uri(), &archive, &bypassing).await.unwrap().documents, 3);
}

#[tokio::test]
async fn b59_another_error_of_a_document_ends_the_restore() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let wrong = vec![rawdoc! { "_id": 1 }, rawdoc! { "_id": [1] }, rawdoc! { "_id": 2 }];
    let archive = Made::of("6.0.5").with("b59", "c", wrong).bytes();
    let (result, listener) = heard(&server.uri(), &archive, &writing(WriteOptions::default())).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    assert!(error.to_string().contains("code 53"), "{error}");
    assert_eq!(*listener.refused.lock().unwrap(), 1);
}

#[tokio::test]
async fn w6_an_error_that_may_be_ignored_hides_none_that_may_not() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let refused = |index: i32, code: i32| rawdoc! { "index": index, "code": code, "errmsg": "no" };
    for codes in [[11000, 121, 2], [2, 11000, 121]] {
        let errors: Vec<_> = codes.iter().zip(0..).map(|(code, index)| refused(index, *code)).collect();
        let answer = rawdoc! { "ok": 1.0, "n": 0, "writeErrors": RawArrayBuf::from_iter(errors) };
        proxy.inject(Rule::once("insert", Fault::Answer(answer)));
        let archive = Made::of("6.0.5").with("w6", "c", numbered(0..3)).bytes();
        let (result, listener) = heard(&proxy.uri(), &archive, &writing(WriteOptions::default())).await;
        let error = result.unwrap_err();
        assert!(error.to_string().contains("code 2)"), "{error}");
        assert_eq!(*listener.refused.lock().unwrap(), 3, "all are counted");
    }
}

#[tokio::test]
async fn w7_b82_strictly_a_document_that_was_refused_is_an_error_when_everything_is_there() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let indexed = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1"}]}"#;
    let strict = writing(WriteOptions { strict: true, ..WriteOptions::default() });
    let whole = Made::of("6.0.5").with_metadata("w7", "c", indexed, numbered(0..3)).bytes();
    assert_eq!(restored(&server.uri(), &whole, &strict).await.unwrap().documents, 3);

    let over = RestoreOptions { drop: false, ..strict.clone() };
    let error = restored(&server.uri(), &whole, &over).await.unwrap_err();
    assert!(error.to_string().contains("w7.c: 0 of its documents are restored, 3 were refused"), "{error}");
    let report = restored(&server.uri(), &whole, &RestoreOptions::default()).await.unwrap();
    assert_eq!(report.failures, 3, "mongorestore's way without it");

    let broken = Made::of("6.0.5")
        .with_options("w7", "v", VALIDATED, [1, -1].map(|n| rawdoc! { "_id": n, "n": n }))
        .with_metadata("w7", "c", indexed, numbered(0..3))
        .bytes();
    let error = restored(&server.uri(), &broken, &strict).await.unwrap_err();
    assert!(error.to_string().contains("w7.v") && error.to_string().contains("--strict"), "{error}");
    assert_eq!(client.database("w7").collection::<Document>("c").list_index_names().await.unwrap().len(), 2);
}

#[tokio::test]
async fn w22_b79_the_numbers_are_true_after_an_error() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let (_folder, path) = archive("a");
    std::fs::write(&path, one_twice("w22").bytes()).unwrap();
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive={}", path.display()));
    let run = async |more: &'static str| mongoark(["restore", "--drop", &uri, &place, more]).await;
    let stopped = run("--maintainInsertionOrder").await;
    assert_eq!(stopped.code, Some(1), "{}", stopped.stderr);
    assert!(
        stopped.stderr.contains("10000 document(s) restored successfully. 1 document(s) failed to restore."),
        "{}",
        stopped.stderr
    );
    let whole = run("-j=1").await.success();
    assert!(
        whole.stderr.contains("20000 document(s) restored successfully. 1 document(s) failed to restore.")
    );
    let strict = run("--strict").await;
    assert_eq!(strict.code, Some(1));
    assert!(strict.stderr.contains("20000 document(s) restored successfully. 1 document(s) failed"));
    let quiet = run("--writeConcern=0").await.success();
    assert!(quiet.stderr.trim_end().ends_with("\tdone"), "{}", quiet.stderr);
}

#[tokio::test]
async fn the_order_of_the_archive_is_kept_where_it_is_asked_for() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let numbers: Vec<i32> = (0..30_000).map(|id| (id * 7919) % 30_011).collect();
    let archive = Made::of("6.0.5").with("in-order", "c", numbered(numbers.clone())).bytes();
    let writes = WriteOptions {
        ordered: true,
        workers: NonZeroUsize::new(8),
        batch_documents: NonZeroUsize::new(7000),
        ..WriteOptions::default()
    };
    assert_eq!(restored(&server.uri(), &archive, &writing(writes)).await.unwrap().documents, 30_000);
    let found = documents(&server.client().await, "in-order", "c").await;
    let found: Vec<i32> = found
        .iter()
        .map(|document| RawDocument::from_bytes(document).unwrap().get_i32("_id").unwrap())
        .collect();
    assert_eq!(found, numbers);
}

#[tokio::test]
async fn b60_the_write_concern_goes_before_the_connection_strings() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = client.database("b60");
    db.drop().await.unwrap();
    db.run_command(doc! { "profile": 2 }).await.unwrap();
    let archive = Made::of("6.0.5").with("b60", "c", numbered(0..3)).bytes();
    let concern = Some("{w: 1, j: true, wtimeout: 5000}".parse().unwrap());
    let uri = server.uri().replace("/?", "/?w=7&");
    let writes = WriteOptions { concern, ..WriteOptions::default() };
    let options = RestoreOptions { writes, ..RestoreOptions::default() };
    assert!(restored(&uri, &archive, &options).await.unwrap().acknowledged);
    db.run_command(doc! { "profile": 0 }).await.unwrap();
    for command in ["create", "insert"] {
        let sent = doc! {
            format!("command.{command}"): "c", "command.writeConcern.w": 1, "command.writeConcern.j": true,
            "command.writeConcern.wtimeout": 5000,
        };
        let profile = db.collection::<Document>("system.profile");
        assert!(profile.find_one(sent).await.unwrap().is_some(), "{command}");
    }
}

#[tokio::test]
async fn b60_a_write_concern_that_cannot_be_kept_is_told_before_anything_is_dropped() {
    let set = Mongod::start_with(Version::V6_0_5, Options { replica_set: true, ..Options::default() }).await;
    let single = Mongod::shared(Version::V6_0_5).await;
    let archive = Made::of("6.0.5").with("b60n", "c", numbered(0..3)).bytes();
    for (server, concern) in [(&set, "tagset"), (&set, "3"), (&set, "{w: 'majority '}"), (single, "2")] {
        let client = server.client().await;
        let things = client.database("b60n").collection::<Document>("c");
        things.drop().await.unwrap();
        things.insert_one(doc! { "_id": "kept" }).await.unwrap();
        let writes = WriteOptions { concern: Some(concern.parse().unwrap()), ..WriteOptions::default() };
        let error = restored(&server.uri(), &archive, &writing(writes)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{concern}: {error}");
        assert!(error.to_string().contains("nothing was written"), "{error}");
        assert!(things.find_one(doc! { "_id": "kept" }).await.unwrap().is_some(), "{concern}");
    }
    let writes =
        WriteOptions { concern: Some("{w: 1, j: true}".parse().unwrap()), ..WriteOptions::default() };
    assert_eq!(restored(&set.uri(), &archive, &writing(writes)).await.unwrap().documents, 3);
}

#[tokio::test]
async fn b68_collections_keep_their_uuids_where_it_is_asked_for() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let uuid = "699f503df64b4aa8a484a8052046fa3a";
    let known = format!(
        r#"{{"options":{{"validator":{{}}}},"indexes":[{{"v":2,"key":{{"_id":1}},"name":"_id_"}},{{"v":2,"key":{{"n":1}},"name":"n_1"}}],"uuid":"{uuid}"}}"#
    );
    let unknown = r#"{"options":{},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"}],"uuid":""}"#;
    let view = r#"{"options":{"viewOn":"known","pipeline":[]},"uuid":""}"#;
    let archive = Made::of("6.0.5")
        .with_metadata("b68", "known", &known, numbered(0..3))
        .with_metadata("b68", "unknown", unknown, numbered(0..3))
        .with_metadata("b68", "view", view, [])
        .bytes();
    let keep = WriteOptions { preserve_uuid: true, ..WriteOptions::default() };
    for _ in 0..2 {
        let (report, listener) = heard(&server.uri(), &archive, &writing(keep.clone())).await;
        assert_eq!(report.unwrap().documents, 6);
        let notes = listener.notes.lock().unwrap().clone();
        assert_eq!(
            notes.iter().filter(|note| note.contains("does not know its UUID")).count(),
            1,
            "{notes:?}"
        );
        assert_eq!(uuid_of(&client, "b68", "known").await, uuid);
        assert_ne!(uuid_of(&client, "b68", "unknown").await, uuid);
        let names = client.database("b68").collection::<Document>("known").list_index_names().await.unwrap();
        assert_eq!(names, ["_id_", "n_1"]);
    }
    restored(&server.uri(), &archive, &writing(WriteOptions::default())).await.unwrap();
    assert_ne!(uuid_of(&client, "b68", "known").await, uuid, "another without it");

    let without_drop = RestoreOptions { writes: keep.clone(), ..RestoreOptions::default() };
    let error = restored(&server.uri(), &archive, &without_drop).await.unwrap_err();
    assert!(error.to_string().contains("--preserveUUID with --drop"), "{error}");
    let with_swap = RestoreOptions { swap: true, ..writing(keep.clone()) };
    assert_eq!(
        restored(&server.uri(), &archive, &with_swap).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );

    let wrong = known.replace(uuid, "699f");
    let wrong = Made::of("6.0.5").with_metadata("b68", "known", &wrong, numbered(0..1)).bytes();
    let error = restored(&server.uri(), &wrong, &writing(keep)).await.unwrap_err();
    assert!(error.to_string().contains("UUID"), "{error}");
    assert_eq!(count(&client, "b68", "known").await, 3, "nothing was touched");
    assert_eq!(
        restored(&server.uri(), &wrong, &writing(WriteOptions::default())).await.unwrap().documents,
        1
    );
}

async fn uuid_of(client: &mongodb::Client, db: &str, name: &str) -> String {
    let filtered = doc! { "listCollections": 1, "filter": { "name": name } };
    let listed = client.database(db).run_command(filtered).await.unwrap();
    let first =
        listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap()[0].as_document().unwrap();
    match first.get_document("info").unwrap().get("uuid") {
        Some(Bson::Binary(uuid)) if uuid.subtype == BinarySubtype::Uuid => {
            uuid.bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn b56_a_time_series_needs_its_options_and_a_place_of_its_own() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = client.database("b56");
    db.drop().await.unwrap();
    let series = r#"{"options":{"timeseries":{"timeField":"at"}},"indexes":[]}"#;
    let archive =
        Made::of("6.0.5").with("b56", "a", numbered(0..3)).with_metadata("b56", "t", series, []).bytes();
    let bare = WriteOptions { without_options: true, ..WriteOptions::default() };
    let error = restored(&server.uri(), &archive, &writing(bare.clone())).await.unwrap_err();
    assert!(error.to_string().contains("--noOptionsRestore"), "{error}");
    assert!(db.list_collection_names().await.unwrap().is_empty(), "nothing was written");
    restored(&server.uri(), &archive, &RestoreOptions::default()).await.unwrap();
    let error = restored(&server.uri(), &archive, &RestoreOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    restored(&server.uri(), &archive, &writing(WriteOptions::default())).await.unwrap();
}

#[tokio::test]
async fn collections_come_without_their_options_where_it_is_asked_for() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let capped = r#"{"options":{"capped":true,"size":{"$numberInt":"4096"},"max":{"$numberInt":"2"}},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"},{"v":2,"key":{"n":1},"name":"n_1"}]}"#;
    let view = r#"{"options":{"viewOn":"capped","pipeline":[]}}"#;
    let clustered = r#"{"options":{"clusteredIndex":{"key":{"_id":1},"unique":true}},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_","unique":true,"clustered":true}]}"#;
    let archive = Made::of("6.0.5")
        .with_metadata("bare", "capped", capped, numbered(0..5))
        .with_options("bare", "validated", VALIDATED, [rawdoc! { "_id": 1, "n": -1 }])
        .with_metadata("bare", "clustered", clustered, numbered(0..5))
        .with_metadata("bare", "view", view, [])
        .bytes();
    let bare = WriteOptions { without_options: true, ..WriteOptions::default() };
    let report = restored(&server.uri(), &archive, &writing(bare)).await.unwrap();
    assert_eq!((report.documents, report.failures), (11, 0));
    let listed = client.database("bare").run_command(doc! { "listCollections": 1 }).await.unwrap();
    for entry in listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap() {
        let entry = entry.as_document().unwrap();
        assert!(entry.get_document("options").unwrap().is_empty(), "{entry}");
        assert_eq!(entry.get_str("type").unwrap(), "collection");
    }
    assert_eq!(count(&client, "bare", "capped").await, 5);
}

#[tokio::test]
async fn a_document_that_is_not_bson_ends_the_restore_where_every_byte_is_looked_at() {
    let server = Mongod::shared(Version::V6_0_5).await;
    // A boolean that is neither: the server takes it at no price, other ones might.
    let mut broken = rawdoc! { "_id": 1, "a": { "yes": true } }.into_bytes();
    let place = broken.len() - 3;
    broken[place] = 7;
    let archive = Made::of("6.0.5").with_bytes("objcheck", "c", "{}", [broken]).bytes();
    let checking = writing(WriteOptions { check_documents: true, ..WriteOptions::default() });
    let error = restored(&server.uri(), &archive, &checking).await.unwrap_err();
    assert!(error.to_string().contains("not valid BSON"), "{error}");
    let right = Made::of("6.0.5").with("objcheck", "c", numbered(0..100)).bytes();
    assert_eq!(restored(&server.uri(), &right, &checking).await.unwrap().documents, 100);
}

#[tokio::test]
async fn w43_names_that_are_empty_dotted_or_begin_with_a_dollar_and_the_largest_documents_go_through() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let largest = |id: i32| {
        let text = "x".repeat(16 * 1024 * 1024 - 32);
        rawdoc! { "_id": id, "t": text }
    };
    let odd = [
        rawdoc! { "_id": 1, "": 1, "a": { "": { "": 2 } } },
        rawdoc! { "_id": 2, "a.b": 1, "$x": 2, "c": { "$ref": "d", "e.f": [1] } },
        rawdoc! { "_id": { "": 1 } },
    ];
    let all: Vec<RawDocumentBuf> = odd.into_iter().chain((10..14).map(largest)).collect();
    let archive = Made::of("6.0.5").with("w43", "c", all.clone()).bytes();
    let report = restored(&server.uri(), &archive, &writing(WriteOptions::default())).await.unwrap();
    assert_eq!(report.documents, 7);
    let mut found = documents(&server.client().await, "w43", "c").await;
    let mut expected: Vec<Vec<u8>> = all.into_iter().map(RawDocumentBuf::into_bytes).collect();
    found.sort();
    expected.sort();
    assert!(found == expected, "byte for byte");
    server.client().await.database("w43").drop().await.unwrap();
}
