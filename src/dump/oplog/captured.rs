//! What was captured of an oplog.

use bson::Timestamp;

/// The oplog in an archive: once it is replayed, what the archive holds is of the moment `end`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CapturedOplog {
    /// The time of the first entry that was wanted.
    pub start: Timestamp,
    /// The time of the last.
    pub end: Timestamp,
    /// Number of entries in the archive.
    pub entries: u64,
    /// Whether nobody asked for it, and the archive says that it is to be replayed unasked: the dump outlived the server's
    /// history of the moment that it was to be of.
    pub is_fallback: bool,
}
