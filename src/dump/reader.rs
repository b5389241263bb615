//! One collection's documents, from the server's replies into segments: the only copy on their way to the compressor.

use std::sync::Arc;

use archive_format::{Kind, Namespace, Segment, SegmentBuilder, ServerVersion};
use bson::doc;
use futures::StreamExt;
use mongodb::Client;
use mongodb::error::Error as DriverError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::BYTES_IN_FLIGHT;
use super::catalog::Entry;
use crate::progress::Monitor;
use crate::uri::driver_error;
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

/// Reads the whole collection in natural order and announces its end. Views hold nothing to read.
pub(super) async fn read(
    client: &Client,
    entry: &Entry,
    server: ServerVersion,
    output: &Output,
) -> Result<u64> {
    let (namespace, monitor) = (&entry.data, &output.monitor);
    monitor.started(namespace, entry.documents);
    let mut documents = 0;
    if entry.collection.kind != Kind::View {
        let mut command = doc! { "find": namespace.collection(), "filter": {}, "hint": { "$natural": 1 } };
        if server >= VIEWLESS_TIMESERIES {
            command.insert("rawData", true);
        }
        let db = client.database(namespace.db());
        let mut action = db.run_cursor_command(command);
        if let Some(criteria) = client.selection_criteria() {
            action = action.selection_criteria(criteria.clone());
        }
        let mut cursor = action.batch().await.map_err(|error| read_error(&error))?;
        let mut segment = SegmentBuilder::new(namespace, SEGMENT_SIZE);
        while let Some(batch) = cursor.next().await {
            let batch = batch.map_err(|error| read_error(&error))?;
            for document in batch.doc_slices().map_err(|error| read_error(&error))? {
                let document = document.map_err(failed)?;
                let bytes = document.as_document().ok_or_else(no_document)?.as_bytes();
                if !segment.is_empty() && segment.len() + bytes.len() > SEGMENT_SIZE {
                    let full = std::mem::replace(&mut segment, SegmentBuilder::new(namespace, SEGMENT_SIZE));
                    documents += output.send(full).await?;
                }
                segment.push(bytes)?;
            }
        }
        if !segment.is_empty() {
            documents += output.send(segment).await?;
        }
    }
    output.messages.send(Message::End(namespace.clone())).await.map_err(|_| Error::cancelled())?;
    monitor.finished(namespace, documents);
    Ok(documents)
}

impl Output {
    /// Waits for the segment's share of memory, then hands it on.
    async fn send(&self, segment: SegmentBuilder) -> Result<u64> {
        let segment = segment.finish();
        let (documents, bytes) = (segment.documents(), segment.document_bytes());
        let share = u32::try_from(segment.size().min(BYTES_IN_FLIGHT)).unwrap_or(u32::MAX);
        let permit =
            Arc::clone(&self.budget).acquire_many_owned(share).await.map_err(|_| Error::cancelled())?;
        let namespace = segment.namespace().clone();
        // The sequencer hangs up only after an error of its own, which is the one that is reported.
        self.messages.send(Message::Segment(segment, permit)).await.map_err(|_| Error::cancelled())?;
        self.monitor.advanced(&namespace, documents, bytes);
        Ok(documents)
    }
}

fn read_error(error: &DriverError) -> Error {
    driver_error("reading its documents failed; the dump was given up", error)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Server, "the server's reply cannot be read").with_source(error)
}

fn no_document() -> Error {
    Error::new(ErrorKind::Server, "the server's reply holds something that is no document")
}
