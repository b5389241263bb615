//! Restore: from an archive into a MongoDB deployment, in phases.
//!
//! ```text
//! source -> gunzip xCores -> archive --Documents--> collections (writers xW each) -> indexes -> users and roles -> report
//! ```
//!
//! - **Plan.** The prelude is checked, and the target is asked what it is and what it has: what can be refused is, before
//!   the first write.
//! - **Data.** The archive's one reader hands each namespace's documents to a task of that namespace. There is a task for
//!   every open namespace and one budget of bytes for all, so no interleaving can dead-lock. The archive is read to its last
//!   byte and every checksum is proven.
//! - **Oplog**, where it is to be replayed, when all documents are there.
//! - **Indexes**, of all collections, after that.
//! - **Users and roles**, last: they may replace the account of this restore.
//!
//! Every write goes through elections and lost answers: commands that make or remove things do no harm when they take effect
//! twice, and documents carry a session and a number by which a replica set or a router knows a write that it has made. On a
//! standalone server, or with `retryWrites=false`, a lost answer ends the restore.
//!
//! Memory is a sum of constants and does not depend on the size of the archive:
//!
//! | what | MiB |
//! |---|---|
//! | documents between the decoder and the server's answers | 12 |
//! | three copies, one in the command and two of the driver's, of each of 8 batches in flight | 24 |
//! | members being inflated, one for each of two cores, and two chunks waiting (2 MiB each), and their input | 10 |
//! | the source: pieces of a file, or the ranges of an S3 object in flight | 3 or 40 |
//! | program, connections, TLS, and what the allocator keeps of freed batches | 25 |
//!
//! Beside it stand the options and indexes of collections that are to come or to be indexed, at most the 128 MiB of a prelude,
//! and users and roles, at most 64 MiB. Documents over a MiB go one to a command, each as large as it is, and the largest
//! four at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::codec::task_failed;
use crate::progress::Monitor;
use crate::storage::Source;
use crate::{Deployment, Error, ErrorKind, Result};

mod accounts;
mod action;
mod batch;
mod check;
mod collection;
mod command;
mod conflicts;
mod counts;
mod data;
mod ddl;
mod element;
mod exact;
mod existing;
mod expected;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod indexes;
mod insert;
mod metadata;
mod oplog;
mod options;
mod plan;
mod proven;
mod recipe;
mod reply;
mod report;
mod rules;
mod server;
mod sessions;
mod swap;
mod target;
mod trial;
mod users;
mod verb;
mod write_concern;
mod writers;
mod zero_timestamp;

pub use accounts::Accounts;
pub use action::{Action, ActionKind};
use collection::Filled;
use exact::Removal;
pub use expected::Expected;
use oplog::Replay;
pub use options::{DocumentValidation, IndexOptions, OplogLimit, OplogReplay, RestoreOptions, WriteOptions};
use plan::Plan;
pub use proven::{Proven, prove_first};
pub use report::RestoreReport;
use server::Server;
use sessions::Sessions;
use swap::Swap;
use users::Gathered;

pub use write_concern::WriteConcern;

pub(crate) use element::elements;
pub(crate) use metadata::Metadata;
pub(crate) use recipe::{Recipe, Recipes};

/// Bytes of documents between the decoder and the server's answers. A permit is taken before documents are handed on. It
/// is enough for every batch in flight and for two chunks that wait; with 64 MiB a restore was not faster.
const BYTES_IN_FLIGHT: usize = 12 * 1024 * 1024;

/// What one chunk of documents counts at most, so that of the largest documents, too, every writer has one.
const MAX_SHARE: usize = BYTES_IN_FLIGHT / 4;

/// How long a restore with `swap` that has failed tries to remove what it has hidden; the next one does it otherwise.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(15);

/// What every task of a restore shares.
#[derive(Debug)]
struct Context {
    deployment: Deployment,
    server: Server,
    options: RestoreOptions,
    monitor: Arc<dyn Monitor>,
    /// How safe a write has to be.
    concern: WriteConcern,
    sessions: Arc<Sessions>,
    commands: Semaphore,
    /// Where everything goes until it takes its name.
    swap: Option<Swap>,
}

