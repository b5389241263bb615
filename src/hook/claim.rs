//! The claim of an archive's key: one object that says which invocation writes the archive, and what the deployment that
//! waits for it was answered.
//!
//! Lambda may deliver an event many times, at once or hours later. The first delivery claims the key by compare-and-swap;
//! the others wait for its archive, and one of them takes over when it is dead: after its deadline, or when it has given no
//! sign of life for [`SILENCE`]. What that rests on is no clock but the waiting one's own stopwatch.
//!
//! The claim saves work; it is not what keeps an archive from being overwritten. One that was believed dead, and is not,
//! looks once more before it completes its archive, and the completion itself is refused where there is one.
//!
//! The answer is written down before it is given. After `Failed` no archive is taken for that deployment any more: it would
//! look as if it had been taken before the installation. An invocation that fails while another is at work, or after
//! `Succeeded`, leaves the answer to that one.
//!
//! The object is `locks/backups/<ApplicationName>/<DeploymentId>.lease` and holds JSON.

mod record;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::storage::Storage;
use crate::{Error, ErrorKind, Result};

use self::record::{Busy, Decided, Record, Writer};
use super::archive::Archive;
use super::shared::{Shared, attempt, now};

/// Time between two signs of life.
const BEAT: Duration = Duration::from_secs(5);

/// Without a sign of life for so long a writer is dead: six of them in a row were lost.
const SILENCE: Duration = Duration::from_secs(30);

/// First pause between two looks at another one's claim; each further one is half as long again.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause: fifty that wait ask S3 ten times a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The key of one archive, and the invocation that wants to write it.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    shared: Shared<Record>,
    writer: Writer,
}

/// Whose turn it is.
#[derive(Debug)]
pub(super) enum Turn {
    /// This invocation's.
    Ours(Held),
    /// Another one's.
    Theirs(Theirs),
}

/// A claim that is held. While it is, signs of life are given.
#[derive(Debug)]
pub(super) struct Held {
    claim: Claim,
    /// Cancelled with the job, and where the claim is lost.
    pub(super) stop: CancellationToken,
    lost: Arc<OnceLock<Error>>,
    _beats: AbortOnDropHandle<()>,
}

/// A claim of another invocation.
#[derive(Debug)]
pub(super) struct Theirs {
    busy: Busy,
    since: Instant,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Waited {
    /// The other one has ended, or is another by now: look what is there.
    Changed,
    /// The other one is dead.
    Dead,
    /// The other one is at work, and was not to be waited for, or no longer.
    AtWork,
}

impl Claim {
    /// For a request whose invocation ends at `until`, in milliseconds since 1970.
    pub(super) fn new(storage: &Storage, archive: &Archive, request: &str, until: u64) -> Result<Self> {
        let writer = Writer { request: request.to_owned(), attempt: attempt(request), until };
        Ok(Self { shared: Shared::new(storage, &archive.bucket, &archive.claim)?, writer })
    }

    /// Takes the key, unless another invocation is at work on it that is not `dead`.
    pub(super) async fn take(&self, dead: Option<&Theirs>, cancel: &CancellationToken) -> Result<Turn> {
        let silent = dead.map(|theirs| theirs.busy.revision);
        let take = |record: &mut Record| Ok(record.take(&self.writer, silent, now()));
        match self.shared.change(take).await {
            Ok(Some(busy)) => return Ok(Turn::Theirs(Theirs { busy, since: Instant::now() })),
            Ok(None) => {}
            // Whether the change was stored is not known; the claim tells.
            Err(error) if error.kind() != ErrorKind::Storage => return Err(error),
            Err(error) => {
                let there = self.shared.read().await.is_ok_and(|record| record.holds(&self.writer.attempt));
                if !there {
                    return Err(error);
                }
            }
        }
        Ok(Turn::Ours(self.held(cancel)))
    }

