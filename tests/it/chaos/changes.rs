//! Dumps of a server on which everything changes: documents are replaced in transactions and grow, collections are
//! renamed, dropped, made again, written over, capped, modified and indexed, and one part of the large collection comes
//! through a slow connection.
//!
//! Documents carry the generation of their collection, so that data under another collection's metadata is seen. Every
//! collection has the same `_id`s, so that those of a name that is replaced at once exist throughout.

mod ddl;
mod documents;
mod model;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use archive_format::Namespace;
use mongoark::dump::{DumpOptions, DumpReport, dump};
use mongoark::progress::Monitor;
use mongoark::storage::Sink;
use mongoark::{Deployment, MongoUri, Scope};
use mongodb::Database;
use tokio_util::sync::CancellationToken;

use self::documents::Changes;
use self::model::Model;
use super::contents::{self, Contents};
use super::{Failures, Random, ensure, rounds};
use crate::support::mongod::{Mongod, Version};
use crate::support::proxy::{Fault, Proxy, Rule};

/// The database in which everything changes.
const BUSY: &str = "busy";

/// The collection that is read in parts.
const LARGE: &str = "large";

/// Documents in it: over 64 MiB.
const LARGE_COUNT: i64 = 18_000;

/// Documents in each of the others.
const SMALL_COUNT: i64 = 400;

/// The others in the beginning of a round.
const SMALL: [&str; 8] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];

/// Longer than any dump takes here.
const PATIENCE: Duration = Duration::from_mins(3);

fn count_of(name: &str) -> i64 {
    if name == LARGE { LARGE_COUNT } else { SMALL_COUNT }
}

/// Hears how many documents each namespace had.
#[derive(Debug, Default)]
struct Counts(Mutex<BTreeMap<String, u64>>);

impl Monitor for Counts {
    fn finished(&self, namespace: &Namespace, documents: u64) {
        *self.0.lock().unwrap().entry(namespace.to_string()).or_default() += documents;
    }
}

/// A server with its proxy and its large collection.
struct Busy {
    _server: Mongod,
    proxy: Proxy,
    version: Version,
    database: Database,
}

impl Busy {
    async fn start(version: Version) -> Self {
        let server = Mongod::start(version).await;
        let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
        let database = server.client().await.database(BUSY);
        documents::fill(&database, LARGE, 0).await;
        Self { _server: server, proxy, version, database }
    }

    /// One part of the large collection, or all, are slow from now on, the others and the catalog a little.
    fn slow(&self, random: &mut Random) -> Duration {
        let (slow, all) = (usize::try_from(random.below(4)).expect("small"), random.below(4) == 0);
        let pause = Duration::from_millis(random.pick(&[10, 30, 80, 200]));
        let cursors = Mutex::new(Vec::new());
        self.proxy.heal();
        self.proxy.inject(Rule::always("getMore", Fault::Delay(pause)).on(LARGE).when(move |request| {
            // Parts are known by their cursors, in the order in which they come to their second reply.
            let cursor = request.command.get_i64("getMore").expect("a cursor");
            let mut cursors = cursors.lock().unwrap();
            let known = cursors.iter().position(|other| *other == cursor);
            let part = known.unwrap_or_else(|| {
                cursors.push(cursor);
                cursors.len() - 1
            });
            all || part % 4 == slow
        }));
        for command in ["find", "listIndexes", "listCollections", "getMore"] {
            let pause = Duration::from_millis(random.below(40));
            self.proxy.inject(Rule::always(command, Fault::Delay(pause)));
        }
        pause
    }

