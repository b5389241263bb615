//! Verify: reads an archive to its end, without a server, and says what of it is whole.
//!
//! ```text
//! source -> gunzip xCores -> archive --Documents--> every document, every checksum -> report
//! ```
//!
//! Reading goes on behind damage as long as blocks can be told apart: what is whole is known by its own checksum, not by its
//! place. Memory is that of one chunk of documents and the prelude, as in a restore.

use std::collections::HashSet;
use std::sync::Arc;

use archive_format::{End, Event};
use crc_fast::CrcAlgorithm::Crc64Xz;
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::progress::Monitor;
use crate::storage::Source;
use crate::{Error, ErrorKind, Result};

mod account;
mod document;
mod prelude;

use account::Accounts;

pub use crate::archive::{Damage, DamageKind};

/// What an archive holds.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The namespaces that are whole, in the order in which they ended: each has ended and its checksum is right, its documents
    /// are documents, and what the prelude says of it can be restored.
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
    /// The store's name of those bytes; see [`Source::etag`].
    pub etag: Option<String>,
    /// What is wrong with the archive, the first thing of several; `None` where it is whole.
    pub damage: Option<Error>,
    /// Everything that is wrong with it, in the order in which it was found: one thing may be the consequence of another.
    pub damages: Vec<Damage>,
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

/// What one document adds to [`Verified::digest`], where sums wrap around.
pub(crate) fn digest(document: &[u8]) -> u64 {
    crc_fast::checksum(Crc64Xz, document)
}

/// Damages that are kept: a few say what is wrong, and a hostile archive could have millions.
const MAX_DAMAGES: usize = 1000;

/// Reads the archive in `source` to its end.
///
/// Damage is no error: it is [in the report](VerifyReport::damage), with what is whole in spite of it.
///
/// # Errors
/// Failures of the source.
///
/// # Cancellation
/// When `cancel` fires, [`ErrorKind::Cancelled`]. Nothing is left behind.
pub async fn verify(
    source: Source,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<VerifyReport> {
    let work = Box::pin(read(source, monitor.as_ref()));
    cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(Error::cancelled()))
}

async fn read(source: Source, monitor: &dyn Monitor) -> Result<VerifyReport> {
    let mut report = VerifyReport { etag: source.etag().map(ToOwned::to_owned), ..VerifyReport::default() };
    let mut archive = Archive::open_tolerant(source);
    let prelude = match archive.prelude().await {
        Ok(prelude) => prelude,
        Err(error) if error.kind() == ErrorKind::Archive => {
            report.take(archive.damages());
            if report.damages.is_empty() {
                report.take([Damage::of(&error)]);
            }
            report.close(&archive);
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    monitor.planned(prelude.collections.len(), None);
    report.server_version.clone_from(&prelude.server_version);
    report.tool_version.clone_from(&prelude.tool_version);
    let mut accounts = Accounts::new(&prelude);
    report.take(prelude::check(&prelude, archive.oddity().as_ref(), &mut accounts));
    let names: Vec<_> = prelude.collections.into_iter().map(|entry| entry.namespace).collect();

    let mut told = 0;
    while let Some(event) = archive.next().await? {
        report.take(archive.damages());
        if archive.read() > told {
            told = archive.read();
            monitor.archive(told, archive.size());
        }
        match event {
            Event::Segment(start) => {
                if accounts.begin(start.collection) {
                    monitor.started(&start.namespace, None);
                }
                // Of a damaged archive it says nothing: what is damaged does not end.
                if report.damages.is_empty() {
                    report.take(accounts.too_many_open(archive.offset()));
                }
            }
            Event::Documents(documents) => {
                let end = archive.offset();
                report.take(accounts.documents(&documents, end));
                let bytes = u64::try_from(documents.bytes().len()).unwrap_or(u64::MAX);
                monitor.advanced(documents.namespace(), documents.count(), bytes);
                // A whole chunk has been computed on: others may have something to do.
                tokio::task::yield_now().await;
            }
            Event::End(end) => match accounts.end(&end, archive.offset()) {
                Ok(digest) => {
                    monitor.finished(&end.namespace, end.documents);
                    report.whole.push(Verified { end, digest });
                }
                Err(damage) => report.take(damage),
            },
            Event::Damaged(damaged) => {
                if let Some(index) = damaged.collection {
                    report.whole.retain(|whole| whole.end.collection != index);
                }
            }
            _ => {}
        }
    }
    archive.finish()?;
    report.take(archive.damages());
    let whole: HashSet<_> = report.whole.iter().filter_map(|whole| names.get(whole.end.collection)).collect();
    report.lost = names.iter().filter(|name| !whole.contains(name)).map(ToString::to_string).collect();
    report.lost.dedup();
    report.close(&archive);
    Ok(report)
}

impl VerifyReport {
    fn take(&mut self, damages: impl IntoIterator<Item = Damage>) {
        let room = MAX_DAMAGES.saturating_sub(self.damages.len());
        self.damages.extend(damages.into_iter().take(room));
    }

    fn close(&mut self, archive: &Archive) {
        self.bytes = archive.read();
        self.crc64 = archive.crc64();
        self.damage = self.damages.first().map(Damage::error);
    }
}
