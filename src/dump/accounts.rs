//! Users and roles of one database, which the server keeps in `admin` together with all others.

use std::sync::Arc;

use archive_format::{CollectionMetadata, Kind, Namespace, ServerVersion};
use bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};

use super::entry::Entry;
use super::identity::Listing;
use super::scan::Target;
use super::source::Source;
use crate::server_error::driver_error;
use crate::{Error, ErrorKind, Result};

/// Where the server keeps them, and whether a database has a share of its own in it.
const KEPT: [(&str, bool); 3] = [("system.users", true), ("system.roles", true), ("system.version", false)];

/// The oldest schema of users and roles that can be restored into a newer one.
const OLDEST_SCHEMA: i64 = 3;

/// From here on there is one schema, and no document that says which.
const WITHOUT_SCHEMA_DOCUMENT: ServerVersion = ServerVersion { major: 8, minor: 1, patch: 0 };

/// Whether users and roles can be dumped so that a restore knows what they are.
///
/// # Errors
/// Their schema is older than any that can be restored, or the server has none: there never was a user or a role.
pub(super) async fn check(source: &Source, server: ServerVersion) -> Result<()> {
    let failed =
        |error| driver_error("cannot ask for the schema of users and roles (--dumpDbUsersAndRoles)", &error);
    let is_known = server >= WITHOUT_SCHEMA_DOCUMENT;
    if !is_known {
        let asked = doc! { "getParameter": 1, "authSchemaVersion": 1 };
        let reply = source.command("admin", asked).await.map_err(failed)?;
        let version = reply.get("authSchemaVersion").and_then(number).unwrap_or_default();
        if version < OLDEST_SCHEMA {
            let message = format!(
                "users and roles can be dumped from schema {OLDEST_SCHEMA} on, and the server has {version}; leave out \
                 --dumpDbUsersAndRoles"
            );
            return Err(Error::new(ErrorKind::Server, message));
        }
    }
    let signs: &[(&str, Document)] = if is_known {
        &[("system.users", doc! {}), ("system.roles", doc! {})]
    } else {
        &[("system.version", doc! { "_id": "authSchema" })]
    };
    for (collection, filter) in signs {
        let find = doc! { "find": *collection, "filter": filter, "limit": 1, "singleBatch": true };
        if !source.documents("admin", find).await.map_err(failed)?.is_empty() {
            return Ok(());
        }
    }
    Err(Error::new(
        ErrorKind::Server,
        "the server has never had a user or a role, and so no schema of them; leave out --dumpDbUsersAndRoles",
    ))
}

/// The entries that hold the share of the database `db`: `$admin.system.users`, `$admin.system.roles` and
/// `$admin.system.version` in it.
pub(super) async fn entries(source: &Source, server: ServerVersion, db: &str) -> Result<Vec<Entry>> {
    let names: Vec<&str> = KEPT.iter().map(|(name, _)| *name).collect();
    let listing = Listing::read(source, "admin", doc! { "name": { "$in": names } }).await?;
    let entry = |(name, is_shared): (&str, bool)| {
        let kept = Namespace::new("admin", name).map_err(Error::not_archivable)?;
        let archived = Namespace::new(db, &format!("$admin.{name}")).map_err(Error::not_archivable)?;
        let filter: Option<RawDocumentBuf> = is_shared.then(|| rawdoc! { "db": db });
        let target = Target {
            namespace: kept.clone(),
            data: kept,
            archived: archived.clone(),
            identity: listing.identity(name).unwrap_or_default(),
            filter,
            batch_size: None,
            raw_data: !server.keeps_buckets_apart(),
            has_positions: false,
            is_apart: false,
            may_be_split: false,
        };
        Ok(Entry {
            collection: CollectionMetadata {
                namespace: archived,
                metadata: String::new(),
                kind: Kind::Unspecified,
            },
            target: Arc::new(target),
            // Of what was never made nothing can be read.
            has_documents: listing.contains(name),
            documents: None,
            bytes: 0,
            unique: Vec::new(),
        })
    };
    KEPT.into_iter().map(entry).collect()
}

fn number(value: &Bson) -> Option<i64> {
    value.as_i64().or_else(|| value.as_i32().map(i64::from)).or(match value {
        // Servers answer with a double where JavaScript asked them to.
        Bson::Double(value) if *value >= 3.0 => Some(OLDEST_SCHEMA),
        _ => None,
    })
}
