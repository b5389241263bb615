//! Restore: from an archive into a MongoDB deployment.
//!
//! ```text
//! source -> gunzip xCores -> demux --Documents--> collections (writers xW each) -> indexes -> users and roles -> report
//! ```
//!
//! The demultiplexer owns the only decoder and hands each namespace's documents to a task of that namespace. There is
//! a task for every open namespace and one budget of bytes for all, so no interleaving can dead-lock. A collection's
//! indexes are built when its data has ended and its checksum has been proven.
//!
//! Memory is a sum of constants and does not depend on the size of the archive:
//!
//! | what | MiB |
//! |---|---|
//! | documents between the decoder and the server's answers, the insert commands among them | 12 |
//! | the driver's two copies of each of 8 insert commands in flight | 16 |
//! | members being inflated, one for each of two cores, and two chunks waiting (2 MiB each), and their input | 10 |
//! | the source: pieces of a file, or the ranges of an S3 object in flight | 3 or 40 |
//! | program, connections, TLS, and what the allocator keeps of freed batches | 25 |
//!
//! That is about 65 MiB from a file. With glibc's allocator and two cores, 73 were measured at 0.5 GB, 83 at 2 GB, 93 at
//! 8 GB: what it keeps of freed batches is more in a longer run, whatever their sizes. Documents over 1 MiB go one to a
//! command, each as large as it is, and the largest four at a time: 300 MiB.
//!
//! A document is copied four times in this process: into the command, by the driver when it keeps the command for a
//! retry, when it adds its session, and when it frames the message. An archive by other tools adds one copy, where a
//! chunk ends inside a document. Of the process's CPU time, inflating has about 40 % and the copies 15 %. The process has a
//! fifth of the CPU time; the rest is the server's, and it is what bounds a restore (with the largest documents it spends
//! half of its time compressing them for the journal and the disk).

use std::collections::HashMap;
use std::sync::Arc;

use archive_format::{Documents, Event, Prelude};
use mongodb::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::codec::task_failed;
use crate::progress::Monitor;
use crate::storage::Source;
use crate::{Deployment, Error, ErrorKind, Result, Scope};

mod collection;
mod demux;
mod indexes;
mod insert;
mod metadata;
mod server;
mod users;

use collection::Target;
use demux::Demux;
use server::Server;
use users::Authorization;
use users::Credentials;

/// Bytes of documents between the decoder and the server's answers. A permit is taken before documents are handed on. It
/// is enough for every insert command in flight and for two chunks that wait; with 64 MiB a restore was not faster.
const BYTES_IN_FLIGHT: usize = 12 * 1024 * 1024;

/// What one chunk of documents counts at most, so that of the largest documents, too, every writer has one.
const MAX_SHARE: usize = BYTES_IN_FLIGHT / 4;

/// Insert commands in flight at once, over all collections: more than the server can use on few cores, and below the
/// driver's default pool of 10 connections.
const INSERTS_IN_FLIGHT: usize = 8;

/// `create`, `drop` and `createIndexes` commands in flight at once: mongorestore's default of four collections.
const COMMANDS_IN_FLIGHT: usize = 4;

/// How to restore.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// Drop each collection of the archive just before it is created, and replace users and roles. Collections that are
    /// not in the archive stay, and so does `system.js`, whose documents are replaced one by one.
    pub drop: bool,
    /// What of the archive is restored; nothing outside is touched.
    pub scope: Scope,
}

/// What a restore did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Number of collections, views included.
    pub collections: usize,
    /// Documents inserted.
    pub documents: u64,
    /// Documents that the server refused as duplicates of others or by a collection's validator.
    pub failures: u64,
    /// Bytes of the stored archive, where its size is known.
    pub bytes: u64,
}

/// Work for the task of one namespace.
#[derive(Debug)]
enum Work {
    /// Documents, and the share of [`BYTES_IN_FLIGHT`] that they hold.
    Documents(Documents, OwnedSemaphorePermit),
    /// The namespace has ended and its checksum is right.
    End,
}

/// What every task of a restore shares.
#[derive(Debug)]
struct Context {
    client: Client,
    server: Server,
    options: RestoreOptions,
    monitor: Arc<dyn Monitor>,
    inserts: Arc<Semaphore>,
    commands: Semaphore,
    authorization: Authorization,
}

