//! Verify: an archive is read to its end, without a server.

use crate::Result;
use crate::hook::archive::Archive;
use crate::hook::job::Job;
use crate::hook::labels;
use crate::hook::outcome::Outcome;
use crate::hook::proving;
use crate::hook::services::Services;
use crate::scope::SCOPE_LABEL;

/// Reads an archive, and holds it against its proof or makes one.
pub(in crate::hook) async fn run<S: Services>(job: &Job<S>, archive: &Archive) -> Result<Outcome> {
    let stored = job.stored(archive).await?;
    let report = proving::read(job, &archive.location()?, &job.cancel).await?;
    let (documents, bytes) = report.whole.iter().fold((0, 0), |(documents, bytes), namespace| {
        (documents + namespace.end.documents, bytes + namespace.end.bytes)
    });
    let scope = labels::find(&stored, SCOPE_LABEL);
    Ok(Outcome::verify(archive, scope, stored.bytes).reading(report.whole.len(), documents, bytes))
}
