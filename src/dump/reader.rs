//! One collection's documents, from the server's replies into segments: the only copy on their way to the compressor.

use std::sync::Arc;

use archive_format::{Kind, Namespace, Segment, SegmentBuilder, ServerVersion};
use bson::{Document, RawBsonRef, RawDocument, doc};
use mongodb::Client;
use mongodb::action::{Action, RunCursorCommand};
use mongodb::error::Error as DriverError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::bytes_in_flight;
use super::catalog::{Catalog, Entry};
use super::split::Part;
use crate::codec::task_failed;
use crate::progress::Monitor;
use crate::server_error::driver_error;
use crate::{Error, ErrorKind, Result};

/// Size in bytes at which a segment is full. One segment becomes one gzip member: large enough that headers and
/// hand-overs do not count, small enough that every core has one and memory stays low.
pub(super) const SEGMENT_SIZE: usize = 2 * 1024 * 1024;

/// What a reader tells the sequencer.
#[derive(Debug)]
pub(super) enum Message {
    /// Whole documents of one namespace, and the share of the dump's memory that they hold until they are stored.
    Segment(Segment, OwnedSemaphorePermit),
    /// The namespace has no more documents.
    End(Namespace),
}

/// Where readers send what they read.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) messages: mpsc::Sender<Message>,
    pub(super) budget: Arc<Semaphore>,
    pub(super) monitor: Arc<dyn Monitor>,
}

/// The version from which the server keeps time series under their own name and wants `rawData`.
const VIEWLESS_TIMESERIES: ServerVersion = ServerVersion { major: 8, minor: 3, patch: 0 };

/// Bytes of documents in a server's reply: large enough that the round trip does not count, small enough for a
/// processor's cache and, twice for each reader, for memory. The server's own limit would be 16 MiB.
const REPLY_SIZE: u64 = 1024 * 1024;

/// Documents in a server's reply at most.
const REPLY_DOCUMENTS: u64 = 100_000;

/// Bytes of a collection for which a reader more is worth its while.
const PART_SIZE: u64 = 16 * 1024 * 1024;

/// Bytes of documents for all readers of a collection, if every reader has one: with the largest, one reader has to do.
const LARGE_DOCUMENTS: u64 = 8 * 1024 * 1024;

/// Readers that are worth their while for this entry.
pub(super) fn readers(entry: &Entry, most: usize) -> usize {
    let worth = if entry.is_splittable { entry.bytes / PART_SIZE } else { 1 };
    let average = entry.bytes / entry.documents.unwrap_or_default().max(1);
    let affordable = LARGE_DOCUMENTS / average.max(1);
    usize::try_from(worth.min(affordable)).unwrap_or(usize::MAX).clamp(1, most)
}

/// Reads the whole collection, with at most `readers` cursors, and announces its end. Views hold nothing.
pub(super) async fn read(
    client: &Client,
    entry: &Entry,
    catalog: &Catalog,
    readers: usize,
    output: &Output,
) -> Result<u64> {
    let (namespace, monitor) = (&entry.data, &output.monitor);
    monitor.started(namespace, entry.documents);
    let mut documents = 0;
    if entry.collection.kind != Kind::View {
        let mut parts = match &catalog.member {
            Some(member) if readers > 1 => {
                member.split(client, namespace, readers, batch_size(entry)).await.unwrap_or_default()
            }
            _ => Vec::new(),
        };
        if parts.is_empty() {
            parts.push(whole(client, entry, catalog.server).await?);
        }
        let mut tasks = JoinSet::new();
        for part in parts {
            tasks.spawn(read_part(part, namespace.clone(), output.clone()));
        }
        while let Some(done) = tasks.join_next().await {
            documents += done.map_err(task_failed)??;
        }
    }
    output.messages.send(Message::End(namespace.clone())).await.map_err(|_| Error::cancelled())?;
    monitor.finished(namespace, documents);
    Ok(documents)
}

