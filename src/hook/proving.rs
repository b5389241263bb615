//! Proof of an archive that is there: by its record, or by reading it to its end.

use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::proof::Proof;
use crate::storage::Location;
use crate::verify::{VerifyReport, verify};
use crate::{Error, ErrorKind, Result};

use super::job::Job;
use super::services::Services;
use super::stage::Stage;

/// Lost namespaces that an error names.
const MAX_NAMED: usize = 5;

/// Reads an archive to its end, holds it against its record, or makes one where there is none.
pub(super) async fn read<S: Services>(
    job: &Job<S>,
    at: &Location,
    cancel: &CancellationToken,
) -> Result<VerifyReport> {
    job.enter(Stage::Reading);
    info!(archive = %at, "reading the archive to prove it");
    let storage = job.services.storage()?;
    let opening = cancel.run_until_cancelled(Box::pin(storage.open(at)));
    let source = opening.await.ok_or_else(Error::cancelled)??;
    let read = Box::pin(verify(source, &job.monitor(), cancel)).await;
    let report = read.map_err(|error| if error.is_cancelled() { error } else { error.at(at) })?;
    if let Some(damage) = &report.damage {
        return Err(damaged(&report, damage).at(at));
    }
    match Box::pin(Proof::find(storage, at)).await? {
        Some(proof) => proof.compare(&report).map_err(|error| error.at(at))?,
        None => drop(Box::pin(Proof::of_reading(storage, at, &report)).await?),
    }
    info!(archive = %at, namespaces = report.whole.len(), bytes = report.bytes, "the archive is proven");
    Ok(report)
}

/// What is wrong, and what is lost.
fn damaged(report: &VerifyReport, damage: &Error) -> Error {
    let lost = report.lost.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = report.lost.len().saturating_sub(MAX_NAMED);
    let lost = match (lost.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(", and {lost} lost"),
        (false, more) => format!(", and {lost} and {more} more lost"),
    };
    let whole = report.whole.len();
    Error::new(
        ErrorKind::Archive,
        format!(
            "the archive is damaged ({}); {whole} namespaces of it are whole{lost}; it is left as it is: move it away, and \
             restore what is whole with mongoark restore --salvage",
            damage.report()
        ),
    )
}
