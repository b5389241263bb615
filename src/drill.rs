//! Drill: a restore that is only a test, into databases of its own that go afterwards.
//!
//! ```text
//! archive -> verify, proof -> lease -> mark -> restore (measured) -> dump -> compare -> drop -> tag
//! ```
//!
//! What is restored is read back as a dump reads any database, and held against what the verification found in the archive:
//! the number of documents and the sum of their checksums, the options and the indexes of every collection.
//!
//! What a drill does not show:
//!
//! - Users and roles are left out: there are no others than the deployment's own.
//! - Whether documents expire: `expireAfterSeconds` is left out of what is restored, or they would go meanwhile.
//! - Which version of a document is restored that is in the archive twice, as it changed while a dump that was not of one
//!   moment read it. Of such a collection the number of documents is compared, how many are there twice, the options and the
//!   indexes; that is a warning.
//!
//! A drill touches only databases that were not there when it began, each with a mark in it that it has put there first. It
//! holds a lease, in which their names are: of a drill that died, the next one removes what carries its mark.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::progress::Monitor;
use crate::storage::{Location, Storage};
use crate::{Deployment, Error, ErrorKind, Result};

mod difference;
mod lease;
mod newest;
mod options;
mod plan;
mod reading;
mod report;
mod scratch;
mod shape;
mod subject;
mod trial;

pub use newest::{newest, newest_of};
pub use options::DrillOptions;
pub use report::DrillReport;

use lease::Lease;
use subject::Subject;
use trial::Trial;

/// How long a command that was given up may still be at work on the server.
const GIVEN_UP: Duration = Duration::from_millis(500);

/// Restores the archive at `at` into scratch databases, holds every document, index and option against the archive and the
/// archive against its proof, and drops them.
///
/// The archive is read twice, and a third time where the server has changed what it stored.
///
/// # Errors
/// A scratch database that exists already; another drill at work; any damage; any difference; a scratch database that cannot
/// be dropped.
///
/// # Cancellation
/// When `cancel` fires, the scratch databases are dropped and [`ErrorKind::Cancelled`] returned. When the future is dropped
/// they stay, and the next drill on the deployment removes them.
pub async fn drill(
    deployment: &Deployment,
    options: &DrillOptions,
    storage: &Storage,
    at: &Location,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<DrillReport> {
    let looked_at = Box::pin(Subject::look_at(storage, at, &options.prefix, monitor.as_ref(), cancel));
    let subject = or_cancelled(looked_at, cancel).await?;
    let lost = CancellationToken::new();
    let lease = Lease::take(deployment, &subject.plan.databases, &lost, cancel).await?;
    let trial = Trial { deployment, monitor, subject: &subject, lease: &lease };
    let result = tokio::select! {
        result = Box::pin(trial.run()) => result,
        () = cancel.cancelled() => Err(cancelled()),
        () = lost.cancelled() => Err(lost_lease()),
    };
    if result.is_err() {
        sleep(GIVEN_UP).await;
    }
    let removed = match trial.remove().await {
        Ok(()) => lease.give_back().await,
        // The lease stays, and with it the names: the next drill tries again.
        left => left,
    };
    let mut report = match (result, removed) {
        (Ok(report), removed) => removed.map(|()| report)?,
        (Err(error), Ok(())) => return Err(error),
        (Err(error), Err(left)) => {
            monitor.warn(&format!(
                "not everything could be removed; the next drill tries again: {}",
                left.report()
            ));
            return Err(error);
        }
    };
    subject.unchanged().await?;
    report.tagged = subject.tag(monitor.as_ref()).await;
    Ok(report)
}

async fn or_cancelled<T>(work: impl Future<Output = Result<T>>, cancel: &CancellationToken) -> Result<T> {
    cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(cancelled()))
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "cancelled; nothing of the drill was kept")
}

fn lost_lease() -> Error {
    let message =
        "another drill has taken this one for dead, as it stood still: drill again when that has ended";
    Error::new(ErrorKind::Server, message)
}
