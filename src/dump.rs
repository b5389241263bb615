//! Dump: from a MongoDB deployment into an archive.
//!
//! ```text
//! catalog -> readers xN --Segment--> sequencer --BlockGroup--> gzip xCores --Member--> sink -> complete | abort
//! ```
//!
//! The archive is complete or it is not there: only when every namespace has ended, the encoder is finished and the last
//! byte is stored, the sink is completed; any error and any cancellation aborts it.
//!
//! One member of the deployment is read (`source`), a collection by its UUID's name (`identity`), a large one in parts
//! (`split`), all at one cluster time where the server can show that (`moment`). Where it cannot, collections, and parts of
//! one, are read at different times: the archive holds every document that was there all the time, and of those written
//! meanwhile some and others not. The oplog of that time, where it is captured (`oplog`), makes them of one moment again.
//!
//! Memory is a sum of constants and does not depend on the size of the database (MiB, on two cores):
//!
//! | what | plain | gzip |
//! |---|---|---|
//! | for each of 4 readers (2 with gzip), a reply of 1 MiB, the driver's copy of it, a segment of 2 MiB | 16 | 8 |
//! | segments from the readers to the sink, 2 MiB for each core and four more | 12 | 12 |
//! | for each core and one more, a compressor with its buffer, and a member | - | 12 |
//! | a file's queue; for S3 the parts in flight, while they are small: 40 | 6 | 6 |
//! | program, connections, TLS, and what the allocator keeps | 20 | 25 |
//!
//! Documents of 16 MiB are read by one reader and count fully in every line. Where the server does not tell the size of a
//! collection, replies have the server's own limit of 16 MiB.
//!
//! A document is copied three times between the socket and the compressor: into the driver's reply, out of it, and into its
//! segment.

use std::pin::pin;
use std::sync::Arc;

