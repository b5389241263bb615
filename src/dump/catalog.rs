//! What there is to dump: databases, collections, their kinds, sizes, options and indexes. All of it is known before the
//! first document is read, because it *is* the archive's prelude.

use std::collections::HashMap;
use std::future::IntoFuture;

use archive_format::{CollectionMetadata, Kind, Namespace, ServerVersion};
use bson::{Document, RawDocument, RawDocumentBuf, doc, rawdoc};
use futures::stream::{StreamExt, TryStreamExt};
use mongodb::action::{Action, RunCommand, RunCursorCommand};
use mongodb::error::ErrorKind as DriverKind;
use mongodb::{Client, Database};

use super::DumpOptions;
use super::metadata::metadata;
use super::split::Member;
use crate::server_error::{NAMESPACE_NOT_FOUND, driver_error};
use crate::{Deployment, Error, ErrorKind, Result, Scope};

/// Metadata commands in flight at once: enough to hide the round trip of a remote server, few enough that the driver's
/// default pool (10 connections) is not the bottleneck for long.
const COMMANDS_IN_FLIGHT: usize = 8;

/// Collections for which it is not worth while to ask for the indexes of all the server's collections at once.
const FEW_COLLECTIONS: usize = 16;

/// Everything that will be dumped, in the order in which it will be read.
pub(super) struct Catalog {
    pub(super) server_version: String,
    pub(super) server: ServerVersion,
    /// The member whose large collections can be read in parts.
    pub(super) member: Option<Member>,
    pub(super) entries: Vec<Entry>,
}

/// One collection or view.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) collection: CollectionMetadata,
    /// The namespace the documents are read from and written under.
    pub(super) data: Namespace,
    /// Number of documents by the server's statistics, where it tells.
    pub(super) documents: Option<u64>,
    /// Uncompressed size in bytes by the server's statistics; 0 where it does not tell.
    pub(super) bytes: u64,
    /// Whether its order may change: that of a capped collection may not.
    pub(super) is_splittable: bool,
}

impl Catalog {
    /// Asks the server for everything `options` select.
    pub(super) async fn read(deployment: &Deployment, options: &DumpOptions) -> Result<Self> {
        let (client, scope) = (deployment.client(), &options.scope);
        let server_version = deployment.server_version(client.selection_criteria()).await?;
        let server: ServerVersion = server_version.parse().map_err(Error::not_archivable)?;
        let mut listed = Vec::new();
        for db in databases(client, scope).await? {
            for info in collections(client, &db, scope).await? {
                let name = info.get_str("name").map_err(|error| unreadable(&db, error))?.to_owned();
                let kind = kind(&info);
                if selected(&db, &name, scope) {
                    listed.push((db.clone(), name, kind, info));
                }
            }
        }
        let known = if listed.len() < FEW_COLLECTIONS { None } else { server_catalog(client, scope).await };
        let known = &known.unwrap_or_default();
        let mut entries: Vec<Entry> = futures::stream::iter(listed)
            .map(|(db, name, kind, info)| async move {
                let namespace = Namespace::new(&db, &name).map_err(Error::not_archivable)?;
                let place = namespace.clone();
                let indexes = known.get(&namespace.to_string()).and_then(|known| known.indexes(&info));
                entry(client, server, namespace, kind, &info, indexes).await.map_err(|error| error.at(place))
            })
            .buffer_unordered(COMMANDS_IN_FLIGHT)
            .try_filter_map(|entry| async move { Ok(entry) })
            .try_collect()
            .await?;
        entries.sort_by_cached_key(|entry| {
            let namespace = &entry.collection.namespace;
            (rank(entry), std::cmp::Reverse(entry.bytes), namespace.to_string())
        });
        if let (Scope::Collection(namespace), true) = (scope, entries.is_empty()) {
            return Err(Error::new(
                ErrorKind::NoSuchCollection,
                "there is no such collection; nothing was dumped",
            )
            .at(namespace));
        }
        Ok(Self { server_version, server, member: Member::of(client).await, entries })
    }

    /// Number of documents, if the server told it for every collection.
    pub(super) fn documents(&self) -> Option<u64> {
        self.entries.iter().map(|entry| entry.documents).sum()
    }
}

/// Users, roles and version come first and in this order; views (nothing to read) next; then the biggest collection.
fn rank(entry: &Entry) -> u8 {
    match (entry.collection.namespace.is_special(), entry.data.collection(), entry.collection.kind) {
        (true, name, _) if name.ends_with("system.users") => 0,
        (true, name, _) if name.ends_with("system.roles") => 1,
        (true, ..) => 2,
        (false, _, Kind::View) => 3,
        (false, ..) => 4,
    }
}

/// mongodump's default selection (`db` and `collection` are exact names).
fn selected(db: &str, name: &str, scope: &Scope) -> bool {
    const CONFIG: [&str; 7] = ["chunks", "collections", "databases", "settings", "shards", "tags", "version"];
    if let Scope::Collection(namespace) = scope {
        return name == namespace.collection();
    }
    if name.contains('$') && !name.contains(".oplog.$") {
        return false;
    }
    match db {
        "admin" => name != "system.keys" && !name.starts_with("system.buckets."),
        "config" => (scope.db().is_some() && !name.starts_with("system.buckets.")) || CONFIG.contains(&name),
        _ => name == "system.js" || !name.starts_with("system."),
    }
}

