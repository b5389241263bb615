//! Dump: from a MongoDB deployment into an archive.
//!
//! ```text
//! catalog -> readers xN --Segment--> sequencer --Frame--> gzip xCores --Member--> sink -> complete | abort
//! ```
//!
//! The archive is complete or it is not there: only when every namespace has ended, the encoder is finished and the last
//! byte is stored, the sink is completed; any error and any cancellation aborts it.
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
//! Measured for one collection of 0.5 GiB to a file: 39 MiB plain, 64 MiB with gzip. Documents of 16 MiB are read by one
//! reader and count fully in every line: 123 MiB to a file. Where the server does not tell the size of a collection, replies
//! have the server's own limit of 16 MiB.
//!
//! A document is copied three times between the socket and the compressor: into the driver's reply, out of it, and into its
//! segment. With gzip and a server on the same two cores, of the process's CPU time libdeflate has 80 %, copies 2.4 %,
//! zeroing the driver's buffers 1.5 %, the socket 1 %, the checksum 0.8 %. Allocators make no difference in time (2.90 to
//! 2.95 s); in memory glibc's came to 81 MiB where jemalloc came to 105 and mimalloc to 114, so it stays.

use std::pin::pin;
use std::sync::Arc;

use archive_format::Prelude;
use futures::TryFutureExt;
use futures::stream::{self, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::codec::members::{self, Compressors};
use crate::codec::{Compression, GzipLevel, task_failed};
use crate::progress::Monitor;
use crate::storage::Sink;
use crate::{Deployment, Error, ErrorKind, Result, Scope};

mod catalog;
mod metadata;
mod reader;
mod sequencer;
mod split;

use catalog::Catalog;
use reader::{Output, SEGMENT_SIZE};
use sequencer::Frame;

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

/// Segments waiting for the sequencer, which is faster than any reader.
const SEGMENTS_QUEUED: usize = 1;

/// Frames waiting for the compressor.
const FRAMES_QUEUED: usize = 1;

/// What to dump and how. `Default` dumps everything mongodump dumps, uncompressed.
#[derive(Clone, Debug)]
pub struct DumpOptions {
    /// What to dump.
    pub scope: Scope,
    /// How the archive's bytes are stored.
    pub compression: Compression,
    /// Collections read at once, at least 1.
    pub parallel_collections: usize,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self {
            scope: Scope::Everything,
            compression: Compression::None,
            parallel_collections: PARALLEL_COLLECTIONS,
        }
    }
}

/// What a dump wrote.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpReport {
    /// Number of collections, views and special collections included.
    pub collections: usize,
    /// Number of documents.
    pub documents: u64,
    /// Bytes of the stored archive, after compression.
    pub bytes: u64,
}

/// Dumps into `sink` and completes it.
///
/// # Errors
/// Any failure of the deployment or the sink; a collection that is dropped, or whose cursor is lost, while it is read;
/// [`ErrorKind::NoSuchCollection`] when the one collection asked for does not exist. The sink has then been aborted: no archive is there.
///
/// # Cancellation
/// When `cancel` fires, the sink is aborted and [`ErrorKind::Cancelled`] returned. Dropping the future leaves the abort
/// to the sink's best effort.
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
    mut sink: Sink,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
    check: impl Future<Output = Result<()>>,
) -> Result<DumpReport> {
    let work = async {
        let counts = pipeline(deployment, options, &mut sink, monitor).await?;
        check.await?;
        Ok(counts)
    };
    let result = tokio::select! {
        result = work => result,
        () = cancel.cancelled() => Err(Error::cancelled()),
    };
    match result {
        Ok((collections, documents)) => {
            let stored = sink.complete().await?;
            Ok(DumpReport { collections, documents, bytes: stored.bytes })
        }
        Err(error) => {
            if let Err(left) = sink.abort().await {
                monitor.warn(&format!("what was stored so far could not be removed: {}", left.report()));
            }
            Err(error)
        }
    }
}

