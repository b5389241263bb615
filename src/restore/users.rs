//! Users and roles: kept in memory while the archive is read, and merged by the server in one step when everything else is in
//! place. Only for that step they are in collections that others may read, and these are gone whatever ends it.

use std::sync::Arc;

use archive_format::Namespace;
use bson::{doc, rawdoc};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::accounts::is_mongorestores;
use super::batch::Batch;
use super::existing::Existing;
use super::insert::Inserter;
use super::rules::Rules;
use super::{Context, RestoreOptions, ddl};
use crate::codec::task_failed;
use crate::progress::Monitor;
use crate::server_error::{NAMESPACE_NOT_FOUND, code, driver_error};
use crate::{Deployment, Error, ErrorKind, Result};

mod gathered;
mod own;
mod removed;
mod schema;
mod special;

use gathered::Credentials;
pub(super) use gathered::Gathered;
use own::Own;
pub(super) use removed::{Removed, removed};
pub(super) use special::Special;

/// How many of the accounts that go are named.
const NAMES_TOLD: usize = 20;

/// Whether this is what a restore, by this program or mongorestore, leaves behind when it is killed.
pub(super) fn is_temporary(namespace: &Namespace) -> bool {
    namespace.db() == "admin" && is_mongorestores(namespace.collection())
}

/// Whether what the archive holds of users and roles can be restored, as far as that is known before it is read on.
///
/// # Errors
/// [`ErrorKind::Archive`] for users of a schema that the server does not take, [`ErrorKind::AlreadyExists`] where a
/// temporary collection may be somebody's own.
pub(super) async fn prepare(
    deployment: &Deployment,
    options: &RestoreOptions,
    special: &[Special],
    server_version: &str,
    monitor: &dyn Monitor,
) -> Result<Gathered> {
    let database = options.scope.db().filter(|_| options.accounts.of_database);
    let are_some = special.iter().any(|one| *one != Special::Version);
    let server_schema = if are_some { schema::of_server(deployment).await? } else { schema::SCRAM };
    let gathered = Gathered::new(special, server_version, server_schema, database)?;
    if are_some && database.is_some() && !special.contains(&Special::Version) {
        monitor.warn(
            "no system.version came with the users and roles of the database: they are assumed to be of auth version 3, and              those of an older MongoDB may not restore properly",
        );
    }
    let foreign = options.accounts.foreign();
    if are_some && !foreign.is_empty() {
        let existing = deployment.repeated(|| Existing::look(deployment, "admin", &foreign)).await;
        let existing =
            existing.map_err(|error| driver_error("cannot list the collections of admin", &error))?;
        if let Some((name, _)) = existing.of("admin").next() {
            let message = "the temporary collection for users or roles exists already and may be somebody's own: drop it, or                            give another name";
            return Err(Error::new(ErrorKind::AlreadyExists, message).at(format_args!("admin.{name}")));
        }
    }
    Ok(gathered)
}

