//! Large collections, which are read in parts: every document comes exactly once, whatever its `_id` and whatever is
//! inserted and deleted meanwhile.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use archive_format::{Decoder, Event};
use bytes::BytesMut;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, RawArrayBuf, RawDocumentBuf,
    Timestamp, cstr, doc, rawdoc,
};
use mongodb::{Client, Database};

use super::support::mongoark::{archive, mongoark};
use super::support::mongod::{Mongod, Version};

/// Bytes of text in a document: large collections of few documents are filled fast.
const TEXT: usize = 4000;

/// The `_id` of the document with this number: every BSON type that the server accepts there, in turn.
fn id(number: i32) -> Bson {
    let text = format!("{number:07}");
    match number {
        0 => return Bson::MinKey,
        1 => return Bson::MaxKey,
        2 => return Bson::Null,
        3 => return Bson::Boolean(true),
        4 => return Bson::Boolean(false),
        5 => return Bson::Double(f64::NAN),
        6 => return Bson::Double(f64::INFINITY),
        _ => {}
    }
    match number % 12 {
        0 => Bson::Int32(number),
        1 => Bson::Int64(i64::from(number)),
        2 => Bson::Double(f64::from(number)),
        3 => Bson::String(text),
        4 => Bson::ObjectId(ObjectId::parse_str(format!("{number:024x}")).unwrap()),
        5 => Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: text.into_bytes() }),
        6 => Bson::DateTime(DateTime::from_millis(i64::from(number))),
        7 => Bson::Document(doc! { "a": number, "b": { "c": text } }),
        8 => Bson::Timestamp(Timestamp { time: 1, increment: u32::try_from(number).unwrap() }),
        9 => Bson::Decimal128(format!("{number}.50").parse::<Decimal128>().unwrap()),
        10 => Bson::Symbol(text),
        _ => {
            Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: text, scope: doc! { "n": number } })
        }
    }
}

async fn insert(
    database: &Database,
    collection: &str,
    numbers: impl Iterator<Item = i32>,
    id: impl Fn(i32) -> Bson,
) {
    let numbers: Vec<i32> = numbers.collect();
    for some in numbers.chunks(1000) {
        let mut documents = RawArrayBuf::new();
        for number in some {
            let document = doc! { "_id": id(*number), "n": number, "text": "x".repeat(TEXT) };
            documents.push(RawDocumentBuf::try_from(&document).unwrap());
        }
        let mut command = rawdoc! { "insert": collection, "writeConcern": { "w": 1 } };
        command.append(cstr!("documents"), documents);
        database.run_raw_command(command).await.expect("inserted");
    }
}

/// The numbers of all documents of the only collection of an archive, in its order.
fn numbers(path: &Path) -> Vec<i32> {
    let mut decoder = Decoder::new();
    let mut buffer = BytesMut::from(std::fs::read(path).unwrap().as_slice());
    let mut numbers = Vec::new();
    while let Some(event) = decoder.decode(&mut buffer).unwrap() {
        if let Event::Documents(documents) = event {
            let number = |bytes: &[u8]| Document::from_reader(bytes).unwrap().get_i32("n").unwrap();
            numbers.extend(documents.iter().map(number));
        }
    }
    decoder.finish(&buffer).unwrap();
    numbers
}

async fn dumped(server: &Mongod, collection: &str) -> Vec<i32> {
    dumped_with(server, collection, "--snapshot=auto").await
}

async fn dumped_with(server: &Mongod, collection: &str, snapshot: &str) -> Vec<i32> {
    let (_folder, path) = archive("a");
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive={}", path.display()));
    mongoark(["dump", &uri, "--db=split", "-c", collection, snapshot, &place]).await.success();
    numbers(&path)
}

fn counted(numbers: &[i32]) -> HashMap<i32, usize> {
    let mut counts = HashMap::new();
    for number in numbers {
        *counts.entry(*number).or_default() += 1;
    }
    counts
}

fn is_in_order(numbers: &[i32]) -> bool {
    numbers.is_sorted()
}

/// Whether a document is deleted while the collection is dumped: some everywhere, and all where parts may begin.
fn is_volatile(number: i32, count: i32) -> bool {
    let quarter = count / 4;
    let distance = (number + 40) % quarter;
    number > 100 && (number % 7 == 0 || distance < 80)
}

