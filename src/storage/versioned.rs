//! Small objects that several writers change, one after the other: read, then swapped if nobody else was faster.

use bytes::Bytes;

/// What a small object holds, and as which version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Versioned {
    /// The whole object.
    pub bytes: Bytes,
    /// The store's name of these bytes, as [`Expected::Version`] wants it.
    pub etag: String,
}

/// What must be there for a swap to take place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected<'a> {
    /// No object.
    Absent,
    /// The version with this etag, which [`Storage::read_small`](super::Storage::read_small) or an earlier swap told.
    Version(&'a str),
}

/// How a swap ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Swap {
    /// The bytes are there, in the place of what was expected.
    Done(Versioned),
    /// Something else was there than expected, and is what is there now: another writer was faster.
    Lost(Option<Versioned>),
}
