//! What a server has done, replayed: whatever happens while a dump is read, and however often entries are applied.

use archive_format::{CollectionMetadata, Decoder, Encoder, Event, Kind, Namespace, SegmentBuilder};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::options::FindOptions;

use super::super::super::support::tools::mongorestore;
use super::*;

/// The archive with an oplog behind everything else.
fn replayable(archive: &[u8], entries: &[RawDocumentBuf]) -> Bytes {
    let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::from(archive));
    let (mut out, mut encoder, oplog) = (BytesMut::new(), None, Namespace::oplog());
    let mut open = SegmentBuilder::new(&oplog, 1024);
    while let Some(event) = decoder.decode(&mut buffer).unwrap() {
        match event {
            Event::Prelude(mut prelude) => {
                let entry = CollectionMetadata {
                    namespace: oplog.clone(),
                    metadata: String::new(),
                    kind: Kind::default(),
                };
                prelude.collections.push(entry);
                encoder = Some(Encoder::new(&prelude, &mut out).unwrap());
            }
            Event::Documents(documents) => {
                let mut segment = SegmentBuilder::new(documents.namespace(), 1024);
                documents.iter().for_each(|document| segment.push(document).unwrap());
                out.extend_from_slice(&encoder.as_mut().unwrap().append(segment.finish()).unwrap());
            }
            Event::End(end) => {
                encoder.as_mut().unwrap().end(&end.namespace, &mut out).unwrap();
            }
            _ => {}
        }
    }
    let mut encoder = encoder.unwrap();
    for entry in entries {
        open.push(entry.as_bytes()).unwrap();
    }
    out.extend_from_slice(&encoder.append(open.finish()).unwrap());
    encoder.end(&oplog, &mut out).unwrap();
    encoder.finish().unwrap();
    out.freeze()
}

/// A sequence that is the same for the same seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: i32) -> i32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i32::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}

async fn last_of_the_oplog(client: &Client) -> Timestamp {
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let last = oplog.find_one(doc! {}).sort(doc! { "$natural": -1 }).await.unwrap().unwrap();
    last.get_timestamp("ts").unwrap()
}

async fn oplog_since(client: &Client, begin: Timestamp) -> Vec<RawDocumentBuf> {
    let oplog = client.database("local").collection::<RawDocumentBuf>("oplog.rs");
    let options = FindOptions::builder().sort(doc! { "$natural": 1 }).build();
    oplog
        .find(doc! { "ts": { "$gte": begin } })
        .with_options(options)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap()
}

/// Of the kinds of changes, so many are of documents: a dump outlasts them.
const OF_DOCUMENTS: i32 = 18;

/// All kinds of changes.
const ALL: i32 = 24;

/// One random change.
async fn change(client: &Client, database: &Database, random: &mut Random, kinds: i32) {
    let name = ["a", "b", "c", "d"][usize::try_from(random.below(4)).unwrap()];
    let documents = database.collection::<Document>(name);
    let id = random.below(60);
    // What does not go (an index that is there, a collection that is not) is no change.
    match random.below(kinds) {
        0..=5 => drop(documents.insert_one(doc! { "_id": id, "n": random.below(9), "array": [1, 2, 3], "in": { "x": 1 } }).await),
        6 | 7 => drop(documents.update_many(doc! { "n": random.below(9) }, doc! { "$inc": { "n": 1 }, "$set": { "in.y": id } }).await),
        8 => drop(documents.update_one(doc! { "_id": id }, doc! { "$push": { "array": id }, "$unset": { "in.x": 1 } }).await),
        9 => drop(documents.update_one(doc! { "_id": id }, doc! { "$set": { "array.1": { "deep": id }, "in": 5 } }).await),
        10 => drop(documents.update_one(doc! { "_id": id }, doc! { "$pop": { "array": -1 }, "$mul": { "n": 2 } }).await),
        11 => drop(documents.replace_one(doc! { "_id": id }, doc! { "replaced": id, "in": {} }).upsert(true).await),
        12..=14 => drop(documents.delete_one(doc! { "_id": id }).await),
        15 => drop(documents.delete_many(doc! { "n": { "$gt": 6 } }).await),
        16 | 17 => {
            let mut session = client.start_session().await.unwrap();
            session.start_transaction().await.unwrap();
            for other in ["a", "b"] {
                let documents = database.collection::<Document>(other);
                let update = documents.update_one(doc! { "_id": id }, doc! { "$set": { "t": id } });
                drop(update.upsert(true).session(&mut session).await);
                drop(documents.delete_one(doc! { "_id": id + 1 }).session(&mut session).await);
            }
            drop(if random.below(3) == 0 { session.abort_transaction().await } else { session.commit_transaction().await });
        }
        18 => drop(database.run_command(doc! { "createIndexes": name, "indexes": [{ "key": { "n": 1, "t": -1 }, "name": "n_t" }] }).await),
        19 => drop(database.run_command(doc! { "dropIndexes": name, "index": "n_t" }).await),
        20 => drop(database.run_command(doc! { "collMod": name, "index": { "name": "n_t", "hidden": random.below(2) == 0 } }).await),
        21 => drop(database.run_command(doc! { "collMod": name, "validator": { "n": { "$lt": 1_000_000 } } }).await),
        22 => drop(documents.drop().await),
        _ => drop(database.run_command(doc! { "create": name, "collation": { "locale": "de" } }).await),
    }
}

