//! One collection from creation to its last document: the task that takes the documents of one namespace.

use std::sync::Arc;

use archive_format::{Documents, Namespace};
use bson::RawDocumentBuf;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::counts::Counts;
use super::insert::Inserter;
use super::metadata::Metadata;
use super::rules::Rules;
use super::target::Target;
use super::writers::Writers;
use super::{Context, DocumentValidation, ddl};
use crate::{Error, ErrorKind, Result};

/// Work for the task of one namespace.
#[derive(Debug)]
pub(super) enum Work {
    /// Documents, and the share of the budget of bytes that they hold.
    Documents(Documents, OwnedSemaphorePermit),
    /// The namespace has ended and its checksum is right.
    End,
}

/// A collection with its documents and still without its indexes.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) namespace: Namespace,
    /// Where it was made.
    pub(super) place: Namespace,
    /// Whether it holds as many documents as were inserted: a capped collection holds what fits, a view none.
    pub(super) is_counted: bool,
    pub(super) counts: Counts,
    /// The command that builds the indexes, if there are any.
    pub(super) create_indexes: Option<RawDocumentBuf>,
    /// What the oplog may change; kept only where there is one to replay.
    pub(super) metadata: Metadata,
}

/// Takes the namespace's documents until it ends. Without its end (the archive is damaged), there is nothing to index.
pub(super) async fn fill(
    context: Arc<Context>,
    target: Target,
    work: mpsc::UnboundedReceiver<Work>,
) -> Result<Filled> {
    let filled = take(&context, &target, work).await;
    filled.map_err(|error| error.at(&target.destination))
}

async fn take(
    context: &Arc<Context>,
    target: &Target,
    mut work: mpsc::UnboundedReceiver<Work>,
) -> Result<Filled> {
    let namespace = &target.destination;
    let metadata = target.metadata()?;
    prepare(context, target, &metadata).await?;
    context.monitor.started(namespace, None);
    let rules = rules(context, target, &metadata);
    let inserter = Inserter::new(context, target.data(context.server), namespace.clone(), rules);
    let mut writers = Writers::new(inserter, &context.options.writes);
    let (counts, ended) = match write(context, target, &metadata, &mut writers, &mut work).await {
        Ok(written) => written,
        Err(error) => {
            writers.hear_the_answers().await;
            return Err(error);
        }
    };
    if ended {
        context.monitor.finished(namespace, counts.documents);
        if let Some(text) = counts.left_out() {
            context.monitor.note(&format!("{namespace}: {text}"));
        }
        for text in metadata.built().notes {
            context.monitor.note(&format!("{namespace}: {text}"));
        }
    }
    let place = target.made_at().clone();
    Ok(Filled {
        namespace: namespace.clone(),
        counts,
        is_counted: !metadata.is_capped() && !metadata.is_view(),
        create_indexes: metadata.create_indexes(place.collection()),
        place,
        metadata: if context.options.oplog.is_asked_for() { metadata } else { Metadata::default() },
    })
}

/// Writes what comes, and says whether the namespace has come to its end.
async fn write(
    context: &Context,
    target: &Target,
    metadata: &Metadata,
    writers: &mut Writers,
    work: &mut mpsc::UnboundedReceiver<Work>,
) -> Result<(Counts, bool)> {
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
                if metadata.is_view() {
                    let error = Error::new(ErrorKind::Archive, "the archive holds documents for a view");
                    return Err(error.at(&target.source));
                }
                writers.take(context, &documents, permit).await?;
            }
            Some(Work::End) => ended = true,
            None => break,
        }
    }
    Ok((writers.finish(context).await?, ended))
}

fn rules(context: &Context, target: &Target, metadata: &Metadata) -> Rules {
    let created = !target.keeps();
    let bypass = match context.options.validation {
        DocumentValidation::Enforced => false,
        DocumentValidation::BypassedWhereCreated => created && metadata.has_validator(),
        DocumentValidation::Bypassed => !target.is_timeseries(),
    };
    Rules {
        ordered: metadata.is_capped() || context.options.writes.ordered,
        stops: context.options.writes.stop_on_error,
        checks: context.options.writes.check_documents,
        created,
        bypass_validation: bypass,
        buckets: target.is_timeseries(),
    }
}

/// Drops and creates.
async fn prepare(context: &Context, target: &Target, metadata: &Metadata) -> Result<()> {
    let _slot = context.commands.acquire().await.map_err(|_| Error::hung_up())?;
    let namespace = target.made_at();
    if target.replaces() {
        ddl::drop_collection(context, namespace).await?;
    }
    if target.keeps() {
        if metadata.is_view() {
            context.monitor.warn(&format!(
                "{namespace}: the archive's view is left out, as something of that name exists; restore with --drop"
            ));
        }
        return Ok(());
    }
    let mut uuid = None;
    if context.options.writes.preserve_uuid && !metadata.is_view() {
        uuid = metadata.uuid()?;
        if uuid.is_none() {
            context
                .monitor
                .note(&format!("{namespace}: the archive does not know its UUID: it gets a new one"));
        }
    }
    let create = metadata.create(namespace.db(), namespace.collection(), context.server);
    ddl::create_collection(context, namespace.db(), create, uuid).await
}
