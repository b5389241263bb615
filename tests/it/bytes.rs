//! Options and indexes that no map and no JSON value could hold: they come back as the bytes they were.

use futures::TryStreamExt;
use mongodb::bson::{Document, RawDocument, RawDocumentBuf, cstr, doc, rawdoc};
use mongodb::{Client, Database};

use super::support::mongoark::{archive, mongoark};
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

async fn rows(client: &Client) -> u64 {
    client.database(DB).collection::<Document>("v").count_documents(doc! {}).await.expect("a count")
}

async fn ours(version: Version) {
    let source = Mongod::start(version).await;
    let client = source.client().await;
    twice(&client.database(DB)).await;
    deep(&client.database(DB), 172).await;
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
async fn names_that_stand_twice_and_deep_literals_come_back_on_4_4() {
    ours(Version::V4_4_2).await;
}

#[tokio::test]
async fn names_that_stand_twice_and_deep_literals_come_back_on_6_0() {
    ours(Version::V6_0_27).await;
}

mod interop {
    use super::*;

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn with_the_official_tools_names_that_stand_twice_come_back_both_ways() {
        let source = Mongod::start(Version::V6_0_27).await;
        let client = source.client().await;
        twice(&client.database(DB)).await;
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
