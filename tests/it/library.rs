//! The library in process: cancelled at any moment, dropped at any point, watched, and given a sink that fails at the end.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use archive_format::Namespace;
use mongoark::dump::{DumpOptions, DumpReport, dump};
use mongoark::progress::{Monitor, Silent};
use mongoark::restore::{RestoreOptions, RestoreReport, restore};
use mongoark::storage::{CreateOptions, Location, Sink, Source, Storage};
use mongoark::{Deployment, ErrorKind, MongoUri, Result};
use mongodb::bson::{Document, doc};
use tokio_util::sync::CancellationToken;

use super::support::fingerprint::{Fingerprint, assert_same, fingerprint};
use super::support::mongoark::left_beside;
use super::support::mongod::{Mongod, Version};
use super::support::s3::{S3Server, location};
use super::support::zoo;

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Moments at which work is cancelled, in parts of all that its monitor hears.
const MOMENTS: usize = 12;

/// How often a future is polled before it is dropped.
const POLLS: [usize; 20] = [1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 28, 36, 47, 60, 77, 100, 128, 160, 200];

/// A server of its own, for its cursors are counted.
struct Library {
    server: Mongod,
    expected: Fingerprint,
}

impl Library {
    async fn start() -> Self {
        let server = Mongod::start(Version::V6_0_5).await;
        let client = server.client().await;
        zoo::busy(&client, "library", 24).await;
        let user = doc! { "createUser": "ann", "pwd": "hunter2hunter2", "roles": ["readWrite"] };
        client.database("library").run_command(user).await.unwrap();
        let expected = fingerprint(&client).await;
        Self { server, expected }
    }

    async fn connect(&self) -> Deployment {
        Deployment::connect(&MongoUri::parse(&self.server.uri()).unwrap()).await.unwrap()
    }

    async fn dump(&self, sink: Sink, cancel: &CancellationToken) -> Result<DumpReport> {
        self.dump_heard(sink, Arc::new(Silent), cancel).await
    }

    async fn dump_heard(
        &self,
        sink: Sink,
        monitor: Arc<dyn Monitor>,
        cancel: &CancellationToken,
    ) -> Result<DumpReport> {
        let deployment = self.connect().await;
        let options = DumpOptions::default();
        let work = Box::pin(dump(&deployment, &options, sink, &monitor, cancel));
        let result = work.await;
        deployment.close().await;
        result
    }

    async fn restore(&self, source: Source, cancel: &CancellationToken) -> Result<RestoreReport> {
        self.restore_heard(source, Arc::new(Silent), cancel).await
    }

    async fn restore_heard(
        &self,
        source: Source,
        monitor: Arc<dyn Monitor>,
        cancel: &CancellationToken,
    ) -> Result<RestoreReport> {
        let options = RestoreOptions { drop: true, ..RestoreOptions::default() };
        let deployment = self.connect().await;
        let result = restore(&deployment, &options, source, &monitor, cancel).await;
        deployment.close().await;
        result
    }

    /// A dump that is polled so often and then dropped; `None` when it has not ended by then.
    async fn dump_polled(&self, sink: Sink, polls: usize) -> Option<Result<DumpReport>> {
        let (monitor, cancel): (Arc<dyn Monitor>, _) = (Arc::new(Silent), CancellationToken::new());
        let deployment = self.connect().await;
        let options = DumpOptions::default();
        let work = Box::pin(dump(&deployment, &options, sink, &monitor, &cancel));
        let result = polled(work, polls).await;
        deployment.close().await;
        result
    }

    /// The same with a restore.
    async fn restore_polled(&self, source: Source, polls: usize) -> Option<Result<RestoreReport>> {
        let (monitor, cancel): (Arc<dyn Monitor>, _) = (Arc::new(Silent), CancellationToken::new());
        let options = RestoreOptions { drop: true, ..RestoreOptions::default() };
        let deployment = self.connect().await;
        let result = polled(restore(&deployment, &options, source, &monitor, &cancel), polls).await;
        deployment.close().await;
        result
    }