async fn changes(client: &Client, random: &mut Random, number: i32, kinds: i32) {
    let database = client.database("random");
    for _ in 0..number {
        change(client, &database, random, kinds).await;
    }
}

/// An archive of a source that changed from before the dump to after it, its source, and the oplog's begin.
async fn busy(version: Version, seed: u64, is_fuzzy: bool) -> (Mongod, Bytes) {
    let source = Mongod::start(version).await;
    let client = source.client().await;
    let mut random = Random(seed);
    changes(&client, &mut random, 150, ALL).await;
    let (_folder, path) = place("base");
    let mut begin = last_of_the_oplog(&client).await;
    let arguments =
        ["dump".to_owned(), format!("--uri={}", source.uri()), format!("--archive={}", path.display())];
    if is_fuzzy {
        changes(&client, &mut random, 150, ALL).await;
        let dump = tokio::spawn(async move { mongoark(arguments).await.success() });
        changes(&client, &mut random, 150, OF_DOCUMENTS).await;
        dump.await.unwrap();
    } else {
        mongoark(arguments).await.success();
        begin = last_of_the_oplog(&client).await;
    }
    changes(&client, &mut random, 300, ALL).await;
    let entries = oplog_since(&client, begin).await;
    (source, replayable(&std::fs::read(&path).unwrap(), &entries))
}

async fn a_busy_source_comes_back(version: Version) {
    for seed in [1, 20, 300] {
        for is_fuzzy in [false, true] {
            let (source, archive) = busy(version, seed, is_fuzzy).await;
            let target = Mongod::start(version).await;
            restored(&target.uri(), &archive, &replay())
                .await
                .unwrap_or_else(|error| panic!("{seed} {is_fuzzy}: {}", error.report()));
            assert_same(
                &fingerprint(&source.client().await).await,
                &fingerprint(&target.client().await).await,
            );
        }
    }
}

#[tokio::test]
async fn b73_whatever_a_source_did_since_the_oplog_begins_comes_back_on_4_4() {
    a_busy_source_comes_back(Version::V4_4_2).await;
}

#[tokio::test]
async fn b73_whatever_a_source_did_since_the_oplog_begins_comes_back_on_6_0() {
    a_busy_source_comes_back(Version::V6_0_27).await;
}

mod interop {
    use super::super::super::super::support::tools::mongodump;
    use super::*;

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn b73_a_replay_makes_what_mongorestore_makes() {
        for (version, seed) in [(Version::V4_4_2, 5), (Version::V6_0_27, 50), (Version::V6_0_27, 500)] {
            let (_source, archive) = busy(version, seed, false).await;
            let (_folder, path) = place("a");
            std::fs::write(&path, &archive).unwrap();
            let (ours, theirs) = (Mongod::start(version).await, Mongod::start(version).await);
            let arguments = |server: &Mongod| {
                [
                    format!("--uri={}", server.uri()),
                    format!("--archive={}", path.display()),
                    "--drop".into(),
                    "--oplogReplay".into(),
                ]
            };
            let said = mongorestore(arguments(&theirs)).await.success().stderr;
            let ours_said =
                mongoark(["restore".to_owned()].into_iter().chain(arguments(&ours))).await.success().stderr;
            let applied = |said: &str| {
                let line =
                    said.lines().find(|line| line.contains(" oplog entries")).expect("the line").to_owned();
                line.split("applied ").nth(1).expect("the line").to_owned()
            };
            assert_eq!(applied(&said), applied(&ours_said));
            assert_same(&fingerprint(&theirs.client().await).await, &fingerprint(&ours.client().await).await);
        }
    }

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn w04_an_entry_over_16_mib_is_replayed() {
        let (source, target) = (Mongod::start(Version::V6_0_5).await, Mongod::start(Version::V6_0_5).await);
        for server in [&source, &target] {
            // One document takes more of a transaction than the small cache of the tests has.
            let larger = doc! { "setParameter": 1, "wiredTigerEngineRuntimeConfig": "cache_size=1GB" };
            server.client().await.database("admin").run_command(larger).await.unwrap();
        }
        let large = source.client().await.database("d").collection::<RawDocumentBuf>("c");
        let text = "x".repeat(16 * 1024 * 1024 - 32);
        large.insert_one(rawdoc! { "_id": ObjectId::from_bytes([1; 12]), "key": text }).await.unwrap();
        let (_folder, path) = place("a");
        let to = format!("--archive={}", path.display());
        mongodump([format!("--uri={}", source.uri()), to.clone(), "--oplog".into()]).await.success();
        let uri = format!("--uri={}", target.uri());
        let finished = mongoark(["restore", &uri, &to, "--oplogReplay", "--drop"]).await.success();
        assert!(finished.stderr.contains("applied 1 oplog entries"), "{}", finished.stderr);
        assert_same(&fingerprint(&source.client().await).await, &fingerprint(&target.client().await).await);
        mongoark(["verify", &to]).await.success();
    }
}
