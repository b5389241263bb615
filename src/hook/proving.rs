//! Proof of an archive that is there: by its record, or by reading it to its end.

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::proof::{self, Proof};
use crate::storage::Location;
use crate::verify::VerifyReport;
use crate::{ErrorKind, Result};

use super::job::Job;
use super::services::Services;
use super::stage::Stage;

/// The record of the archive that is there; `None` where there is none that says anything of it. A damaged one says nothing.
pub(super) async fn record<S: Services>(job: &Job<S>, at: &Location) -> Result<Option<Proof>> {
    match Box::pin(Proof::find(job.services.storage()?, at)).await {
        Err(error) if error.kind() == ErrorKind::Archive => {
            warn!(reason = error.report(), "the archive has to be read");
            Ok(None)
        }
        found => found,
    }
}

/// Reads an archive to its end, holds it against its record, or makes one where there is none.
pub(super) async fn read<S: Services>(
    job: &Job<S>,
    at: &Location,
    cancel: &CancellationToken,
) -> Result<VerifyReport> {
    job.enter(Stage::Reading);
    info!(archive = %at, "reading the archive to prove it");
    let report = Box::pin(proof::read(job.services.storage()?, at, &job.monitor(), cancel)).await?;
    match record(job, at).await? {
        Some(proof) => proof.compare(&report).map_err(|error| error.at(at))?,
        None => keep(job, at, &report).await?,
    }
    info!(archive = %at, namespaces = report.whole.len(), bytes = report.bytes, "the archive is proven");
    Ok(report)
}

/// Keeps the record of an archive that has been read.
pub(super) async fn keep<S: Services>(job: &Job<S>, at: &Location, report: &VerifyReport) -> Result<()> {
    Box::pin(Proof::of_reading(job.services.storage()?, at, report)).await.map(drop)
}