/// A restore of which nothing is written yet.
struct Begun {
    context: Arc<Context>,
    archive: Archive,
    plan: Plan,
    users: Gathered,
    removals: Vec<Removal>,
    replay: Option<Replay>,
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
/// When `cancel` fires, or the future is dropped, the restore stops where it is; only users and roles, which come last, are
/// brought to an end in which no temporary collection is left.
pub async fn restore(
    deployment: &Deployment,
    options: &RestoreOptions,
    source: Source,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<RestoreReport> {
    let options = options.complete()?;
    let beginning = Box::pin(begin(deployment, options, source, monitor));
    let mut begun = unless_cancelled(beginning, cancel, "cancelled before anything was written").await?;
    if begun.context.options.dry_run {
        return unless_cancelled(Box::pin(list(begun)), cancel, "cancelled; nothing was to be written").await;
    }
    let mut report = begun.report();
    let said = match begun.context.swap {
        Some(_) => "cancelled before the switch: the databases are as they were",
        None => "cancelled; what was restored so far stays: restore again with --drop",
    };
    let filled = Box::pin(fill(&mut begun, cancel, said)).await;
    let Begun { context, users, removals, mut replay, .. } = begun;
    let (filled, mut incomplete) = match filled {
        Ok(filled) => filled,
        Err(error) => return Err(give_up(&context, error).await),
    };
    report.count(&filled);
    (report.users, report.roles, report.versions) = (users.users(), users.roles(), users.versions);
    if context.swap.is_some() {
        switch(&context, cancel).await?;
    } else if incomplete.is_empty() {
        unless_cancelled(Box::pin(exact::remove(&context, &removals)), cancel, said).await?;
    }
    users::merge(&context, users, cancel).await?;
    if let Some(replay) = &mut replay {
        unless_cancelled(Box::pin(replay.finish_users()), cancel, said).await?;
    }
    let first = incomplete.pop();
    for error in &incomplete {
        monitor.warn(&error.report());
    }
    first.map_or(Ok(report), Err)
}

async fn unless_cancelled<T>(
    work: impl Future<Output = Result<T>>,
    cancel: &CancellationToken,
    said: &str,
) -> Result<T> {
    cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(Error::new(ErrorKind::Cancelled, said)))
}

/// Everything that can be refused is, and what an earlier restore has left behind is brought to its end.
async fn begin(
    deployment: &Deployment,
    mut options: RestoreOptions,
    source: Source,
    monitor: &Arc<dyn Monitor>,
) -> Result<Begun> {
    // What is to be restored of a damaged one is proven by its end, as ever.
    let mut archive =
        if options.only.is_some() { Archive::open_tolerant(source) } else { Archive::open(source) };
    let prelude = archive.prelude().await?;
    let source_version = prelude.server_version.clone();
    let server = Server::ask(deployment).await?;
    if prelude.replay_oplog && !options.oplog.is_asked_for() && !server.is_router() {
        options.oplog = options.unasked_replay();
    }
    if options.oplog.is_asked_for() && server.is_router() {
        let message = "an oplog cannot be replayed through a router (mongos), which has no `applyOps`: restore without \
                       --oplogReplay, or into a replica set";
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    let mut plan = Plan::make(prelude, &options, deployment, server, monitor.as_ref()).await?;
    let special: Vec<_> = plan.special.values().copied().collect();
    let users = users::prepare(deployment, &options, &special, &source_version, monitor.as_ref()).await?;
    monitor.planned(plan.collections.len(), None);
    let mut context = Context::new(deployment, server, options, monitor);
    plan.look(deployment).await?;
    if !context.options.dry_run {
        trial::write_concern(&context, &plan).await?;
    }
    if !context.options.dry_run && swap::settle(&context, &plan.existing).await? {
        plan.look(deployment).await?;
    }
    let mut removals = Vec::new();
    if context.options.exact {
        removals = exact::removals(&plan, &context.options.scope, &plan.existing)?;
    }
    if context.options.swap {
        let to_go = std::mem::take(&mut removals);
        context.swap = Swap::plan(&mut plan, to_go, server)?;
    }
    if !context.options.dry_run {
        trial::options(&context, &plan).await?;
    }
    let context = Arc::new(context);
    let replay = Replay::new(&context);
    Ok(Begun { context, archive, plan, users, removals, replay })
}

/// A dry run.
async fn list(mut begun: Begun) -> Result<RestoreReport> {
    let mut report = begun.report();
    let removals = begun.context.swap.as_ref().map_or(begun.removals.as_slice(), Swap::removals);
    let listing = action::list(&begun.context, &mut begun.archive, &begun.plan, removals, &mut begun.users);
    report.actions = listing.await?;
    Ok(report)
}

/// Documents and indexes. The errors are of collections that have their documents and not their indexes, or not all of their
/// documents where that is an error.
async fn fill(
    begun: &mut Begun,
    cancel: &CancellationToken,
    said: &str,
) -> Result<(Vec<Filled>, Vec<Error>)> {
    let Begun { context, archive, plan, users, replay, .. } = begun;
    if let Some(swap) = &context.swap {
        unless_cancelled(Box::pin(swap.begin(context)), cancel, said).await?;
    }
    let filled = data::fill(context, archive, plan, users, replay, cancel).await;
    let mut filled = filled.map_err(|error| match error.kind() {
        ErrorKind::Cancelled => Error::new(ErrorKind::Cancelled, said),
        _ => error,
    })?;
    if let Some(swap) = &context.swap {
        // Before the indexes: one that expires documents is at work as soon as it is there.
        unless_cancelled(Box::pin(swap.count(context, &filled)), cancel, said).await?;
    }
    if let Some(replay) = replay {
        unless_cancelled(Box::pin(replay.finish(&mut filled)), cancel, said).await?;
    }
    let building = Box::pin(indexes::build(context, &mut filled));
    let mut incomplete = unless_cancelled(building, cancel, said).await?;
    if context.options.writes.strict {
        let all =
            filled.iter().map(|one| one.counts.strictly_all().map_err(|error| error.at(&one.namespace)));
        incomplete.extend(all.filter_map(Result::err));
    }
    match incomplete.pop() {
        Some(error) if context.swap.is_some() => Err(error),
        Some(error) => {
            incomplete.push(error);
            Ok((filled, incomplete))
        }
        None => Ok((filled, incomplete)),
    }
}

/// Removes what is hidden, after a failure that has changed nothing else.
async fn give_up(context: &Arc<Context>, error: Error) -> Error {
    let Some(swap) = &context.swap else { return error };
    let removed = tokio::time::timeout(GIVE_UP_TIMEOUT, Box::pin(swap.give_up(context))).await;
    let left = match removed {
        Ok(Ok(())) => return error,
        Ok(Err(left)) => left.report(),
        Err(_) => "the server does not answer".to_owned(),
    };
    context
        .monitor
        .warn(&format!("hidden collections stay, which the next restore with --swap removes: {left}"));
    error
}

/// The switch goes on in a task of its own, to its end, whatever becomes of who waits for it.
async fn switch(context: &Arc<Context>, cancel: &CancellationToken) -> Result<()> {
    if cancel.is_cancelled() {
        let error =
            Error::new(ErrorKind::Cancelled, "cancelled before the switch: the databases are as they were");
        return Err(give_up(context, error).await);
    }
    let switching = Arc::clone(context);
    let task = tokio::spawn(async move {
        let Some(swap) = &switching.swap else { return Ok(()) };
        match Box::pin(swap.switch(&switching)).await {
            Ok(()) => Ok(()),
            // Nothing where it was decided: the next restore completes it.
            Err(error) => Err(give_up(&switching, error).await),
        }
    });
    task.await.map_err(task_failed)?
}

impl Begun {
    fn report(&self) -> RestoreReport {
        RestoreReport {
            scope: self.context.options.scope.clone(),
            collections: self.plan.collections.len(),
            bytes: self.archive.size().unwrap_or_default(),
            acknowledged: self.context.concern.is_acknowledged(),
            ..RestoreReport::default()
        }
    }
}

impl Context {
    fn new(
        deployment: &Deployment,
        server: Server,
        options: RestoreOptions,
        monitor: &Arc<dyn Monitor>,
    ) -> Self {
        let client = deployment.client();
        let retries = server.retries_writes() && deployment.uri().retries_writes();
        let concern = options.writes.concern.clone();
        Self {
            deployment: deployment.clone(),
            server,
            monitor: Arc::clone(monitor),
            concern: concern.unwrap_or_else(|| WriteConcern::of_uri(client.write_concern())),
            sessions: Arc::new(Sessions::new(client, retries, options.writes.writes_in_flight())),
            commands: Semaphore::new(options.writes.collections_in_flight()),
            options,
            swap: None,
        }
    }
}
