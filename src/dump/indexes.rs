//! The indexes of collections, as `listIndexes` tells them.

use std::collections::HashMap;

use archive_format::Namespace;
use bson::{Document, RawDocument, RawDocumentBuf, doc, rawdoc};
use mongodb::error::Result as DriverResult;

use super::source::Source;
use crate::server_error::driver_error;
use crate::{Error, ErrorKind, Result, Scope};

/// A collection's indexes.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    /// Those that are built.
    pub(super) built: Vec<RawDocumentBuf>,
    /// Names of those that are being built. They may yet fail, and are not archived.
    pub(super) in_progress: Vec<String>,
}

impl Indexes {
    /// Asks the server.
    pub(super) async fn read(source: &Source, namespace: &Namespace) -> DriverResult<Self> {
        let command = doc! { "listIndexes": namespace.collection(), "includeBuildUUIDs": true };
        let listed = source.documents(namespace.db(), command).await?;
        let mut indexes = Self::default();
        for index in listed {
            // An index that is being built is wrapped: its specification and the build's UUID.
            match index.get_document("spec") {
                Ok(spec) if index.get_binary("buildUUID").is_ok() => {
                    indexes.in_progress.push(spec.get_str("name").unwrap_or_default().to_owned());
                }
                _ => indexes.built.push(index),
            }
        }
        Ok(indexes)
    }

    /// Those that refuse documents: what is archived under them must obey them.
    pub(super) fn unique(&self) -> Vec<RawDocumentBuf> {
        let is_unique = |index: &&RawDocumentBuf| index.get_bool("unique").unwrap_or(false);
        self.built.iter().filter(is_unique).cloned().collect()
    }
}

/// Compares unique indexes with those that were planned. One that was dropped meanwhile may have let documents in that the
/// restored one refuses; any other change does no harm.
///
/// # Errors
/// One is no longer there as it was.
pub(super) async fn compare(
    source: &Source,
    namespace: &Namespace,
    planned: &[RawDocumentBuf],
) -> Result<()> {
    if planned.is_empty() {
        return Ok(());
    }
    let listed = Indexes::read(source, namespace)
        .await
        .map_err(|error| driver_error("cannot list the indexes", &error).at(namespace))?;
    let Some(gone) = planned.iter().find(|index| !listed.built.contains(index)) else { return Ok(()) };
    let name = gone.get_str("name").unwrap_or_default();
    let message = format!("its unique index {name} was dropped or changed while it was dumped; dump again");
    Err(Error::new(ErrorKind::Server, message).at(namespace))
}

/// What `$listCatalog` (6.0 and newer) tells of every collection in one reply.
#[derive(Default)]
pub(super) struct ListCatalog(HashMap<String, RawDocumentBuf>);

impl ListCatalog {
    /// Empty where the server does not have it, or refuses it.
    pub(super) async fn read(source: &Source, scope: &Scope) -> Self {
        let mut selection = doc! { "type": "collection" };
        if let Some(db) = scope.db() {
            selection.insert("db", db);
        }
        let command: Document = doc! {
            "aggregate": 1,
            "pipeline": [
                { "$listCatalog": {} },
                { "$match": selection },
                { "$project": { "ns": 1, "options": "$md.options", "indexes": "$md.indexes" } },
            ],
            "cursor": {},
        };
        let found = source.documents("admin", command).await.unwrap_or_default();
        Self(found.into_iter().filter_map(|told| Some((told.get_str("ns").ok()?.to_owned(), told))).collect())
    }

    /// What `listIndexes` would tell of the collection that `info` is of; `None` where it would tell something else.
    pub(super) fn indexes(&self, namespace: &Namespace, info: &RawDocument) -> Option<Indexes> {
        let told = self.0.get(&namespace.to_string())?;
        let options = told.get_document("options").ok()?;
        let uuid = options.get_binary("uuid").ok()?;
        let is_same = info.get_document("info").ok()?.get_binary("uuid").is_ok_and(|same| same == uuid);
        // `listIndexes` adds the clustered index.
        let is_plain = options.get("clusteredIndex").is_ok_and(|found| found.is_none());
        if !(is_same && is_plain) {
            return None;
        }
        let mut built = Vec::new();
        for index in told.get_array("indexes").ok()? {
            let index = index.ok()?.as_document()?;
            // What is being built is told by `listIndexes`.
            if !index.get_bool("ready").unwrap_or(false) {
                return None;
            }
            built.push(listed(index.get_document("spec").ok()?)?);
        }
        Some(Indexes { built, in_progress: Vec::new() })
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
