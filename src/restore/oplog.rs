//! The oplog of an archive: what was written while the collections were read, applied to what is restored.
//!
//! Its entries are applied in their order, with one command at work and the next being gathered. Where one is of interest to
//! the index builds, which come after it, only the [catalog](catalog) of indexes changes. Operations of a transaction wait for
//! its commit. Entries on users and roles wait until those of the archive are merged.
//!
//! Memory: two commands of a MiB, each twice, and at most 32 MiB of open transactions.

use std::collections::BTreeSet;
use std::mem::take;
use std::sync::Arc;

use archive_format::{Documents, Namespace};
use bson::RawDocumentBuf;
use tokio::task::JoinSet;

use super::collection::Filled;
use super::counts::Counts;
use super::element::Element;
use super::metadata::{Making, Metadata};
use super::{Context, DocumentValidation, OplogLimit, OplogReplay};
use crate::codec::task_failed;
use crate::{Error, ErrorKind, Result};

mod apply;
mod catalog;
mod commands;
mod entry;
mod operations;
mod scoped;
mod skip;
mod transactions;

use catalog::Catalog;
use entry::{Entry, documents, find};
use operations::{Operations, operation};
use transactions::{Part, Transactions};

/// Bytes of entries on users and roles that are kept in memory until the archive's are merged, as many as of those.
const MAX_HELD: usize = 64 * 1024 * 1024;

/// How deep `applyOps` may be in `applyOps`. Servers write one level.
const MAX_DEPTH: usize = 8;

/// A replay under way.
#[derive(Debug)]
pub(super) struct Replay {
    context: Arc<Context>,
    limit: Option<OplogLimit>,
    has_begun: bool,
    /// Whether the limit has been reached.
    is_over: bool,
    transactions: Transactions,
    catalog: Catalog,
    gathered: Operations,
    /// The command at work: never more than one.
    running: JoinSet<Result<BTreeSet<String>>>,
    /// Namespaces that are not there and were written to: their drop, which is why they are not in the archive, comes later.
    absent: BTreeSet<String>,
    /// Those of them whose drop has not come.
    unexplained: BTreeSet<String>,
    /// Collections whose validator is as old as the oplog says. Those of the archive have the one of when the dump looked,
    /// which may be younger than an entry: what the source took is not to be judged by it.
    validated: BTreeSet<String>,
    /// Operations on users and roles.
    held: Vec<RawDocumentBuf>,
    held_size: usize,
    /// Entries, and operations inside them, as mongorestore counts.
    applied: u64,
}