async fn databases(client: &Client, scope: &Scope) -> Result<Vec<String>> {
    if let Some(db) = scope.db() {
        return Ok(vec![db.to_owned()]);
    }
    let admin = client.database("admin");
    let reply = admin.run_command(doc! { "listDatabases": 1, "nameOnly": true }).await.map_err(|error| {
        driver_error("cannot list the databases; name one with --db, or grant listDatabases", &error)
    })?;
    // Shared Atlas tiers answer this command and refuse everything in `admin`.
    let atlas = admin.run_command(doc! { "atlasVersion": 1 }).await.is_ok();
    let databases = reply.get_array("databases").map_err(|error| unreadable("admin", error))?;
    let names = databases.iter().filter_map(|entry| entry.as_document()?.get_str("name").ok());
    Ok(names
        .filter(|name| {
            *name != "local" && !name.starts_with("__mdb_internal") && !(atlas && *name == "admin")
        })
        .map(ToOwned::to_owned)
        .collect())
}

async fn collections(client: &Client, db: &str, scope: &Scope) -> Result<Vec<RawDocumentBuf>> {
    let mut filter = Document::new();
    if let Scope::Collection(namespace) = scope {
        let collection = namespace.collection();
        if collection.starts_with("system.buckets.") {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the buckets of a time series are dumped under its own name: leave out the prefix system.buckets.",
            )
            .at(format_args!("{db}.{collection}")));
        }
        filter.insert("name", collection);
    }
    let command = doc! { "listCollections": 1, "filter": filter };
    cursor_documents(client, &client.database(db), command)
        .await
        .map_err(|error| driver_error("cannot list the collections", &error).at(db))
}

/// `None` when the collection has gone since it was listed.
async fn entry(
    client: &Client,
    server: ServerVersion,
    namespace: Namespace,
    kind: Kind,
    info: &RawDocument,
    known: Option<Vec<RawDocumentBuf>>,
) -> Result<Option<Entry>> {
    let (db, name) = (client.database(namespace.db()), namespace.collection());
    let mut collection = CollectionMetadata { namespace: namespace.clone(), metadata: String::new(), kind };
    let data = collection.data_namespace(&server);
    if kind == Kind::View {
        collection.metadata = metadata(name, kind, info, &[])?;
        return Ok(Some(Entry { collection, data, documents: Some(0), bytes: 0, is_splittable: false }));
    }
    let indexes = async {
        match known {
            Some(known) => Ok(known),
            None => cursor_documents(client, &db, doc! { "listIndexes": name }).await,
        }
    };
    let (indexes, size) = futures::join!(indexes, size(client, &db, &data, kind));
    let indexes = match indexes {
        Ok(indexes) => indexes,
        Err(error) => match error.kind.as_ref() {
            DriverKind::Command(command) if command.code == NAMESPACE_NOT_FOUND => return Ok(None),
            _ => return Err(driver_error("cannot list the indexes", &error)),
        },
    };
    collection.metadata = metadata(name, kind, info, &indexes)?;
    let (documents, bytes) = size.map_or((None, 0), |(documents, bytes)| (Some(documents), bytes));
    let is_capped =
        info.get_document("options").is_ok_and(|options| options.get_bool("capped").unwrap_or(false));
    let is_splittable = kind == Kind::Collection && !is_capped;
    Ok(Some(Entry { collection, data, documents, bytes, is_splittable }))
}

/// Number of documents and bytes by the server's counters; the number alone where they are refused.
async fn size(client: &Client, db: &Database, data: &Namespace, kind: Kind) -> Option<(u64, u64)> {
    let number = |document: &Document, key: &str| -> Option<u64> {
        let value = document.get(key)?;
        let number = value.as_i64().or_else(|| value.as_i32().map(i64::from));
        number.and_then(|number| u64::try_from(number).ok())
    };
    let ask = |command| {
        let action = db.run_command(command);
        action.optional(client.selection_criteria().cloned(), RunCommand::selection_criteria).into_future()
    };
    // A tenth of the cost of `$collStats`.
    if kind == Kind::Collection
        && let Ok(size) = ask(doc! { "dataSize": data.to_string(), "estimate": true }).await
        && let (Some(documents), Some(bytes)) = (number(&size, "numObjects"), number(&size, "size"))
    {
        return Some((documents, bytes));
    }
    let statistics = doc! {
        "aggregate": data.collection(),
        "pipeline": [
            { "$collStats": { "storageStats": {} } },
            { "$group": {
                "_id": null,
                "count": { "$sum": { "$toLong": "$storageStats.count" } },
                "size": { "$sum": { "$toLong": "$storageStats.size" } },
            } },
        ],
        "cursor": {},
    };
    if let Ok(found) = cursor_documents(client, db, statistics).await {
        let first = found.first().and_then(|found| Document::try_from(found.as_ref()).ok())?;
        return Some((number(&first, "count")?, number(&first, "size")?));
    }
    let counted = ask(doc! { "count": data.collection() }).await.ok()?;
    Some((number(&counted, "n")?, 0))
}