/// Hands the gathered users and roles to the server, which replaces all of its own with `drop` and adds otherwise.
///
/// # Errors
/// When the archive's users are of a schema the server does not take, it refuses them, or the temporary collections stay.
///
/// # Cancellation
/// `cancel` ends it after the command that is under way, and cleans up. When the future is dropped it goes on in a task of its
/// own, to the end.
pub(super) async fn merge(
    context: &Arc<Context>,
    gathered: Gathered,
    cancel: &CancellationToken,
) -> Result<()> {
    if gathered.are_none() {
        return Ok(());
    }
    if context.options.drop {
        tell_removed(&removed(&context.deployment, &gathered).await?, context.monitor.as_ref());
    }
    let (context, cancel) = (Arc::clone(context), cancel.clone());
    let task = tokio::spawn(async move {
        let own = if context.options.drop { Own::find(&context.deployment, &gathered).await } else { None };
        let merged = Box::pin(merge_and_check(&context, &gathered, own.as_ref(), &cancel)).await;
        let left = remove_temporaries(&context).await;
        match (merged, left) {
            (Ok(()), Ok(())) => match &own {
                Some(own) => own.remove(&context.deployment).await,
                None => Ok(()),
            },
            (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(error),
            (Err(error), Err(left)) => {
                context.monitor.warn(&left.report());
                Err(error)
            }
        }
    });
    task.await.map_err(task_failed)?
}

async fn merge_and_check(
    context: &Arc<Context>,
    gathered: &Gathered,
    own: Option<&Own>,
    cancel: &CancellationToken,
) -> Result<()> {
    let cancelled = || {
        Error::new(
            ErrorKind::Cancelled,
            "cancelled: everything is restored but users and roles; restore again with --drop",
        )
    };
    // What an earlier restore left behind.
    drop_temporaries(context, &context.deployment).await?;
    let [temp_users, temp_roles] = context.options.accounts.temporaries();
    let mut command = rawdoc! { "_mergeAuthzCollections": 1 };
    for (credentials, name, field, logical, own) in [
        (&gathered.users, temp_users, bson::cstr!("tempUsersCollection"), "system.users", own),
        (&gathered.roles, temp_roles, bson::cstr!("tempRolesCollection"), "system.roles", None),
    ] {
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        if credentials.present {
            let logical = Namespace::new("admin", logical).map_err(Error::archive)?;
            credentials.write(context, name, &logical, own).await.map_err(|error| error.at(&logical))?;
            command.append(field, format!("admin.{name}"));
        }
    }
    command.append(bson::cstr!("drop"), context.options.drop);
    command.append(bson::cstr!("db"), gathered.database.as_deref().unwrap_or_default());
    if cancel.is_cancelled() {
        return Err(cancelled());
    }
    ddl::merge_authorization(context, command).await.map_err(|error| error.at("admin.system.users"))
}

impl Credentials {
    /// Writes the documents into a temporary collection, and one account besides.
    async fn write(
        &self,
        context: &Arc<Context>,
        name: &str,
        logical: &Namespace,
        own: Option<&Own>,
    ) -> Result<()> {
        context.monitor.started(logical, Some(self.documents));
        let namespace = Namespace::new("admin", name).map_err(Error::archive)?;
        let rules = Rules { created: true, ..Rules::default() };
        let inserter = Inserter::new(context, namespace, logical.clone(), rules);
        let session = context.sessions.take().await?;
        let mut batch = Batch::default();
        for (chunk, range) in self.documents() {
            if !batch.has_room(range.len()) {
                inserter.insert(std::mem::take(&mut batch), &session).await?;
            }
            batch.push(chunk, range, None);
        }
        if !batch.is_empty() {
            inserter.insert(batch, &session).await?;
        }
        if let Some(own) = own {
            let (document, mut batch) = (Bytes::copy_from_slice(own.document.as_bytes()), Batch::default());
            batch.push(&document, 0..document.len(), None);
            inserter.insert(batch, &session).await?;
        }
        context.monitor.finished(logical, self.documents);
        Ok(())
    }
}

/// Drops the temporary collections: by a new connection where the restored users replaced the account of this one, which is
/// possible where the archive's account has the same password.
async fn remove_temporaries(context: &Context) -> Result<()> {
    let error = match drop_temporaries(context, &context.deployment).await {
        Err(error) if error.kind() == ErrorKind::Authentication => error,
        settled => return settled,
    };
    let again = async { drop_temporaries(context, &context.deployment.reconnect().await?).await };
    let [users, roles] = context.options.accounts.temporaries();
    again.await.map_err(|_| {
        Error::new(
            ErrorKind::Authentication,
            format!(
                "the restored users replaced the account of this connection; log in with a restored one and drop \
                 admin.{users} and admin.{roles}, which hold credentials"
            ),
        )
        .with_source(error)
    })
}

async fn drop_temporaries(context: &Context, deployment: &Deployment) -> Result<()> {
    for name in context.options.accounts.temporaries() {
        let command = doc! { "drop": name, "writeConcern": { "w": "majority" } };
        match deployment.command("admin", command, None).await {
            Ok(_) => {}
            Err(error) if code(&error) == Some(NAMESPACE_NOT_FOUND) => {}
            Err(error) => {
                let message = "cannot drop the temporary collection, which may hold credentials: drop it";
                return Err(driver_error(message, &error).at(format_args!("admin.{name}")));
            }
        }
    }
    Ok(())
}

/// Says which accounts go.
fn tell_removed(removed: &[Removed], monitor: &dyn Monitor) {
    for Removed { special, names } in removed {
        match names.as_deref() {
            None => monitor.note(&format!(
                "{}: which accounts go, as the archive does not have them, the server does not show",
                special.name()
            )),
            Some([]) => {}
            Some(names) => {
                let told: Vec<&str> = names.iter().take(NAMES_TOLD).map(String::as_str).collect();
                let more = names.len() - told.len();
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                monitor.warn(&format!(
                    "{}: {}{more} go, as the archive does not have them",
                    special.name(),
                    told.join(", ")
                ));
            }
        }
    }
}
