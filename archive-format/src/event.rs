//! What reading an archive yields.

use std::fmt;

use bytes::Bytes;

use crate::block;
use crate::{Error, Namespace, Prelude};

/// The next thing in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The prelude; it is always first, and comes once.
    Prelude(Prelude),
    /// A data block begins. The namespace may be new or have had blocks before.
    Segment(SegmentStart),
    /// Documents of the block that began last.
    Documents(Documents),
    /// A namespace has ended, and its checksum has been proven.
    End(End),
    /// Something is wrong, and a [tolerant](crate::Decoder::tolerant) decoder goes on behind it.
    Damaged(Damaged),
}

/// A place at which an archive is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// What is wrong, and where.
    pub error: Error,
    /// The index in [`Prelude::collections`] of the namespace that was hit, which will never end, or has ended wrongly;
    /// nothing where it cannot be told. Others may have lost blocks as well: they are those that do not end.
    pub collection: Option<usize>,
}

/// The begin of a data block, which may turn out to be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentStart {
    /// The namespace as the data is stored; for a time series, perhaps its buckets.
    pub namespace: Namespace,
    /// The index of its entry in [`Prelude::collections`].
    pub collection: usize,
}

/// Some whole documents of one block, in order.
///
/// How many come at a time depends on how the bytes came, the sequence of all does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Documents {
    pub(crate) namespace: Namespace,
    pub(crate) collection: usize,
    pub(crate) bytes: Bytes,
    pub(crate) count: u64,
}

impl Documents {
    /// The namespace as the data is stored; for a time series, perhaps its buckets.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The index of its entry in [`Prelude::collections`].
    pub fn collection(&self) -> usize {
        self.collection
    }

    /// The documents back to back, as they are in the archive: a view of the buffer, not a copy.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same as [`bytes`](Self::bytes), to keep.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// How many documents there are; at least one.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The single documents.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        block::documents(&self.bytes)
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents")
            .field("namespace", &self.namespace)
            .field("count", &self.count)
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// The end of a namespace, and what it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The namespace as the data is stored; for a time series, perhaps its buckets.
    pub namespace: Namespace,
    /// The index of its entry in [`Prelude::collections`].
    pub collection: usize,
    /// How many documents it had.
    pub documents: u64,
    /// Their length together in bytes.
    pub bytes: u64,
    /// The CRC-64/XZ of them all, in the order of the archive.
    pub checksum: u64,
}

/// What a complete archive held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many collections it had, views, users and the oplog included.
    pub collections: u64,
    /// How many documents they had.
    pub documents: u64,
    /// The length of all documents together in bytes.
    pub bytes: u64,
}