/// What `$listCatalog` (6.0 and newer) tells of one collection.
struct Known(RawDocumentBuf);

impl Known {
    /// What `listIndexes` would tell of the collection that `info` is of; `None` where it would tell something else.
    fn indexes(&self, info: &RawDocument) -> Option<Vec<RawDocumentBuf>> {
        let options = self.0.get_document("options").ok()?;
        let uuid = options.get_binary("uuid").ok()?;
        let is_same = info.get_document("info").ok()?.get_binary("uuid").is_ok_and(|same| same == uuid);
        // `listIndexes` adds the clustered index.
        let is_plain = options.get("clusteredIndex").is_ok_and(|found| found.is_none());
        if !(is_same && is_plain) {
            return None;
        }
        let mut specs = Vec::new();
        for index in self.0.get_array("indexes").ok()? {
            let index = index.ok()?.as_document()?;
            // Being built: what `listIndexes` tells of it depends on the version.
            if !index.get_bool("ready").unwrap_or(false) {
                return None;
            }
            specs.push(listed(index.get_document("spec").ok()?)?);
        }
        Some(specs)
    }
}

/// An index as `listIndexes` tells it, from the specification that is stored: the command puts the fields in an order of
/// its own and normalises values, which is known here only of the usual ones.
fn listed(spec: &RawDocument) -> Option<RawDocumentBuf> {
    let (version, key, name) =
        (spec.get_i32("v").ok()?, spec.get_document("key").ok()?, spec.get_str("name").ok()?);
    let mut index = rawdoc! { "v": version, "key": key.to_owned(), "name": name };
    let mut fields = 3;
    if let Some(unique) = spec.get("unique").ok()? {
        index.append(bson::cstr!("unique"), unique.as_bool().filter(|unique| *unique)?);
        fields += 1;
    }
    (spec.iter().count() == fields).then_some(index)
}

/// The indexes of every collection in one reply; `None` where the server does not have it, or refuses it.
async fn server_catalog(client: &Client, scope: &Scope) -> Option<HashMap<String, Known>> {
    let mut selection = doc! { "type": "collection" };
    if let Some(db) = scope.db() {
        selection.insert("db", db);
    }
    let command = doc! {
        "aggregate": 1,
        "pipeline": [
            { "$listCatalog": {} },
            { "$match": selection },
            { "$project": { "ns": 1, "options": "$md.options", "indexes": "$md.indexes" } },
        ],
        "cursor": {},
    };
    let found = cursor_documents(client, &client.database("admin"), command).await.ok()?;
    let known =
        found.into_iter().filter_map(|known| Some((known.get_str("ns").ok()?.to_owned(), Known(known))));
    Some(known.collect())
}

/// Every document of a command's cursor, as the server's bytes.
async fn cursor_documents(
    client: &Client,
    db: &Database,
    command: Document,
) -> mongodb::error::Result<Vec<RawDocumentBuf>> {
    let action = db.run_cursor_command(command);
    let criteria = client.selection_criteria().cloned();
    let mut cursor = action.optional(criteria, RunCursorCommand::selection_criteria).batch().await?;
    let mut documents = Vec::new();
    while let Some(batch) = cursor.next().await {
        for document in batch?.doc_slices()? {
            if let Some(document) = document?.as_document() {
                documents.push(document.to_owned());
            }
        }
    }
    Ok(documents)
}

fn kind(info: &RawDocument) -> Kind {
    match info.get_str("type") {
        Ok("view") => Kind::View,
        Ok("timeseries") => Kind::Timeseries,
        _ => Kind::Collection,
    }
}

fn unreadable(db: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Server, "the server's list cannot be read").at(db).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_selection_is_mongodumps() {
        let all = Scope::Everything;
        for (db, name) in [
            ("shop", "orders"),
            ("shop", "system.js"),
            ("shop", "a.system.b"),
            ("shop", "x.oplog.$main"),
            ("admin", "system.users"),
            ("admin", "system.version"),
            ("config", "shards"),
        ] {
            assert!(selected(db, name, &all), "{db}.{name}");
        }
        for (db, name) in [
            ("shop", "system.views"),
            ("shop", "system.profile"),
            ("shop", "system.buckets.t"),
            ("shop", "with$dollar"),
            ("admin", "system.keys"),
            ("config", "system.sessions"),
            ("config", "transactions"),
        ] {
            assert!(!selected(db, name, &all), "{db}.{name}");
        }
    }

    #[test]
    fn a_named_database_or_collection_widens_the_selection() {
        let config = Scope::database("config").unwrap();
        assert!(selected("config", "transactions", &config));
        let one = Scope::collection("shop", "system.profile").unwrap();
        assert!(selected("shop", "system.profile", &one));
        assert!(!selected("shop", "orders", &one));
    }
}
