//! What there is to dump: databases, collections, their kinds, sizes, options and indexes. All of it is known before the
//! first document is read, because it *is* the archive's prelude.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use archive_format::{CollectionMetadata, Kind, Namespace, ServerVersion};
use bson::{Document, RawDocument, RawDocumentBuf, doc};
use futures::stream::{StreamExt, TryStreamExt};

use super::DumpOptions;
use super::accounts;
use super::databases::databases;
use super::entry::{Entry, batch_size, rank};
use super::identity::{BUCKETS, Identity, Listing};
use super::indexes::{Indexes, ListCatalog};
use super::metadata::{Metadata, metadata, without_view};
use super::omission::{Omitted, Reason, first_names, left_out, tell, unusual_in_local};
use super::scan::Target;
use super::size::size;
use super::source::Source;
use crate::progress::Monitor;
use crate::server_error::{NAMESPACE_NOT_FOUND, code, driver_error};
use crate::{Error, ErrorKind, Result, Scope};

/// Metadata commands in flight at once: enough to hide the round trip of a remote server, few enough that the driver's
/// default pool (10 connections) is not the bottleneck for long.
pub(super) const COMMANDS_IN_FLIGHT: usize = 8;

/// Collections for which it is not worth while to ask for the indexes of all the server's collections at once.
const FEW_COLLECTIONS: usize = 16;

/// How often everything is listed anew because a collection went while its indexes were asked for.
const LISTINGS: usize = 5;

/// Whether the catalog is to tell the sizes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sizes {
    /// They cost a command for each collection.
    Asked,
    /// Where only a comparison is wanted.
    Unknown,
}

/// Everything that will be dumped, in the order in which it will be read.
pub(super) struct Catalog {
    pub(super) server_version: String,
    pub(super) entries: Vec<Entry>,
    /// What the scope covers and is not dumped.
    omitted: Omitted,
    /// Collections with options or indexes that the archive's text cannot tell exactly.
    inexact: Vec<String>,
}

impl Catalog {
    /// Asks the server for everything that is wanted.
    pub(super) async fn read(source: &Source, options: &DumpOptions, sizes: Sizes) -> Result<Self> {
        let info = source
            .command("admin", doc! { "buildInfo": 1 })
            .await
            .map_err(|error| driver_error("the server does not tell its version", &error))?;
        let server_version = info.get_str("version").unwrap_or_default().to_owned();
        let server: ServerVersion = server_version.parse().map_err(Error::not_archivable)?;
        let (databases, closed) = databases(source, options).await?;
        let users_of = options.scope.db().filter(|_| options.selection.users_of_database);
        if users_of.is_some() {
            accounts::check(source, server).await?;
        }
        for _ in 0..LISTINGS {
            let Some(mut listed) = listed(source, server, &databases, options, sizes).await? else {
                continue;
            };
            if let Some(db) = users_of.filter(|db| *db != "admin") {
                listed.entries.extend(accounts::entries(source, server, db).await?);
            }
            let Listed { mut entries, mut omitted, inexact } = listed;
            omitted.extend(closed);
            entries.sort_by_cached_key(|entry| {
                let namespace = &entry.collection.namespace;
                (rank(entry), Reverse(entry.bytes), namespace.to_string())
            });
            if let (Scope::Collection(namespace), true) = (&options.scope, entries.is_empty()) {
                let message = "there is no such collection; nothing was dumped (--allowMissing takes that for a success)";
                return Err(Error::new(ErrorKind::NoSuchCollection, message).at(namespace));
            }
            return Ok(Self { server_version, entries, omitted, inexact });
        }
        let message =
            "collections are dropped faster than they can be listed; dump databases one by one (--db)";
        Err(Error::new(ErrorKind::Server, message))
    }

    /// Tells what is left out, and gives the names.
    pub(super) async fn tell(
        &mut self,
        source: &Source,
        options: &DumpOptions,
        monitor: &dyn Monitor,
    ) -> Vec<String> {
        let mut omitted = std::mem::take(&mut self.omitted);
        if options.scope == Scope::Everything && !options.selection.views_as_collections {
            omitted.extend(unusual_in_local(source).await);
        }
        if let Some(names) = first_names(&mut self.inexact) {
            monitor.warn(&format!(
                "the archive tells options or indexes of {names} exactly to this program only: they hold what looks like a type \
                 of Extended JSON (such as {{$oid: ..}}) or is no text, and mongorestore makes something else of it"
            ));
        }
        if options.selection.users_of_database && options.scope.db() == Some("admin") {
            monitor
                .note("admin holds all users and roles, and is dumped: --dumpDbUsersAndRoles adds nothing");
        }
        tell(omitted, monitor)
    }

