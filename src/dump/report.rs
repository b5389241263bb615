//! What a dump wrote.

use archive_format::End;

use super::{CapturedOplog, Snapshot};
use crate::Scope;
use crate::storage::Checked;

/// What a dump wrote.
///
/// What `snapshot` says is of one moment is what the deployment held then: documents, options and indexes, as if nothing had
/// been written since. The same holds of the moment at which its oplog ends, once that is replayed. The rest is read while others write: every document is in the archive that was there from the dump's
/// beginning to its end; one that was replaced meanwhile may be in it twice, as the old and the new one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpReport {
    /// What was asked for, and is in the archive but for `left_out`.
    pub scope: Scope,
    /// Databases, collections and indexes in the scope that are left out on purpose, by name: names with a `$`, buckets
    /// without their time series, collections in `local`, temporary ones, indexes that are still being built, databases that
    /// are the server's own. The monitor has told why.
    pub left_out: Vec<String>,
    /// Number of collections, views and special collections included.
    pub collections: usize,
    /// Number of documents.
    pub documents: u64,
    /// Bytes of the stored archive, after compression.
    pub bytes: u64,
    /// When what is in it was read.
    pub snapshot: Snapshot,
    /// The oplog in it, if it was captured.
    pub oplog: Option<CapturedOplog>,
    /// Every namespace as it is in the archive: documents, bytes, checksum.
    pub namespaces: Vec<End>,
    /// Release of the server that was dumped.
    pub server_version: String,
    /// CRC-64/NVME of the stored archive, where it was computed.
    pub crc64: Option<u64>,
    /// The store's name of the archive's bytes, and of this version of the object; see [`Stored`](crate::storage::Stored).
    pub etag: Option<String>,
    /// See `etag`.
    pub version: Option<String>,
    /// What it rests on that the place holds what was dumped.
    pub checked: Checked,
}
