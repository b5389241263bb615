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
//! - **Indexes**, of all collections, when all documents are there.
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

use bson::RawDocumentBuf;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::progress::Monitor;
use crate::storage::Source;
use crate::{Deployment, Error, ErrorKind, Result, Scope};

mod batch;
mod collection;
mod command;
mod counts;
mod data;
mod ddl;
mod element;
mod existing;
mod indexes;
mod insert;
mod metadata;
mod plan;
mod recipe;
mod reply;
mod server;
mod sessions;
mod target;
mod users;
mod verb;
mod write_concern;
mod writers;
mod zero_timestamp;

pub(crate) use metadata::Metadata;

use collection::Filled;
use plan::Plan;
use server::Server;
use sessions::Sessions;
use users::Gathered;

pub(crate) use element::elements;
pub(crate) use recipe::{Recipe, Recipes};

/// Bytes of documents between the decoder and the server's answers. A permit is taken before documents are handed on. It
/// is enough for every batch in flight and for two chunks that wait; with 64 MiB a restore was not faster.
const BYTES_IN_FLIGHT: usize = 12 * 1024 * 1024;

/// What one chunk of documents counts at most, so that of the largest documents, too, every writer has one.
const MAX_SHARE: usize = BYTES_IN_FLIGHT / 4;

/// `create` and `drop` commands in flight at once: mongorestore's default of four collections.
const COMMANDS_IN_FLIGHT: usize = 4;

/// How to restore.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// Drop each collection of the archive just before it is created, and replace users and roles. Collections that are
    /// not in the archive stay, and so does `system.js`, whose documents are replaced one by one.
    pub drop: bool,
    /// What of the archive is restored; nothing outside is touched.
    pub scope: Scope,
    /// Whether collections' validators are asked.
    pub validation: DocumentValidation,
    /// What the names of the target's databases begin with, before the archive's own. Users and roles are then left out.
    pub prefix: String,
    /// Leave out everything by which documents expire (`expireAfterSeconds` of collections and indexes): what is restored only
    /// to be looked at must not go meanwhile.
    pub keep_expired: bool,
}

/// Whether a restored document has to satisfy its collection's validator, which may be younger than the document.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum DocumentValidation {
    /// It has to, and is counted as a failure otherwise. As mongorestore does.
    #[default]
    Enforced,
    /// Not where this restore has created the collection: the validator is the archive's own, and so are the documents.
    BypassedWhereCreated,
    /// Not at all, as with mongorestore's `--bypassDocumentValidation`.
    Bypassed,
}

/// What a restore did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RestoreReport {
    /// What was to be restored.
    pub scope: Scope,
    /// Number of collections restored, views included; users and roles are no collections.
    pub collections: usize,
    /// Documents inserted.
    pub documents: u64,
    /// Documents that the server refused as duplicates of others or by a collection's validator.
    pub failures: u64,
    /// Documents that the archive of a busy collection holds twice, in two versions: one of each is there.
    pub repeated: u64,
    /// Users merged.
    pub users: u64,
    /// Roles merged.
    pub roles: u64,
    /// Documents of `admin.system.version` in the archive, which are read and never written.
    pub versions: u64,
    /// Bytes of the stored archive, where its size is known.
    pub bytes: u64,
}

/// What every task of a restore shares.
#[derive(Debug)]
struct Context {
    deployment: Deployment,
    server: Server,
    options: RestoreOptions,
    monitor: Arc<dyn Monitor>,
    /// How safe a write has to be.
    concern: RawDocumentBuf,
    sessions: Arc<Sessions>,
    commands: Semaphore,
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
    let (context, mut report, users, mut without_indexes) = tokio::select! {
        result = Box::pin(replay(deployment, options, source, monitor)) => result?,
        () = cancel.cancelled() => return Err(Error::new(
            ErrorKind::Cancelled,
            "cancelled; what was restored so far stays: restore again with --drop",
        )),
    };
    (report.users, report.roles, report.versions) = (users.users(), users.roles(), users.versions);
    users::merge(&context, users, cancel).await?;
    let first = without_indexes.pop();
    for error in &without_indexes {
        monitor.warn(&error.report());
    }
    first.map_or(Ok(report), Err)
}

/// All phases that may be given up at any moment. The errors are of collections that have their documents and not their
/// indexes.
async fn replay(
    deployment: &Deployment,
    options: &RestoreOptions,
    source: Source,
    monitor: &Arc<dyn Monitor>,
) -> Result<(Arc<Context>, RestoreReport, Gathered, Vec<Error>)> {
    let mut archive = Archive::open(source);
    let prelude = archive.prelude().await?;
    let source_version = prelude.server_version.clone();
    let server = Server::ask(deployment).await?;
    let mut plan = Plan::make(prelude, options, deployment, server, monitor.as_ref()).await?;
    let mut users = Gathered::new(&plan.special.values().copied().collect::<Vec<_>>(), &source_version);
    monitor.planned(plan.collections.len(), None);
    let mut report = RestoreReport {
        scope: options.scope.clone(),
        collections: plan.collections.len(),
        bytes: archive.size().unwrap_or_default(),
        ..RestoreReport::default()
    };
    let context = Arc::new(Context::new(deployment, server, options, monitor));

    let filled = data::fill(&context, &mut archive, &mut plan, &mut users).await?;
    report.count(&filled);
    let without_indexes = indexes::build(&context, filled).await?;
    Ok((context, report, users, without_indexes))
}

impl Context {
    fn new(
        deployment: &Deployment,
        server: Server,
        options: &RestoreOptions,
        monitor: &Arc<dyn Monitor>,
    ) -> Self {
        let client = deployment.client();
        let retries = server.retries_writes() && deployment.uri().retries_writes();
        Self {
            deployment: deployment.clone(),
            server,
            options: options.clone(),
            monitor: Arc::clone(monitor),
            concern: write_concern::write_concern(client.write_concern()),
            sessions: Arc::new(Sessions::new(client, retries)),
            commands: Semaphore::new(COMMANDS_IN_FLIGHT),
        }
    }
}

impl RestoreReport {
    fn count(&mut self, filled: &[Filled]) {
        for collection in filled {
            self.documents += collection.counts.documents;
            self.failures += collection.counts.failures();
            self.repeated += collection.counts.repeated;
        }
    }
}
