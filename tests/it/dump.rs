//! What a dump holds, whatever happens to the deployment meanwhile.

// What is dumped and what is not, by rights and by name.
mod scope;

// Collections that are renamed, dropped, replaced and changed meanwhile; indexes too.
mod identity;

// Everything at one moment, and where that cannot be had.
mod snapshot;

// The oplog of the time of reading.
mod oplog;

// Documents that move while a large collection is read in parts.
mod moving;

// One member: which, how far it has replicated, what is read from it.
mod member;

// Connections that break, cursors that are lost, servers that refuse.
mod failover;

// A server that takes the read concern and ignores it.
mod ferret;

// Documents that are no text.
mod bytes;

// What of the scope is taken: queries, exclusions, views, users.
mod selection;

// What servers are asked of which there is no binary.
mod versions;

// Selections by the table, side by side with mongodump.
mod side_by_side;

use std::collections::BTreeMap;
use std::path::PathBuf;

use archive_format::{Decoder, Event};
use bytes_crate::BytesMut;
use mongodb::Database;
use mongodb::bson::{Document, doc};

use super::support::mongoark::{archive, finish, left_beside, start};
use super::support::tools::Finished;
use ::bytes as bytes_crate;

/// A dump under way.
struct Dump {
    running: tokio::task::JoinHandle<Finished>,
    path: PathBuf,
    folder: tempfile::TempDir,
}

impl Dump {
    /// Starts `mongoark dump` with these arguments besides the connection string and the archive.
    fn start(uri: &str, arguments: &[&str]) -> Self {
        let (folder, path) = archive("a");
        let place = [format!("--uri={uri}"), format!("--archive={}", path.display())];
        let all = ["dump"].into_iter().chain(arguments.iter().copied()).map(ToOwned::to_owned).chain(place);
        let running = tokio::spawn(finish(start(all, &[])));
        Self { running, path, folder }
    }

    /// It ends well: what was printed, and the documents' bytes by namespace.
    async fn succeeds(self) -> (String, BTreeMap<String, Vec<Vec<u8>>>) {
        let finished = self.running.await.unwrap();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        (finished.stderr, contents(&self.path))
    }

    /// It ends well, and the archive stays for as long as what is returned.
    async fn succeeds_and_keeps(self) -> tempfile::TempDir {
        let finished = self.running.await.unwrap();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        self.folder
    }

    /// It ends with an error that says all of `words`, and leaves nothing.
    async fn fails(self, words: &[&str]) {
        let finished = self.running.await.unwrap();
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        for word in words {
            assert!(finished.stderr.contains(word), "{word:?} is not in: {}", finished.stderr);
        }
        assert_eq!(left_beside(&self.path), [""; 0], "{}", finished.stderr);
    }
}

fn contents(path: &std::path::Path) -> BTreeMap<String, Vec<Vec<u8>>> {
    archived(&std::fs::read(path).unwrap())
}

/// The documents of an archive, by namespace.
fn archived(bytes: &[u8]) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut decoder = Decoder::new();
    let mut buffer = BytesMut::from(bytes);
    let mut found: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    while let Some(event) = decoder.decode(&mut buffer).unwrap() {
        if let Event::Documents(documents) = event {
            let namespace = documents.namespace().to_string();
            found.entry(namespace).or_default().extend(documents.iter().map(<[u8]>::to_vec));
        }
    }
    decoder.finish(&buffer).unwrap();
    found
}

/// The `n` of each document.
fn numbers(documents: &[Vec<u8>]) -> Vec<i32> {
    documents
        .iter()
        .map(|bytes| Document::from_reader(bytes.as_slice()).unwrap().get_i32("n").unwrap())
        .collect()
}

/// Inserts documents with these numbers, of about `size` bytes each.
async fn insert(database: &Database, collection: &str, numbers: impl IntoIterator<Item = i32>, size: usize) {
    let collection = database.collection::<Document>(collection);
    let numbers: Vec<i32> = numbers.into_iter().collect();
    for some in numbers.chunks(1000) {
        let documents =
            some.iter().map(|number| doc! { "_id": number, "n": number, "text": "x".repeat(size) });
        collection.insert_many(documents).await.expect("inserted");
    }
}
