//! The writers of one collection, and the batch being gathered for the next of them.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use archive_format::Documents;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::batch::Batch;
use super::counts::Counts;
use super::insert::Inserter;
use super::verb::Verb;
use super::{Context, WriteOptions};
use crate::Result;
use crate::codec::task_failed;

/// Write commands in flight for one collection: with four, a server on two cores is busy, and other collections want
/// their share of the connections.
const WRITERS: usize = 4;

/// Documents in a batch where the first that is refused is the last: mongorestore's own number, by which those that follow it
/// nevertheless are counted.
const STOPPING_DOCUMENTS: usize = 1000;

/// How long the answers to what has been sent are waited for when the restore has failed: a batch takes far less.
pub(super) const ANSWERS_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Writers {
    inserter: Arc<Inserter>,
    batch: Batch,
    /// How the batch is written, where the order counts.
    verb: Verb,
    limit: usize,
    /// Documents that a batch has at most.
    batch_documents: usize,
    running: JoinSet<Result<Counts>>,
    counts: Counts,
}

impl Writers {
    pub(super) fn new(inserter: Inserter, options: &WriteOptions) -> Self {
        let (writers, documents) =
            if options.stop_on_error { (1, STOPPING_DOCUMENTS) } else { (WRITERS, usize::MAX) };
        let writers = options.workers.map_or(writers, NonZeroUsize::get);
        Self {
            limit: if inserter.is_ordered() { 1 } else { writers },
            batch_documents: options.batch_documents.map_or(documents, NonZeroUsize::get),
            inserter: Arc::new(inserter),
            batch: Batch::default(),
            verb: Verb::Insert,
            running: JoinSet::new(),
            counts: Counts::default(),
        }
    }

    /// Sorts documents into batches and sends off every full one.
    pub(super) async fn take(
        &mut self,
        context: &Context,
        documents: &Documents,
        permit: OwnedSemaphorePermit,
    ) -> Result<()> {
        let share = Arc::new(permit);
        let mut begin = 0;
        for document in documents.iter() {
            self.inserter.check(document)?;
            let verb = if self.inserter.is_ordered() { self.inserter.verb(document)? } else { Verb::Insert };
            if verb != self.verb
                || self.batch.len() >= self.batch_documents
                || !self.batch.has_room(document.len())
            {
                self.flush(context).await?;
                self.verb = verb;
            }
            let end = begin + document.len();
            self.batch.push(documents.bytes(), begin..end, Some(&share));
            begin = end;
        }
        Ok(())
    }

    /// Whether the server has anything of this collection to do.
    pub(super) fn are_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// Sends off what has been gathered.
    pub(super) async fn flush(&mut self, context: &Context) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        while self.running.len() >= self.limit {
            self.join().await?;
        }
        let session = context.sessions.take().await?;
        let batch = std::mem::take(&mut self.batch);
        let inserter = Arc::clone(&self.inserter);
        self.running.spawn(async move { inserter.insert(batch, &session).await });
        Ok(())
    }

    /// Waits for one answer.
    pub(super) async fn join(&mut self) -> Result<()> {
        if let Some(done) = self.running.join_next().await {
            self.counts += done.map_err(task_failed)??;
        }
        Ok(())
    }

    /// Waits for what is on its way to the server when nothing more is to be sent: what it did is told, and nothing takes
    /// effect behind the back of whoever tries again.
    pub(super) async fn hear_the_answers(mut self) {
        let answers = async { while self.running.join_next().await.is_some() {} };
        let _ = timeout(ANSWERS_TIMEOUT, answers).await;
    }

    /// Sends off the rest and waits for every answer.
    pub(super) async fn finish(&mut self, context: &Context) -> Result<Counts> {
        self.flush(context).await?;
        while self.are_busy() {
            self.join().await?;
        }
        Ok(self.counts)
    }
}
