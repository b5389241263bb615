//! Insert commands built from the archive's bytes: documents are copied once, never parsed.

use std::sync::Arc;

use archive_format::Namespace;
use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc, rawdoc};
use mongodb::Database;
use mongodb::options::{Acknowledgment, WriteConcern};
use tokio::sync::OwnedSemaphorePermit;

use super::Context;
use super::collection::Counts;
use crate::progress::Monitor;
use crate::server_error::{driver_error, without_values};
use crate::{Error, ErrorKind, Result};

/// Bytes of documents at which a batch is full. From half a MiB to four the time is the same within the noise, and the
/// driver holds two more copies of each command in flight.
const BATCH_SIZE: usize = 1024 * 1024;

/// Documents at which a batch is full. The server's limit is 100,000.
const BATCH_DOCUMENTS: usize = 10_000;

/// Server errors that concern one document: it is counted and the others go on.
const DUPLICATE_KEY: i32 = 11000;
const DOCUMENT_VALIDATION: i32 = 121;

/// Room for the type byte, the key of at most five digits and its NUL before each document.
const ELEMENT_OVERHEAD: usize = 7;

/// Room reserved beside the documents: for the elements' heads of a thousand of them.
const SPARE: usize = 8 * 1024;

/// Inserts into one namespace.
#[derive(Debug)]
pub(super) struct Inserter {
    db: Database,
    namespace: Namespace,
    /// What progress is reported of: the time series, not its buckets.
    logical: Namespace,
    /// The command's fields before `documents`, without the document's length and end.
    head: Vec<u8>,
    /// Whether documents have to be searched for top-level `Timestamp(0, 0)`, which this server would replace.
    mends_timestamps: bool,
    /// Whether a document takes the place of the one with the same `_id`.
    replaces: bool,
    monitor: Arc<dyn Monitor>,
}

/// Documents gathered for one insert command.
#[derive(Debug)]
pub(super) struct Batch {
    /// The command so far; the lengths are filled in at the end.
    command: Vec<u8>,
    documents_at: usize,
    documents: usize,
    bytes: u64,
    /// Position in the batch and bytes of documents with a top-level `Timestamp(0, 0)`.
    mend: Option<Vec<(usize, RawDocumentBuf)>>,
    permits: Vec<Arc<OwnedSemaphorePermit>>,
}

impl Inserter {
    pub(super) fn new(context: &Context, namespace: Namespace, logical: Namespace) -> Self {
        let rawdata = context.server.has_viewless_timeseries();
        let bypass = context.server.keeps_empty_timestamps();
        // `system.js` cannot be dropped, but what the archive holds can be put back.
        let replaces = context.options.drop && namespace.collection() == "system.js";
        let mut command = rawdoc! { "insert": namespace.collection(), "ordered": false };
        command.append(bson::cstr!("writeConcern"), write_concern(context.client.write_concern()));
        if bypass {
            command.append(bson::cstr!("bypassEmptyTsReplacement"), true);
        }
        if rawdata {
            command.append(bson::cstr!("rawData"), true);
        }
        let mut head = command.into_bytes();
        head.pop();
        Self {
            db: context.client.database(namespace.db()),
            namespace,
            logical,
            head,
            mends_timestamps: !bypass,
            replaces,
            monitor: Arc::clone(&context.monitor),
        }
    }

    /// An empty batch.
    pub(super) fn batch(&self) -> Batch {
        let mut command = Vec::new();
        command.extend_from_slice(&self.head);
        command.push(0x04);
        command.extend_from_slice(b"documents\0");
        let documents_at = command.len();
        command.extend_from_slice(&[0; 4]);
        Batch {
            command,
            documents_at,
            documents: 0,
            bytes: 0,
            mend: self.mends_timestamps.then(Vec::new),
            permits: Vec::new(),
        }
    }

    /// Sends one batch; duplicates and documents refused by a validator are counted as failures.
    pub(super) async fn insert(&self, batch: Batch) -> Result<Counts> {
        let (documents, bytes) = (batch.documents, batch.bytes);
        let (command, mend, permits) = batch.finish()?;
        if self.replaces {
            self.delete_namesakes(&command).await?;
        }
        let reply = self
            .db
            .run_raw_command(command)
            .await
            .map_err(|error| driver_error("the server refused a batch of documents", &error))?;
        let refused = self.refused(&reply)?;
        for (position, document) in mend {
            if !refused.contains(&position) {
                self.mend_timestamps(&document).await?;
            }
        }
        drop(permits);
        let inserted = documents.saturating_sub(refused.len());
        let counts =
            Counts { documents: count(inserted), failures: count(refused.len()), without_indexes: None };
        self.monitor.advanced(&self.logical, counts.documents, bytes);
        self.monitor.refused(&self.logical, counts.failures);
        Ok(counts)
    }

