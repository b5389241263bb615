//! The data phase: from the archive's events to every collection's documents.

use std::collections::HashMap;
use std::sync::Arc;

use archive_format::{Documents, Event};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::collection::{self, Filled, Work};
use super::oplog::Replay;
use super::plan::Plan;
use super::users::Gathered;
use super::writers::ANSWERS_TIMEOUT;
use super::{BYTES_IN_FLIGHT, Context, MAX_SHARE};
use crate::archive::Archive;
use crate::codec::task_failed;
use crate::{Error, ErrorKind, Result};

/// What one chunk of documents counts at least, so that an archive of the smallest chunks does not make queues of millions.
const MIN_SHARE: usize = 1024;

/// The tasks of the namespaces that are open.
struct Tasks {
    running: JoinSet<Result<Filled>>,
    filled: Vec<Filled>,
    budget: Arc<Semaphore>,
}

/// Reads the archive to its end, proves it, and has its documents written.
///
/// # Errors
/// Those of the archive, and of every collection. What was on its way to the server has then been answered, so that nothing
/// takes effect behind the back of whoever tries again: as far as the server answers within [`ANSWERS_TIMEOUT`].
pub(super) async fn fill(
    context: &Arc<Context>,
    archive: &mut Archive,
    plan: &mut Plan,
    users: &mut Gathered,
    replay: &mut Option<Replay>,
    cancel: &CancellationToken,
) -> Result<Vec<Filled>> {
    let budget = Arc::new(Semaphore::new(BYTES_IN_FLIGHT));
    let mut tasks = Tasks { running: JoinSet::new(), filled: Vec::new(), budget };
    let fed = cancel.run_until_cancelled(feed(&mut tasks, context, archive, plan, users, replay)).await;
    match fed.unwrap_or_else(|| Err(Error::cancelled())) {
        Ok(()) => tasks.finish(cancel).await,
        Err(error) => {
            tasks.hear_the_answers().await;
            if let Some(replay) = replay {
                let _ = timeout(ANSWERS_TIMEOUT, replay.hear_the_answer()).await;
            }
            Err(error)
        }
    }
}

/// Hands the archive's documents to the tasks. When it returns, they are told nothing more.
async fn feed(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    archive: &mut Archive,
    plan: &mut Plan,
    users: &mut Gathered,
    replay: &mut Option<Replay>,
) -> Result<()> {
    // What waits in these queues holds shares of the budget, of which there is a fixed number. A bound of their own would let
    // one collection that waits for its turn stop the archive, and with it those that could go on.
    let mut open: HashMap<usize, mpsc::UnboundedSender<Work>> = HashMap::new();
    let mut told = 0;
    let mut left = plan.collections.len() + plan.special.len();
    let (mut ended_in_all, only_some) = (0, context.options.only.is_some());
    while let Some(event) = tasks.unless_failed(archive.next()).await?? {
        if archive.read() > told {
            told = archive.read();
            context.monitor.archive(told, archive.size());
        }
        let (position, work) = match event {
            Event::Segment(start) => (start.collection, None),
            Event::Documents(documents) => {
                if let Some(special) = plan.special.get(&documents.collection()) {
                    users.take(*special, &documents)?;
                    continue;
                }
                let position = documents.collection();
                if let Some(replay) = replay.as_mut().filter(|_| plan.oplog == Some(position)) {
                    if left > 0 {
                        let message = "the archive's oplog comes before the end of its collections, and cannot be replayed: \
                                       restore without it";
                        return Err(Error::new(ErrorKind::Archive, message));
                    }
                    if !replay.has_begun() {
                        tasks.settle().await?;
                        replay.begin(&mut tasks.filled);
                    }
                    replay.take(&documents).await?;
                    continue;
                }
                if !plan.collections.contains_key(&position) && !open.contains_key(&position) {
                    continue;
                }
                let permit = tasks.reserve(&documents).await?;
                (position, Some(Work::Documents(documents, permit)))
            }
            Event::End(end) => {
                if let Some(expected) = &context.options.expected {
                    expected.check(&end)?;
                }
                ended_in_all += 1;
                let position = end.collection;
                let special = plan.special.get(&position);
                special.map_or(Ok(()), |special| users.end(*special))?;
                if special.is_some()
                    || plan.collections.contains_key(&position)
                    || open.contains_key(&position)
                {
                    left -= 1;
                }
                (position, Some(Work::End))
            }
            _ => continue,
        };
        if let Some(target) = plan.collections.remove(&position) {
            let (sender, receiver) = mpsc::unbounded_channel();
            tasks.running.spawn(collection::fill(Arc::clone(context), target, receiver));
            open.insert(position, sender);
        }
        let ended = matches!(work, Some(Work::End));
        if let (Some(work), Some(sender)) = (work, open.get(&position)) {
            // A task that has failed no longer listens; its error is on its way.
            let _ = sender.send(work);
        }
        if ended {
            open.remove(&position);
        }
        // What comes after the last of them may be damaged.
        if only_some && left == 0 {
            break;
        }
    }
    if only_some {
        if left > 0 {
            archive.finish()?;
            return Err(Error::new(
                ErrorKind::Archive,
                "the archive ends before what was to be restored of it",
            ));
        }
    } else {
        archive.finish()?;
    }
    if let Some(expected) = &context.options.expected
        && !only_some
        && expected.len() != ended_in_all
    {
        let message = "the archive does not have every namespace that it had when it was proven";
        return Err(Error::new(ErrorKind::Archive, message));
    }
    Ok(())
}

impl Tasks {
    /// Waits, and meanwhile for a collection that fails.
    async fn unless_failed<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                Some(done) = self.running.join_next() => self.filled.push(done.map_err(task_failed)??),
                done = &mut work => return Ok(done),
            }
        }
    }

    /// A share of the budget for these documents.
    async fn reserve(&mut self, documents: &Documents) -> Result<OwnedSemaphorePermit> {
        let size = documents.bytes().len().clamp(MIN_SHARE, MAX_SHARE);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let budget = Arc::clone(&self.budget);
        self.unless_failed(budget.acquire_many_owned(size)).await?.map_err(|_| Error::hung_up())
    }

    /// Waits until every collection has its documents, when all have ended.
    async fn settle(&mut self) -> Result<()> {
        while let Some(done) = self.running.join_next().await {
            self.filled.push(done.map_err(task_failed)??);
        }
        Ok(())
    }

    async fn finish(mut self, cancel: &CancellationToken) -> Result<Vec<Filled>> {
        loop {
            let failed = match cancel.run_until_cancelled(self.running.join_next()).await {
                Some(None) => return Ok(self.filled),
                Some(Some(done)) => match done.map_err(task_failed).flatten() {
                    Ok(filled) => {
                        self.filled.push(filled);
                        continue;
                    }
                    Err(error) => error,
                },
                None => Error::cancelled(),
            };
            self.hear_the_answers().await;
            return Err(failed);
        }
    }

    /// Waits for what is on its way to the server.
    async fn hear_the_answers(&mut self) {
        let answers = async { while self.running.join_next().await.is_some() {} };
        // Beyond that the tasks are dropped, and what they have sent may still take effect.
        let _ = timeout(ANSWERS_TIMEOUT, answers).await;
    }
}
