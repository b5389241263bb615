//! Backup: a dump into an object that is overwritten by nobody who was not told to, and proven before it counts.

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::hook::archive::Archive;
use crate::hook::claim::{Claim, Held, Theirs, Turn, Waited};
use crate::hook::event::Action;
use crate::hook::job::Job;
use crate::hook::labels;
use crate::hook::outcome::Outcome;
use crate::hook::proving;
use crate::hook::services::Services;
use crate::hook::stage::Stage;
use crate::hook::waiting::Waiting;
use crate::scope::SCOPE_LABEL;
use crate::storage::{Location, Stored};
use crate::{Error, ErrorKind, Result};

mod call;
mod dumping;
mod writing;

use call::Call;

/// One call's backup.
struct Backup<'a, S> {
    job: &'a Job<S>,
    archive: &'a Archive,
    location: Location,
    call: Call,
    claim: &'a Claim,
}

/// Dumps, unless this call's archive is there already or another invocation writes it; `waiting` is the deployment for which
/// it is taken.
pub(in crate::hook) async fn run<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    waiting: Option<Waiting>,
    overwrite: bool,
) -> Result<Outcome> {
    let call = Call::new(job, waiting, overwrite);
    let (location, claim) = (archive.location()?, job.claim(archive)?);
    let mut backup = Backup { job, archive, location, call, claim };
    let mut dead: Option<Theirs> = None;
    let held = loop {
        // The archive first: one that is there and proven needs neither the secret nor the database.
        if let Some(found) = backup.look().await?
            && backup.is_proven().await?
        {
            return Ok(backup.existing(&found));
        }
        job.enter(Stage::Bucket);
        let taking = Box::pin(claim.take(dead.as_ref(), &job.cancel));
        match job.unless_cancelled(taking).await? {
            Turn::Ours(held) => break held,
            Turn::Theirs(theirs) => dead = backup.wait(theirs).await?,
        }
    };
    match backup.under_claim(&held).boxed().await {
        Ok(outcome) => backup.give_back(held).await.map(|()| outcome),
        Err(error) => {
            let error = held.cause(error);
            // A hook's failure is written down as its answer, which gives the key back too.
            if !backup.call.is_hook()
                && let Err(kept) = Box::pin(held.release()).await
            {
                warn!(reason = kept.report(), "the key of the archive could not be given back");
            }
            Err(error)
        }
    }
}

impl<S: Services> Backup<'_, S> {
    /// The archive of this call that is there; `None` where there is none and one may be taken.
    async fn look(&self) -> Result<Option<Stored>> {
        self.job.enter(Stage::Bucket);
        let succeeded = self.call.is_hook() && Box::pin(self.claim.refuse_failed()).await?;
        let found = self.call.ours(self.archive, self.stat().await?)?;
        if found.is_none() {
            self.call.refuse_ended()?;
            if succeeded {
                let message = "the deployment's archive was there and is gone, and another one would look as if it had been \
                               taken before the installation; start a new deployment";
                return Err(Error::new(ErrorKind::NotFound, message).at(self.archive));
            }
        }
        Ok(found)
    }

    async fn stat(&self) -> Result<Option<Stored>> {
        Box::pin(self.job.services.storage()?.stat(&self.location)).await
    }

    async fn is_proven(&self) -> Result<bool> {
        Ok(proving::record(self.job, &self.location).await?.is_some())
    }

    fn existing(&self, found: &Stored) -> Outcome {
        info!(archive = %self.archive, "an earlier attempt has written the archive, and it is proven");
        Outcome::existing(Action::Backup, self.archive, labels::find(found, SCOPE_LABEL), found.bytes)
    }

    /// Proves this call's archive, if it is not proven: by reading it to its end.
    async fn prove(&self, found: &Stored, cancel: &CancellationToken) -> Result<Outcome> {
        if !self.is_proven().await? {
            proving::read(self.job, &self.location, cancel).await?;
        }
        Ok(self.existing(found))
    }

    /// Waits for another invocation that has claimed the key, which is returned where it is dead.
    async fn wait(&mut self, mut theirs: Theirs) -> Result<Option<Theirs>> {
        let (job, archive) = (self.job, self.archive);
        job.enter(Stage::Turn);
        info!(%archive, request = theirs.request(), "waiting for another invocation, which is at work on the archive");
        let is_hook = self.call.is_hook();
        let waited = Box::pin(self.claim.wait(&mut theirs, is_hook, job.deadline.completion)).await;
        if waited == Waited::AtWork {
            let advice = if is_hook {
                "which CodeDeploy hears of; send the event again if it hears nothing"
            } else {
                "wait for its result, or send another DeploymentId"
            };
            let message = format!("the request {} is writing this archive; {advice}", theirs.request());
            return Err(Error::new(ErrorKind::AlreadyExists, message).at(archive));
        }
        self.call.ask_again(job).await?;
        Ok((waited == Waited::Dead).then_some(theirs))
    }

    /// What the invocation does that holds the key: it alone writes the archive, or proves what is there.
    async fn under_claim(&self, held: &Held) -> Result<Outcome> {
        if let Some(found) = self.look().await? {
            return self.prove(&found, &held.stop).await;
        }
        match self.write(held).await {
            Err(error)
                if error.kind() == ErrorKind::AlreadyExists || self.job.stage() == Stage::Completion =>
            {
                self.settle(error).await
            }
            ended => ended,
        }
    }

    /// Looks what is there after an archive was refused or its completion has failed: it may be there all the same, by this
    /// attempt or by another delivery of the same call, and then it is proven.
    async fn settle(&self, error: Error) -> Result<Outcome> {
        // Also when time has run out: this is what the last of it is kept for.
        let Ok(found) = self.stat().await else { return Err(error) };
        match self.call.ours(self.archive, found)? {
            Some(found) => self.prove(&found, &CancellationToken::new()).await,
            None => Err(error),
        }
    }

    /// Writes down that the archive is complete and proven.
    async fn give_back(&self, held: Held) -> Result<()> {
        let given =
            if self.call.is_hook() { Box::pin(held.succeed()).await } else { Box::pin(held.release()).await };
        match given {
            // The archive is there, and whoever comes next finds it.
            Err(error) if error.kind() == ErrorKind::Storage => {
                self.job.warn(&format!("the key of the archive could not be given back: {}", error.report()));
                Ok(())
            }
            given => given,
        }
    }
}
