//! Which databases a dump looks into.

use bson::doc;

use super::DumpOptions;
use super::omission::{Omitted, Reason};
use super::source::Source;
use crate::server_error::{driver_error, is_unauthorized};
use crate::{Error, ErrorKind, Result};

/// The databases to dump, and those that are not dumped whole.
pub(super) async fn databases(source: &Source, options: &DumpOptions) -> Result<(Vec<String>, Omitted)> {
    if let Some(db) = options.scope.db() {
        if (db == "admin" || options.selection.users_of_database) && is_closed_by_atlas(source).await {
            let message = "a shared cluster of Atlas shows its database admin, users and roles to nobody: dump another \
                           database, without --dumpDbUsersAndRoles";
            return Err(Error::new(ErrorKind::InvalidInput, message).at(db));
        }
        return Ok((vec![db.to_owned()], Vec::new()));
    }
    // Without the last, the server would list those that the account may read, and say nothing of the others.
    let command = doc! { "listDatabases": 1, "nameOnly": true, "authorizedDatabases": false };
    let reply = source.command("admin", command).await.map_err(|error| {
        let message = if is_unauthorized(&error) {
            "this account may not list all databases, so what it dumped would not be everything: grant it listDatabases (as \
             the role backup does), or name one database (--db, or the path of the connection string)"
        } else {
            "cannot list the databases"
        };
        driver_error(message, &error)
    })?;
    let databases = reply.get_array("databases").map_err(|error| {
        Error::new(ErrorKind::Server, "the server's list of databases cannot be read").with_source(error)
    })?;
    let is_closed = is_closed_by_atlas(source).await;
    let (mut dumped, mut omitted) = (Vec::new(), Vec::new());
    for name in databases.iter().filter_map(|entry| entry.as_document()?.get_str("name").ok()) {
        match name {
            "local" => {}
            "admin" if is_closed => omitted.push((Reason::ClosedByAtlas, name.to_owned())),
            _ if name.starts_with("__mdb_internal") => omitted.push((Reason::Internal, name.to_owned())),
            _ => dumped.push(name.to_owned()),
        }
    }
    Ok((dumped, omitted))
}

/// Shared Atlas tiers answer this command, as no server does, and refuse everything in `admin`.
async fn is_closed_by_atlas(source: &Source) -> bool {
    source.command("admin", doc! { "atlasVersion": 1 }).await.is_ok()
}