    /// Deletes the documents whose places those of this insert command take.
    async fn delete_namesakes(&self, insert: &RawDocument) -> Result<()> {
        let documents = insert.get_array("documents").map_err(|error| malformed().with_source(error))?;
        let mut ids = bson::Array::new();
        for document in documents {
            let document = document.map_err(|error| malformed().with_source(error))?;
            if let Some(Ok(Some(id))) = document.as_document().map(|document| document.get("_id")) {
                ids.push(Bson::try_from(id).map_err(|error| malformed().with_source(error))?);
            }
        }
        let delete = doc! {
            "delete": self.namespace.collection(),
            "deletes": [{ "q": { "_id": { "$in": ids } }, "limit": 0 }],
        };
        self.db
            .run_command(delete)
            .await
            .map_err(|error| driver_error("cannot replace its documents", &error))?;
        Ok(())
    }

    /// The positions of documents that the server refused each for itself.
    fn refused(&self, reply: &Document) -> Result<Vec<usize>> {
        let mut refused = Vec::new();
        let mut duplicates = 0;
        if let Ok(errors) = reply.get_array("writeErrors") {
            for error in errors.iter().filter_map(Bson::as_document) {
                let code = error.get_i32("code").unwrap_or_default();
                if code != DUPLICATE_KEY && code != DOCUMENT_VALIDATION {
                    let text = without_values(error.get_str("errmsg").unwrap_or_default());
                    return Err(Error::new(
                        ErrorKind::Server,
                        format!("the server refused a document: {text} (code {code})"),
                    ));
                }
                duplicates += usize::from(code == DUPLICATE_KEY);
                refused.push(
                    error
                        .get_i32("index")
                        .ok()
                        .and_then(|index| usize::try_from(index).ok())
                        .unwrap_or(usize::MAX),
                );
            }
        }
        if let Ok(error) = reply.get_document("writeConcernError") {
            let text = error.get_str("errmsg").unwrap_or_default();
            return Err(Error::new(
                ErrorKind::Server,
                format!("the write concern was not satisfied: {text}"),
            ));
        }
        if !refused.is_empty() {
            let invalid = refused.len() - duplicates;
            self.monitor.note(&format!(
                "{}: {duplicates} documents were refused as duplicates and {invalid} by the validator; going on",
                self.namespace
            ));
        }
        Ok(refused)
    }

    /// Servers replace a top-level `Timestamp(0, 0)` by the current time on insertion, and not in an update by pipeline.
    async fn mend_timestamps(&self, document: &RawDocument) -> Result<()> {
        let whole = Document::try_from(document).map_err(|error| malformed().with_source(error))?;
        let Some(id) = whole.get("_id").cloned() else { return Ok(()) };
        let update = doc! {
            "update": self.namespace.collection(),
            "updates": [{ "q": { "_id": { "$eq": id } }, "u": [{ "$replaceWith": { "$literal": whole } }] }],
        };
        self.db
            .run_command(update)
            .await
            .map_err(|error| driver_error("cannot set an empty timestamp", &error))?;
        Ok(())
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.documents == 0
    }

    /// Whether another document fits. The first always does: the command may exceed the document limit by 16 KiB.
    pub(super) fn has_room(&self, document: &[u8]) -> bool {
        self.is_empty()
            || (self.documents < BATCH_DOCUMENTS
                && self.command.len() + document.len() + ELEMENT_OVERHEAD <= BATCH_SIZE)
    }