impl Replay {
    /// `None` where nothing is to be replayed.
    pub(super) fn new(context: &Arc<Context>) -> Option<Self> {
        let OplogReplay::Replayed { limit } = context.options.oplog else { return None };
        Some(Self {
            context: Arc::clone(context),
            limit,
            has_begun: false,
            is_over: false,
            transactions: Transactions::default(),
            catalog: Catalog::new(Making::of(&context.options)),
            gathered: Operations::default(),
            running: JoinSet::new(),
            absent: BTreeSet::new(),
            unexplained: BTreeSet::new(),
            validated: BTreeSet::new(),
            held: Vec::new(),
            held_size: 0,
            applied: 0,
        })
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Begins with the collections that are there.
    pub(super) fn begin(&mut self, filled: &mut [Filled]) {
        self.has_begun = true;
        self.context.monitor.step("replaying oplog");
        for collection in filled {
            let place = &collection.place;
            self.catalog.put(place.db(), place.collection(), take(&mut collection.metadata));
        }
    }

    /// Applies entries.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] for what is no entry, or one that nobody knows; [`ErrorKind::Server`] for one that the server
    /// refuses.
    pub(super) async fn take(&mut self, documents: &Documents) -> Result<()> {
        for document in documents.iter() {
            if self.is_over {
                break;
            }
            let entry = Entry::read(document)?;
            let handled = self.handle(&entry, 0).await;
            handled
                .map_err(|error| error.at(format_args!("oplog entry {}:{}", entry.time.0, entry.time.1)))?;
        }
        Ok(())
    }

    /// Waits for what is on its way to the server.
    pub(super) async fn hear_the_answer(&mut self) {
        while self.running.join_next().await.is_some() {}
    }

    /// Applies the rest, and gives every collection the indexes that it is to have.
    ///
    /// # Errors
    /// Those of [`take`](Self::take), and [`ErrorKind::Archive`] where entries were for a collection that neither the archive
    /// nor the oplog has.
    pub(super) async fn finish(&mut self, filled: &mut Vec<Filled>) -> Result<()> {
        if !self.has_begun {
            self.begin(filled);
        }
        self.barrier().await?;
        if let Some(namespace) = self.unexplained.first() {
            let message = "the oplog writes into this collection, which the archive does not have, nor does the oplog create \
                           or drop it: the archive is not whole; all else is restored, but not its indexes";
            return Err(Error::new(ErrorKind::Archive, message).at(namespace));
        }
        let mut catalog = take(&mut self.catalog);
        for collection in &mut *filled {
            let place = &collection.place;
            let metadata = catalog.remove(place.db(), place.collection());
            collection.create_indexes = metadata.and_then(|metadata| create_indexes(metadata, place));
        }
        for ((db, name), metadata) in catalog.into_collections() {
            let namespace = Namespace::new(&db, &name).map_err(Error::archive)?;
            filled.push(Filled {
                create_indexes: create_indexes(metadata, &namespace),
                place: namespace.clone(),
                namespace,
                is_counted: false,
                counts: Counts::default(),
                metadata: Metadata::default(),
            });
        }
        if self.held.is_empty() {
            self.tell();
        }
        Ok(())
    }

    /// Applies what was done to users and roles, when those of the archive are there.
    pub(super) async fn finish_users(&mut self) -> Result<()> {
        let held = take(&mut self.held);
        if held.is_empty() {
            return Ok(());
        }
        let absent = apply::apply(&self.context, held, false).await?;
        if let Some(namespace) = absent.first() {
            let message = "the oplog changes users or roles, and the archive has none: make them anew";
            return Err(Error::new(ErrorKind::Archive, message).at(namespace));
        }
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        self.context.monitor.step(&format!("applied {} oplog entries", self.applied));
    }

    fn concerns(&self, entry: &Entry<'_>) -> Result<bool> {
        Ok(!skip::is_skipped(entry)? && scoped::is_within(entry, &self.context.options.scope)?)
    }

    async fn handle(&mut self, entry: &Entry<'_>, depth: usize) -> Result<()> {
        if !self.concerns(entry)? {
            return Ok(());
        }
        if self.limit.is_some_and(|limit| !limit.is_after(entry.time)) {
            self.is_over = true;
            return Ok(());
        }
        let Some(part) = Part::of(entry)? else { return self.apply(entry, depth).await };
        for object in self.transactions.take(entry, part).await? {
            let object = self.transactions.read(object).await?;
            if let Some(operations) = find(&object, "applyOps")? {
                self.unroll(entry, &operations, depth).await?;
            }
        }
        Ok(())
    }

    /// Applies the operations inside an entry; they are of its time.
    async fn unroll(&mut self, entry: &Entry<'_>, operations: &Element<'_>, depth: usize) -> Result<()> {
        if depth == MAX_DEPTH {
            return Err(Error::new(
                ErrorKind::Archive,
                "operations lie in operations deeper than any server writes them",
            ));
        }
        for operation in documents(operations)? {
            let inner =
                Entry { time: entry.time, term: entry.term, session: None, ..Entry::read(operation?)? };
            if self.concerns(&inner)? {
                Box::pin(self.apply(&inner, depth + 1)).await?;
            }
        }
        Ok(())
    }

    async fn apply(&mut self, entry: &Entry<'_>, depth: usize) -> Result<()> {
        self.applied += 1;
        match entry.kind {
            "i" | "u" | "d" => self.write(entry).await,
            "c" => Box::pin(self.command(entry, depth)).await,
            kind => {
                let message = format!(
                    "it is of the kind `{kind}`, which nobody has heard of: restore with a newer release"
                );
                Err(Error::new(ErrorKind::Archive, message).at(entry.namespace))
            }
        }
    }

    async fn write(&mut self, entry: &Entry<'_>) -> Result<()> {
        match entry.namespace {
            "admin.system.version" => {
                self.context.monitor.warn(
                    "an entry of the oplog on admin.system.version is left out: it is the server's own, and the target has its",
                );
                return Ok(());
            }
            "admin.system.users" | "admin.system.roles" => return self.hold(entry),
            namespace if self.absent.contains(namespace) => return Ok(()),
            _ => {}
        }
        self.push(operation(entry, None, self.keeps_uuid())?, entry.namespace).await
    }

    fn hold(&mut self, entry: &Entry<'_>) -> Result<()> {
        let operation = operation(entry, None, false)?;
        self.held_size += operation.as_bytes().len();
        if self.held_size > MAX_HELD {
            let message =
                "the oplog holds more than 64 MiB of changes to users and roles, which are kept in memory";
            return Err(Error::new(ErrorKind::Archive, message));
        }
        self.held.push(operation);
        Ok(())
    }

    /// What was written to a collection that is not there is in none that is, and this says why.
    fn explain(&mut self, namespace: &str) {
        self.absent.remove(namespace);
        self.unexplained.remove(namespace);
    }

    /// Whether collections have the UUIDs that they had at the source.
    fn keeps_uuid(&self) -> bool {
        self.context.options.writes.preserve_uuid
    }

    async fn push(&mut self, operation: RawDocumentBuf, namespace: &str) -> Result<()> {
        let is_enforced = self.context.options.validation == DocumentValidation::Enforced;
        let validates = is_enforced && self.validated.contains(namespace);
        if !self.gathered.has_room(operation.as_bytes().len(), validates) {
            self.flush().await?;
        }
        self.gathered.push(operation, validates);
        if self.gathered.is_full() { self.flush().await } else { Ok(()) }
    }

    /// An operation in a command of its own, which has been applied when this returns.
    async fn alone(&mut self, operation: RawDocumentBuf) -> Result<()> {
        self.flush().await?;
        self.gathered.push(operation, false);
        self.barrier().await
    }

    /// Until all that has been gathered is applied.
    async fn barrier(&mut self) -> Result<()> {
        self.flush().await?;
        self.join().await
    }

    /// Sends off what has been gathered, when what went before it has been applied.
    async fn flush(&mut self) -> Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.join().await?;
        let (context, gathered) = (Arc::clone(&self.context), take(&mut self.gathered));
        let validates = gathered.validates();
        self.running.spawn(async move { apply::apply(&context, gathered.into_vec(), validates).await });
        Ok(())
    }

    async fn join(&mut self) -> Result<()> {
        while let Some(done) = self.running.join_next().await {
            let absent = done.map_err(task_failed)??;
            self.unexplained.extend(absent.iter().cloned());
            self.absent.extend(absent);
        }
        Ok(())
    }
}

fn create_indexes(mut metadata: Metadata, place: &Namespace) -> Option<RawDocumentBuf> {
    catalog::settle(&mut metadata);
    metadata.create_indexes(place.collection())
}
