//! Options and indexes that no map and no JSON value could hold: they come back as the bytes they were.

use futures::TryStreamExt;
use mongodb::bson::raw::RawJavaScriptCodeWithScope;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, RawArrayBuf, RawBson, Regex, Timestamp};
use mongodb::bson::{Document, RawDocument, RawDocumentBuf, cstr, doc, rawdoc};
use mongodb::{Client, Database};

use super::support::mongoark::{archive, left_beside, mongoark};
use super::support::mongod::{Mongod, Version};
use super::support::tools::{mongodump, mongorestore};

const DB: &str = "bytes";

/// `n` between 2 and 7, said with the name twice: BSON allows it, and the server means "and".
fn between() -> RawDocumentBuf {
    let mut condition = rawdoc! { "n": { "$gt": 2 } };
    condition.append(cstr!("n"), rawdoc! { "$lt": 7 });
    condition
}

/// A literal of so many documents and arrays inside one another.
fn nested(levels: usize) -> RawDocumentBuf {
    (0..levels / 2).fold(rawdoc! { "leaf": "text" }, |inner, _| rawdoc! { "a": [inner] })
}

async fn run(db: &Database, command: RawDocumentBuf) {
    db.run_raw_command(command).await.expect("the server takes it");
}

/// Every collection's options and indexes as the server sends them, by name.
async fn metadata(client: &Client) -> Vec<(String, Vec<u8>)> {
    let db = client.database(DB);
    let list = async |command: Document| -> Vec<RawDocumentBuf> {
        let cursor = db.run_cursor_command(command).await.expect("a cursor");
        cursor.with_type().try_collect().await.expect("all of it")
    };
    let mut all = Vec::new();
    for info in list(doc! { "listCollections": 1 }).await {
        let name = info.get_str("name").expect("a name").to_owned();
        let bytes = |document: &RawDocument| document.as_bytes().to_vec();
        all.push((format!("{name} options"), bytes(info.get_document("options").expect("options"))));
        if info.get_str("type").expect("a type") != "view" {
            let indexes = list(doc! { "listIndexes": &name }).await;
            all.extend(indexes.iter().map(|index| (format!("{name} index"), bytes(index))));
        }
    }
    all.sort();
    all
}

/// A collection with a validator and a partial index on a name that stands twice, and a view of the same kind: four of ten
/// documents show.
async fn twice(db: &Database) {
    run(db, rawdoc! { "create": "c", "validator": between(), "validationAction": "warn" }).await;
    let index = rawdoc! { "key": { "n": 1 }, "name": "n", "partialFilterExpression": between() };
    run(db, rawdoc! { "createIndexes": "c", "indexes": [index] }).await;
    run(db, rawdoc! { "create": "v", "viewOn": "c", "pipeline": [{ "$match": between() }] }).await;
    let documents = (0..10).map(|n| doc! { "_id": n, "n": n });
    db.collection("c").insert_many(documents).await.expect("inserted");
}

/// A validator and a view nested as deep as the server allows.
async fn deep(db: &Database, levels: usize) {
    run(db, rawdoc! { "create": "deep", "validator": { "x": { "$ne": nested(levels) } } }).await;
    run(db, rawdoc! { "create": "deep view", "viewOn": "c", "pipeline": [{ "$match": { "x": { "$eq": nested(levels) } } }] })
        .await;
}

/// A view with a literal of every type for which the general-purpose types have no place, or more than one form.
async fn literals(db: &Database) {
    let binary = |subtype, bytes: &[u8]| Binary { subtype, bytes: bytes.to_vec() };
    let regex =
        |options: &str| Regex { pattern: "^a/".try_into().unwrap(), options: options.try_into().unwrap() };
    let scoped = RawJavaScriptCodeWithScope { code: "f".into(), scope: between() };
    let mut values = RawArrayBuf::new();
    for value in [
        RawBson::Undefined,
        RawBson::MinKey,
        RawBson::MaxKey,
        RawBson::Null,
        RawBson::Symbol("symbol".into()),
        RawBson::JavaScriptCode("function() {}".into()),
        RawBson::JavaScriptCodeWithScope(scoped),
        RawBson::RegularExpression(regex("ix")),
        RawBson::Binary(binary(BinarySubtype::BinaryOld, b"old")),
        RawBson::Binary(binary(BinarySubtype::Uuid, &[7; 16])),
        RawBson::Binary(binary(BinarySubtype::UserDefined(0xfe), b"")),
        RawBson::Timestamp(Timestamp { time: 0, increment: 0 }),
        RawBson::Timestamp(Timestamp { time: u32::MAX, increment: u32::MAX }),
        RawBson::DateTime(DateTime::from_millis(i64::MIN)),
        RawBson::Decimal128("-0E-6176".parse().unwrap()),
        RawBson::Double(-0.0),
        RawBson::Double(5e-324),
        RawBson::Int64(1),
        // Names of type wrappers, in places in which they are none.
        RawBson::Document(rawdoc! { "a": 1, "$oid": "x", "$numberInt": 1 }),
        RawBson::Document(rawdoc! { "$regex": "a", "$options": "xi" }),
        RawBson::Document(rawdoc! { "$type": "00", "$binary": "" }),
        RawBson::Document(rawdoc! { "$ref": "c", "$id": 1, "$db": "d" }),
        RawBson::Document(between()),
        RawBson::Document(rawdoc! { "": { "": "\u{0}\u{2028}\u{7f}<&>" } }),
    ] {
        values.push(value);
    }
    let pipeline = rawdoc! { "$addFields": { "x": { "$literal": values } } };
    run(db, rawdoc! { "create": "literals", "viewOn": "c", "pipeline": [pipeline] }).await;
}

