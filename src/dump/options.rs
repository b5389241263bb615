//! What to dump and how.

use super::{PARALLEL_COLLECTIONS, SnapshotMode};
use crate::Scope;
use crate::codec::Compression;

/// What to dump and how. `Default` dumps everything mongodump dumps, uncompressed.
#[derive(Clone, Debug)]
pub struct DumpOptions {
    /// What to dump.
    pub scope: Scope,
    /// How the archive's bytes are stored.
    pub compression: Compression,
    /// Collections read at once, at least 1.
    pub parallel_collections: usize,
    /// Whether everything is read at one moment.
    pub snapshot: SnapshotMode,
    /// Whether the oplog of the time of reading is captured, cut to the scope, so that a restore that replays it has
    /// everything as it was at the dump's end. There is no snapshot then.
    pub oplog: bool,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self {
            scope: Scope::Everything,
            compression: Compression::None,
            parallel_collections: PARALLEL_COLLECTIONS,
            snapshot: SnapshotMode::default(),
            oplog: false,
        }
    }
}
