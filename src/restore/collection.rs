//! One collection from creation to indexes: the task that takes the documents of one namespace.

use std::sync::Arc;

use archive_format::{CollectionMetadata, Documents, Kind, Namespace};
use bson::doc;
use mongodb::error::ErrorKind as DriverKind;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::insert::{Batch, Inserter};
use super::metadata::Metadata;
use super::users::Special;
use super::{Context, RestoreOptions, Work, indexes};
use crate::codec::task_failed;
use crate::server_error::{NAMESPACE_NOT_FOUND, driver_error};
use crate::{Error, ErrorKind, Result};

/// Insert commands in flight for one collection: with four, a server on two cores is busy, and other collections want
/// their share of the connections.
const WRITERS: usize = 4;

/// What has to be made of one entry of the prelude.
#[derive(Debug)]
pub(super) struct Target {
    /// The logical name: the time series, not its buckets.
    namespace: Namespace,
    kind: Kind,
    metadata: Metadata,
    /// Whether the collection was there when the restore began.
    present: bool,
    /// Whether it is of another database than the one asked for.
    skip: bool,
}

/// Documents inserted and refused.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) documents: u64,
    pub(super) failures: u64,
    /// Why the collection has its documents and not its indexes.
    pub(super) without_indexes: Option<Error>,
}

impl Target {
    /// Reads the entry's metadata.
    pub(super) fn new(entry: &CollectionMetadata, options: &RestoreOptions) -> Result<Self> {
        let metadata = Metadata::read(entry)?;
        let skip = !options.scope.covers(&entry.namespace);
        Ok(Self { namespace: entry.namespace.clone(), kind: entry.kind, metadata, present: false, skip })
    }

    /// Decides what happens to a collection that is `present` already.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] for a time series: its buckets cannot be merged with others.
    pub(super) fn over(mut self, present: bool, context: &Context) -> Result<Self> {
        self.present = present;
        if self.keeps(context) && !self.skip && self.metadata.is_timeseries(self.kind) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "this time series exists already and its buckets cannot be merged; restore with --drop, or drop it first",
            ));
        }
        Ok(self)
    }

    /// Whether what is there stays.
    fn keeps(&self, context: &Context) -> bool {
        self.present && !self.drops(context)
    }

    fn drops(&self, context: &Context) -> bool {
        context.options.drop && !self.namespace.collection().starts_with("system.")
    }

    /// Where the documents go.
    fn data(&self, context: &Context) -> Namespace {
        if !self.metadata.is_timeseries(self.kind) || context.server.has_viewless_timeseries() {
            return self.namespace.clone();
        }
        let buckets = format!("system.buckets.{}", self.namespace.collection());
        Namespace::new(self.namespace.db(), &buckets).unwrap_or_else(|_| self.namespace.clone())
    }
}

/// Takes the namespace's documents until it ends. Without its end (the archive is damaged), no index is built.
pub(super) async fn restore(
    context: Arc<Context>,
    target: Target,
    work: mpsc::UnboundedReceiver<Work>,
) -> Result<Counts> {
    let namespace = target.namespace.clone();
    let special = if target.skip { Some(Special::Ignored) } else { Special::of(&namespace) };
    let result = match special {
        Some(special) => context.authorization.take(&context, special, work).await,
        None => ordinary(&context, &target, work).await,
    };
    result.map_err(|error| error.at(&namespace))
}