/// What the official tools refuse or change, and ours keep: a NaN, and options of a regular expression in another order.
async fn oddities(db: &Database) {
    let regex = Regex { pattern: "a".try_into().unwrap(), options: "xi".try_into().unwrap() };
    let pipeline =
        rawdoc! { "$addFields": { "x": { "$literal": [f64::NAN, RawBson::RegularExpression(regex)] } } };
    run(db, rawdoc! { "create": "oddities", "viewOn": "c", "pipeline": [pipeline] }).await;
}

async fn rows(client: &Client) -> u64 {
    client.database(DB).collection::<Document>("v").count_documents(doc! {}).await.expect("a count")
}

async fn ours(version: Version) {
    let source = Mongod::start(version).await;
    let client = source.client().await;
    twice(&client.database(DB)).await;
    deep(&client.database(DB), 172).await;
    literals(&client.database(DB)).await;
    oddities(&client.database(DB)).await;
    let before = metadata(&client).await;
    assert_eq!(rows(&client).await, 4);
    let (_folder, path) = archive("bytes.archive");
    let place = format!("--archive={}", path.display());
    mongoark(["dump".to_owned(), format!("--uri={}", source.uri()), place.clone()]).await.success();

    let target = Mongod::start(version).await;
    mongoark(["restore".to_owned(), format!("--uri={}", target.uri()), place]).await.success();
    let client = target.client().await;
    assert_eq!(metadata(&client).await, before);
    assert_eq!(rows(&client).await, 4);
}

#[tokio::test]
async fn names_that_stand_twice_and_every_literal_come_back_on_4_4() {
    ours(Version::V4_4_2).await;
}

#[tokio::test]
async fn names_that_stand_twice_and_every_literal_come_back_on_6_0() {
    ours(Version::V6_0_27).await;
}

#[tokio::test]
async fn w8_text_that_json_cannot_hold_is_told_by_name_and_not_replaced() {
    let source = Mongod::start(Version::V6_0_27).await;
    let mut create =
        rawdoc! { "create": "latin1", "validator": { "x": { "$ne": "caf\u{e9}" } } }.into_bytes();
    let at = create.windows(2).position(|window| window == "\u{e9}".as_bytes()).expect("two bytes of UTF-8");
    create[at..at + 2].copy_from_slice(b"\xe9 ");
    let db = source.client().await.database(DB);
    run(&db, RawDocumentBuf::from_bytes(create).expect("a document")).await;
    let (_folder, path) = archive("bytes.archive");
    let finished = mongoark([
        "dump".to_owned(),
        format!("--uri={}", source.uri()),
        format!("--archive={}", path.display()),
    ])
    .await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let told = "bytes.latin1 exactly to this program only";
    assert!(finished.stderr.contains(told), "{}", finished.stderr);
    assert_eq!(left_beside(&path), ["bytes.archive"]);
}

mod interop {
    use super::*;

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn with_the_official_tools_names_that_stand_twice_and_every_literal_come_back_both_ways() {
        let source = Mongod::start(Version::V6_0_27).await;
        let client = source.client().await;
        twice(&client.database(DB)).await;
        literals(&client.database(DB)).await;
        let before = metadata(&client).await;
        let (_ours, ours) = archive("ours");
        let (_theirs, theirs) = archive("theirs");
        let uri = |server: &Mongod| format!("--uri={}", server.uri());
        let at = |path: &std::path::Path| format!("--archive={}", path.display());
        mongoark(["dump".to_owned(), uri(&source), at(&ours)]).await.success();
        mongodump([uri(&source), at(&theirs)]).await.success();

        let target = Mongod::start(Version::V6_0_27).await;
        mongorestore([uri(&target), at(&ours)]).await.success();
        assert_eq!(metadata(&target.client().await).await, before);
        let target = Mongod::start(Version::V6_0_27).await;
        mongoark(["restore".to_owned(), uri(&target), at(&theirs)]).await.success();
        assert_eq!(metadata(&target.client().await).await, before);
    }
}
