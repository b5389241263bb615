//! One archive of a listing.

use super::Location;
use std::time::SystemTime;

/// One of the archives under a prefix or in a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Listed {
    /// Where it is.
    pub at: Location,
    /// Bytes stored.
    pub bytes: u64,
    /// When it was completed, as far as the place tells.
    pub modified: Option<SystemTime>,
    /// The store's name of this version of the object; `None` for files.
    pub etag: Option<String>,
}
