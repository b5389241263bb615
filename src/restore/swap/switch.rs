//! The switch: every name at once where the server can, else one after the other.

use std::collections::BTreeSet;

use archive_format::Kind;
use bson::{RawArrayBuf, RawDocumentBuf, cstr, rawdoc};
use mongodb::error::Result as DriverResult;

use super::run::Run;
use super::step::{Step, drop_by_uuid};
use crate::restore::Context;
use crate::restore::ddl::{run as send, safe, with_concern};
use crate::restore::existing::Existing;
use crate::server_error::{NAMESPACE_NOT_FOUND, answer, code, driver_error, is_transient};
use crate::{Error, ErrorKind, Result};

/// Bytes of one `applyOps`: the server's limit for a document is 16 MiB.
const MAX_SIZE: usize = 15 * 1024 * 1024;

/// How an attempt to do everything at once has ended.
enum AtOnce {
    Done,
    /// It cannot be done; the reason, for who watches.
    Refused(String),
    /// What was to take a name has gone.
    Lost(Error),
    /// It is done, but not as safe as was asked.
    Unsafe(Error),
}

/// Does all steps that are still to be done, and removes the hidden collections and records of the run. It goes on where
/// another attempt, or another process, has stopped.
///
/// `applyOps` holds the server's global lock from its first entry to its last: nobody reads a state between, and a client
/// that dies does not stop it. It needs an account that may do anything (`anyAction` on `anyResource`), or none.
pub(super) async fn switch(context: &Context, run: &Run, steps: &[Step]) -> Result<()> {
    match at_once(context, run, steps).await? {
        AtOnce::Done => {}
        AtOnce::Lost(error) | AtOnce::Unsafe(error) => return Err(error),
        AtOnce::Refused(reason) => {
            context.monitor.note(&format!(
                "the names are switched one after the other, as the server does not switch them at once: {reason}"
            ));
            for step in steps {
                one(context, step).await?;
            }
        }
    }
    remove(context, run).await
}

async fn at_once(context: &Context, run: &Run, steps: &[Step]) -> Result<AtOnce> {
    let deployment = &context.deployment;
    let admin = deployment.client().database("admin");
    let mut sent = false;
    let attempt = || {
        let again = sent;
        sent = true;
        let admin = &admin;
        async move {
            let existing = Existing::look_everywhere(deployment, &run.databases).await?;
            let mut pending = Vec::new();
            for step in steps {
                match step.is_pending(&existing) {
                    Ok(true) => pending.push(step),
                    Ok(false) => {}
                    Err(error) => return Ok(AtOnce::Lost(error)),
                }
            }
            if pending.is_empty() && again {
                return Ok(AtOnce::Done);
            }
            let command = apply_ops(run, &pending, &existing);
            if command.as_bytes().len() > MAX_SIZE {
                return Ok(AtOnce::Refused("there are too many for one command".to_owned()));
            }
            let reply = match send(admin, with_concern(context, command)).await {
                Ok(reply) => reply,
                Err(error) if !is_transient(&error) && code(&error).is_some() => {
                    return Ok(AtOnce::Refused(answer(&error)));
                }
                Err(error) => return Err(error),
            };
            // An entry that cannot be applied is passed over in silence.
            let existing = Existing::look_everywhere(deployment, &run.databases).await?;
            let left = pending.iter().filter(|step| step.is_certain());
            if left.into_iter().any(|step| !matches!(step.is_pending(&existing), Ok(false))) {
                return Ok(AtOnce::Refused("it has passed some of them over".to_owned()));
            }
            Ok(safe(&reply).map_or_else(AtOnce::Unsafe, |()| AtOnce::Done))
        }
    };
    deployment.repeated_patiently(attempt).await.map_err(|error| failed(&error))
}

/// All pending steps and the end of the run's hidden collections as one command. The records go last.
fn apply_ops(run: &Run, pending: &[&Step], existing: &Existing) -> RawDocumentBuf {
    let mut operations = RawArrayBuf::new();
    for step in pending {
        step.push_operations(existing, &mut operations);
    }
    // Views that were made to see whether the server takes them, and what the steps have not named.
    let named: BTreeSet<_> = pending.iter().flat_map(|step| step.names()).collect();
    let mut hidden = Vec::new();
    for db in existing.databases() {
        for (name, listed) in existing.of(db).filter(|(name, _)| run.hides(name) && !named.contains(*name)) {
            match listed.uuid {
                Some(uuid) => hidden.push(drop_by_uuid(db, name, uuid)),
                None => hidden.push(rawdoc! {
                    "op": "d", "ns": format!("{db}.system.views"), "o": { "_id": format!("{db}.{name}") },
                }),
            }
        }
    }
    let record = run.record();
    let records = existing
        .databases()
        .filter_map(|db| Some(drop_by_uuid(db, &record, existing.get(db, &record)?.uuid?)));
    hidden.into_iter().chain(records).for_each(|operation| operations.push(operation));
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("applyOps"), operations);
    command
}

/// Does one step by commands of its own.
async fn one(context: &Context, step: &Step) -> Result<()> {
    let deployment = &context.deployment;
    let attempt = || async {
        let names = step.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let existing = Existing::look(deployment, step.db(), &names).await?;
        match step.is_pending(&existing) {
            Ok(false) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
            Ok(true) => {}
        }
        for (db, command) in step.commands(&existing) {
            let db = deployment.client().database(&db);
            if let Err(error) = safe(&send(&db, with_concern(context, command)).await?) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    };
    let done: DriverResult<Result<()>> = deployment.repeated_patiently(attempt).await;
    done.map_err(|error| failed(&error))?
}

fn failed(error: &mongodb::error::Error) -> Error {
    let message = "the switch was decided and is not complete: the next restore, of whatever archive into these \
                   databases, completes it before it begins";
    driver_error(message, error)
}

/// Removes what is still there of a run: hidden collections first, the record that tells of them last.
pub(super) async fn remove(context: &Context, run: &Run) -> Result<()> {
    let dbs = run.databases.iter().map(String::as_str);
    let existing = Existing::list(&context.deployment, dbs).await?;
    for db in &run.databases {
        // Views first: nothing is lost with them, and no collection goes under one.
        let mut hidden: Vec<_> = existing.of(db).filter(|(name, _)| run.hides(name)).collect();
        hidden.sort_by_key(|(_, listed)| listed.kind != Kind::View);
        for (name, _) in hidden {
            drop_hidden(context, db, name).await?;
        }
    }
    let record = run.record();
    for db in run.databases.iter().rev().filter(|db| existing.get(db, &record).is_some()) {
        drop_hidden(context, db, &record).await?;
    }
    Ok(())
}

/// Drops one of a run's own collections.
pub(super) async fn drop_hidden(context: &Context, db: &str, name: &str) -> Result<()> {
    let database = context.deployment.client().database(db);
    let command = with_concern(context, rawdoc! { "drop": name });
    match context.deployment.repeated_patiently(|| send(&database, command.clone())).await {
        Ok(reply) => safe(&reply),
        Err(error) if code(&error) == Some(NAMESPACE_NOT_FOUND) => Ok(()),
        Err(error) => Err(Error::new(
            ErrorKind::Server,
            format!(
                "cannot drop a hidden collection of a restore, which the next one removes: {}",
                answer(&error)
            ),
        )
        .at(format_args!("{db}.{name}"))),
    }
}