    /// Whether both hold the same collections with the same options, UUIDs and indexes.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        let state = |catalog: &Self| -> BTreeMap<String, (String, Identity)> {
            let state = |entry: &Entry| {
                let (name, identity) = (entry.target.namespace.to_string(), entry.target.identity.clone());
                (name, (entry.collection.metadata.clone(), identity))
            };
            catalog.entries.iter().map(state).collect()
        };
        state(self) == state(other)
    }

    /// Collections that cannot be read as they were at one moment, by name.
    pub(super) fn apart(&self) -> Vec<String> {
        let apart = self.entries.iter().filter(|entry| entry.target.is_apart);
        apart.map(|entry| entry.target.namespace.to_string()).collect()
    }

    /// The data of any collection that can be read as it was at one moment.
    pub(super) fn any_of_one_moment(&self) -> Option<&Namespace> {
        let is_view = |entry: &Entry| entry.collection.kind == Kind::View;
        let readable = |entry: &&Entry| entry.has_documents && !is_view(entry) && !entry.target.is_apart;
        self.entries.iter().find(readable).map(|entry| &entry.target.data)
    }

    /// Number of documents, if the server told it for every collection.
    pub(super) fn documents(&self) -> Option<u64> {
        self.entries.iter().map(|entry| entry.documents).sum()
    }

    /// Bytes of documents by the server's statistics.
    pub(super) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }
}

/// What the databases hold.
struct Listed {
    entries: Vec<Entry>,
    omitted: Omitted,
    inexact: Vec<String>,
}

/// What the databases hold. `None` when a collection went meanwhile.
async fn listed(
    source: &Source,
    server: ServerVersion,
    databases: &[String],
    options: &DumpOptions,
    sizes: Sizes,
) -> Result<Option<Listed>> {
    let filter = filter(&options.scope);
    let listings: Vec<_> = databases.iter().map(|db| Listing::read(source, db, filter.clone())).collect();
    let listings: Vec<Listing> =
        futures::stream::iter(listings).buffered(COMMANDS_IN_FLIGHT).try_collect().await?;
    let (mut wanted, mut omitted) = (Vec::new(), Vec::new());
    for (db, listing) in databases.iter().zip(&listings) {
        for (name, info) in listing.iter() {
            let is_taken = options.selection.takes(db, name, kind(info) == Kind::View, &options.scope);
            let is_asked_for = options.selection.excludes(name) || options.selection.views_as_collections;
            match left_out(db, name, info, listing, &options.scope) {
                Some(reason) if !is_asked_for => omitted.push((reason, format!("{db}.{name}"))),
                None if is_taken => {
                    let namespace = Namespace::new(db, name).map_err(Error::not_archivable)?;
                    let identity = listing.identity(name).unwrap_or_default();
                    wanted.push(Wanted { namespace, info: info.to_owned(), identity });
                }
                Some(_) | None => {}
            }
        }
    }
    drop(listings);
    let catalog = if wanted.len() < FEW_COLLECTIONS {
        ListCatalog::default()
    } else {
        ListCatalog::read(source, &options.scope).await
    };
    let catalog = &catalog;
    let entries: Vec<Option<Found>> = futures::stream::iter(wanted)
        .map(|wanted| async move {
            let told = catalog.indexes(&wanted.namespace, &wanted.info);
            let entry = entry(source, server, &wanted, told, options, sizes).await;
            entry.map_err(|error| error.at(wanted.namespace))
        })
        .buffer_unordered(COMMANDS_IN_FLIGHT)
        .try_collect()
        .await?;
    let Some(found) = entries.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    let mut listed = Listed { entries: Vec::with_capacity(found.len()), omitted, inexact: Vec::new() };
    for Found { entry, in_progress, is_exact } in found {
        let namespace = &entry.collection.namespace;
        listed.omitted.extend(
            in_progress.iter().map(|name| (Reason::IndexInProgress, format!("{namespace} ({name})"))),
        );
        listed.inexact.extend((!is_exact).then(|| namespace.to_string()));
        listed.entries.push(entry);
    }
    Ok(Some(listed))
}

