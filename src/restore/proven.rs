//! An archive that is proven before anything is done with it.

use std::sync::Arc;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use super::expected::Expected;
use crate::progress::Monitor;
use crate::proof::{self, Proof};
use crate::storage::{Location, Source, Storage, Stored};
use crate::verify::VerifyReport;
use crate::{Error, ErrorKind, Result};

/// An archive that has been proven, to be read once more.
#[derive(Debug)]
#[non_exhaustive]
pub struct Proven {
    /// What it held when it was proven, where it held anything: for [`RestoreOptions::expected`](super::RestoreOptions::expected).
    pub expected: Option<Expected>,
    /// What the reading has found; `None` where the record beside it has saved the reading.
    pub reading: Option<VerifyReport>,
    storage: Storage,
    location: Location,
    version: Version,
}

/// What tells one version of an archive from another.
#[derive(Debug, PartialEq)]
struct Version {
    stored: Stored,
    /// Of files, which have no version of their own.
    changed: Option<SystemTime>,
}

/// Proves the archive at `location`: by reading it to its end, or by the record beside it where the store tells that its bytes
/// are those which the record was written for. A record of this archive that the reading does not agree with is an error.
///
/// # Errors
/// [`ErrorKind::Archive`] for any damage; [`ErrorKind::InvalidInput`] for what cannot be read twice (standard input, pipes),
/// [`ErrorKind::NotFound`] where nothing is there; any failure of the source.
///
/// # Cancellation
/// When `cancel` fires, [`ErrorKind::Cancelled`]. Nothing is left behind.
pub async fn prove_first(
    storage: &Storage,
    location: &Location,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<Proven> {
    let version = Version::of(storage, location).await?;
    // Without a record that can be used the archive is read.
    let record = Proof::find(storage, location).await.ok().flatten();
    let (expected, reading) = match record {
        Some(record) if vouches(&record, &version.stored) => {
            monitor.note("the archive is the one that its proof record was written for: it is read once");
            (Expected::of_proof(&record), None)
        }
        record => {
            let report = proof::read(storage, location, monitor, cancel).await?;
            if let Some(record) = record {
                record.compare(&report).map_err(|error| error.at(location))?;
            }
            (Expected::of_reading(&report), Some(report))
        }
    };
    let expected = Some(expected).filter(|expected| expected.len() > 0);
    Ok(Proven { expected, reading, storage: storage.clone(), location: location.clone(), version })
}

/// Whether the store says that it has the bytes that the record was written for.
fn vouches(record: &Proof, stored: &Stored) -> bool {
    record.crc64.is_some() && record.crc64 == stored.crc64 && record.bytes == stored.bytes
}

impl Proven {
    /// What the place said of the archive before it was proven.
    pub fn stored(&self) -> &Stored {
        &self.version.stored
    }

    /// The archive, from its beginning. A source that is open reads no other.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] where another one is there by now; any failure of the place.
    ///
    /// # Cancellation
    /// Nothing is left behind when the future is dropped.
    pub async fn open(&self) -> Result<Source> {
        let source = self.storage.open(&self.location).await?;
        if Version::of(&self.storage, &self.location).await? == self.version {
            return Ok(source);
        }
        let message = "the archive was replaced after it was proven, and nothing was changed: restore again";
        Err(Error::new(ErrorKind::Archive, message).at(&self.location))
    }
}

impl Version {
    async fn of(storage: &Storage, location: &Location) -> Result<Self> {
        let Some(stored) = storage.stat(location).await? else {
            let message = "what is read before it is restored has to be read twice, which a stream or pipe cannot be: \
                           put the archive into a file, or restore with --swap, which changes nothing before all of it \
                           has been read";
            let missing = location.path().map_or(location.is_s3(), |path| !path.exists());
            let error = if missing {
                Error::new(ErrorKind::NotFound, "there is no such archive")
            } else {
                Error::new(ErrorKind::InvalidInput, message)
            };
            return Err(error.at(location));
        };
        let changed = match location.path() {
            Some(path) => tokio::fs::metadata(path).await.and_then(|metadata| metadata.modified()).ok(),
            None => None,
        };
        Ok(Self { stored, changed })
    }
}