    /// Adds a document; `coming` is how many bytes of documents are there for this batch and the next, this one's included.
    pub(super) fn push(
        &mut self,
        document: &[u8],
        coming: usize,
        permit: &Arc<OwnedSemaphorePermit>,
    ) -> Result<()> {
        if self.permits.last().is_none_or(|last| !Arc::ptr_eq(last, permit)) {
            self.permits.push(Arc::clone(permit));
        }
        if let Some(mend) = &mut self.mend
            && has_empty_timestamp(document)?
        {
            let document = RawDocumentBuf::from_bytes(document.to_vec())
                .map_err(|error| malformed().with_source(error))?;
            mend.push((self.documents, document));
        }
        if self.command.capacity() < self.command.len() + document.len() + ELEMENT_OVERHEAD + 2 {
            // A batch of a small collection is small: thousands of them may be open.
            let coming = coming.min(BATCH_SIZE.saturating_sub(self.command.len()));
            self.command.reserve_exact(coming.max(document.len()) + SPARE);
        }
        self.command.push(0x03);
        self.push_decimal(self.documents);
        self.command.push(0);
        self.command.extend_from_slice(document);
        self.documents += 1;
        self.bytes += u64::try_from(document.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    fn push_decimal(&mut self, number: usize) {
        use std::io::Write;
        // Writing into a vector cannot fail.
        let _ = write!(self.command, "{number}");
    }

    #[expect(clippy::type_complexity, reason = "taken apart at once by the only caller")]
    fn finish(
        mut self,
    ) -> Result<(RawDocumentBuf, Vec<(usize, RawDocumentBuf)>, Vec<Arc<OwnedSemaphorePermit>>)> {
        self.command.push(0);
        let documents = self.command.len() - self.documents_at;
        self.command.push(0);
        set_length(&mut self.command, self.documents_at, documents)?;
        let whole = self.command.len();
        set_length(&mut self.command, 0, whole)?;
        let command =
            RawDocumentBuf::from_bytes(self.command).map_err(|error| malformed().with_source(error))?;
        Ok((command, self.mend.unwrap_or_default(), self.permits))
    }
}

fn set_length(bytes: &mut [u8], at: usize, length: usize) -> Result<()> {
    let length = i32::try_from(length).map_err(|_| malformed())?;
    let place = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()).ok_or_else(malformed)?;
    *place = length.to_le_bytes();
    Ok(())
}

/// Whether a top-level field other than `_id` is `Timestamp(0, 0)`.
fn has_empty_timestamp(document: &[u8]) -> Result<bool> {
    let document = RawDocument::from_bytes(document).map_err(|error| malformed().with_source(error))?;
    for element in document.iter_elements() {
        let element = element.map_err(|error| malformed().with_source(error))?;
        if element.element_type() == bson::spec::ElementType::Timestamp && element.key().as_str() != "_id" {
            let value = element.value().map_err(|error| malformed().with_source(error))?;
            if value.as_timestamp().is_some_and(|at| at.time == 0 && at.increment == 0) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The connection string's write concern, which commands do not inherit; `majority` where there is none, as with
/// mongorestore, and where it is 0: a server that does not answer cannot say what it refused.
fn write_concern(asked: Option<&WriteConcern>) -> RawDocumentBuf {
    asked
        .filter(|concern| concern.w != Some(Acknowledgment::Nodes(0)))
        .and_then(|concern| bson::serialize_to_raw_document_buf(concern).ok())
        .filter(|concern| !concern.is_empty())
        .unwrap_or_else(|| rawdoc! { "w": "majority" })
}

fn malformed() -> Error {
    Error::new(ErrorKind::Archive, "a document in the archive is not valid BSON")
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_write_concern_is_the_connection_strings_or_majority() {
        let majority = rawdoc! { "w": "majority" };
        assert_eq!(write_concern(None), majority);
        assert_eq!(write_concern(Some(&WriteConcern::builder().build())), majority);
        assert_eq!(
            write_concern(Some(&WriteConcern::builder().w(Acknowledgment::Nodes(0)).build())),
            majority
        );
        let asked =
            WriteConcern::builder().w(Acknowledgment::Nodes(2)).w_timeout(Duration::from_secs(1)).build();
        let written = write_concern(Some(&asked));
        assert_eq!(written.get("w").unwrap().and_then(|w| w.as_i32().or(w.as_i64().map(|_| 2))), Some(2));
        assert!(written.get("wtimeout").unwrap().is_some(), "{written:?}");
    }

    #[test]
    fn an_empty_timestamp_counts_at_the_top_and_not_as_an_id_or_deeper() {
        let zero = bson::Timestamp { time: 0, increment: 0 };
        let now = bson::Timestamp { time: 1, increment: 0 };
        for (document, found) in [
            (rawdoc! { "_id": 1, "a": zero }, true),
            (rawdoc! { "_id": zero, "a": now }, false),
            (rawdoc! { "_id": 1, "a": { "b": zero } }, false),
            (rawdoc! {}, false),
        ] {
            assert_eq!(has_empty_timestamp(document.as_bytes()).unwrap(), found, "{document:?}");
        }
    }
}
