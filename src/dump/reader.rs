//! One collection's documents, from the server's replies into segments: the only copy on their way to the compressor.

use std::collections::BTreeMap;
use std::sync::Arc;

use archive_format::{Namespace, Segment, SegmentBuilder};
use bson::{RawDocumentBuf, doc};
use futures::future::Shared;
use futures::stream::{StreamExt, TryStreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::bytes_in_flight;
use super::catalog::COMMANDS_IN_FLIGHT;
use super::entry::Entry;
use super::identity::Listing;
use super::indexes;
use super::source::Source;
use super::split::{Part, Splitter};
use super::window::Window;
use crate::codec::task_failed;
use crate::progress::Monitor;
use crate::{Error, Result};

/// Size in bytes at which a segment is full. One segment becomes one gzip member: large enough that headers and
/// hand-overs do not count, small enough that every core has one and memory stays low.
pub(super) const SEGMENT_SIZE: usize = 2 * 1024 * 1024;

/// What a reader tells the sequencer.
#[derive(Debug)]
pub(super) enum Message {
    /// Whole documents of one namespace, and the share of the dump's memory that they hold until they are stored.
    Documents(Segment, OwnedSemaphorePermit),
    /// The namespace has no more documents.
    Ended(Namespace),
}

/// Reads collections and sends what it reads.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) source: Arc<Source>,
    pub(super) splitter: Arc<Splitter>,
    pub(super) messages: mpsc::Sender<Message>,
    pub(super) budget: Arc<Semaphore>,
    /// The time that there is, if everything is read at one moment.
    pub(super) window: Option<Arc<Window>>,
    pub(super) monitor: Arc<dyn Monitor>,
    /// Nothing is sent before this: the end of what comes before in the archive.
    pub(super) turn: Option<Turn>,
}

/// Comes when what is read before has ended, well or not.
pub(super) type Turn = Shared<oneshot::Receiver<()>>;

impl Reader {
    /// Reads the whole collection, with at most `readers` cursors, and announces its end. What does not
    /// fit into one reply is then compared with what was planned; the rest is compared by the caller, together.
    pub(super) async fn read(&self, entry: &Entry, readers: usize) -> Result<u64> {
        let (namespace, monitor) = (&entry.target.archived, &self.monitor);
        monitor.started(namespace, entry.documents);
        let mut documents = 0;
        if entry.has_documents {
            documents = self.read_parts(entry, readers).await?;
            let is_unexpected = documents == 0 && entry.documents != Some(0);
            if !entry.is_small() || is_unexpected {
                entry.target.compare(&self.source).await?;
                indexes::compare(&self.source, &entry.target.namespace, self.unique(entry)).await?;
            }
        }
        self.wait_for_turn().await;
        self.messages.send(Message::Ended(namespace.clone())).await.map_err(|_| Error::hung_up())?;
        monitor.finished(namespace, documents);
        Ok(documents)
    }

