//! A server with one of everything, and bulk data.

mod documents;
mod indexes;
mod kinds;
mod users;

use mongodb::bson::{Document, RawArrayBuf, RawDocumentBuf, cstr, doc, rawdoc};
use mongodb::{Client, Database};

use super::mongod::Version;

pub use users::assert_users_can_log_in;

/// Where everything is but what needs a database of its own.
pub const ZOO: &str = "zoo";

/// The second database: the same collection name as in the first, `GridFS`, stored JavaScript.
pub const ZOO_TWO: &str = "zoo-two";

/// Every BSON type, `_id` type, field name, collection kind, collection name and index kind that the version knows,
/// users and roles; about 50 MiB, most of it in three documents.
pub async fn fill(client: &Client, version: Version) {
    let zoo = client.database(ZOO);
    documents::fill(&zoo, version).await;
    kinds::fill(&zoo, version).await;
    indexes::fill(&zoo).await;
    let two = client.database(ZOO_TWO);
    kinds::fill_second(&two).await;
    users::fill(&zoo, &client.database("admin")).await;
}

/// As [`fill`], without documents of every type, all indexes and what is large.
pub async fn fill_without_bulk(client: &Client, version: Version) {
    let zoo = client.database(ZOO);
    kinds::fill(&zoo, version).await;
    kinds::fill_second(&client.database(ZOO_TWO)).await;
    users::fill(&zoo, &client.database("admin")).await;
}

/// Runs a command that has to succeed.
async fn run(database: &Database, command: Document) {
    let text = format!("{command:.200}");
    database.run_command(command).await.unwrap_or_else(|error| panic!("{text}: {error}"));
}

/// Inserts documents byte for byte: the driver's own insert would look into them and add what it misses.
async fn insert(database: &Database, collection: &str, documents: impl IntoIterator<Item = RawDocumentBuf>) {
    let mut array = RawArrayBuf::new();
    documents.into_iter().for_each(|document| array.push(document));
    let mut command = rawdoc! { "insert": collection, "ordered": true };
    command.append(cstr!("documents"), array);
    let reply =
        database.run_raw_command(command).await.unwrap_or_else(|error| panic!("{collection}: {error}"));
    assert!(!reply.contains_key("writeErrors"), "{collection}: {reply}");
}

/// Fills a database with this many MiB: three quarters in `big`, the rest in `small1` to `small3`, an index on each.
pub async fn busy(client: &Client, database: &str, mib: usize) {
    let database = client.database(database);
    bulk(&database, "big", mib * 3 / 4).await;
    for name in ["small1", "small2", "small3"] {
        bulk(&database, name, (mib / 12).max(1)).await;
    }
    for name in ["big", "small1", "small2", "small3"] {
        let index = doc! { "key": { "n": 1 }, "name": "n_1" };
        run(&database, doc! { "createIndexes": name, "indexes": [index] }).await;
    }
}

/// Adds this many MiB of documents of random words to a collection, the same every time. Each is 1,023 bytes: with the
/// array's own bytes, 1,024 of them are a MiB.
pub async fn bulk(database: &Database, collection: &str, mib: usize) {
    let mut words = Words(0x9e37_79b9_7f4a_7c15);
    let mut number = 0_i64;
    for _ in 0..mib.div_ceil(8) {
        let mut array = RawArrayBuf::new();
        for _ in 0..8 * 1024 {
            number += 1;
            array.push(rawdoc! { "_id": number, "n": number % 1000, "text": words.text(960) });
        }
        let mut command = rawdoc! { "insert": collection, "ordered": false };
        command.append(cstr!("documents"), array);
        command.append(cstr!("writeConcern"), rawdoc! { "w": 1, "j": false });
        database.run_raw_command(command).await.expect("inserted");
    }
}

/// Words that compress about as well as real text does.
struct Words(u64);

impl Words {
    const WORDS: [&'static str; 32] = [
        "amber", "bison", "canyon", "dapple", "ember", "falcon", "garnet", "harbour", "indigo", "jasmine",
        "kestrel", "lantern", "meadow", "nectar", "onyx", "pepper", "quarry", "raven", "saffron", "thistle",
        "umber", "velvet", "willow", "xenon", "yarrow", "zephyr", "anchor", "bramble", "cobalt", "drizzle",
        "eagle", "fjord",
    ];

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn text(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            let mut bits = self.next();
            for _ in 0..8 {
                text.push_str(Self::WORDS[usize::try_from(bits % 32).expect("small")]);
                text.push(if bits & 32 == 0 {
                    ' '
                } else {
                    char::from(b'a' + u8::try_from(bits >> 6 & 15).expect("small"))
                });
                bits >>= 8;
            }
        }
        text.truncate(length);
        text
    }
}
