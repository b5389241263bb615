//! What the target has already.

use std::collections::BTreeMap;

use archive_format::Kind;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, Uuid, doc};
use futures::TryStreamExt;
use mongodb::error::Result as DriverResult;

use crate::server_error::driver_error;
use crate::{Deployment, Result};

/// The collections of some databases, as `listCollections` tells them.
#[derive(Debug, Default)]
pub(super) struct Existing(BTreeMap<String, BTreeMap<String, Listed>>);

/// One collection, view or time series.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) kind: Kind,
    /// Views have none.
    pub(super) uuid: Option<Uuid>,
    /// Of views only: their definition.
    pub(super) definition: RawDocumentBuf,
}

impl Existing {
    /// Lists these databases, once each.
    pub(super) async fn list<'a>(
        deployment: &Deployment,
        dbs: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self> {
        let mut existing = Self::default();
        for db in dbs {
            if !existing.0.contains_key(db) {
                let listed = deployment
                    .repeated(|| look(deployment, db, None))
                    .await
                    .map_err(|error| driver_error("cannot list the target's collections", &error).at(db))?;
                existing.0.insert(db.to_owned(), listed);
            }
        }
        Ok(existing)
    }

    /// What has one of these names now; for one attempt of many.
    pub(super) async fn look(deployment: &Deployment, db: &str, names: &[&str]) -> DriverResult<Self> {
        Ok(Self(BTreeMap::from([(db.to_owned(), look(deployment, db, Some(names)).await?)])))
    }

    /// All that is there now; for one attempt of many.
    pub(super) async fn look_everywhere(deployment: &Deployment, dbs: &[String]) -> DriverResult<Self> {
        let mut existing = Self::default();
        for db in dbs {
            existing.0.insert(db.clone(), look(deployment, db, None).await?);
        }
        Ok(existing)
    }

    pub(super) fn get(&self, db: &str, name: &str) -> Option<&Listed> {
        self.0.get(db)?.get(name)
    }

    /// Every name of a database.
    pub(super) fn of(&self, db: &str) -> impl Iterator<Item = (&str, &Listed)> {
        self.0.get(db).into_iter().flatten().map(|(name, listed)| (name.as_str(), listed))
    }

    pub(super) fn databases(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

async fn look(
    deployment: &Deployment,
    db: &str,
    names: Option<&[&str]>,
) -> DriverResult<BTreeMap<String, Listed>> {
    let mut command = doc! { "listCollections": 1 };
    if let Some(names) = names {
        command.insert("filter", doc! { "name": { "$in": names.to_vec() } });
    }
    let cursor = deployment.client().database(db).run_cursor_command(command).await?;
    let listed: Vec<RawDocumentBuf> = cursor.with_type().try_collect().await?;
    Ok(listed
        .iter()
        .filter_map(|entry| Some((entry.get_str("name").ok()?.to_owned(), Listed::read(entry))))
        .collect())
}

impl Listed {
    fn read(entry: &RawDocument) -> Self {
        let kind = match entry.get_str("type") {
            Ok("view") => Kind::View,
            Ok("timeseries") => Kind::Timeseries,
            _ => Kind::Collection,
        };
        let info = entry.get_document("info").ok().and_then(|info| info.get("uuid").ok().flatten());
        let uuid = info
            .and_then(RawBsonRef::as_binary)
            .and_then(|binary| Some(Uuid::from_bytes(binary.bytes.try_into().ok()?)));
        let options = entry.get_document("options").ok().filter(|_| kind == Kind::View);
        Self { kind, uuid, definition: options.map(ToOwned::to_owned).unwrap_or_default() }
    }
}
