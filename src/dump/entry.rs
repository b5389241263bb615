//! One collection as it is planned: what the archive says of it, how it is read, and how large it is.

use std::sync::Arc;

use archive_format::{CollectionMetadata, Kind};
use bson::RawDocumentBuf;

use super::scan::Target;

/// Bytes of documents in a server's reply: large enough that the round trip does not count, small enough for a
/// processor's cache and, twice for each reader, for memory. The server's own limit would be 16 MiB.
const REPLY_SIZE: u64 = 1024 * 1024;

/// Documents in a server's reply at most.
const REPLY_DOCUMENTS: u64 = 100_000;

/// Bytes of a collection for which a reader more is worth its while.
const PART_SIZE: u64 = 16 * 1024 * 1024;

/// Bytes of documents for all readers of a collection, if every reader has one: with the largest, one reader has to do.
const LARGE_DOCUMENTS: u64 = 8 * 1024 * 1024;

/// One collection or view.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) collection: CollectionMetadata,
    pub(super) target: Arc<Target>,
    /// Whether there is anything to read: views hold nothing, unless their documents are wanted.
    pub(super) has_documents: bool,
    /// Number of documents by the server's statistics, where it tells.
    pub(super) documents: Option<u64>,
    /// Uncompressed size in bytes by the server's statistics; 0 where it does not tell.
    pub(super) bytes: u64,
    /// Its unique indexes, but for the one on `_id`.
    pub(super) unique: Vec<RawDocumentBuf>,
}

impl Entry {
    /// Whether it comes with one reply, or none.
    pub(super) fn is_small(&self) -> bool {
        !self.has_documents || (self.documents.is_some() && self.bytes <= REPLY_SIZE)
    }

    /// Whether the server has it: what it never made is an entry too where mongodump has one.
    pub(super) fn is_there(&self) -> bool {
        self.has_documents || self.collection.kind != Kind::Unspecified
    }

    /// Readers that are worth their while.
    pub(super) fn readers(&self, most: usize) -> usize {
        let worth = if self.target.may_be_split { self.bytes / PART_SIZE } else { 1 };
        let average = self.bytes / self.documents.unwrap_or_default().max(1);
        let affordable = LARGE_DOCUMENTS / average.max(1);
        usize::try_from(worth.min(affordable)).unwrap_or(usize::MAX).clamp(1, most)
    }
}

/// Users, roles and version come first and in this order; views (nothing to read) and what is small next, so that it can be
/// compared with the listing while that is fresh; then the biggest collection.
pub(super) fn rank(entry: &Entry) -> u8 {
    let namespace = &entry.collection.namespace;
    match (namespace.is_special(), namespace.collection(), entry.collection.kind) {
        (true, name, _) if name.ends_with("system.users") => 0,
        (true, name, _) if name.ends_with("system.roles") => 1,
        (true, ..) => 2,
        (false, _, Kind::View) if !entry.has_documents => 3,
        (false, ..) if entry.is_small() => 4,
        (false, ..) => 5,
    }
}

/// Documents for a reply of [`REPLY_SIZE`], where the server's statistics tell their size.
pub(super) fn batch_size(documents: Option<u64>, bytes: u64) -> Option<u32> {
    let documents = documents.filter(|documents| *documents > 0 && bytes > 0)?;
    let fitting = REPLY_SIZE.saturating_mul(documents) / bytes;
    u32::try_from(fitting.clamp(1, REPLY_DOCUMENTS)).ok()
}
