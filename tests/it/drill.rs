//! Drills: what is restored for a test is compared, and goes.

mod altered;
mod interrupted;
mod newest;
mod proven;
mod refused;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use mongoark::drill::{DrillOptions, DrillReport, drill};
use mongoark::progress::Monitor;
use mongoark::storage::{Location, Storage};
use mongoark::{Deployment, MongoUri, Result};
use mongodb::Client;
use mongodb::bson::{Document, rawdoc};
use tokio_util::sync::CancellationToken;

use super::restore::made::Made;
use super::support::fingerprint::{assert_same, fingerprint};
use super::support::mongoark::{archive, mongoark};
use super::support::mongod::{Mongod, Version};
use super::support::testdata;

/// Hears what is said.
#[derive(Debug, Default)]
struct Listener {
    warnings: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
}

impl Monitor for Listener {
    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }
    fn warn(&self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }
}

/// An archive in a file.
struct Kept {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn kept(bytes: &Bytes) -> Kept {
    let (folder, path) = archive("shop.archive");
    std::fs::write(&path, bytes).expect("written");
    Kept { path, _folder: folder }
}

/// Drills a file, and tells what was said.
async fn drilled(uri: &str, path: &Path) -> (Result<DrillReport>, Arc<Listener>) {
    let listener = Arc::<Listener>::default();
    let monitor = Arc::clone(&listener) as Arc<dyn Monitor>;
    let deployment = Deployment::connect(&MongoUri::parse(uri).unwrap()).await.unwrap();
    let (at, never) = (Location::file(path), CancellationToken::new());
    let options = DrillOptions::default();
    let result = drill(&deployment, &options, &Storage::local(), &at, &monitor, &never).await;
    deployment.close().await;
    (result, listener)
}

/// Asserts that no drill has left anything.
#[track_caller]
fn assert_none_left(names: &[String]) {
    assert!(!names.iter().any(|name| name.starts_with("mongoark_drill")), "{names:?}");
}

async fn assert_nothing_left(client: &Client) {
    assert_none_left(&client.list_database_names().await.unwrap());
}

/// Two databases with a few documents, an index and a view.
fn shop() -> Made {
    let indexes = r#"{"options":{"validator":{"n":{"$gte":{"$numberInt":"0"}}}},"indexes":[{"v":2,"key":{"n":1},"name":"n_1"}]}"#;
    Made::of("6.0.5")
        .with_metadata("shop", "orders", indexes, (0..500).map(|id| rawdoc! { "_id": id, "n": id }))
        .with_options("shop", "few", r#"{"viewOn":"orders","pipeline":[]}"#, [])
        .with("crm", "people", (0..20).map(|id| rawdoc! { "_id": id }))
}

/// A server with a shop of its own, which no drill may touch.
async fn with_a_shop(version: Version) -> (Mongod, Client) {
    let server = Mongod::start(version).await;
    let client = server.client().await;
    let own = (0..50).map(|id| mongodb::bson::doc! { "_id": id, "own": true });
    client.database("shop").collection::<Document>("orders").insert_many(own).await.unwrap();
    (server, client)
}

async fn the_zoo_drills_clean(version: Version) {
    let (server, client) = with_a_shop(version).await;
    let before = fingerprint(&client).await;
    let path = testdata(&format!("archives/100.18.0/zoo-{}.archive.gz", version.name()));
    let (report, listener) = drilled(&server.uri(), &path).await;
    let report = report.unwrap_or_else(|error| panic!("{}", error.report()));
    assert!(report.documents > 100 && report.collections > 20, "{report:?}");
    assert!(!report.restored_in.is_zero() && !report.tagged, "{report:?}");
    assert_eq!(*listener.warnings.lock().unwrap(), Vec::<String>::new());
    assert!(listener.notes.lock().unwrap().iter().any(|note| note.contains("users and roles are left out")));
    assert_nothing_left(&client).await;
    assert_same(&before, &fingerprint(&client).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zoo_of_4_4_drills_clean() {
    the_zoo_drills_clean(Version::V4_4_2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zoo_of_5_0_drills_clean() {
    the_zoo_drills_clean(Version::V5_0_4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zoo_of_6_0_drills_clean() {
    the_zoo_drills_clean(Version::V6_0_27).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_an_older_release_drills_clean_on_a_younger_one() {
    let server = Mongod::start(Version::V6_0_27).await;
    let path = testdata("archives/100.18.0/zoo-5.0.4.archive.gz");
    let (report, _) = drilled(&server.uri(), &path).await;
    report.unwrap_or_else(|error| panic!("{}", error.report()));
    assert_nothing_left(&server.client().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_what_was_restored_and_how_long_it_took() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let kept = kept(&shop().bytes());
    let place = format!("--archive={}", kept.path.display());
    let finished = mongoark(["drill".to_owned(), format!("--uri={}", server.uri()), place]).await.success();
    assert!(finished.stdout.is_empty());
    for words in ["restored 520 document(s) of 3 collection(s)", "documents/s", "all agree with the archive"]
    {
        assert!(finished.stderr.contains(words), "{words}: {}", finished.stderr);
    }
    assert_nothing_left(&client).await;
}

/// What a server may change of a document that it stores, and what an archive of a busy collection holds twice.
#[tokio::test(flavor = "multi_thread")]
async fn documents_that_a_server_completes_and_those_that_are_there_twice_are_known() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let moved = (0..10).map(|id| rawdoc! { "n": id, "_id": id });
    let nameless = (0..10).map(|id| rawdoc! { "n": id });
    let archive = Made::of("4.4.2").with("odd", "moved", moved).with("odd", "nameless", nameless);
    let (report, listener) = drilled(&server.uri(), &kept(&archive.bytes()).path).await;
    assert_eq!(report.unwrap_or_else(|error| panic!("{}", error.report())).documents, 20);
    assert!(listener.warnings.lock().unwrap().iter().all(|text| !text.contains("twice")));

    let twice = (0..100).chain([7, 8]).map(|id| rawdoc! { "_id": id, "n": id });
    let archive = Made::of("6.0.5").with("twice", "c", twice);
    let (report, listener) = drilled(&server.uri(), &kept(&archive.bytes()).path).await;
    assert_eq!(report.unwrap_or_else(|error| panic!("{}", error.report())).documents, 100);
    assert!(listener.warnings.lock().unwrap().iter().any(|text| text.contains("twice.c")));
    assert_nothing_left(&client).await;
}