/// Replays the archive in `source`.
///
/// Documents that the server refuses as duplicates or by a validator are counted, not errors, as with mongorestore.
///
/// # Errors
/// Any failure of the source or the deployment, and any defect of the archive: it is never reported as restored unless its
/// last byte has been read and every checksum was right. What was inserted before the error stays. Indexes that cannot be
/// built are an error that is returned after everything else has been restored.
///
/// # Cancellation
/// When `cancel` fires, or the future is dropped, the restore stops where it is.
pub async fn restore(
    deployment: &Deployment,
    options: &RestoreOptions,
    source: Source,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<RestoreReport> {
    tokio::select! {
        result = replay(deployment, options, source, monitor) => result,
        () = cancel.cancelled() => Err(Error::new(
            ErrorKind::Cancelled,
            "cancelled; what was restored so far stays: restore again with --drop",
        )),
    }
}

async fn replay(
    deployment: &Deployment,
    options: &RestoreOptions,
    source: Source,
    monitor: &Arc<dyn Monitor>,
) -> Result<RestoreReport> {
    let bytes = source.size().unwrap_or_default();
    let mut demux = Demux::new(source);
    let prelude = demux.prelude().await?;
    let context = Arc::new(Context {
        client: deployment.client().clone(),
        server: Server::ask(deployment).await?,
        options: options.clone(),
        monitor: Arc::clone(monitor),
        inserts: Arc::new(Semaphore::new(INSERTS_IN_FLIGHT)),
        commands: Semaphore::new(COMMANDS_IN_FLIGHT),
        authorization: Authorization::new(&prelude),
    });
    let mut targets = targets(&context, &prelude).await?;
    monitor.planned(targets.len(), None);
    let mut report = RestoreReport { collections: targets.len(), bytes, ..RestoreReport::default() };

    let mut deferred = Vec::new();
    let budget = Arc::new(Semaphore::new(BYTES_IN_FLIGHT));
    let mut open: HashMap<usize, mpsc::UnboundedSender<Work>> = HashMap::new();
    let mut tasks: JoinSet<Result<collection::Counts>> = JoinSet::new();
    loop {
        let event = tokio::select! {
            biased;
            Some(done) = tasks.join_next() => {
                report.count(done.map_err(task_failed)??, &mut deferred);
                continue;
            }
            event = demux.next() => event?,
        };
        let (collection, work) = match event {
            None => break,
            Some(Event::Segment(start)) => (start.collection, None),
            Some(Event::Documents(documents)) => {
                let permit = reserve(&budget, &documents, &mut tasks, &mut report, &mut deferred).await?;
                (documents.collection(), Some(Work::Documents(documents, permit)))
            }
            Some(Event::End(end)) => (end.collection, Some(Work::End)),
            Some(_) => continue,
        };
        let ended = matches!(work, Some(Work::End));
        let sender = open.entry(collection).or_insert_with(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            if let Some(target) = targets.remove(&collection) {
                tasks.spawn(collection::restore(Arc::clone(&context), target, receiver));
            }
            sender
        });
        if let Some(work) = work {
            // A task that has failed no longer listens; its error is on its way through `tasks`.
            let _ = sender.send(work);
        }
        if ended {
            open.remove(&collection);
        }
    }
    demux.finish()?;
    drop(open);
    while let Some(done) = tasks.join_next().await {
        report.count(done.map_err(task_failed)??, &mut deferred);
    }
    if context.authorization.merge(&context).await? == Credentials::Replaced {
        settle(deployment).await?;
    }
    for error in deferred.iter().skip(1) {
        monitor.note(&error.report());
    }
    match deferred.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

/// Finishes a restore that replaced the account it ran under: removes the temporary users with a new connection, which is
/// possible where the archive's account has the same password.
async fn settle(deployment: &Deployment) -> Result<()> {
    let removed = async { users::drop_temporaries(deployment.reconnect().await?.client()).await };
    removed.await.map_err(|error| {
        Error::new(
            ErrorKind::Authentication,
            "everything is restored, but the restored users replaced the account of this connection; log in with a \
             restored one and drop admin.tempusers and admin.temproles",
        )
        .with_source(error)
    })
}

impl RestoreReport {
    fn count(&mut self, counts: collection::Counts, deferred: &mut Vec<Error>) {
        self.documents += counts.documents;
        self.failures += counts.failures;
        deferred.extend(counts.without_indexes);
    }
}

/// A share of the budget for these documents, watching meanwhile for a collection that failed.
async fn reserve(
    budget: &Arc<Semaphore>,
    documents: &Documents,
    tasks: &mut JoinSet<Result<collection::Counts>>,
    report: &mut RestoreReport,
    deferred: &mut Vec<Error>,
) -> Result<OwnedSemaphorePermit> {
    let size = u32::try_from(documents.bytes().len().min(MAX_SHARE)).unwrap_or(u32::MAX);
    loop {
        tokio::select! {
            biased;
            Some(done) = tasks.join_next() => report.count(done.map_err(task_failed)??, deferred),
            permit = Arc::clone(budget).acquire_many_owned(size) => {
                return permit.map_err(|_| Error::cancelled());
            }
        }
    }
}

/// What has to be made of every entry of the prelude. Everything that can be checked before the first write is.
async fn targets(context: &Context, prelude: &Prelude) -> Result<HashMap<usize, Target>> {
    let mut targets = HashMap::new();
    let mut existing = server::Existing::default();
    for (position, entry) in prelude.collections.iter().enumerate() {
        let target = Target::new(entry, &context.options).map_err(|error| error.at(&entry.namespace))?;
        let present = existing.contains(&context.client, &entry.namespace).await?;
        targets.insert(position, target.over(present, context).map_err(|error| error.at(&entry.namespace))?);
    }
    Ok(targets)
}
