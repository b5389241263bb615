//! Documents gathered for one command: views of the archive's bytes, copied only when the command is written.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes of documents at which a batch is full. With half a MiB a restore takes longer: the server notes every batch, so that
/// it knows one that is sent again. With more it is no faster, and three copies are made of every batch on its way.
const BATCH_SIZE: usize = 1024 * 1024;

/// Documents at which a batch is full. The server's limit is 100,000.
const BATCH_DOCUMENTS: usize = 10_000;

/// The share of the budget of bytes that documents hold until the server has answered.
pub(super) type Share = Arc<OwnedSemaphorePermit>;

/// Documents for one command.
#[derive(Debug, Default)]
pub(super) struct Batch {
    runs: Vec<Run>,
    documents: usize,
    bytes: usize,
}

/// Documents that lie one after the other in one chunk of the archive.
#[derive(Debug)]
struct Run {
    chunk: Bytes,
    range: Range<usize>,
    _share: Option<Share>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.documents == 0
    }

    /// Bytes of all documents.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether another document of this size fits. The first always does: a command may exceed the limit of a document by
    /// 16 KiB.
    pub(super) fn has_room(&self, size: usize) -> bool {
        self.is_empty() || (self.documents < BATCH_DOCUMENTS && self.bytes + size <= BATCH_SIZE)
    }

    /// How many documents there are.
    pub(super) fn len(&self) -> usize {
        self.documents
    }

    /// Adds the document that is at `range` in `chunk`.
    pub(super) fn push(&mut self, chunk: &Bytes, range: Range<usize>, share: Option<&Share>) {
        self.documents += 1;
        self.bytes += range.len();
        match self.runs.last_mut() {
            Some(last) if last.range.end == range.start && last.chunk.as_ptr() == chunk.as_ptr() => {
                last.range.end = range.end;
            }
            _ => self.runs.push(Run { chunk: chunk.clone(), range, _share: share.cloned() }),
        }
    }

    /// The documents in the order in which they came.
    pub(super) fn documents(&self) -> Vec<&[u8]> {
        let mut documents = Vec::with_capacity(self.documents);
        for run in &self.runs {
            let mut rest = run.chunk.get(run.range.clone()).unwrap_or_default();
            while let Some((document, after)) = split(rest) {
                documents.push(document);
                rest = after;
            }
        }
        documents
    }
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?);
    bytes.split_at_checked(length.try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn documents_of_several_chunks_come_in_order() {
        let document = |number: i32| rawdoc! { "_id": number }.into_bytes();
        let size = document(0).len();
        let (first, second) = (Bytes::from([document(0), document(1)].concat()), Bytes::from(document(2)));
        let mut batch = Batch::default();
        assert!(batch.has_room(BATCH_SIZE + 1), "the first always fits");
        batch.push(&first, 0..size, None);
        batch.push(&first, size..2 * size, None);
        batch.push(&second, 0..size, None);
        assert_eq!(batch.documents(), [document(0), document(1), document(2)]);
        assert_eq!((batch.runs.len(), batch.bytes()), (2, 3 * size));
        assert!(batch.has_room(size) && !batch.has_room(BATCH_SIZE));
    }

    #[test]
    fn b57_w43_no_command_is_larger_than_a_mebibyte_or_one_document() {
        let limit = 16 * 1024 * 1024;
        let (mut batch, chunk) = (Batch::default(), Bytes::from(vec![0; limit]));
        batch.push(&chunk, 0..limit, None);
        assert!(!batch.has_room(1), "the largest goes alone");
        let mut batch = Batch::default();
        batch.push(&chunk, 0..BATCH_SIZE - 10, None);
        assert!(batch.has_room(10) && !batch.has_room(11));
    }
}
