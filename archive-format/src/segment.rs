//! Data blocks, built away from the encoder.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::block::{self, TERMINATOR};
use crate::checksum::Checksum;
use crate::header::write_header;
use crate::{Error, Namespace};

/// Collects documents of one namespace into a [`Segment`].
pub struct SegmentBuilder {
    namespace: Namespace,
    block: BytesMut,
    /// The length of the header, where the documents begin.
    begin: usize,
    documents: u64,
}

impl SegmentBuilder {
    /// Begins a segment of `namespace`, with room for `capacity` bytes of documents before it has to grow.
    ///
    /// The namespace is the one that holds the data
    /// ([`CollectionMetadata::data_namespace`](crate::CollectionMetadata::data_namespace)).
    pub fn new(namespace: &Namespace, capacity: usize) -> Self {
        let mut header = BytesMut::new();
        write_header(&mut header, namespace, false, 0);
        let begin = header.len();
        let around = begin.saturating_add(TERMINATOR.len());
        let mut block = BytesMut::with_capacity(capacity.saturating_add(around));
        block.put_slice(&header);
        Self { namespace: namespace.clone(), block, begin, documents: 0 }
    }

    /// Adds one document. This is where its bytes are copied; nothing copies them again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`](crate::ErrorKind::LimitExceeded) if it is larger than
    /// [`MAX_DOCUMENT_SIZE`](crate::MAX_DOCUMENT_SIZE), [`ErrorKind::Malformed`](crate::ErrorKind::Malformed) if
    /// its length prefix is not its length or it does not end with NUL. Nothing has been added then.
    pub fn push(&mut self, document: &[u8]) -> Result<(), Error> {
        block::check(document).map_err(|error| error.of(&self.namespace))?;
        // With the terminator, or a block of one large document would be moved to make room for that.
        self.block.reserve(document.len().saturating_add(TERMINATOR.len()));
        self.block.put_slice(document);
        self.documents = self.documents.saturating_add(1);
        Ok(())
    }

    /// The bytes of the documents so far.
    pub fn len(&self) -> usize {
        self.block.len().saturating_sub(self.begin)
    }

    /// Whether there is no document yet.
    pub fn is_empty(&self) -> bool {
        self.documents == 0
    }

    /// How many documents there are so far.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Ends the block and computes its checksum, in one pass over the documents.
    pub fn finish(mut self) -> Segment {
        let document_bytes = wide(self.len());
        let checksum = Checksum::of(self.block.get(self.begin..).unwrap_or_default());
        self.block.put_slice(&TERMINATOR);
        Segment {
            namespace: self.namespace,
            block: self.block.freeze(),
            documents: self.documents,
            document_bytes,
            checksum,
        }
    }
}

impl fmt::Debug for SegmentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentBuilder")
            .field("namespace", &self.namespace)
            .field("documents", &self.documents)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// One whole data block: header, documents, terminator, in one buffer.
///
/// It is made by [`SegmentBuilder`], on any task, and becomes bytes of an archive only through
/// [`Encoder::append`](crate::Encoder::append), which takes it, so none is written twice. A segment without
/// documents is permitted.
pub struct Segment {
    pub(crate) namespace: Namespace,
    pub(crate) block: Bytes,
    documents: u64,
    document_bytes: u64,
    pub(crate) checksum: Checksum,
}

impl Segment {
    /// The namespace that the documents are stored under.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// How many documents it holds.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// The length of all its documents in bytes.
    pub fn document_bytes(&self) -> u64 {
        self.document_bytes
    }

    /// The length of the whole block in bytes: its share of the archive, and what it occupies in memory.
    pub fn size(&self) -> usize {
        self.block.len()
    }

    /// The CRC-64/XZ of its documents alone.
    pub fn checksum(&self) -> u64 {
        self.checksum.value()
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("namespace", &self.namespace)
            .field("documents", &self.documents)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// Lengths as they are summed up; no machine has longer ones.
pub(crate) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
