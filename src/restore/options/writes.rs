//! How collections and their documents are written.

use std::num::NonZeroUsize;

use crate::restore::WriteConcern;

/// How collections and their documents are written.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own, and any may go with any")]
pub struct WriteOptions {
    /// How safe a write has to be before the restore goes on; `None` for what the connection string says, or `majority`.
    pub concern: Option<WriteConcern>,
    /// Insert the documents of each collection one after the other, in the order of the archive, and stop at the first that
    /// the server refuses. Includes `stop_on_error`.
    pub ordered: bool,
    /// Documents that the server refuses as duplicates of others or by a validator end the restore, too.
    pub stop_on_error: bool,
    /// When everything is restored, documents that the server has refused are an error. Nothing is then
    /// [removed](super::RestoreOptions::exact) or [switched](super::RestoreOptions::swap).
    pub strict: bool,
    /// Look at every byte of every document before it is sent: one that is not BSON ends the restore.
    pub check_documents: bool,
    /// Give collections the UUIDs that they had, where the archive knows them. Needs `drop`; the account needs the right to
    /// `applyOps`.
    pub preserve_uuid: bool,
    /// Create collections without any of their options.
    pub without_options: bool,
    /// Collections that are created, dropped or indexed at once; 0 is mongorestore's default of four.
    pub parallel_collections: usize,
    /// Write commands in flight for one collection.
    pub workers: Option<NonZeroUsize>,
    /// Documents in one write command at most.
    pub batch_documents: Option<NonZeroUsize>,
}

/// Collections that are created, dropped or indexed at once: mongorestore's default.
const PARALLEL_COLLECTIONS: usize = 4;

/// What may be in flight of anything: more connections than this are no help to any server.
const MAX_IN_FLIGHT: usize = 64;

/// Write commands in flight at once, over all collections, unless more are asked for: more than the server can use on few
/// cores, and below the driver's default pool of 10 connections.
const WRITES_IN_FLIGHT: usize = 8;

impl WriteOptions {
    /// Collections that are created, dropped or indexed at once.
    pub(in crate::restore) fn collections_in_flight(&self) -> usize {
        match self.parallel_collections {
            0 => PARALLEL_COLLECTIONS,
            asked => asked.min(MAX_IN_FLIGHT),
        }
    }

    /// Write commands in flight, over all collections.
    pub(in crate::restore) fn writes_in_flight(&self) -> usize {
        let each = self.workers.map_or(1, NonZeroUsize::get);
        each.saturating_mul(self.collections_in_flight()).clamp(WRITES_IN_FLIGHT, MAX_IN_FLIGHT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w34_no_number_of_collections_or_workers_is_a_dead_end() {
        for (parallel_collections, workers, collections, writes) in [
            (0, None, 4, 8),
            (1, None, 1, 8),
            (4, NonZeroUsize::new(1), 4, 8),
            (8, NonZeroUsize::new(4), 8, 32),
            (usize::MAX, NonZeroUsize::new(usize::MAX), 64, 64),
        ] {
            let options = WriteOptions { parallel_collections, workers, ..WriteOptions::default() };
            assert_eq!((options.collections_in_flight(), options.writes_in_flight()), (collections, writes));
        }
    }
}
