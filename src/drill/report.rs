//! How a drill went.

use std::time::Duration;

/// How a drill went. There is one only where everything was as it should be.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DrillReport {
    /// Collections that were restored and compared, views included.
    pub collections: usize,
    /// Documents that were restored and compared.
    pub documents: u64,
    /// Bytes of the stored archive.
    pub bytes: u64,
    /// How long the restore took, from the first byte to the last index.
    pub restored_in: Duration,
    /// Whether there was a proof record, and the archive is what it says.
    pub proven: bool,
    /// Whether the object carries the tag that says so.
    pub tagged: bool,
}

impl DrillReport {
    /// Documents restored in a second.
    pub fn documents_per_second(&self) -> u64 {
        let millis = self.restored_in.as_millis().max(1);
        u64::try_from(u128::from(self.documents) * 1000 / millis).unwrap_or(u64::MAX)
    }
}