use archive_format::Prelude;
use futures::stream::{self, StreamExt};
use futures::{FutureExt, TryFutureExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::codec::members::{self, Compressors};
use crate::codec::{Compression, GzipLevel, task_failed};
use crate::progress::Monitor;
use crate::storage::{Checked, Sink};
use crate::{Deployment, Error, ErrorKind, Result};

mod accounts;
mod catalog;
mod choice;
mod databases;
mod entry;
mod identity;
mod indexes;
mod metadata;
mod moment;
mod omission;
mod oplog;
mod options;
mod query;
mod reader;
mod reply;
mod report;
mod scan;
mod selection;
mod sequencer;
mod size;
mod snapshot;
mod source;
mod split;
mod window;

use catalog::{Catalog, Sizes};
use entry::Entry;
use moment::{Loss, Lost};
use oplog::Start;
use reader::{Reader, SEGMENT_SIZE};
use sequencer::BlockGroup;
use source::Source;
use split::Splitter;
use window::Window;

pub use oplog::CapturedOplog;
pub use options::DumpOptions;
pub use query::Query;
pub use report::DumpReport;
pub use selection::Selection;
pub use snapshot::{Snapshot, SnapshotMode};

/// Collections read at once unless asked otherwise: mongodump's default.
pub const PARALLEL_COLLECTIONS: usize = 4;

/// Readers at work at once on one collection's parts when nothing but the server bounds them: a fifth adds nothing.
const READERS: usize = 4;

/// Readers at work at once when compression bounds them. One feeds three cores, and a second hides its round trips.
fn readers_for_gzip() -> usize {
    (members::in_flight() / 2).max(2)
}

/// Bytes of segments between readers and the sink: what is being compressed, and as much again as the readers bring
/// until the next member is done.
fn bytes_in_flight() -> usize {
    SEGMENT_SIZE * (members::in_flight() + 3)
}

/// How often a dump that has stored nothing yet goes on to a newer moment because the server cannot show the one before.
const NEWER_MOMENTS: u32 = 2;

/// Segments waiting for the sequencer, which is faster than any reader.
const SEGMENTS_QUEUED: usize = 1;

/// Groups of blocks waiting for the compressor.
const GROUPS_QUEUED: usize = 1;

/// Dumps into `sink` and completes it.
///
/// All reads go to the one member that the client's read preference selects, once that has everything that was written
/// before the dump began; it is waited for at most a minute. Commands are repeated through elections and broken connections,
/// and a cursor that is lost goes on from where it was, on the same process of the same member.
///
/// Unless [`DumpOptions::snapshot`] is off, everything is read as it was at one cluster time where the server can show that.
/// When it can no longer (the dump outlived its history), a dump of which it is not required begins once more without, as
/// far as `sink` can: pipes cannot. Then the oplog of its scope is captured, too, where there is one, and the archive says that
/// it is to be replayed. Beside an S3 object stands what came of it: `mongoark-cluster-time`, seconds and increment, or `none`,
/// and `mongoark-snapshot`, `whole`, `apart`, `oplog` (of one moment when it is replayed) or `none`.
///
/// With [`DumpOptions::oplog`] there is no snapshot: each collection is read as it is, and what is written from before the
/// listing until after the last document is captured, cut to the scope. What happens to collections meanwhile is no error
/// then, but for what no replay makes good, renames for one.
///
/// # Errors
/// Any failure of the deployment or the sink; an account that may not see all that the scope covers; a collection that is
/// renamed, dropped, replaced or changed between the listing and the end of its reading; a member that is restarted or rolls
/// back; a snapshot that is required and cannot be had, whole, or was lost; an oplog that is wanted and is not there, or no
/// longer; [`ErrorKind::NoSuchCollection`] when the one collection asked for does not exist. The sink has then been aborted: no
/// archive is there.
///
/// # Cancellation
/// When `cancel` fires, the sink is aborted and [`ErrorKind::Cancelled`] returned. Dropping the future leaves the abort
/// to the sink's best effort. Either way cursors are closed on the server by tasks of their own, the ones whose first reply
/// was awaited when that has come; [`Deployment::close`] waits for them.
pub async fn dump(
    deployment: &Deployment,
    options: &DumpOptions,
    sink: Sink,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<DumpReport> {
    dump_checked(deployment, options, sink, monitor, cancel, async { Ok(()) }).await
}

/// As [`dump`]; `check` runs when everything has been read and stored, and only if it succeeds the sink is completed.
pub(crate) async fn dump_checked(
    deployment: &Deployment,
    options: &DumpOptions,
    sink: Sink,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
    check: impl Future<Output = Result<()>>,
) -> Result<DumpReport> {
    // Empty only while it begins anew.
    let mut place = Some(sink);
    let work = async {
        let report = attempts(deployment, options, &mut place, monitor).boxed().await?;
        check.await?;
        Ok(report)
    };
    let result = tokio::select! {
        result = work => result,
        () = cancel.cancelled() => Err(Error::cancelled()),
    };
    let sink = place.ok_or_else(Error::hung_up);
    match result {
        Ok(report) => {
            let stored = sink?.complete().await?;
            for note in &stored.notes {
                monitor.warn(note);
            }
            Ok(DumpReport {
                bytes: stored.bytes,
                crc64: stored.crc64,
                etag: stored.etag,
                version: stored.version,
                checked: stored.checked,
                ..report
            })
        }
        Err(error) => {
            if let Ok(sink) = sink
                && let Err(left) = sink.abort().await
            {
                monitor.warn(&format!("what was stored so far could not be removed: {}", left.report()));
            }
            Err(error)
        }
    }
}

/// Whether the oplog is captured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Capture {
    No,
    Asked,
    /// Because the snapshot was lost, where it can be.
    Fallback,
}

/// One run through every stage.
struct Attempt {
    snapshot: SnapshotMode,
    oplog: Capture,
    /// Why it is not to be of one moment, where that was wanted.
    reason: Option<String>,
    loss: Loss,
    has_stored: bool,
    /// The oplog could not be captured to its end.
    has_lost_oplog: bool,
}

/// Runs the pipeline, once more where the snapshot is lost: at a newer moment as long as nothing has been stored, and where
/// none is required without one.
async fn attempts(
    deployment: &Deployment,
    options: &DumpOptions,
    place: &mut Option<Sink>,
    monitor: &Arc<dyn Monitor>,
) -> Result<DumpReport> {
    let (mut snapshot, mut oplog, mut reason) = (options.snapshot, Capture::No, None);
    if options.oplog {
        if snapshot == SnapshotMode::Required {
            let message =
                "with the oplog there is no snapshot: ask for one of both (--oplog, --snapshot required)";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        if options.selection.is_partial() {
            let message = "the oplog is of whole databases and collections, and would bring back what a query or an exclusion \
                           leaves out: dump without --oplog, or without --query, --excludeCollection, \
                           --excludeCollectionsWithPrefix and --viewsAsCollections";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        (snapshot, oplog) = (SnapshotMode::Off, Capture::Asked);
    }
    let mut newer = NEWER_MOMENTS;
    loop {
        let mut attempt = Attempt {
            snapshot,
            oplog,
            reason: reason.clone(),
            loss: Loss::default(),
            has_stored: false,
            has_lost_oplog: false,
        };
        let sink = place.as_mut().ok_or_else(Error::hung_up)?;
        let error = match pipeline(deployment, options, &mut attempt, sink, monitor).boxed().await {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        if attempt.oplog == Capture::Fallback && attempt.has_lost_oplog {
            monitor.warn(&format!("the dump begins once more, and without the oplog: {}", error.report()));
            oplog = Capture::No;
            begin_anew(place, &error).await?;
            continue;
        }
        let Some(lost) = attempt.loss.get().copied().filter(|_| error.kind() == ErrorKind::Server) else {
            return Err(error);
        };
        if lost != Lost::NotBelieved && !attempt.has_stored && newer > 0 {
            newer -= 1;
            monitor.note(&format!("reading at a newer moment: {}", error.report()));
            continue;
        }
        if snapshot == SnapshotMode::Required {
            return Err(error);
        }
        monitor.warn(&format!("the dump begins once more, and not of one moment: {}", error.report()));
        (snapshot, reason) = (SnapshotMode::Off, Some(error.report()));
        // A server that is none of MongoDB's has no oplog of its, and the oplog knows of no selection.
        let has_oplog = lost != Lost::NotBelieved && !options.selection.is_partial();
        oplog = if has_oplog { Capture::Fallback } else { Capture::No };
        if attempt.has_stored {
            begin_anew(place, &error).await?;
        }
    }
}

/// Throws away what was stored.
async fn begin_anew(place: &mut Option<Sink>, error: &Error) -> Result<()> {
    let sink = place.take().ok_or_else(Error::hung_up)?;
    *place = Some(sink.restart().await.map_err(|stuck| {
        Error::new(
            stuck.kind(),
            format!(
                "its snapshot was lost, and it cannot begin once more without ({}); dump with --snapshot off",
                error.report()
            ),
        )
        .with_source(stuck)
    })?);
    Ok(())
}

/// From where on the oplog is captured, if it is.
async fn followed(
    source: &mut Source,
    options: &DumpOptions,
    attempt: &mut Attempt,
    monitor: &Arc<dyn Monitor>,
) -> Result<Option<Start>> {
    if attempt.oplog == Capture::No {
        return Ok(None);
    }
    match Start::find(source, &options.scope).await {
        Ok(start) => {
            source.follow();
            Ok(Some(start))
        }
        Err(error) if attempt.oplog == Capture::Fallback && error.kind() != ErrorKind::Connection => {
            monitor.warn(&format!("the oplog is not captured: {}", error.report()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Runs every stage to its end; the report lacks the number of bytes.
async fn pipeline(
    deployment: &Deployment,
    options: &DumpOptions,
    attempt: &mut Attempt,
    sink: &mut Sink,
    monitor: &Arc<dyn Monitor>,
) -> Result<DumpReport> {
    if options.parallel_collections == 0 {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "the number of parallel collections must be at least 1",
        ));
    }
    options.selection.check(&options.scope)?;
    let mut source = Source::connect(deployment, monitor).await?;
    let start = followed(&mut source, options, attempt, monitor).await?;
    let (mut catalog, mut snapshot) = match attempt.snapshot {
        SnapshotMode::Off => {
            let snapshot = Snapshot { reason: attempt.reason.take(), ..Snapshot::default() };
            (Catalog::read(&source, options, Sizes::Asked).await?, snapshot)
        }
        SnapshotMode::Auto | SnapshotMode::Required => {
            choice::choose(&mut source, options, &attempt.loss).await?
        }
    };
    if attempt.snapshot == SnapshotMode::Required {
        snapshot.require()?;
    }
    for (name, value) in snapshot.labels(start.is_some()) {
        sink.label(name, &value)?;
    }
    let source = Arc::new(source);
    let left_out = catalog.tell(&source, options, monitor.as_ref()).await;
    let window = match snapshot.at {
        Some(_) => Some(Arc::new(Window::begin(&source, catalog.bytes(), monitor.as_ref()).await)),
        None => None,
    };
    let mut collections: Vec<_> = catalog.entries.iter().map(|entry| entry.collection.clone()).collect();
    collections.extend(start.is_some().then(oplog::announced));
    monitor.planned(collections.len(), catalog.documents());
    monitor.expected(catalog.bytes());
    // Uncompressed: too many rather than too few.
    sink.expect(catalog.bytes());
    let prelude = Prelude {
        concurrent_collections: i32::try_from(options.parallel_collections).unwrap_or(i32::MAX),
        server_version: catalog.server_version.clone(),
        tool_version: concat!("mongoark ", env!("CARGO_PKG_VERSION")).to_owned(),
        replay_oplog: start.is_some() && attempt.oplog == Capture::Fallback,
        collections,
    };
    let (messages, segments) = mpsc::channel(SEGMENTS_QUEUED);
    let (groups, uncompressed) = mpsc::channel(GROUPS_QUEUED);
    let reader = Reader {
        splitter: Arc::new(Splitter::new(&source, monitor)),
        source,
        messages,
        budget: Arc::new(Semaphore::new(bytes_in_flight())),
        window,
        monitor: Arc::clone(monitor),
        turn: None,
    };
    // Readers first: their error is the cause when several stages fail.
    let has_lost_oplog = &mut attempt.has_lost_oplog;
    let read = cause_only(async {
        let documents = read_all(&reader, &catalog.entries, options).await?;
        let Some(start) = start else { return Ok((documents, None)) };
        let captured = start.capture(&reader, &options.scope).await;
        *has_lost_oplog = captured.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server);
        drop(reader);
        Ok((documents, Some(captured?)))
    });
    let sequencing = AbortOnDropHandle::new(tokio::spawn(sequencer::sequence(prelude, segments, groups)));
    let in_order = cause_only(async { sequencing.await.map_err(task_failed)? });
    let has_stored = &mut attempt.has_stored;
    let stored = cause_only(async {
        match options.compression {
            Compression::None => store_plain(uncompressed, sink, has_stored).await,
            Compression::Gzip(level) => store_gzip(uncompressed, level, sink, has_stored).await,
        }
    });
    let ((documents, captured), namespaces, ()) = futures::try_join!(read, in_order, stored)?;
    sink.drain().await?;
    let is_fallback = attempt.oplog == Capture::Fallback;
    let captured = captured.map(|captured| CapturedOplog { is_fallback, ..captured });
    snapshot.replayed = captured.map(|captured| captured.end);
    Ok(DumpReport {
        scope: options.scope.clone(),
        in_part: options.selection.is_partial(),
        left_out,
        collections: catalog.entries.len(),
        documents,
        bytes: 0,
        snapshot,
        oplog: captured,
        namespaces,
        server_version: catalog.server_version,
        crc64: None,
        etag: None,
        version: None,
        checked: Checked::Size,
    })
}

/// A stage whose error is the cause of the failure. One that ended because another hung up waits for that one's error.
async fn cause_only<T>(stage: impl Future<Output = Result<T>>) -> Result<T> {
    match stage.await {
        Err(error) if error.is_hung_up() => std::future::pending().await,
        settled => settled,
    }
}

/// Reads every collection. The special ones come one after the other and first, as mongorestore wants them; then what is
/// small, in the plan's order, which is compared with the plan as a whole; then the rest.
async fn read_all(reader: &Reader, entries: &[Entry], options: &DumpOptions) -> Result<u64> {
    let most = match options.compression {
        Compression::None => READERS,
        Compression::Gzip(_) => readers_for_gzip(),
    };
    let (special, ordinary) =
        entries.split_at(entries.partition_point(|entry| entry.target.archived.is_special()));
    let (small, large) = ordinary.split_at(ordinary.partition_point(Entry::is_small));
    let mut documents = 0;
    for entry in special {
        documents += reader.read(entry, 1).map_err(|error| error.at(&entry.target.archived)).await?;
    }
    documents += read_at_once(reader, small, options.parallel_collections, most, Order::Planned).await?;
    let (compared, _) = entries.split_at(special.len() + small.len());
    reader.compare(compared).await?;
    documents += read_at_once(reader, large, options.parallel_collections, most, Order::AsItComes).await?;
    Ok(documents)
}

/// The order in which the archive holds collections that are read at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Order {
    /// The plan's, so that two dumps of the same are the same. One that is not small makes the others wait.
    Planned,
    /// As the server answers.
    AsItComes,
}

/// Reads some collections at once; each with as many readers as are worth their while, of which `most` are at work.
async fn read_at_once(
    reader: &Reader,
    entries: &[Entry],
    collections: usize,
    most: usize,
    order: Order,
) -> Result<u64> {
    let mut before = None;
    let slots = Arc::new(Semaphore::new(collections));
    let readers = Arc::new(Semaphore::new(most.max(collections)));
    let mut tasks: JoinSet<Result<u64>> = JoinSet::new();
    let mut documents = 0;
    for entry in entries {
        let slot = acquire(&slots, 1, &mut tasks, &mut documents).await?;
        let count = entry.readers(most);
        let wanted = u32::try_from(count).unwrap_or(u32::MAX);
        let permits = acquire(&readers, wanted, &mut tasks, &mut documents).await?;
        let (mut reader, entry) = (reader.clone(), entry.clone());
        let (ended, end) = oneshot::channel();
        if order == Order::Planned {
            reader.turn = before.replace(end.shared());
        }
        tasks.spawn(async move {
            let _held: (_, _, oneshot::Sender<()>) = (slot, permits, ended);
            reader.read(&entry, count).map_err(|error| error.at(&entry.target.archived)).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        documents += done.map_err(task_failed)??;
    }
    Ok(documents)
}

/// A free slot, watching meanwhile for a reader that failed.
async fn acquire(
    slots: &Arc<Semaphore>,
    count: u32,
    tasks: &mut JoinSet<Result<u64>>,
    documents: &mut u64,
) -> Result<OwnedSemaphorePermit> {
    loop {
        tokio::select! {
            biased;
            Some(done) = tasks.join_next() => *documents += done.map_err(task_failed)??,
            slot = Arc::clone(slots).acquire_many_owned(count) => return slot.map_err(|_| Error::hung_up()),
        }
    }
}

async fn store_plain(
    mut groups: mpsc::Receiver<BlockGroup>,
    sink: &mut Sink,
    has_stored: &mut bool,
) -> Result<()> {
    while let Some(group) = groups.recv().await {
        *has_stored = true;
        for block in group.blocks {
            sink.store(block).await?;
        }
    }
    Ok(())
}

/// Compresses groups of blocks on all cores and stores the members in the groups' order.
async fn store_gzip(
    mut groups: mpsc::Receiver<BlockGroup>,
    level: GzipLevel,
    sink: &mut Sink,
    has_stored: &mut bool,
) -> Result<()> {
    let compressors = Arc::new(Compressors::new(level));
    let members = stream::poll_fn(move |context| groups.poll_recv(context)).map(|group| {
        let compressors = Arc::clone(&compressors);
        let member = spawn_blocking(move || compressors.compress(group.namespace.as_ref(), &group.blocks));
        async move { Ok::<_, Error>((member.await.map_err(task_failed)??, group.permit)) }
    });
    let mut members = pin!(members.buffered(members::in_flight()));
    while let Some((member, _permit)) = members.next().await.transpose()? {
        *has_stored = true;
        sink.store(member).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stage_that_was_hung_up_on_never_hides_the_cause() {
        let hung_up = cause_only(async { Err::<(), _>(Error::hung_up()) });
        let cause = cause_only(async {
            tokio::task::yield_now().await;
            Err::<(), _>(Error::new(ErrorKind::Storage, "the disk is full"))
        });
        let error = futures::try_join!(hung_up, cause).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    }
}