async fn whole(client: &Client, entry: &Entry, server: ServerVersion) -> Result<Part> {
    let mut command = find(&entry.data);
    let size = batch_size(entry);
    if let Some(size) = size {
        command.insert("batchSize", i64::from(size));
    }
    if server >= VIEWLESS_TIMESERIES {
        command.insert("rawData", true);
    }
    let db = client.database(entry.data.db());
    let action = db
        .run_cursor_command(command)
        .optional(client.selection_criteria().cloned(), RunCursorCommand::selection_criteria)
        .optional(size, RunCursorCommand::batch_size);
    action.batch().await.map(Part::whole).map_err(|error| read_error(&error))
}

/// The command that reads everything in natural order.
pub(super) fn find(namespace: &Namespace) -> Document {
    doc! { "find": namespace.collection(), "filter": {}, "hint": { "$natural": 1 } }
}

/// Documents for a reply of [`REPLY_SIZE`], where the server's statistics tell their size.
fn batch_size(entry: &Entry) -> Option<u32> {
    let documents = entry.documents.filter(|documents| *documents > 0 && entry.bytes > 0)?;
    let fitting = REPLY_SIZE.saturating_mul(documents) / entry.bytes;
    u32::try_from(fitting.clamp(1, REPLY_DOCUMENTS)).ok()
}

async fn read_part(mut part: Part, namespace: Namespace, output: Output) -> Result<u64> {
    let mut documents = 0;
    let mut segment = SegmentBuilder::new(&namespace, 0);
    while let Some(portion) = part.next().await? {
        for document in portion.documents()? {
            let document = document?;
            if !segment.is_empty() && segment.len() + document.len() > SEGMENT_SIZE {
                let capacity = SEGMENT_SIZE.max(document.len());
                let full = std::mem::replace(&mut segment, SegmentBuilder::new(&namespace, capacity));
                documents += output.send(full).await?;
            }
            segment.push(document).map_err(Error::not_archivable)?;
        }
        // The reply's memory goes before the next one comes, and so does that of a large document.
        drop(portion);
        if segment.len() >= SEGMENT_SIZE {
            let full = std::mem::replace(&mut segment, SegmentBuilder::new(&namespace, 0));
            documents += output.send(full).await?;
        }
    }
    if !segment.is_empty() {
        documents += output.send(segment).await?;
    }
    Ok(documents)
}

impl Output {
    /// Waits for the segment's share of memory, then hands it on. The largest documents count as half of it, so that one is
    /// read while another is stored.
    async fn send(&self, segment: SegmentBuilder) -> Result<u64> {
        let segment = segment.finish();
        let (documents, bytes) = (segment.documents(), segment.document_bytes());
        let share = u32::try_from(segment.size().min(bytes_in_flight() / 2)).unwrap_or(u32::MAX);
        let permit =
            Arc::clone(&self.budget).acquire_many_owned(share).await.map_err(|_| Error::cancelled())?;
        let namespace = segment.namespace().clone();
        // The sequencer hangs up only after an error of its own, which is the one that is reported.
        self.messages.send(Message::Segment(segment, permit)).await.map_err(|_| Error::cancelled())?;
        self.monitor.advanced(&namespace, documents, bytes);
        Ok(documents)
    }
}

pub(super) fn read_error(error: &DriverError) -> Error {
    driver_error("reading its documents failed; the dump was given up", error)
}

/// The document that an element of a server's reply is.
pub(super) fn raw_document(
    element: std::result::Result<RawBsonRef<'_>, bson::error::Error>,
) -> Result<&RawDocument> {
    let element =
        element.map_err(|error| unreadable("the server's reply cannot be read").with_source(error))?;
    element.as_document().ok_or_else(|| unreadable("the server's reply holds something that is no document"))
}

pub(super) fn unreadable(message: &'static str) -> Error {
    Error::new(ErrorKind::Server, message)
}