/// Runs every stage to its end; `Ok` holds the numbers of collections and documents.
async fn pipeline(
    deployment: &Deployment,
    options: &DumpOptions,
    sink: &mut Sink,
    monitor: &Arc<dyn Monitor>,
) -> Result<(usize, u64)> {
    if options.parallel_collections == 0 {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "the number of parallel collections must be at least 1",
        ));
    }
    let catalog = Arc::new(Catalog::read(deployment, options).await?);
    monitor.planned(catalog.entries.len(), catalog.documents());
    let prelude = Prelude {
        concurrent_collections: i32::try_from(options.parallel_collections).unwrap_or(i32::MAX),
        server_version: catalog.server_version.clone(),
        tool_version: concat!("mongoark ", env!("CARGO_PKG_VERSION")).to_owned(),
        collections: catalog.entries.iter().map(|entry| entry.collection.clone()).collect(),
    };
    let (messages, segments) = mpsc::channel(SEGMENTS_QUEUED);
    let (frames, uncompressed) = mpsc::channel(FRAMES_QUEUED);
    // Readers first: their error is the cause when several stages fail.
    let budget = Arc::new(Semaphore::new(bytes_in_flight()));
    let output = Output { messages, budget, monitor: Arc::clone(monitor) };
    let readers = readers(deployment.client(), &catalog, options, output);
    let sequencing = AbortOnDropHandle::new(tokio::spawn(sequencer::sequence(prelude, segments, frames)));
    let in_order = async { sequencing.await.map_err(task_failed)? };
    let stored = async {
        match options.compression {
            Compression::None => store_plain(uncompressed, sink).await,
            Compression::Gzip(level) => store_gzip(uncompressed, level, sink).await,
        }
    };
    let (documents, (), ()) = futures::try_join!(readers, in_order, stored)?;
    sink.drain().await?;
    Ok((catalog.entries.len(), documents))
}

/// Reads every collection; the special ones one after the other and first, as mongorestore wants them.
async fn readers(
    client: &mongodb::Client,
    catalog: &Arc<Catalog>,
    options: &DumpOptions,
    output: Output,
) -> Result<u64> {
    let slots = Arc::new(Semaphore::new(options.parallel_collections));
    let most = match options.compression {
        Compression::None => READERS,
        Compression::Gzip(_) => readers_for_gzip(),
    };
    let readers = Arc::new(Semaphore::new(most.max(options.parallel_collections)));
    let mut tasks: JoinSet<Result<u64>> = JoinSet::new();
    let mut documents = 0;
    for (position, entry) in catalog.entries.iter().enumerate() {
        let namespace = entry.data.clone();
        if namespace.is_special() {
            documents += reader::read(client, entry, catalog, 1, &output)
                .map_err(|error| error.at(&namespace))
                .await?;
            continue;
        }
        let slot = acquire(&slots, 1, &mut tasks, &mut documents).await?;
        let count = reader::readers(entry, most);
        let wanted = u32::try_from(count).unwrap_or(u32::MAX);
        let permits = acquire(&readers, wanted, &mut tasks, &mut documents).await?;
        let (client, catalog, output) = (client.clone(), Arc::clone(catalog), output.clone());
        tasks.spawn(async move {
            let _held = (slot, permits);
            let Some(entry) = catalog.entries.get(position) else { return Ok(0) };
            reader::read(&client, entry, &catalog, count, &output)
                .map_err(|error| error.at(&entry.data))
                .await
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
            slot = Arc::clone(slots).acquire_many_owned(count) => return slot.map_err(|_| Error::cancelled()),
        }
    }
}

async fn store_plain(mut frames: mpsc::Receiver<Frame>, sink: &mut Sink) -> Result<()> {
    while let Some(frame) = frames.recv().await {
        for block in frame.blocks {
            sink.store(block).await?;
        }
    }
    Ok(())
}

/// Compresses frames on all cores and stores the members in the frames' order.
async fn store_gzip(mut frames: mpsc::Receiver<Frame>, level: GzipLevel, sink: &mut Sink) -> Result<()> {
    let compressors = Arc::new(Compressors::new(level));
    let members = stream::poll_fn(move |context| frames.poll_recv(context)).map(|frame| {
        let compressors = Arc::clone(&compressors);
        let member = spawn_blocking(move || compressors.compress(frame.namespace.as_ref(), &frame.blocks));
        async move { Ok::<_, Error>((member.await.map_err(task_failed)??, frame.permit)) }
    });
    let mut members = pin!(members.buffered(members::in_flight()));
    while let Some((member, _permit)) = members.next().await.transpose()? {
        sink.store(member).await?;
    }
    Ok(())
}