/// What is to be listed of a database.
fn filter(scope: &Scope) -> Document {
    let Scope::Collection(namespace) = scope else { return doc! {} };
    let name = namespace.collection();
    doc! { "name": { "$in": [name, format!("{BUCKETS}{name}")] } }
}

/// A collection that is to be dumped, as it is listed.
struct Wanted {
    namespace: Namespace,
    info: RawDocumentBuf,
    identity: Identity,
}

/// A collection that is there.
struct Found {
    entry: Entry,
    /// Names of its indexes that are being built.
    in_progress: Vec<String>,
    /// Whether the archive's text tells its options and indexes exactly.
    is_exact: bool,
}

/// A collection; `None` when it has gone since it was listed.
async fn entry(
    source: &Source,
    server: ServerVersion,
    Wanted { namespace, info, identity }: &Wanted,
    told: Option<Indexes>,
    DumpOptions { selection, .. }: &DumpOptions,
    sizes: Sizes,
) -> Result<Option<Found>> {
    let (name, kind) = (namespace.collection(), kind(info));
    let is_view = kind == Kind::View;
    let mut collection = CollectionMetadata { namespace: namespace.clone(), metadata: String::new(), kind };
    let data = collection.data_namespace(&server);
    let raw_data = !server.keeps_buckets_apart();
    let indexes = async {
        match told {
            // As mongodump has it, even of a collection that is none.
            _ if is_view || selection.views_as_collections => Ok(Indexes::default()),
            Some(told) => Ok(told),
            None => Indexes::read(source, namespace).await,
        }
    };
    let size = async {
        match sizes {
            Sizes::Asked => size(source, &data, kind, raw_data).await,
            Sizes::Unknown => None,
        }
    };
    let (indexes, size) = futures::join!(indexes, size);
    let indexes = match indexes {
        Ok(indexes) => indexes,
        Err(error) if code(&error) == Some(NAMESPACE_NOT_FOUND) => return Ok(None),
        Err(error) => return Err(driver_error("cannot list the indexes", &error)),
    };
    let options = info.get_document("options").ok();
    let shown = if is_view && selection.views_as_collections { &without_view(info) } else { info };
    let Metadata { text, is_exact } = metadata(name, kind, shown, &indexes.built)?;
    collection.metadata = text;
    let filter = match &selection.query {
        Some(query) if kind == Kind::Timeseries => query.of_buckets(options)?,
        Some(query) => query.filter(),
        None => None,
    };
    let is_set = |name| options.is_some_and(|options| options.get(name).is_ok_and(|value| value.is_some()));
    let is_capped = is_set("capped");
    let has_documents = !is_view || selection.views_as_collections;
    let (documents, bytes) = size.map_or((None, 0), |(documents, bytes)| (Some(documents), bytes));
    let has_positions = kind == Kind::Collection && !is_set("clusteredIndex") && filter.is_none();
    // How many a query takes, or a view shows, nobody tells.
    let is_counted = filter.is_none() && !(is_view && has_documents);
    let target = Target {
        namespace: namespace.clone(),
        archived: data.clone(),
        data,
        identity: identity.clone(),
        filter,
        batch_size: batch_size(documents, bytes),
        raw_data,
        has_positions,
        is_apart: is_capped || is_apart(namespace),
        may_be_split: has_positions && !is_capped,
    };
    let entry = Entry {
        collection,
        target: Arc::new(target),
        has_documents,
        documents: documents.filter(|_| is_counted),
        bytes,
        unique: indexes.unique(),
    };
    Ok(Some(Found { entry, in_progress: indexes.in_progress, is_exact }))
}

/// The server's own collections that it does not show as they were: what a member keeps for itself, and the tables of
/// transactions and retryable writes, which it changes behind the oplog.
fn is_apart(namespace: &Namespace) -> bool {
    let is_table = |name| matches!(name, "transactions" | "image_collection");
    namespace.db() == "local" || (namespace.db() == "config" && is_table(namespace.collection()))
}

fn kind(info: &RawDocument) -> Kind {
    match info.get_str("type") {
        Ok("view") => Kind::View,
        Ok("timeseries") => Kind::Timeseries,
        _ => Kind::Collection,
    }
}
