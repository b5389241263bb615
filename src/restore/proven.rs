//! An archive that is proven before anything is done with it.

use std::sync::Arc;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use super::expected::Expected;
use crate::progress::Monitor;
use crate::proof::Proof;
use crate::storage::{Location, Source, Storage, Stored};
use crate::verify::verify;
use crate::{Error, ErrorKind, Result};

/// An archive that has been proven, to be read once more.
#[derive(Debug)]
#[non_exhaustive]
pub struct Proven {
    /// The archive, from its beginning.
    pub source: Source,
    /// What it held when it was proven, where it held anything: for [`RestoreOptions::expected`](super::RestoreOptions::expected).
    pub expected: Option<Expected>,
    /// Whether the record beside it has saved the reading.
    pub by_record: bool,
}

/// What tells one version of an archive from another.
#[derive(Debug, PartialEq)]
struct Version {
    stored: Stored,
    /// Of files, which have no version of their own.
    changed: Option<SystemTime>,
}

/// Proves the archive at `location` and opens it: by reading it to its end, or by the record beside it where the store tells
/// that its bytes are those which the record was written for.
///
/// # Errors
/// [`ErrorKind::Archive`] for any damage, and where the archive is replaced meanwhile; [`ErrorKind::InvalidInput`] for what
/// cannot be read twice (standard input, pipes), [`ErrorKind::NotFound`] where nothing is there; any failure of the source.
///
/// # Cancellation
/// When `cancel` fires, [`ErrorKind::Cancelled`]. Nothing is left behind.
pub async fn prove_first(
    storage: &Storage,
    location: &Location,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<Proven> {
    let before = Version::of(storage, location).await?;
    let (expected, by_record) = match by_record(storage, location, &before.stored).await {
        Some(expected) => {
            monitor.note("the archive is the one that its proof record was written for: it is read once");
            (expected, true)
        }
        None => (by_reading(storage, location, monitor, cancel).await?, false),
    };
    let source = storage.open(location).await?;
    if Version::of(storage, location).await? != before {
        let message =
            "the archive was replaced while it was being proven, and nothing was changed: restore again";
        return Err(Error::new(ErrorKind::Archive, message).at(location));
    }
    Ok(Proven { source, expected: Some(expected).filter(|expected| expected.len() > 0), by_record })
}

/// What the record says, if it is of the bytes that the store has.
async fn by_record(storage: &Storage, location: &Location, stored: &Stored) -> Option<Expected> {
    // Without a record that can be used the archive is read.
    let proof = Proof::find(storage, location).await.ok().flatten()?;
    let is_same = proof.crc64.is_some() && proof.crc64 == stored.crc64 && proof.bytes == stored.bytes;
    is_same.then(|| Expected::of_proof(&proof))
}

async fn by_reading(
    storage: &Storage,
    location: &Location,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<Expected> {
    let opening = storage.open(location);
    let source = cancel.run_until_cancelled(opening).await.unwrap_or_else(|| Err(Error::cancelled()))?;
    let report = Box::pin(verify(source, monitor, cancel)).await?;
    match report.damage {
        Some(damage) => Err(damage.at(location)),
        None => Ok(Expected::of_reading(&report)),
    }
}

impl Version {
    async fn of(storage: &Storage, location: &Location) -> Result<Self> {
        let Some(stored) = storage.stat(location).await? else {
            let message = "what is read before it is restored has to be read twice, which a stream or pipe cannot be: \
                           put the archive into a file, or restore with --swap, which changes nothing before all of it \
                           has been read";
            return match location.path() {
                Some(path) if !path.exists() => {
                    Err(Error::new(ErrorKind::NotFound, "there is no such archive").at(location))
                }
                _ => Err(Error::new(ErrorKind::InvalidInput, message).at(location)),
            };
        };
        let changed = match location.path() {
            Some(path) => tokio::fs::metadata(path).await.and_then(|metadata| metadata.modified()).ok(),
            None => None,
        };
        Ok(Self { stored, changed })
    }
}
