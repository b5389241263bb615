//! Has the server apply operations: many in one command, one after the other.
//!
//! Operations may be applied again, in their order, as replication itself does: a command whose answer was lost is sent
//! again as a whole. It must only not be at work any more when the next one comes.

use std::collections::BTreeSet;
use std::time::Duration;

use bson::oid::ObjectId;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use mongodb::Database;
use mongodb::error::{Error as DriverError, ErrorKind as DriverKind, Result as DriverResult};
use tokio::time::sleep;

use crate::restore::command::Command;
use crate::restore::reply::answer;
use crate::restore::{Context, ddl};
use crate::server_error::{NAMESPACE_NOT_FOUND, code, driver_error, is_unauthorized, without_values};
use crate::{Error, ErrorKind, Result};

const BOOLEAN: u8 = 0x08;
const STRING: u8 = 0x02;

/// The answer when some operation was refused and the others were applied; it does not say why.
const UNKNOWN_ERROR: i32 = 8;

/// Bytes of a command beside its operations.
const ROOM: usize = 256;

/// Bytes of a command beside each operation: the head of an element.
const ROOM_PER_OPERATION: usize = 8;

/// Pause between two looks whether a command is still at work.
const PAUSE: Duration = Duration::from_millis(100);

/// The collection of a database that has its views.
const VIEWS: &str = "system.views";

/// An operation that was refused; what comes before it has been applied, and nothing behind it.
#[derive(Debug)]
struct Absent {
    position: usize,
}

/// Applies operations in their order, and returns the namespaces that are not there: what was to go into them is left out.
///
/// # Errors
/// [`ErrorKind::Server`] for the first operation that the server refuses for another reason.
pub(super) async fn apply(
    context: &Context,
    operations: Vec<RawDocumentBuf>,
    validates: bool,
) -> Result<BTreeSet<String>> {
    let (mut absent, mut rest) = (BTreeSet::new(), operations);
    while !rest.is_empty() {
        let Some(Absent { position }) = send(context, &rest, validates).await? else { break };
        rest = rest.split_off(position);
        let namespace = rest.first().map(namespace).unwrap_or_default().to_owned();
        match namespace.split_once('.') {
            // Nobody creates it but the server itself, with the first view.
            Some((db, VIEWS)) if absent.insert(namespace.clone()) => {
                let create =
                    rawdoc! { "op": "c", "v": 2, "ns": format!("{db}.$cmd"), "o": { "create": VIEWS } };
                send(context, &[create], validates).await?;
            }
            _ => {
                rest.retain(|operation| self::namespace(operation) != namespace);
                absent.insert(namespace);
            }
        }
    }
    absent.retain(|namespace| !namespace.ends_with(".system.views"));
    Ok(absent)
}

/// Gives a collection another name, whatever has that. `applyOps` would put it aside and leave it there.
pub(super) async fn rename(context: &Context, from: &str, to: &str) -> Result<()> {
    let command = rawdoc! { "renameCollection": from, "to": to, "dropTarget": true };
    direct(context, "admin", command).await.map_err(|error| error.at(from))
}

/// Makes a capped collection of one that is there.
pub(super) async fn cap(context: &Context, db: &str, name: &str, size: RawBsonRef<'_>) -> Result<()> {
    let mut command = rawdoc! { "convertToCapped": name };
    command.append(bson::cstr!("size"), size);
    direct(context, db, command).await.map_err(|error| error.at(format_args!("{db}.{name}")))
}

/// Runs a command on a collection that may have gone: an earlier attempt has done it, or the archive has what came of it.
async fn direct(context: &Context, db: &str, command: RawDocumentBuf) -> Result<()> {
    let db = context.deployment.client().database(db);
    let command = ddl::with_concern(context, command);
    match context.deployment.repeated_patiently(|| ddl::run(&db, command.clone())).await {
        Ok(reply) => ddl::safe(&reply),
        Err(error) if code(&error) == Some(NAMESPACE_NOT_FOUND) => Ok(()),
        Err(error) => Err(refused(&error, None)),
    }
}

