//! Whether a dump reads everything at one moment.

use bson::Timestamp;

/// Whether all collections are read at one cluster time, with the server's snapshot reads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum SnapshotMode {
    /// Where the deployment can; the report says so where it cannot.
    #[default]
    Auto,
    /// A dump that is not of one moment, whole, fails.
    Required,
    /// Every collection at the time at which it is read.
    Off,
}

/// The moments at which what is in an archive was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The cluster time of everything in the archive but for what is `apart`; `None` where each collection is of its own time.
    pub at: Option<Timestamp>,
    /// What was read at other moments although the rest is of one, by name: capped collections, for one.
    pub apart: Vec<String>,
    /// Why there is no such time, in a sentence; `None` where there is, or none was wanted.
    pub reason: Option<String>,
}
