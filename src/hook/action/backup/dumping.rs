//! A dump that ends in time, or is given up.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use crate::codec::{Compression, GzipLevel};
use crate::dump::{DumpOptions, DumpReport, dump_checked};
use crate::hook::claim::Held;
use crate::hook::job::Job;
use crate::hook::lease::Look;
use crate::hook::pace::Pace;
use crate::hook::services::Services;
use crate::hook::stage::Stage;
use crate::storage::Sink;
use crate::{Deployment, Error, ErrorKind, Result, Scope};

/// A dump is judged when it has run for so long, or for a tenth of the time left where that is less: the first seconds say
/// little.
const JUDGED_AFTER: Duration = Duration::from_secs(20);

/// Time between two judgements; a fiftieth of the time left where that is less.
const JUDGED_EVERY: Duration = Duration::from_secs(5);

/// A rate says something when a fiftieth of the data has been read: small collections come first, and slowly.
const JUDGED_FROM: u64 = 50;

/// How much longer than the time left the rest of a dump has to take, twice in a row, for it to be given up.
const HOPELESS: f64 = 1.25;

/// Dumps, unless that would take longer than there is time.
pub(super) async fn dump_in_time<S: Services>(
    job: &Job<S>,
    deployment: &Deployment,
    scope: &Scope,
    sink: Sink,
    look: &Look,
    held: &Held,
) -> Result<DumpReport> {
    let mut dumping = pin!(dump_between(job, deployment, scope, sink, look, held));
    let reason = tokio::select! {
        dumped = &mut dumping => return dumped,
        () = completion_given_up(job) => return Err(Stage::Completion.out_of_time()),
        reason = hopeless(job) => reason,
    };
    warn!(reason = reason.report(), "giving the dump up");
    held.stop.cancel();
    match dumping.await {
        Err(error) if error.is_cancelled() => Err(reason),
        ended => ended,
    }
}

/// Dumps, and completes the archive only if no restore has begun since the look and the key is still this invocation's.
async fn dump_between<S: Services>(
    job: &Job<S>,
    deployment: &Deployment,
    scope: &Scope,
    sink: Sink,
    look: &Look,
    held: &Held,
) -> Result<DumpReport> {
    let options = DumpOptions {
        scope: scope.clone(),
        compression: Compression::Gzip(GzipLevel::default()),
        snapshot: job.services.snapshot()?,
        ..DumpOptions::default()
    };
    let check = async {
        job.enter(Stage::Lease);
        Box::pin(look.again()).await?;
        Box::pin(held.check()).await?;
        job.enter(Stage::Completion);
        Ok(())
    };
    let monitor = job.monitor();
    // A type of its own: the compiler gives up on the whole as one.
    dump_checked(deployment, &options, sink, &monitor, &held.stop, check).boxed().await
}

/// Returns when it is certain that the dump cannot end in time, and says what it would take.
async fn hopeless<S: Services>(job: &Job<S>) -> Error {
    let left = || job.deadline.work.saturating_duration_since(Instant::now());
    let (after, every) = ((left() / 10).min(JUDGED_AFTER), (left() / 50).min(JUDGED_EVERY));
    let (mut before, mut hopeless) = (None, false);
    loop {
        sleep(every).await;
        let says = |pace: &Pace| pace.elapsed >= after && pace.done >= pace.expected / JUDGED_FROM;
        let Some(pace) = job.pace().filter(|pace| job.stage() == Stage::Dump && says(pace)) else { continue };
        let too_slow = pace.rest(before.as_ref()).is_some_and(|rest| rest > left().mul_f64(HOPELESS));
        if too_slow
            && hopeless
            && let Some(advice) = job.advice()
        {
            let message =
                format!("the dump cannot end in time and was given up, and no archive was kept: {advice}");
            return Error::new(ErrorKind::Cancelled, message);
        }
        (before, hopeless) = (Some(pace), too_slow);
    }
}

/// Returns when an archive is being completed and there is just enough time left to look for it.
async fn completion_given_up<S: Services>(job: &Job<S>) {
    sleep_until(job.deadline.completion).await;
    if job.stage() != Stage::Completion {
        pending::<()>().await;
    }
    warn!("the archive's completion is not waited for any longer");
}