    /// The archive of all there is, and how much a monitor hears of its making.
    async fn archive(&self) -> (bytes::Bytes, usize) {
        let (sink, memory) = Sink::memory();
        let heard = Arc::new(Cancels::never());
        let monitor: Arc<dyn Monitor> = Arc::<Cancels>::clone(&heard);
        self.dump_heard(sink, monitor, &CancellationToken::new()).await.unwrap();
        (memory.bytes().expect("a complete archive"), heard.so_far())
    }

    async fn open_cursors(&self) -> i64 {
        let admin = self.server.client().await.database("admin");
        let status = admin.run_command(doc! { "serverStatus": 1 }).await.unwrap();
        let cursors = status.get_document("metrics").and_then(|metrics| metrics.get_document("cursor"));
        cursors.and_then(|cursor| cursor.get_document("open")).unwrap().get_i64("total").unwrap()
    }

    async fn assert_no_cursor_is_open(&self, what: &str) {
        eventually(&format!("no open cursor after {what}"), async || self.open_cursors().await == 0).await;
    }

    async fn assert_no_account_is_left_over(&self, what: &str) {
        let admin = self.server.client().await.database("admin");
        eventually(&format!("no left-over accounts after {what}"), async || {
            let names = admin.list_collection_names().await.unwrap();
            !names.iter().any(|name| name == "tempusers" || name == "temproles")
        })
        .await;
    }
}