    /// Waits for another invocation until `end`; for one of another request only until it has given a sign of life, unless
    /// `patient`.
    pub(super) async fn wait(&self, theirs: &mut Theirs, patient: bool, end: Instant) -> Waited {
        let patient = patient || theirs.busy.request == self.writer.request;
        let mut pause = FIRST_PAUSE;
        while Instant::now() + pause < end {
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            let Ok(record) = self.shared.read().await else {
                // The other one cannot give a sign of life either.
                theirs.since = Instant::now();
                continue;
            };
            match record.busy(&self.writer, now()) {
                Some(busy) if busy == theirs.busy && theirs.since.elapsed() >= SILENCE => {
                    return Waited::Dead;
                }
                Some(busy) if busy == theirs.busy => {}
                Some(busy) if busy.attempt != theirs.busy.attempt => return Waited::Changed,
                Some(_) if !patient => return Waited::AtWork,
                Some(busy) => *theirs = Theirs { busy, since: Instant::now() },
                None => return Waited::Changed,
            }
        }
        Waited::AtWork
    }

    /// Refuses where the deployment's hook has been answered `Failed`; whether it has been answered `Succeeded`.
    pub(super) async fn refuse_failed(&self) -> Result<bool> {
        let record = self.shared.read().await?;
        record.refuse_failed().map(|()| record.has_succeeded())
    }

    /// Writes down that the hook is answered `Failed` with this error; `false` where the answer is for somebody else to give.
    pub(super) async fn fail(&self, error: &Error) -> Result<bool> {
        let fail = |record: &mut Record| {
            let before = record.clone();
            let decided = record.fail(&self.writer, error, now());
            Ok((*record == before).then_some(decided))
        };
        Ok(self.shared.change(fail).await?.is_none_or(|decided| decided == Decided::Failed))
    }

    fn held(&self, cancel: &CancellationToken) -> Held {
        let (stop, lost) = (cancel.child_token(), Arc::<OnceLock<Error>>::default());
        let beats = self.clone().beats(stop.clone(), Arc::clone(&lost));
        Held { claim: self.clone(), stop, lost, _beats: AbortOnDropHandle::new(tokio::spawn(beats)) }
    }

    /// Gives signs of life until the claim is lost.
    async fn beats(self, stop: CancellationToken, lost: Arc<OnceLock<Error>>) {
        loop {
            sleep(BEAT).await;
            let beat = |record: &mut Record| record.beat(&self.writer.attempt).map(|()| None::<()>);
            match Box::pin(self.shared.change(beat)).await {
                Ok(_) => {}
                // The store did not answer: the next one may get through.
                Err(error) if error.kind() == ErrorKind::Storage => {}
                Err(error) => {
                    lost.set(error).ok();
                    stop.cancel();
                    return;
                }
            }
        }
    }
}

impl Held {
    /// Refuses where this invocation must not write any more.
    pub(super) async fn check(&self) -> Result<()> {
        let record = self.claim.shared.read().await?;
        record.refuse_lost(&self.claim.writer.attempt).map_err(|error| error.at(&self.claim.shared.at))
    }

    /// What cancelled the work, where it was the loss of the claim.
    pub(super) fn cause(&self, error: Error) -> Error {
        match self.lost.get() {
            Some(lost) if error.is_cancelled() => Error::new(lost.kind(), lost.report()),
            _ => error,
        }
    }

    /// Gives the key back, and no answer.
    pub(super) async fn release(self) -> Result<()> {
        let release = |record: &mut Record| {
            Ok(if record.release(&self.claim.writer.attempt) { None } else { Some(()) })
        };
        self.claim.shared.change(release).await.map(drop)
    }

    /// Gives the key back, and writes down that the hook is answered `Succeeded`.
    pub(super) async fn succeed(self) -> Result<()> {
        let succeed = |record: &mut Record| record.succeed(&self.claim.writer.attempt).map(|()| None::<()>);
        self.claim.shared.change(succeed).await.map(drop)
    }
}

impl Theirs {
    /// Lambda's name of the other invocation.
    pub(super) fn request(&self) -> &str {
        &self.busy.request
    }
}