async fn ordinary(
    context: &Arc<Context>,
    target: &Target,
    mut work: mpsc::UnboundedReceiver<Work>,
) -> Result<Counts> {
    let namespace = &target.namespace;
    prepare(context, target).await?;
    context.monitor.started(namespace, None);
    let mut writers = Writers::new(context, target.data(context), namespace.clone());
    let mut ended = false;
    while !ended {
        let next = match work.try_recv() {
            Ok(next) => Some(next),
            // Nothing to gather for now. What is there goes out only when the server has nothing else to do for this
            // collection, or it would get many small batches; then it must, so that its share of the budget comes back.
            Err(mpsc::error::TryRecvError::Empty) if writers.are_busy() => {
                tokio::select! {
                    biased;
                    next = work.recv() => next,
                    joined = writers.join() => {
                        joined?;
                        continue;
                    }
                }
            }
            Err(mpsc::error::TryRecvError::Empty) => {
                writers.flush(context).await?;
                work.recv().await
            }
            Err(mpsc::error::TryRecvError::Disconnected) => None,
        };
        match next {
            Some(Work::Documents(documents, permit)) => {
                if target.metadata.is_view() {
                    return Err(Error::new(ErrorKind::Archive, "the archive holds documents for a view"));
                }
                writers.take(context, &documents, permit).await?;
            }
            Some(Work::End) => ended = true,
            None => break,
        }
    }
    let mut counts = writers.finish(context).await?;
    if ended {
        // The other collections' documents are worth more than an early end: the error is told when they are in place.
        let built = indexes::build(context, namespace, &target.metadata).await;
        counts.without_indexes = built.err().map(|error| error.at(namespace));
        context.monitor.finished(namespace, counts.documents);
    }
    Ok(counts)
}

/// Drops and creates.
async fn prepare(context: &Context, target: &Target) -> Result<()> {
    let _slot = context.commands.acquire().await.map_err(|_| Error::cancelled())?;
    let name = target.namespace.collection();
    let db = context.client.database(target.namespace.db());
    if target.present
        && target.drops(context)
        && let Err(error) = db.run_command(doc! { "drop": name }).await
        && !matches!(error.kind.as_ref(), DriverKind::Command(command) if command.code == NAMESPACE_NOT_FOUND)
    {
        return Err(driver_error("cannot drop the collection", &error));
    }
    if !target.keeps(context) {
        let create = target.metadata.create(name, context.server);
        db.run_raw_command(create).await.map_err(|error| {
            driver_error("cannot create the collection with the archive's options", &error)
        })?;
    }
    Ok(())
}

/// The writers of one collection and the batch being gathered for the next of them.
#[derive(Debug)]
pub(super) struct Writers {
    inserter: Arc<Inserter>,
    batch: Batch,
    running: JoinSet<Result<Counts>>,
    counts: Counts,
}

impl Writers {
    pub(super) fn new(context: &Context, data: Namespace, logical: Namespace) -> Self {
        let inserter = Arc::new(Inserter::new(context, data, logical));
        Self { batch: inserter.batch(), inserter, running: JoinSet::new(), counts: Counts::default() }
    }

    /// Sorts documents into batches and sends off every full one.
    pub(super) async fn take(
        &mut self,
        context: &Arc<Context>,
        documents: &Documents,
        permit: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<()> {
        let permit = Arc::new(permit);
        let mut coming = documents.bytes().len();
        for document in documents.iter() {
            if !self.batch.has_room(document) {
                self.flush(context).await?;
            }
            self.batch.push(document, coming, &permit)?;
            coming = coming.saturating_sub(document.len());
        }
        Ok(())
    }

    fn are_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// Sends off what has been gathered.
    pub(super) async fn flush(&mut self, context: &Arc<Context>) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        while self.running.len() >= WRITERS {
            self.join().await?;
        }
        let slot = Arc::clone(&context.inserts).acquire_owned().await.map_err(|_| Error::cancelled())?;
        let batch = std::mem::replace(&mut self.batch, self.inserter.batch());
        let inserter = Arc::clone(&self.inserter);
        self.running.spawn(async move {
            let _slot = slot;
            inserter.insert(batch).await
        });
        Ok(())
    }

    async fn join(&mut self) -> Result<()> {
        if let Some(done) = self.running.join_next().await {
            let counts = done.map_err(task_failed)??;
            self.counts.documents += counts.documents;
            self.counts.failures += counts.failures;
        }
        Ok(())
    }

    /// Sends off the rest and waits for every answer.
    pub(super) async fn finish(mut self, context: &Arc<Context>) -> Result<Counts> {
        self.flush(context).await?;
        while !self.running.is_empty() {
            self.join().await?;
        }
        Ok(self.counts)
    }
}
