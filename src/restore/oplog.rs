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
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use tokio::task::JoinSet;

use super::collection::Filled;
use super::counts::Counts;
use super::element::{Element, malformed};
use super::metadata::{Making, Metadata};
use super::{Context, RestoreOptions};
use crate::codec::task_failed;
use crate::{Error, ErrorKind, Result, Scope};

mod apply;
mod catalog;
mod entry;
mod limit;
mod operations;
mod scoped;
mod skip;
mod transactions;

use catalog::Catalog;
use entry::{Entry, documents, find, text};
pub use limit::OplogLimit;
use operations::{Operations, operation};
use transactions::{Part, Transactions};

/// Bytes of entries on users and roles that are kept in memory until the archive's are merged, as many as of those.
const MAX_HELD: usize = 64 * 1024 * 1024;

/// How deep `applyOps` may be in `applyOps`. Servers write one level.
const MAX_DEPTH: usize = 8;

/// What becomes of the oplog of an archive.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OplogReplay {
    /// It is left out, and every collection is as it was when it was read; unless the archive says that only its oplog makes
    /// it whole ([`Prelude::replay_oplog`](archive_format::Prelude::replay_oplog)): then it is replayed, as far as it is of
    /// the scope, where neither `swap` nor `exact` are asked for.
    #[default]
    Ignored,
    /// It is applied when all documents are there, and before indexes are built. The archive has to have one, and all of the
    /// archive is restored.
    Replayed {
        /// Entries of this time and after it are left out.
        limit: Option<OplogLimit>,
    },
}

impl OplogReplay {
    pub(super) fn is_asked_for(self) -> bool {
        self != Self::Ignored
    }

    /// What becomes of the oplog when nobody has said it, and the collections are of one moment only with it.
    pub(super) fn unasked(options: &RestoreOptions) -> Self {
        let is_hindered = options.only.is_some()
            || !options.prefix.is_empty()
            || options.swap
            || options.exact
            || !options.filter.is_empty();
        if is_hindered { Self::Ignored } else { Self::Replayed { limit: None } }
    }

