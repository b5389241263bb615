//! Archives that an earlier release of ours wrote, and that mongorestore was seen to read: today's code reads them, and
//! still writes the same for the same server.
//!
//! `testdata/README.md` has the recipe. A missing file is made when `MONGOARK_MAKE_GOLDENS` is set; a file that is there
//! is never written again.

use std::path::{Path, PathBuf};

use archive_format::{Decoder, Event, Prelude};
use bytes::BytesMut;
use mongodb::Client;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use tokio::sync::Mutex;

use super::support::fingerprint::{Fingerprint, assert_same, fingerprint, load};
use super::support::mongoark::{archive, mongoark};
use super::support::mongod::{Mongod, Version};

/// The release whose archives they are.
const RELEASE: &str = "mongoark-0.1.0";

const VERSION: Version = Version::V6_0_27;

/// The database of the goldens.
const DATABASE: &str = "golden";

/// `golden-6.0.27.` and the ending.
fn file(ending: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/archives").join(RELEASE);
    folder.join(format!("golden-{}.{ending}", VERSION.name()))
}

/// A database that is the same every time: explicit `_id`s, one request for each collection.
async fn fill(client: &Client) {
    let golden = client.database(DATABASE);
    let documents = (0..200).map(|number| {
        doc! {
            "_id": ObjectId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, number]),
            "number": i32::from(number),
            "text": "lorem ipsum ".repeat(usize::from(number) % 7),
            "at": DateTime::from_millis(1_700_000_000_000 + i64::from(number)),
            "nested": { "list": [1, 2.5, "three", Bson::Null], "": true },
        }
    });
    golden.collection::<Document>("orders").insert_many(documents).await.expect("inserted");
    let indexes = doc! { "createIndexes": "orders", "indexes": [
        { "key": { "number": 1 }, "name": "number_1", "unique": true },
        { "key": { "text": -1, "nested.list": 1 }, "name": "text_-1", "partialFilterExpression": { "number": { "$gt": 10 } } },
    ] };
    golden.run_command(indexes).await.expect("indexes");
    for create in [
        doc! { "create": "capped", "capped": true, "size": 65536, "max": 100 },
        doc! { "create": "empty", "validator": { "n": { "$gte": 0 } }, "validationAction": "warn" },
        doc! { "create": "collated", "collation": { "locale": "fr", "strength": 1 } },
        doc! { "create": "few", "viewOn": "orders", "pipeline": [{ "$match": { "number": { "$lt": 5 } } }] },
    ] {
        golden.run_command(create).await.expect("created");
    }
    let lines = (0..40).map(|number| doc! { "_id": number, "line": "x".repeat(50) });
    golden.collection::<Document>("capped").insert_many(lines).await.expect("inserted");
    let words = ["é", "f"].map(|word| doc! { "_id": word });
    golden.collection::<Document>("collated").insert_many(words).await.expect("inserted");
}

/// A server with the recipe's database.
async fn filled() -> Mongod {
    let server = Mongod::start(VERSION).await;
    fill(&server.client().await).await;
    server
}

async fn dumped(server: &Mongod, gzip: bool) -> Vec<u8> {
    let (_folder, path) = archive("a");
    let mut arguments =
        vec!["dump".to_owned(), format!("--uri={}", server.uri()), format!("--db={DATABASE}")];
    arguments.extend(["-j", "1"].map(ToOwned::to_owned));
    arguments.extend(gzip.then(|| "--gzip".to_owned()));
    arguments.push(format!("--archive={}", path.display()));
    mongoark(arguments).await.success();
    std::fs::read(path).expect("an archive")
}

/// The files, made where they are missing and that is asked for.
async fn goldens() -> [(PathBuf, Vec<u8>); 2] {
    static MAKING: Mutex<()> = Mutex::const_new(());
    let making = MAKING.lock().await;
    let files = [("archive", false), ("archive.gz", true)].map(|(ending, gzip)| (file(ending), gzip));
    if std::env::var_os("MONGOARK_MAKE_GOLDENS").is_some() && !files[0].0.exists() {
        let server = filled().await;
        std::fs::create_dir_all(files[0].0.parent().expect("a folder")).expect("a folder");
        for (path, gzip) in &files {
            std::fs::write(path, dumped(&server, *gzip).await).expect("written");
        }
        let expected: Fingerprint = fingerprint(&server.client().await).await;
        let text = serde_json::to_string_pretty(&expected).expect("JSON") + "\n";
        std::fs::write(file("fingerprint.json"), text).expect("written");
    }
    drop(making);
    files.map(|(path, _)| {
        let bytes = std::fs::read(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; MONGOARK_MAKE_GOLDENS=1 makes it", path.display()));
        (path, bytes)
    })
}

fn inflated(bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut whole).expect("gzip");
    whole
}

/// What an archive says before its data, without what differs between servers and releases, and the bytes of its data.
fn parts(bytes: &[u8]) -> (Prelude, Vec<u8>) {
    let mut decoder = Decoder::new();
    let mut buffer = BytesMut::from(bytes);
    let Some(Event::Prelude(mut prelude)) = decoder.decode(&mut buffer).expect("an archive") else {
        panic!("no prelude");
    };
    let data = bytes[usize::try_from(decoder.offset()).expect("small")..].to_vec();
    assert!(prelude.tool_version.starts_with("mongoark "), "{}", prelude.tool_version);
    prelude.tool_version.clear();
    for collection in &mut prelude.collections {
        collection.metadata = without_uuid(&collection.metadata);
    }
    (prelude, data)
}

/// Every server gives a collection another UUID.
fn without_uuid(metadata: &str) -> String {
    const FIELD: &str = "\"uuid\":\"";
    match metadata.split_once(FIELD) {
        Some((before, after)) => format!("{before}{FIELD}{}", &after[32..]),
        None => metadata.to_owned(),
    }
}

#[tokio::test]
async fn what_an_earlier_release_wrote_is_restored() {
    for (path, _) in goldens().await {
        let target = Mongod::start(VERSION).await;
        let arguments = [
            "restore".to_owned(),
            format!("--uri={}", target.uri()),
            format!("--archive={}", path.display()),
        ];
        mongoark(arguments).await.success();
        assert_same(&load(file("fingerprint.json")), &fingerprint(&target.client().await).await);
    }
}

#[tokio::test]
async fn todays_archive_of_the_same_server_is_the_same() {
    let server = filled().await;
    let [(_, plain), (_, gzip)] = goldens().await;
    let (expected, data) = parts(&plain);
    let (prelude, found) = parts(&dumped(&server, false).await);
    assert_eq!(prelude, expected);
    assert!(found == data, "other blocks or documents; is the recipe still the same?");
    assert_eq!(parts(&inflated(&gzip)), (expected.clone(), data.clone()), "both files hold the same");
    assert_eq!(parts(&inflated(&dumped(&server, true).await)), (expected, data));
}

mod interop {
    use super::super::support::tools::mongorestore;
    use super::*;

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn mongorestore_reads_what_an_earlier_release_wrote() {
        for (path, _) in goldens().await {
            let target = Mongod::start(VERSION).await;
            let mut arguments =
                vec![format!("--uri={}", target.uri()), format!("--archive={}", path.display())];
            if path.extension().is_some_and(|ending| ending == "gz") {
                arguments.push("--gzip".to_owned());
            }
            mongorestore(arguments).await.success();
            assert_same(&load(file("fingerprint.json")), &fingerprint(&target.client().await).await);
        }
    }
}
