//! What one case after the other stands on: a database of its own that is backed up, and a place to restore into.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mongoark::dump::{DumpOptions, DumpReport, dump};
use mongoark::progress::{Monitor, Silent};
use mongoark::proof::Proof;
use mongoark::restore::{RestoreOptions, RestoreReport, restore};
use mongoark::storage::{CreateOptions, Location, Source, Storage};
use mongoark::{Deployment, Error, ErrorKind, MongoUri, Result, Scope};
use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::long;
use crate::support::fingerprint::{Fingerprint, differences, fingerprint_of};
use crate::support::mongod::Mongod;
use crate::support::proxy::Proxy;
use crate::support::tools;

/// Documents of the large collection, 5,600 bytes each: 11 MiB, three parts of an upload and as many replies.
const ORDERS: i64 = 2_000;

/// Documents of the small one.
const LINES: i64 = 300;

/// How the names of a swap's hidden collections begin.
const HIDDEN: &str = "mongoark_swap_";

/// Between two looks at what a server is doing.
const PAUSE: Duration = Duration::from_millis(20);

/// Cases run in a lane one after the other.
pub(super) struct Lane {
    pub(super) name: String,
    source: Arc<Mongod>,
    scratch: Arc<Mongod>,
    from: Client,
    to: Client,
    expected: Fingerprint,
    folder: tempfile::TempDir,
    archive: OnceCell<PathBuf>,
}

impl Lane {
    pub(super) async fn start(number: usize, source: &Arc<Mongod>, scratch: &Arc<Mongod>) -> Self {
        let name = format!("faults{number}");
        let (from, to) = (source.client().await, scratch.client().await);
        fill(&from.database(&name)).await;
        let expected = fingerprint_of(&from.database(&name)).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (source, scratch, archive) = (Arc::clone(source), Arc::clone(scratch), OnceCell::new());
        Self { name, source, scratch, from, to, expected, folder, archive }
    }

    /// All of the database.
    pub(super) fn scope(&self) -> Scope {
        Scope::database(&self.name).expect("a name")
    }

    /// The small collection alone, which goes to S3 in one request.
    pub(super) fn small_scope(&self) -> Scope {
        Scope::collection(&self.name, "lines").expect("a name")
    }

    pub(super) fn database(&self) -> Database {
        self.from.database(&self.name)
    }

    /// The database of the same name that archives are restored into.
    pub(super) fn target(&self) -> Database {
        self.to.database(&self.name)
    }

    pub(super) fn source_uri(&self) -> String {
        self.source.uri()
    }

    pub(super) fn target_uri(&self) -> String {
        self.scratch.uri()
    }

    /// Between us and the server that is dumped.
    pub(super) async fn before_source(&self) -> Proxy {
        Proxy::start(format!("127.0.0.1:{}", self.source.port())).await
    }

    /// Between us and the server that is restored into.
    pub(super) async fn before_target(&self) -> Proxy {
        Proxy::start(format!("127.0.0.1:{}", self.scratch.port())).await
    }