    /// Refuses what cannot be had together with a replay.
    pub(super) fn check(self, options: &RestoreOptions) -> Result<()> {
        if !self.is_asked_for() {
            return Ok(());
        }
        let filter = &options.filter;
        let is_of_some =
            options.scope != Scope::Everything || options.only.is_some() || filter.includes_only_some();
        let with = if is_of_some {
            "includes specified: it is of all databases"
        } else if filter.excludes_some() {
            "excludes specified: it is of all collections"
        } else if !filter.renames_nothing() || !options.prefix.is_empty() {
            "namespace renames specified: its entries have the names of the source"
        } else if options.swap {
            "--swap: its entries go to the names that the old collections still have"
        } else if options.exact {
            "--exact: what it creates and drops is not known beforehand"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidInput, format!("cannot use --oplogReplay with {with}")))
    }
}

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
        self.context.monitor.note("replaying oplog");
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
        let absent = apply::apply(&self.context, held).await?;
        if let Some(namespace) = absent.first() {
            let message = "the oplog changes users or roles, and the archive has none: make them anew";
            return Err(Error::new(ErrorKind::Archive, message).at(namespace));
        }
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        self.context.monitor.note(&format!("applied {} oplog entries", self.applied));
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
        self.push(operation(entry, None, self.keeps_uuid())?).await
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

    async fn command(&mut self, entry: &Entry<'_>, depth: usize) -> Result<()> {
        let Some(command) = entry.command()? else {
            return Err(Error::new(ErrorKind::Archive, "its command is empty"));
        };
        let command_name = String::from_utf8_lossy(command.name).into_owned();
        let db = entry.db();
        match command_name.as_str() {
            "applyOps" => self.unroll(entry, &command, depth).await,
            "createIndexes" => {
                let name = text(&command)?;
                let object = document(entry.object)?;
                let index: RawDocumentBuf = object.iter().flatten().skip(1).collect();
                self.add_index(db, name, index)
            }
            "commitIndexBuild" => {
                let name = text(&command)?;
                let indexes = entry.field("indexes")?.ok_or_else(|| without("indexes"))?;
                for index in documents(&indexes)? {
                    self.add_index(db, name, document(index?)?.to_owned())?;
                }
                Ok(())
            }
            "deleteIndex" | "deleteIndexes" | "dropIndex" | "dropIndexes" => {
                let object = document(entry.object)?;
                self.catalog.drop_indexes(db, text(&command)?, object.get("index").ok().flatten())
            }
            "dropDatabase" => {
                let scope = self.context.options.scope.clone();
                if let Scope::Collection(one) = scope {
                    return self.drop_collection(entry, one.collection()).await;
                }
                self.catalog.drop_database(db);
                let of_db = |namespace: &String| namespace.split_once('.').is_some_and(|(of, _)| of == db);
                self.alone(operation(entry, None, self.keeps_uuid())?).await?;
                self.absent.retain(|namespace| !of_db(namespace));
                self.unexplained.retain(|namespace| !of_db(namespace));
                Ok(())
            }
            "drop" => self.drop_collection(entry, text(&command)?).await,
            "create" => self.create(entry, db, text(&command)?).await,
            "collMod" => self.modify(entry, db, text(&command)?).await,
            "renameCollection" => self.rename(entry, text(&command)?).await,
            "convertToCapped" => {
                let (name, object) = (text(&command)?, document(entry.object)?);
                let size = object.get("size").ok().flatten().unwrap_or(RawBsonRef::Null);
                self.barrier().await?;
                apply::cap(&self.context, db, name, size).await
            }
            "emptycapped" => self.alone(operation(entry, None, self.keeps_uuid())?).await,
            // It changes nothing.
            "dbCheck" => Ok(()),
            "upgradeDowngradeViewlessTimeseries" => Err(Error::new(
                ErrorKind::Archive,
                "`upgradeDowngradeViewlessTimeseries` cannot be replayed: while the dump was made, the source was told to be \
                 of another version, and its time series changed their form; restore with --oplogLimit set to before that, \
                 or dump again",
            )),
            name => {
                let message = format!("unknown oplog command name {name}: restore with a newer release");
                Err(Error::new(ErrorKind::Archive, message))
            }
        }
    }

    async fn drop_collection(&mut self, entry: &Entry<'_>, name: &str) -> Result<()> {
        let drop = rawdoc! { "drop": name };
        self.catalog.drop_collection(entry.db(), name);
        self.alone(operation(entry, Some(drop.as_bytes()), self.keeps_uuid())?).await?;
        self.explain(&format!("{}.{name}", entry.db()));
        Ok(())
    }

    fn add_index(&mut self, db: &str, name: &str, index: RawDocumentBuf) -> Result<()> {
        if index.get_document("key").is_err() {
            return Err(without("key"));
        }
        self.catalog.add(db, name, index);
        Ok(())
    }

    async fn create(&mut self, entry: &Entry<'_>, db: &str, name: &str) -> Result<()> {
        let object = document(entry.object)?;
        let own = ["create", "idIndex", "recordIdsReplicated"];
        let options = object.iter().flatten().filter(|(name, _)| !own.contains(&name.as_str())).collect();
        self.catalog.create(db, name, options);
        let sent: RawDocumentBuf =
            object.iter().flatten().filter(|(name, _)| name.as_str() != "recordIdsReplicated").collect();
        self.alone(operation(entry, Some(sent.as_bytes()), self.keeps_uuid())?).await?;
        self.absent.remove(&format!("{db}.{name}"));
        Ok(())
    }

    async fn modify(&mut self, entry: &Entry<'_>, db: &str, name: &str) -> Result<()> {
        let object = document(entry.object)?;
        // What only servers before 4.2 knew.
        let own = ["index", "noPadding", "usePowerOf2Sizes"];
        let rest: RawDocumentBuf =
            object.iter().flatten().filter(|(name, _)| !own.contains(&name.as_str())).collect();
        if let Ok(Some(index)) = object.get("index") {
            let change = index.as_document().ok_or_else(|| without("index"))?;
            self.catalog.change(db, name, change)?;
            if rest.iter().count() == 1 {
                return Ok(());
            }
        }
        self.alone(operation(entry, Some(rest.as_bytes()), self.keeps_uuid())?).await
    }

    async fn rename(&mut self, entry: &Entry<'_>, from: &str) -> Result<()> {
        let to = text(&entry.field("to")?.ok_or_else(|| without("to"))?)?;
        let (Some(of), Some(at)) = (from.split_once('.'), to.split_once('.')) else {
            return Err(without("to"));
        };
        self.catalog.rename(of, at);
        if self.keeps_uuid() && entry.uuid.is_some() {
            self.alone(operation(entry, None, true)?).await?;
        } else {
            self.barrier().await?;
            apply::rename(&self.context, from, to).await?;
        }
        self.explain(from);
        self.explain(to);
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

    async fn push(&mut self, operation: RawDocumentBuf) -> Result<()> {
        if !self.gathered.has_room(operation.as_bytes().len()) {
            self.flush().await?;
        }
        self.gathered.push(operation);
        if self.gathered.is_full() { self.flush().await } else { Ok(()) }
    }

    /// An operation in a command of its own, which has been applied when this returns.
    async fn alone(&mut self, operation: RawDocumentBuf) -> Result<()> {
        self.flush().await?;
        self.gathered.push(operation);
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
        let (context, operations) = (Arc::clone(&self.context), take(&mut self.gathered).into_vec());
        self.running.spawn(async move { apply::apply(&context, operations).await });
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

fn document(bytes: &[u8]) -> Result<&RawDocument> {
    RawDocument::from_bytes(bytes).map_err(|error| malformed().with_source(error))
}

fn without(field: &str) -> Error {
    Error::new(ErrorKind::Archive, format!("its command has no `{field}` that can be read"))
}