async fn send(context: &Context, operations: &[RawDocumentBuf], validates: bool) -> Result<Option<Absent>> {
    let mark = ObjectId::new().to_hex();
    let command = ddl::with_concern(context, command(operations, validates, &mark)?);
    let admin = context.deployment.client().database("admin");
    let mut attempts = 0;
    let sent = context.deployment.repeated_patiently(|| {
        attempts += 1;
        let (is_first, command, mark, admin) = (attempts == 1, &command, &mark, &admin);
        async move {
            if !is_first {
                until_gone(admin, mark).await?;
            }
            ddl::run(admin, command.clone()).await
        }
    });
    let error = match sent.await {
        Ok(reply) => {
            ddl::safe(&reply)?;
            return Ok(None);
        }
        Err(error) => error,
    };
    let results = error.server_response().and_then(|reply| reply.get_array("results").ok());
    let position = results
        .and_then(|results| results.into_iter().flatten().position(|result| result.as_bool() == Some(false)));
    let operation = position.and_then(|position| operations.get(position));
    match (code(&error), operation, position) {
        (Some(NAMESPACE_NOT_FOUND), Some(operation), Some(position)) if writes(operation) => {
            Ok(Some(Absent { position }))
        }
        (Some(UNKNOWN_ERROR), Some(operation), _) => Err(reason(context, operation, &error).await),
        _ => Err(refused(&error, operation)),
    }
}

/// Why an operation was refused: it is asked for alone, in the way in which the server says that.
async fn reason(context: &Context, operation: &RawDocumentBuf, error: &DriverError) -> Error {
    let admin = context.deployment.client().database("admin");
    // Without its time, which may not be said here.
    let fields = operation.iter().flatten().filter(|(name, _)| !["ts", "t"].contains(&name.as_str()));
    let command = rawdoc! { "applyOps": [fields.collect::<RawDocumentBuf>()] };
    match context.deployment.repeated_patiently(|| ddl::run(&admin, command.clone())).await {
        Err(reason) if code(&reason).is_some() => refused(&reason, Some(operation)),
        _ => refused(error, Some(operation)),
    }
}

fn command(operations: &[RawDocumentBuf], validates: bool, mark: &str) -> Result<RawDocumentBuf> {
    let size: usize =
        operations.iter().map(|operation| operation.as_bytes().len() + ROOM_PER_OPERATION).sum();
    let mut command = Command::new(&RawDocumentBuf::new(), size + ROOM);
    command.array(b"applyOps");
    for (position, operation) in operations.iter().enumerate() {
        command.embedded(position.to_string().as_bytes(), operation.as_bytes());
    }
    command.close()?;
    // One after the other: all at once, the server would write them as one entry of its oplog, which is limited, and, in
    // 4.4, put its own time in the place of empty timestamps.
    command.field(BOOLEAN, b"allowAtomic", &[0]);
    command.field(BOOLEAN, b"bypassDocumentValidation", &[(!validates).into()]);
    let mut comment = u32::try_from(mark.len() + 1).unwrap_or_default().to_le_bytes().to_vec();
    comment.extend_from_slice(mark.as_bytes());
    comment.push(0);
    command.field(STRING, b"comment", &comment);
    command.finish()
}

/// Waits until no command with this mark is at work: the connection that an answer was awaited on may be broken, and the
/// server has not noticed it.
async fn until_gone(admin: &Database, mark: &str) -> DriverResult<()> {
    let look = rawdoc! {
        "aggregate": 1,
        "pipeline": [
            { "$currentOp": { "allUsers": true } },
            { "$match": { "command.comment": mark } },
            { "$project": { "opid": 1 } },
        ],
        "cursor": {},
    };
    loop {
        let reply = match answer(admin.run_raw_command(look.clone()).await) {
            // Who may apply operations may nearly always see them, too.
            Err(error) if is_unauthorized(&error) => return Ok(()),
            answered => answered?,
        };
        let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        if batch.is_ok_and(bson::RawArray::is_empty) {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

fn writes(operation: &RawDocument) -> bool {
    matches!(operation.get_str("op"), Ok("i" | "u"))
}

fn namespace(operation: &RawDocumentBuf) -> &str {
    operation.get_str("ns").unwrap_or_default()
}

/// The server's words without the operation, which may hold a document.
fn refused(error: &DriverError, operation: Option<&RawDocumentBuf>) -> Error {
    let entry = operation.map(|operation| {
        let time = operation.get_timestamp("ts").map(|time| format!(" of {}:{}", time.time, time.increment));
        let time = time.unwrap_or_default();
        format!(
            "an entry{time} (`{}` on {})",
            operation.get_str("op").unwrap_or_default(),
            namespace(operation)
        )
    });
    let entry = entry.unwrap_or_else(|| "an entry".to_owned());
    let message = format!("the oplog is replayed only in part: {entry} was refused");
    match error.kind.as_ref() {
        DriverKind::Command(command) if !is_unauthorized(error) => {
            let said = format!(
                "{} (code {}, {})",
                without_values(&command.message),
                command.code,
                command.code_name
            );
            Error::new(ErrorKind::Server, message).with_source(said)
        }
        _ => driver_error(&message, error),
    }
}
