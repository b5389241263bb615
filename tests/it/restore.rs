//! Restores in this process: archives made for the purpose, real servers, and what goes wrong on the way.

mod accounts;
mod dry_run;
mod exact;
mod failover;
mod indexes;
pub(crate) mod made;
mod namespaces;
mod oplog;
mod phases;
mod refused;
mod salvage;
mod swap;
mod target;
mod timestamps;
mod users;
mod verify_first;
mod writes;

use std::sync::{Arc, Mutex};

use archive_format::Namespace;
use bytes::Bytes;
use futures::TryStreamExt;
use mongoark::progress::Monitor;
use mongoark::restore::{RestoreOptions, RestoreReport, restore};
use mongoark::storage::Source;
use mongoark::{Deployment, MongoUri, Result};
use mongodb::Client;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use tokio_util::sync::CancellationToken;

/// Hears what is said.
#[derive(Debug, Default)]
struct Listener {
    warnings: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
    archive: Mutex<Vec<(u64, Option<u64>)>>,
    refused: Mutex<u64>,
}

impl Monitor for Listener {
    fn archive(&self, read: u64, size: Option<u64>) {
        self.archive.lock().unwrap().push((read, size));
    }
    fn refused(&self, _: &Namespace, documents: u64) {
        *self.refused.lock().unwrap() += documents;
    }
    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }
    fn warn(&self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }
}

impl Listener {
    /// Asserts that exactly one warning has this in it.
    #[track_caller]
    fn was_warned_once(&self, part: &str) {
        let warnings = self.warnings.lock().unwrap();
        let times = warnings.iter().filter(|warning| warning.contains(part)).count();
        assert_eq!(times, 1, "{part}: {warnings:?}");
    }
}

async fn connect(uri: &str) -> Deployment {
    Deployment::connect(&MongoUri::parse(uri).unwrap()).await.unwrap()
}

/// Restores an archive with these options.
async fn restored(uri: &str, archive: &Bytes, options: &RestoreOptions) -> Result<RestoreReport> {
    heard(uri, archive, options).await.0
}

/// Restores an archive and returns what was said.
async fn heard(
    uri: &str,
    archive: &Bytes,
    options: &RestoreOptions,
) -> (Result<RestoreReport>, Arc<Listener>) {
    let listener = Arc::<Listener>::default();
    let monitor = Arc::clone(&listener) as Arc<dyn Monitor>;
    let deployment = connect(uri).await;
    let source = Source::memory([archive.clone()]);
    let result = restore(&deployment, options, source, &monitor, &CancellationToken::new()).await;
    deployment.close().await;
    (result, listener)
}

fn with_drop() -> RestoreOptions {
    RestoreOptions { drop: true, ..RestoreOptions::default() }
}

/// What a collection holds, byte for byte, in its natural order.
async fn documents(client: &Client, db: &str, collection: &str) -> Vec<Vec<u8>> {
    let collection = client.database(db).collection::<RawDocumentBuf>(collection);
    let mut cursor = collection.find(doc! {}).batch().await.expect("a cursor");
    let mut found = Vec::new();
    while let Some(batch) = cursor.try_next().await.expect("a batch") {
        for document in batch.doc_slices().expect("documents") {
            found.push(document.expect("well-formed").as_document().expect("a document").as_bytes().to_vec());
        }
    }
    found
}

async fn count(client: &Client, db: &str, collection: &str) -> u64 {
    client.database(db).collection::<Document>(collection).count_documents(doc! {}).await.unwrap()
}

/// Asserts that no collection with credentials is left in `admin`.
async fn no_temporaries(client: &Client) {
    let names = client.database("admin").list_collection_names().await.unwrap();
    assert!(!names.iter().any(|name| name.starts_with("temp")), "{names:?}");
}
