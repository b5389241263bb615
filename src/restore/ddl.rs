//! Commands that make and remove collections and indexes. Each does no harm when it takes effect twice, and is sent again
//! through elections; each is as safe as the documents.

use archive_format::Namespace;
use bson::spec::BinarySubtype;
use bson::{Binary, RawDocumentBuf, Uuid, cstr, rawdoc};
use mongodb::Database;
use mongodb::error::Result as DriverResult;

use super::Context;
use super::reply::{WriteReply, answer};
use crate::Result;
use crate::server_error::{NAMESPACE_NOT_FOUND, code, driver_error};

/// The answer when a collection is there already.
const NAMESPACE_EXISTS: i32 = 48;

/// The answers to an option that a server does not know: invalid options, a feature that is not supported (`DocumentDB`), an
/// unknown field.
const UNKNOWN_OPTION: [i32; 3] = [72, 303, 40415];

/// Drops a collection, which may be gone already.
pub(super) async fn drop_collection(context: &Context, namespace: &Namespace) -> Result<()> {
    let db = context.deployment.client().database(namespace.db());
    let command = with_concern(context, rawdoc! { "drop": namespace.collection() });
    let dropped = context.deployment.repeated_patiently(|| run(&db, command.clone())).await;
    match dropped {
        Ok(reply) => safe(&reply),
        Err(error) if code(&error) == Some(NAMESPACE_NOT_FOUND) => Ok(()),
        Err(error) => Err(driver_error("cannot drop the collection", &error)),
    }
}

/// Runs the `create` command of a collection that was not there; as an entry of the oplog where it has to have a certain UUID.
pub(super) async fn create_collection(
    context: &Context,
    db: &str,
    command: RawDocumentBuf,
    uuid: Option<Uuid>,
) -> Result<()> {
    let (db, command) = match uuid {
        None => (db, command),
        Some(uuid) => {
            let uuid = Binary { subtype: BinarySubtype::Uuid, bytes: uuid.bytes().to_vec() };
            let entry = rawdoc! { "op": "c", "ns": format!("{db}.$cmd"), "o": command, "ui": uuid };
            ("admin", rawdoc! { "applyOps": [entry] })
        }
    };
    let db = context.deployment.client().database(db);
    let command = with_concern(context, command);
    let mut attempts = 0;
    let created = context.deployment.repeated(|| {
        attempts += 1;
        let (first, attempt) = (attempts == 1, run(&db, command.clone()));
        async move {
            match attempt.await {
                // An earlier attempt made it, and its answer was lost.
                Err(error) if !first && code(&error) == Some(NAMESPACE_EXISTS) => Ok(rawdoc! { "ok": 1 }),
                answered => answered,
            }
        }
    });
    let reply = created
        .await
        .map_err(|error| driver_error("cannot create the collection with the archive's options", &error))?;
    safe(&reply)
}

/// Runs the `createIndexes` command. A build may rightly take hours.
pub(super) async fn create_indexes(
    context: &Context,
    namespace: &Namespace,
    command: RawDocumentBuf,
) -> DriverResult<Result<()>> {
    let db = context.deployment.client().database(namespace.db());
    let plain = with_concern(context, command);
    let mut command = plain.clone();
    if context.server.has_commit_quorum() && namespace.db() != "local" {
        // All members that vote is the server's own choice: it would wait for one that died until it is back.
        command.append(cstr!("commitQuorum"), "majority");
    }
    let build = async |command: RawDocumentBuf| {
        context.deployment.repeated_patiently(|| run(&db, command.clone())).await
    };
    let reply = match build(command).await {
        // Servers that are only compatible with MongoDB know less.
        Err(error) if code(&error).is_some_and(|code| UNKNOWN_OPTION.contains(&code)) => build(plain).await?,
        answered => answered?,
    };
    Ok(safe(&reply))
}

/// Tells a time series to take buckets that hold values of different types in one field, as servers wrote them before they
/// looked.
pub(super) async fn allow_mixed_schema(context: &Context, namespace: &Namespace) -> Result<()> {
    let db = context.deployment.client().database(namespace.db());
    let command =
        rawdoc! { "collMod": namespace.collection(), "timeseriesBucketsMayHaveMixedSchemaData": true };
    let command = with_concern(context, command);
    let changed = context.deployment.repeated(|| run(&db, command.clone())).await;
    let reply = changed.map_err(|error| {
        driver_error(
            "the time series holds buckets with mixed schemas and cannot be told to take them",
            &error,
        )
    })?;
    safe(&reply)
}

/// Has the server merge the temporary collections of users and roles into its own.
pub(super) async fn merge_authorization(context: &Context, command: RawDocumentBuf) -> Result<()> {
    let db = context.deployment.client().database("admin");
    let command = with_concern(context, command);
    let merged = context.deployment.repeated(|| run(&db, command.clone())).await;
    let reply = merged
        .map_err(|error| driver_error("the server refused the users and roles of the archive", &error))?;
    safe(&reply)
}

/// One attempt.
pub(super) async fn run(db: &Database, command: RawDocumentBuf) -> DriverResult<RawDocumentBuf> {
    answer(db.run_raw_command(command).await)
}

/// As safe as the documents.
pub(super) fn with_concern(context: &Context, mut command: RawDocumentBuf) -> RawDocumentBuf {
    command.append(cstr!("writeConcern"), context.concern.document().clone());
    command
}

/// Whether what a command did is as safe as was asked.
pub(super) fn safe(reply: &RawDocumentBuf) -> Result<()> {
    match WriteReply::read(reply).unsafe_write() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