    /// Compares what fitted into one reply each with what was planned, by one listing for each database.
    pub(super) async fn compare(&self, entries: &[Entry]) -> Result<()> {
        if self.source.is_followed() {
            return Ok(());
        }
        let mut databases: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.is_there()) {
            databases.entry(entry.target.namespace.db()).or_default().push(entry);
        }
        let listed = databases.into_iter().map(|(db, entries)| async move {
            if let [one] = entries.as_slice() {
                return one.target.compare(&self.source).await;
            }
            let listing = Listing::read(&self.source, db, doc! {}).await?;
            entries
                .iter()
                .try_for_each(|entry| listing.compare(&entry.target.namespace, &entry.target.identity))
        });
        at_once(listed.collect()).await?;
        let unique = entries.iter().filter(|entry| !self.unique(entry).is_empty());
        let indexes =
            unique.map(|entry| indexes::compare(&self.source, &entry.target.namespace, self.unique(entry)));
        at_once(indexes.collect()).await
    }

    /// The unique indexes that may have gone between the documents; those of one moment obey the indexes of
    /// that moment, and of those that are followed by the oplog that says so.
    fn unique<'a>(&self, entry: &'a Entry) -> &'a [RawDocumentBuf] {
        let is_told = self.source.is_followed() || entry.target.moment(&self.source).is_some();
        if is_told { &[] } else { &entry.unique }
    }

    async fn read_parts(&self, entry: &Entry, readers: usize) -> Result<u64> {
        let parts = if readers > 1 { self.splitter.parts(&entry.target, readers).await } else { None };
        let Some(parts) = parts else {
            let whole = Part::whole(&self.source, &entry.target);
            return Ok(self.read_part(whole, &entry.target.archived).await?.0);
        };
        let mut tasks = JoinSet::new();
        let last = parts.len() - 1;
        for (number, part) in parts.into_iter().enumerate() {
            let (reader, namespace) = (self.clone(), entry.target.archived.clone());
            tasks.spawn(async move { reader.read_part(part, &namespace).await.map(|read| (number, read)) });
        }
        let mut documents = 0;
        let mut behind = None;
        while let Some(done) = tasks.join_next().await {
            let (number, (count, part)) = done.map_err(task_failed)??;
            documents += count;
            if number == last {
                behind = Some(part);
            }
        }
        // Not before all others have ended: see the argument in `split`.
        if let Some(part) = behind.filter(Part::has_border) {
            let behind = part.behind(&self.source, &entry.target);
            documents += self.read_part(behind, &entry.target.archived).await?.0;
        }
        Ok(documents)
    }

    async fn read_part(&self, mut part: Part, namespace: &Namespace) -> Result<(u64, Part)> {
        let mut documents = 0;
        let mut segment = SegmentBuilder::new(namespace, 0);
        while let Some(reply) = part.next().await? {
            for document in reply.documents()? {
                let document = document?;
                if !segment.is_empty() && segment.len() + document.len() > SEGMENT_SIZE {
                    let capacity = SEGMENT_SIZE.max(document.len());
                    let full = std::mem::replace(&mut segment, SegmentBuilder::new(namespace, capacity));
                    documents += self.send(full).await?;
                }
                segment.push(&document).map_err(Error::not_archivable)?;
            }
            // The reply's memory goes before the next one comes, and so does that of a large document.
            drop(reply);
            if segment.len() >= SEGMENT_SIZE {
                let full = std::mem::replace(&mut segment, SegmentBuilder::new(namespace, 0));
                documents += self.send(full).await?;
            }
        }
        if !segment.is_empty() {
            documents += self.send(segment).await?;
        }
        Ok((documents, part))
    }

    async fn wait_for_turn(&self) {
        if let Some(turn) = &self.turn {
            // It is dropped instead of sent where the other has failed.
            let _ = turn.clone().await;
        }
    }

    /// Waits for the segment's share of memory, then hands it on. The largest documents count as half of it, so that one is
    /// read while another is stored.
    pub(super) async fn send(&self, segment: SegmentBuilder) -> Result<u64> {
        self.wait_for_turn().await;
        let segment = segment.finish();
        let (documents, bytes) = (segment.documents(), segment.document_bytes());
        let share = u32::try_from(segment.size().min(bytes_in_flight() / 2)).unwrap_or(u32::MAX);
        let permit =
            Arc::clone(&self.budget).acquire_many_owned(share).await.map_err(|_| Error::hung_up())?;
        let namespace = segment.namespace().clone();
        self.messages.send(Message::Documents(segment, permit)).await.map_err(|_| Error::hung_up())?;
        self.monitor.advanced(&namespace, documents, bytes);
        if let Some(window) = &self.window {
            window.advance(bytes, self.monitor.as_ref());
        }
        Ok(documents)
    }
}

/// Runs comparisons, several at once, up to the first that fails.
async fn at_once(comparisons: Vec<impl Future<Output = Result<()>>>) -> Result<()> {
    futures::stream::iter(comparisons).buffer_unordered(COMMANDS_IN_FLIGHT).try_collect().await
}