    /// A file of this name in the lane's folder, which is not there.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::remove_file(&path).ok();
        path
    }

    /// A good archive of the database.
    pub(super) async fn good_archive(&self) -> &Path {
        let archive = self.archive.get_or_init(|| async {
            let path = self.file("good");
            let options = DumpOptions { scope: self.scope(), ..DumpOptions::default() };
            let (storage, at) = (Storage::local(), Location::file(&path));
            dump_into(&self.source_uri(), options, &storage, &at, &CreateOptions::default())
                .await
                .expect("a dump");
            path
        });
        archive.await
    }

    /// What the target has to hold after a restore of all, or of one collection.
    fn expected(&self, scope: &Scope) -> Fingerprint {
        let mut expected = self.expected.clone();
        if let Scope::Collection(namespace) = scope {
            expected.retain(|name, _| *name == namespace.to_string());
        }
        expected
    }

    /// Whether the target holds what was archived, and perhaps more.
    pub(super) async fn holds(&self, scope: &Scope) -> Result<(), String> {
        let expected = self.expected(scope);
        let mut found = fingerprint_of(&self.target()).await;
        found.retain(|name, _| expected.contains_key(name));
        match differences(&expected, &found) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(format!("{:.500}", differences.join("; "))),
        }
    }

    /// Restores an archive into nothing and looks: the proof of every success.
    pub(super) async fn restores(&self, archive: &[u8], scope: &Scope) -> Result<(), String> {
        let path = self.file("restored");
        std::fs::write(&path, archive).expect("a file");
        self.target().drop().await.expect("dropped");
        let source = Storage::local().open(&Location::file(&path)).await.expect("the file");
        let restored = restore_from(&self.target_uri(), RestoreOptions::default(), source).await;
        let report = restored.map_err(|error| format!("it does not restore: {}", error.report()))?;
        if report.failures > 0 {
            return Err(format!("{} documents of it do not restore", report.failures));
        }
        self.holds(scope).await.map_err(|error| format!("it restores to something else: {error}"))?;
        if long() && tools::are_there() {
            self.target().drop().await.expect("dropped");
            let gzip = if archive.starts_with(&[0x1f, 0x8b]) { "--gzip" } else { "--quiet" };
            let arguments = [format!("--uri={}", self.target_uri()), format!("--archive={}", path.display())];
            let restored = tools::mongorestore(arguments.iter().map(String::as_str).chain([gzip])).await;
            if restored.code != Some(0) {
                return Err(format!("mongorestore refuses it: {}", restored.stderr));
            }
            self.holds(scope).await.map_err(|error| format!("mongorestore makes something else: {error}"))?;
        }
        Ok(())
    }

    /// A target that holds something older, and what that is.
    pub(super) async fn older_target(&self) -> Fingerprint {
        let target = self.target();
        target.drop().await.expect("dropped");
        let older = (0..40).map(|number| doc! { "_id": number, "older": true });
        target.collection::<Document>("orders").insert_many(older).await.expect("documents");
        target.collection::<Document>("kept").insert_one(doc! { "_id": 1 }).await.expect("a document");
        fingerprint_of(&target).await
    }

    /// What a swap has hidden in the target.
    pub(super) async fn hidden(&self) -> Vec<String> {
        let mut names = self.target().list_collection_names().await.expect("names");
        names.retain(|name| name.starts_with(HIDDEN));
        names
    }

    /// How the target differs from what it was, hidden collections aside.
    pub(super) async fn differs_from(&self, before: &Fingerprint) -> Vec<String> {
        let mut found = fingerprint_of(&self.target()).await;
        found.retain(|name, _| !name.contains(HIDDEN));
        differences(before, &found)
    }

    /// Waits for the commands of a restore that has failed whose connections broke: the server carries them out, and nobody
    /// hears of it.
    pub(super) async fn target_is_quiet(&self) {
        let pattern = format!("^{}\\.", self.name);
        let ops = doc! { "currentOp": 1, "active": true, "ns": { "$regex": pattern } };
        loop {
            let reply = self.to.database("admin").run_command(ops.clone()).await.expect("operations");
            if reply.get_array("inprog").expect("a list").is_empty() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the database that was dumped is as it was in the beginning.
    pub(super) async fn source_is_untouched(&self) -> Result<(), String> {
        match differences(&self.expected, &fingerprint_of(&self.database()).await) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(format!("{:.500}", differences.join("; "))),
        }
    }
}

async fn fill(database: &Database) {
    let text = |number: i64| format!("{:08}-", number * 7919).repeat(600);
    let orders = (0..ORDERS).map(|number| doc! { "_id": number, "text": text(number) });
    database.collection::<Document>("orders").insert_many(orders).await.expect("documents");
    let lines = (0..LINES).map(|number| doc! { "_id": number, "n": LINES - number, "tag": "line" });
    database.collection::<Document>("lines").insert_many(lines).await.expect("documents");
    for command in [
        doc! { "createIndexes": "lines", "indexes": [
            { "key": { "n": 1 }, "name": "n_1", "unique": true },
            { "key": { "tag": 1, "n": -1 }, "name": "tag_1_n_-1" },
        ] },
        doc! { "create": "empty", "validator": { "n": { "$gt": 0 } } },
        doc! { "create": "recent", "viewOn": "lines", "pipeline": [{ "$match": { "n": { "$gt": 10 } } }] },
    ] {
        database.run_command(command).await.expect("made");
    }
}

/// Dumps as the command does.
pub(super) async fn dump_into(
    uri: &str,
    options: DumpOptions,
    storage: &Storage,
    at: &Location,
    create: &CreateOptions,
) -> Result<DumpReport> {
    let (monitor, cancel): (Arc<dyn Monitor>, _) = (Arc::new(Silent), CancellationToken::new());
    let deployment = Deployment::connect(&MongoUri::parse(uri)?).await?;
    let dumped = async {
        let sink = storage.create(at, create).await?;
        let report = Box::pin(dump(&deployment, &options, sink, &monitor, &cancel)).await?;
        Proof::of_dump(storage, at, &report).await?;
        Ok(report)
    };
    let dumped = dumped.await;
    deployment.close().await;
    dumped
}

/// Restores as the command does; documents that fail are an error here.
pub(super) async fn restore_from(
    uri: &str,
    options: RestoreOptions,
    source: Source,
) -> Result<RestoreReport> {
    let (monitor, cancel): (Arc<dyn Monitor>, _) = (Arc::new(Silent), CancellationToken::new());
    let deployment = Deployment::connect(&MongoUri::parse(uri)?).await?;
    let restored = Box::pin(restore(&deployment, &options, source, &monitor, &cancel)).await;
    deployment.close().await;
    match restored? {
        report if report.failures > 0 => {
            Err(Error::new(ErrorKind::Server, format!("{} documents failed to restore", report.failures)))
        }
        report => Ok(report),
    }
}