/// Deletes the volatile documents, those near the beginnings of parts first, and inserts others, until told to stop.
async fn churn(client: Client, count: i32, stop: Arc<AtomicBool>) -> usize {
    let quarter = count / 4;
    let mut volatile: Vec<i32> = (0..count).filter(|number| is_volatile(*number, count)).collect();
    volatile.sort_by_key(|number| ((number + 40) % quarter - 40).abs());
    let mut fresh = count;
    for some in volatile.chunks(5) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let ids: Vec<Bson> = some.iter().map(|number| id(*number)).collect();
        let delete = doc! {
            "delete": "things",
            "deletes": [{ "q": { "_id": { "$in": ids } }, "limit": 0 }],
            "writeConcern": { "w": 1 },
        };
        client.database("split").run_command(delete).await.unwrap();
        insert(&client.database("split"), "things", fresh..fresh + 5, id).await;
        fresh += 5;
    }
    usize::try_from(fresh - count).unwrap()
}

async fn every_document_comes_once(version: Version) {
    const COUNT: i32 = 24_000;
    let server = Mongod::start(version).await;
    let client = server.client().await;
    let database = client.database("split");
    insert(&database, "things", 0..COUNT, id).await;

    // At rest, and not in the order of the collection: it was read in parts.
    let rested = dumped(&server, "things").await;
    assert_eq!(counted(&rested).len(), rested.len(), "nothing comes twice");
    assert_eq!(rested.len(), usize::try_from(COUNT).unwrap());
    assert!(!is_in_order(&rested), "the collection was read in parts");

    for snapshot in ["off", "off", "auto"] {
        // Holes where the next parts would begin, too.
        let gone = doc! { "n": { "$gte": COUNT / 2 - 3, "$lt": COUNT / 2 + 5 } };
        database.collection::<Document>("things").delete_many(gone).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let churning = tokio::spawn(churn(client.clone(), COUNT, Arc::clone(&stop)));
        let found = dumped_with(&server, "things", &format!("--snapshot={snapshot}")).await;
        stop.store(true, Ordering::Relaxed);
        let changes = churning.await.unwrap();
        assert!(changes > 20, "{changes} documents were deleted and inserted meanwhile");

        let counts = counted(&found);
        assert_eq!(counts.len(), found.len(), "nothing comes twice");
        let stable = (0..COUNT).filter(|number| !is_volatile(*number, COUNT));
        let missing: Vec<i32> = stable.filter(|number| !counts.contains_key(number)).collect();
        assert!(missing.is_empty(), "{} documents are missing: {:?}", missing.len(), missing.first());
        database.collection::<Document>("things").drop().await.unwrap();
        insert(&database, "things", 0..COUNT, id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_comes_once_from_4_4() {
    every_document_comes_once(Version::V4_4_2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_comes_once_from_5_0() {
    every_document_comes_once(Version::V5_0_4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_comes_once_from_6_0() {
    every_document_comes_once(Version::V6_0_27).await;
}

#[tokio::test]
async fn collated_sparse_clustered_and_capped_collections_are_complete() {
    const COUNT: i32 = 12_000;
    let server = Mongod::start(Version::V6_0_27).await;
    let database = server.client().await.database("split");
    let everything: Vec<i32> = (0..COUNT).collect();
    let text = |number: i32| Bson::String(format!("{}{number:07}", if number % 2 == 0 { "É" } else { "e" }));

    let collated = doc! { "create": "collated", "collation": { "locale": "fr", "strength": 1 } };
    database.run_command(collated).await.unwrap();
    insert(&database, "collated", 0..COUNT, text).await;
    let mut found = dumped(&server, "collated").await;
    assert!(!is_in_order(&found), "read in parts");
    found.sort_unstable();
    assert_eq!(found, everything);

    // Nine of ten documents are gone, and those left are large enough for two parts.
    insert(&database, "sparse", 0..COUNT, text).await;
    let gone = doc! { "n": { "$mod": [10, 0] } };
    let sparse = database.collection::<Document>("sparse");
    sparse.delete_many(doc! { "$nor": [gone] }).await.unwrap();
    sparse.update_many(doc! {}, vec![doc! { "$set": { "text": "y".repeat(8 * TEXT) } }]).await.unwrap();
    let mut found = dumped(&server, "sparse").await;
    assert!(!is_in_order(&found), "read in parts");
    found.sort_unstable();
    assert_eq!(found, (0..COUNT).step_by(10).collect::<Vec<_>>());

    let clustered = doc! { "create": "clustered", "clusteredIndex": { "key": { "_id": 1 }, "unique": true } };
    database.run_command(clustered).await.unwrap();
    insert(&database, "clustered", 0..COUNT, Bson::Int32).await;
    assert_eq!(dumped(&server, "clustered").await, everything);

    // A capped collection's order is part of what it is.
    database.run_command(doc! { "create": "capped", "capped": true, "size": 1 << 30 }).await.unwrap();
    insert(&database, "capped", 0..COUNT, Bson::Int32).await;
    assert_eq!(dumped(&server, "capped").await, everything);
}