    async fn dump(&self, counts: Arc<Counts>) -> Result<(Vec<u8>, DumpReport), String> {
        let uri = MongoUri::parse(&self.proxy.uri()).expect("a connection string");
        let deployment = Deployment::connect(&uri).await.map_err(|error| error.report())?;
        let options = DumpOptions { scope: Scope::Database(BUSY.to_owned()), ..DumpOptions::default() };
        let (sink, memory) = Sink::memory();
        let monitor: Arc<dyn Monitor> = counts;
        let cancel = CancellationToken::new();
        let work = Box::pin(dump(&deployment, &options, sink, &monitor, &cancel));
        let result = tokio::time::timeout(PATIENCE, work).await;
        deployment.close().await;
        match (result, memory.bytes()) {
            (Err(_), _) => panic!("a dump that never ends"),
            (Ok(Ok(report)), Some(bytes)) => Ok((bytes.to_vec(), report)),
            (Ok(Ok(_)), None) => panic!("success without an archive"),
            (Ok(Err(error)), None) => Err(error.report()),
            (Ok(Err(error)), Some(_)) => panic!("an archive in spite of {}", error.report()),
        }
    }

    async fn round(&self, random: &mut Random) -> Result<String, String> {
        let model = Arc::new(tokio::sync::Mutex::new(Model::begin(&self.database).await));
        let pause = self.slow(random);
        let changes = Changes::start(&self.database, &model, random);
        let others = random.pick(&[0, 0, 1, 2, 4, 8]);
        let ddl = ddl::start(&self.database, &model, others, pause * 12 + Duration::from_millis(500), random);

        let counts = Arc::<Counts>::default();
        let begin = Instant::now();
        let dumped = self.dump(Arc::clone(&counts)).await;
        let end = Instant::now();
        ddl.stop().await;
        let count = changes.stop().await;
        let model = model.lock().await;
        let events = model.events(begin, end);
        let text = format!(
            "{}, {count} documents changed in {:?}, replies {pause:?} later, {events:?}",
            self.version.name(),
            end - begin
        );
        match dumped {
            // What a collection becomes meanwhile may end a dump; what happens to its documents may not.
            Err(error) => {
                ensure(!events.is_empty(), || format!("{text}: {error}"))?;
                Ok(format!("{text}: refused: {error}"))
            }
            // What is archived then is right once the oplog is replayed, and need not be before.
            Ok((_, report)) if report.oplog.is_some() => Ok(format!("{text}: with its oplog")),
            Ok((bytes, report)) => {
                let contents = contents::read(&bytes)?;
                let right = check_report(&contents, &report, &counts)
                    .and_then(|()| model.check(&contents, begin, end));
                right.map_err(|error| format!("{text}: success, but {error}"))?;
                Ok(format!("{text}: complete"))
            }
        }
    }
}

/// The archive holds what the report and the monitor say.
fn check_report(contents: &Contents, report: &DumpReport, counts: &Counts) -> Result<(), String> {
    let counts = counts.0.lock().unwrap();
    let mut sum = 0;
    for (name, content) in contents {
        let found = u64::try_from(content.documents.len()).expect("fits");
        let said = counts.get(name).copied();
        ensure(said == Some(found), || {
            format!("{name}: {found} documents are in the archive, {said:?} were reported")
        })?;
        sum += found;
    }
    ensure(counts.len() == contents.len() && report.collections == contents.len(), || {
        format!("{} of {} reported namespaces are in the archive", contents.len(), counts.len())
    })?;
    ensure(report.documents == sum, || {
        format!("{sum} documents are in the archive, {} in the report", report.documents)
    })
}

async fn changing(versions: &[Version], few: u64, all: u64) {
    let mut failures = Failures::default();
    let mut servers = Vec::new();
    for version in versions {
        servers.push(Busy::start(*version).await);
    }
    for (number, mut round) in rounds(few, all).into_iter().enumerate() {
        let busy = &servers[number % servers.len()];
        let result = busy.round(&mut round).await;
        failures.note(&round, "dump", &result);
    }
    failures.assert_none();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_throughout_a_dump_is_in_the_archive_whatever_changes() {
    changing(&Version::MATRIX, 6, 51).await;
}
