//! The databases that a drill makes and removes: only those that carry its mark.

use std::collections::BTreeSet;
use std::time::Duration;

use bson::{Document, doc};
use futures::stream::{StreamExt, TryStreamExt};
use tokio::time::sleep;

use crate::own_names::drill_mark;
use crate::server_error::{NAMESPACE_NOT_FOUND, code, driver_error};
use crate::{Deployment, Error, ErrorKind, Result};

/// Collections dropped at once.
const DROPS_IN_FLIGHT: usize = 4;

/// How often what comes back is dropped again: a command that was given up may still take effect.
const ROUNDS: usize = 10;

/// Time for such a command.
const PAUSE: Duration = Duration::from_millis(200);

/// The names of all databases.
pub(super) async fn databases(deployment: &Deployment) -> Result<Vec<String>> {
    let reply = deployment
        .command("admin", doc! { "listDatabases": 1, "nameOnly": true }, None)
        .await
        .map_err(|error| driver_error("cannot list the databases", &error))?;
    let listed = reply.get_array("databases").map_err(|error| {
        Error::new(ErrorKind::Server, "the server's list of databases cannot be read").with_source(error)
    })?;
    let name = |entry: &bson::Bson| Some(entry.as_document()?.get_str("name").ok()?.to_owned());
    Ok(listed.iter().filter_map(name).collect())
}

/// Makes a database with nothing but the mark in it.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] where there is something already.
pub(super) async fn mark(deployment: &Deployment, database: &str, holder: &str) -> Result<()> {
    let mark = drill_mark(database);
    let update = doc! { "q": { "_id": holder }, "u": { "$set": { "drill": true } }, "upsert": true };
    let command = doc! { "update": &mark, "updates": [update], "writeConcern": { "w": "majority" } };
    let failed = |error| driver_error("cannot make a scratch database", &error).at(database);
    let reply = deployment.command(database, command, None).await.map_err(failed)?;
    if let Some(refused) = refusal(&reply) {
        let message = format!("cannot make a scratch database: the server answers with code {refused}");
        return Err(Error::new(ErrorKind::Server, message).at(database));
    }
    if collections(deployment, database).await?.iter().any(|name| *name != mark) {
        drop_collection(deployment, database, &mark).await?;
        return Err(exists(database));
    }
    Ok(())
}

/// A scratch database that is not the drill's.
pub(super) fn exists(database: &str) -> Error {
    let message = "a database of this name exists already, and no drill has made it: drop it, or drill with another --prefix";
    Error::new(ErrorKind::AlreadyExists, message).at(database)
}

/// Drops this database if one of these drills has made it; `false` where that is not so. The mark goes last.
pub(super) async fn remove(deployment: &Deployment, database: &str, holders: &[String]) -> Result<bool> {
    if !is_marked(deployment, database, holders).await? {
        return Ok(false);
    }
    let mark = drill_mark(database);
    for _ in 0..ROUNDS {
        let mut names = collections(deployment, database).await?;
        // Buckets go with their time series, the list of views when all of them have gone, and what only the server may drop
        // with the database.
        let views = names.remove("system.views");
        names.retain(|name| *name != mark && !name.starts_with("system."));
        futures::stream::iter(names)
            .map(|name| async move { drop_collection(deployment, database, &name).await })
            .buffer_unordered(DROPS_IN_FLIGHT)
            .try_collect::<()>()
            .await?;
        if views {
            drop_collection(deployment, database, "system.views").await?;
        }
        let db = deployment.client().database(database);
        deployment
            .repeated_patiently(|| db.run_command(doc! { "dropDatabase": 1 }).into_future())
            .await
            .map_err(|error| {
                driver_error("cannot drop a scratch database: drop it by hand", &error).at(database)
            })?;
        if !databases(deployment).await?.iter().any(|name| name == database) {
            return Ok(true);
        }
        sleep(PAUSE).await;
    }
    let message =
        "a scratch database comes back whenever it is dropped: drop it by hand when nothing writes into it";
    Err(Error::new(ErrorKind::Server, message).at(database))
}

async fn is_marked(deployment: &Deployment, database: &str, holders: &[String]) -> Result<bool> {
    let command =
        doc! { "find": drill_mark(database), "filter": { "_id": { "$in": holders } }, "singleBatch": true };
    let reply = deployment
        .command(database, command, None)
        .await
        .map_err(|error| driver_error("cannot tell whose database this is", &error).at(database))?;
    let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    Ok(batch.is_ok_and(|batch| !batch.is_empty()))
}

async fn collections(deployment: &Deployment, database: &str) -> Result<BTreeSet<String>> {
    let db = deployment.client().database(database);
    let names = deployment.repeated(|| db.list_collection_names().into_future()).await;
    let names = names
        .map_err(|error| driver_error("cannot list a scratch database's collections", &error).at(database))?;
    Ok(names.into_iter().collect())
}

async fn drop_collection(deployment: &Deployment, database: &str, name: &str) -> Result<()> {
    let db = deployment.client().database(database);
    let dropped = deployment.repeated_patiently(|| db.run_command(doc! { "drop": name }).into_future()).await;
    match dropped {
        Err(error) if code(&error) != Some(NAMESPACE_NOT_FOUND) => {
            let message = "cannot drop a collection of a scratch database: drop the database by hand";
            Err(driver_error(message, &error).at(database))
        }
        _ => Ok(()),
    }
}

/// The code with which the server refused the one write of a command.
fn refusal(reply: &Document) -> Option<i32> {
    reply.get_array("writeErrors").ok()?.first()?.as_document()?.get_i32("code").ok()
}