async fn eventually(what: &str, reached: impl AsyncFn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached().await {
        assert!(Instant::now() < end, "there should be {what} by now");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Polls the future so often and drops it; `None` when it has not ended by then.
async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Cancels work when it has heard so much of it: moments that are the same however fast the machine is.
#[derive(Debug)]
struct Cancels {
    heard: AtomicUsize,
    at: usize,
    token: CancellationToken,
}

impl Cancels {
    fn at(at: usize) -> Self {
        let token = CancellationToken::new();
        if at == 0 {
            token.cancel();
        }
        Self { heard: AtomicUsize::new(0), at, token }
    }

    fn never() -> Self {
        Self::at(usize::MAX)
    }

    fn so_far(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }

    fn hear(&self) {
        if self.heard.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            self.token.cancel();
        }
    }
}

impl Monitor for Cancels {
    fn planned(&self, _namespaces: usize, _documents: Option<u64>) {
        self.hear();
    }

    fn started(&self, _namespace: &Namespace, _documents: Option<u64>) {
        self.hear();
    }

    fn advanced(&self, _namespace: &Namespace, _documents: u64, _bytes: u64) {
        self.hear();
    }

    fn finished(&self, _namespace: &Namespace, _documents: u64) {
        self.hear();
    }
}

fn moments(whole: usize) -> impl Iterator<Item = usize> {
    (0..MOMENTS).map(move |moment| whole * moment / MOMENTS)
}

/// Runs the work and cancels it when so much has been heard of it.
async fn cancelled_at<T>(
    moment: usize,
    work: impl AsyncFnOnce(Arc<dyn Monitor>, &CancellationToken) -> T,
) -> T {
    let cancels = Arc::new(Cancels::at(moment));
    let token = cancels.token.clone();
    work(cancels, &token).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_cancelled_or_dropped_leaves_nothing_anywhere() {
    let library = Library::start().await;
    let s3 = S3Server::start();
    let (_, whole) = library.archive().await;
    let mut given_up = 0;
    for moment in moments(whole) {
        let (sink, memory) = Sink::memory();
        let dumped =
            cancelled_at(moment, async |heard, cancel| library.dump_heard(sink, heard, cancel).await).await;
        assert_eq!(dumped.is_ok(), memory.bytes().is_some(), "at {moment} of {whole}");

        let sink = s3.storage().create(&location("a"), &CreateOptions::default()).await.unwrap();
        let stored =
            cancelled_at(moment, async |heard, cancel| library.dump_heard(sink, heard, cancel).await).await;
        assert_eq!(stored.is_ok(), s3.object("a").is_some(), "at {moment} of {whole}");
        assert_eq!(s3.open_uploads(), Vec::<String>::new(), "at {moment} of {whole}");
        std::fs::remove_file(s3.bucket_dir().join("a")).ok();

        for error in [dumped.err(), stored.err()].into_iter().flatten() {
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{}", error.report());
            given_up += 1;
        }
        library.assert_no_cursor_is_open(&format!("{moment} of {whole}")).await;
    }
    assert!(given_up > MOMENTS, "most were cancelled in time: {given_up}");

    for polls in POLLS {
        let (sink, memory) = Sink::memory();
        let dumped = library.dump_polled(sink, polls).await;
        assert_eq!(dumped.is_some(), memory.bytes().is_some(), "{polls} polls");

        let sink = s3.storage().create(&location("a"), &CreateOptions::default()).await.unwrap();
        let stored = library.dump_polled(sink, polls).await;
        // A completion that was on its way when the future was dropped may still take effect.
        assert!(stored.is_none() || s3.object("a").is_some(), "{polls} polls");
        // This store forgets an upload first and then puts its parts together; a completion that is hung up on leaves parts
        // of no upload, which nobody can remove.
        let is_open = |name: &String| name.starts_with(".upload-");
        eventually(&format!("no open upload after {polls} polls"), async || {
            !s3.open_uploads().iter().any(is_open)
        })
        .await;
        std::fs::remove_file(s3.bucket_dir().join("a")).ok();
        library.assert_no_cursor_is_open(&format!("{polls} polls")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_cancelled_or_dropped_leaves_no_accounts_and_can_be_repeated() {
    let library = Library::start().await;
    let (archive, _) = library.archive().await;
    let heard = Arc::new(Cancels::never());
    let monitor: Arc<dyn Monitor> = Arc::<Cancels>::clone(&heard);
    let source = Source::memory([archive.clone()]);
    library.restore_heard(source, monitor, &CancellationToken::new()).await.unwrap();
    let whole = heard.so_far();
    let mut given_up = 0;
    for moment in moments(whole) {
        let source = Source::memory([archive.clone()]);
        let restored =
            cancelled_at(moment, async |heard, cancel| library.restore_heard(source, heard, cancel).await)
                .await;
        if let Err(error) = restored {
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{}", error.report());
            given_up += 1;
        }
        let what = format!("{moment} of {whole}");
        library.assert_no_account_is_left_over(&what).await;
        library.assert_no_cursor_is_open(&what).await;
    }
    assert!(given_up > MOMENTS / 2, "most were cancelled in time: {given_up}");
    for polls in POLLS {
        let source = Source::memory([archive.clone()]);
        library.restore_polled(source, polls).await;
        library.assert_no_cursor_is_open(&format!("{polls} polls")).await;
    }
    // A write that was on its way when the future was dropped may still arrive: a lost race is no lost document.
    eventually("everything", async || {
        let restored = library.restore(Source::memory([archive.clone()]), &CancellationToken::new()).await;
        restored.is_ok_and(|report| report.failures == 0)
    })
    .await;
    assert_same(&library.expected, &fingerprint(&library.server.client().await).await);
}

/// Remembers what it hears.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Told>>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Told {
    Planned(usize, Option<u64>),
    Started(String),
    Advanced(String, u64, u64),
    Finished(String, u64),
}

impl Heard {
    fn tell(&self, told: Told) {
        self.0.lock().unwrap().push(told);
    }
}

impl Monitor for Heard {
    fn planned(&self, namespaces: usize, documents: Option<u64>) {
        self.tell(Told::Planned(namespaces, documents));
    }

    fn started(&self, namespace: &Namespace, _documents: Option<u64>) {
        self.tell(Told::Started(namespace.to_string()));
    }

    fn advanced(&self, namespace: &Namespace, documents: u64, bytes: u64) {
        self.tell(Told::Advanced(namespace.to_string(), documents, bytes));
    }

    fn finished(&self, namespace: &Namespace, documents: u64) {
        self.tell(Told::Finished(namespace.to_string(), documents));
    }
}

/// Every namespace is begun once, gets on, and ends with the number that it has got on by.
fn assert_tells_all(heard: &Heard, namespaces: &[&str], documents: u64) {
    let told = heard.0.lock().unwrap();
    let planned = told.iter().filter(|told| matches!(told, Told::Planned(..))).count();
    assert_eq!(planned, 1);
    let mut all = 0;
    for name in namespaces {
        let of = |told: &&Told| match told {
            Told::Started(other) | Told::Advanced(other, ..) | Told::Finished(other, _) => other == name,
            Told::Planned(..) => false,
        };
        let told: Vec<_> = told.iter().filter(of).collect();
        assert_eq!(told.first(), Some(&&Told::Started((*name).to_owned())));
        let steps = told.iter().filter_map(|told| match told {
            Told::Advanced(_, documents, bytes) => Some((*documents, *bytes)),
            _ => None,
        });
        let (count, bytes) = steps.fold((0, 0), |sum, step| (sum.0 + step.0, sum.1 + step.1));
        assert!(bytes > count, "{name}: {count} documents of {bytes} bytes");
        assert_eq!(told.last(), Some(&&Told::Finished((*name).to_owned(), count)));
        all += count;
    }
    assert_eq!(all, documents);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_hears_what_the_report_says() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    for name in ["one", "two"] {
        let documents = (0..300).map(|number| doc! { "_id": number, "text": name });
        client.database("heard").collection::<Document>(name).insert_many(documents).await.unwrap();
    }
    let deployment = Deployment::connect(&MongoUri::parse(&server.uri()).unwrap()).await.unwrap();
    let cancel = CancellationToken::new();
    let scope = mongoark::Scope::Database("heard".to_owned());

    let (sink, memory) = Sink::memory();
    let heard = Arc::<Heard>::default();
    let monitor: Arc<dyn Monitor> = Arc::<Heard>::clone(&heard);
    let options = DumpOptions { scope: scope.clone(), ..DumpOptions::default() };
    let report = Box::pin(dump(&deployment, &options, sink, &monitor, &cancel)).await.unwrap();
    assert_eq!((report.collections, report.documents), (2, 600));
    assert_tells_all(&heard, &["heard.one", "heard.two"], report.documents);

    let heard = Arc::<Heard>::default();
    let monitor: Arc<dyn Monitor> = Arc::<Heard>::clone(&heard);
    let options = RestoreOptions { scope, drop: true, ..RestoreOptions::default() };
    let source = Source::memory([memory.bytes().unwrap()]);
    let report = restore(&deployment, &options, source, &monitor, &cancel).await.unwrap();
    assert_eq!((report.documents, report.failures), (600, 0));
    assert_tells_all(&heard, &["heard.one", "heard.two"], report.documents);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_fails_at_the_end_is_an_error_and_no_archive() {
    let library = Library::start().await;
    let none = CancellationToken::new();

    // The directory vanishes.
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let path = inner.join("a.archive");
    let sink = Storage::local().create(&Location::file(&path), &CreateOptions::default()).await.unwrap();
    std::fs::remove_dir_all(&inner).unwrap();
    let error = library.dump(sink, &none).await.unwrap_err();
    assert!([ErrorKind::Storage, ErrorKind::NotFound].contains(&error.kind()), "{}", error.report());
    assert!(!path.exists());

    // Somebody else is faster.
    std::fs::create_dir(&inner).unwrap();
    let keep = CreateOptions { overwrite: false, ..CreateOptions::default() };
    let sink = Storage::local().create(&Location::file(&path), &keep).await.unwrap();
    std::fs::write(&path, "precious").unwrap();
    let error = library.dump(sink, &none).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", error.report());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    assert_eq!(left_beside(&path), ["a.archive"]);
    library.assert_no_cursor_is_open("a sink that failed").await;
}
