//! The writers of one collection, and the batch being gathered for the next of them.

use std::sync::Arc;

use archive_format::Documents;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::Context;
use super::batch::Batch;
use super::counts::Counts;
use super::insert::{Inserter, Verb};
use crate::Result;
use crate::codec::task_failed;

/// Write commands in flight for one collection: with four, a server on two cores is busy, and other collections want
/// their share of the connections.
const WRITERS: usize = 4;

#[derive(Debug)]
pub(super) struct Writers {
    inserter: Arc<Inserter>,
    batch: Batch,
    /// How the batch is written, where the order counts.
    verb: Verb,
    limit: usize,
    running: JoinSet<Result<Counts>>,
    counts: Counts,
}

impl Writers {
    pub(super) fn new(inserter: Inserter) -> Self {
        Self {
            limit: if inserter.is_ordered() { 1 } else { WRITERS },
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
            let verb = if self.inserter.is_ordered() { self.inserter.verb(document)? } else { Verb::Insert };
            if verb != self.verb || !self.batch.has_room(document.len()) {
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

    /// Sends off the rest and waits for every answer.
    pub(super) async fn finish(mut self, context: &Context) -> Result<Counts> {
        self.flush(context).await?;
        while self.are_busy() {
            self.join().await?;
        }
        Ok(self.counts)
    }
}
