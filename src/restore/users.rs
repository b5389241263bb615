//! Users and roles: kept in memory while the archive is read, and merged by the server in one step when everything else is in
//! place. Only for that step they are in collections that others may read, and these are gone whatever ends it.

use std::sync::Arc;

use archive_format::{Documents, Namespace, ServerVersion};
use bson::{RawDocument, doc, rawdoc};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::insert::Inserter;
use super::rules::Rules;
use super::{Context, ddl};
use crate::codec::task_failed;
use crate::server_error::{NAMESPACE_NOT_FOUND, code, driver_error};
use crate::{Deployment, Error, ErrorKind, Result};

/// mongorestore's names for the collections, in `admin`, that hold users and roles until they are merged.
const TEMP_USERS: &str = "tempusers";
const TEMP_ROLES: &str = "temproles";

/// The schema of users and roles since MongoDB 3.0: SCRAM credentials.
const SCRAM_SCHEMA: i64 = 5;
/// Its forerunner with the same shape, which servers still take.
const MIXED_SCHEMA: i64 = 3;

/// Bytes of users and roles that are kept in memory: about fifty thousand users with SCRAM credentials of both kinds.
const MAX_SIZE: usize = 64 * 1024 * 1024;

/// The namespaces that are not collections like others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Special {
    /// `admin.system.users`
    Users,
    /// `admin.system.roles`
    Roles,
    /// `admin.system.version`: read for the schema, never written.
    Version,
}

impl Special {
    pub(super) fn of(namespace: &Namespace) -> Option<Self> {
        match (namespace.db(), namespace.collection()) {
            ("admin", "system.users") => Some(Self::Users),
            ("admin", "system.roles") => Some(Self::Roles),
            ("admin", "system.version") => Some(Self::Version),
            _ => None,
        }
    }
}

/// Whether this is what a restore, by this program or mongorestore, leaves behind when it is killed.
pub(super) fn is_temporary(namespace: &Namespace) -> bool {
    namespace.db() == "admin" && matches!(namespace.collection(), TEMP_USERS | TEMP_ROLES)
}

/// What the archive says of users and roles.
#[derive(Debug)]
pub(super) struct Gathered {
    /// From 8.1 on the schema document may be missing and is the newest one.
    schema: i64,
    users: Credentials,
    roles: Credentials,
    /// Documents of `admin.system.version`.
    pub(super) versions: u64,
    size: usize,
}

/// The documents of one of the two collections.
#[derive(Debug, Default)]
struct Credentials {
    /// Whether the archive has the collection, if only an empty one.
    present: bool,
    documents: u64,
    chunks: Vec<Bytes>,
}

impl Gathered {
    /// Of an archive that holds these special namespaces, made from a server of this version.
    pub(super) fn new(special: &[Special], server_version: &str) -> Self {
        let newest = ServerVersion { major: 8, minor: 1, patch: 0 };
        let assumed = server_version.parse::<ServerVersion>().is_ok_and(|version| version >= newest);
        let of =
            |wanted: Special| Credentials { present: special.contains(&wanted), ..Credentials::default() };
        Self {
            schema: if assumed { SCRAM_SCHEMA } else { 1 },
            users: of(Special::Users),
            roles: of(Special::Roles),
            versions: 0,
            size: 0,
        }
    }

    pub(super) fn users(&self) -> u64 {
        self.users.documents
    }

    pub(super) fn roles(&self) -> u64 {
        self.roles.documents
    }

    /// Takes documents of one special namespace.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] for users of a schema that servers do not take, or too many.
    pub(super) fn take(&mut self, special: Special, documents: &Documents) -> Result<()> {
        let credentials = match special {
            Special::Version => {
                self.versions += documents.count();
                documents.iter().for_each(|document| self.read_schema(document));
                return if self.users.present || self.roles.present { self.check_schema() } else { Ok(()) };
            }
            Special::Users => &mut self.users,
            Special::Roles => &mut self.roles,
        };
        self.size += documents.bytes().len();
        if self.size > MAX_SIZE {
            let message = format!(
                "the archive holds more than {} MiB of users and roles, which are kept in memory: restore the databases one \
                 by one with --db, and make the users anew",
                MAX_SIZE / (1024 * 1024)
            );
            return Err(Error::new(ErrorKind::Archive, message).at(documents.namespace()));
        }
        credentials.documents += documents.count();
        // A copy: the chunk of the archive would be kept whole.
        credentials.chunks.push(Bytes::copy_from_slice(documents.bytes()));
        Ok(())
    }

    fn read_schema(&mut self, document: &[u8]) {
        let Ok(document) = RawDocument::from_bytes(document) else { return };
        if document.get_str("_id").is_ok_and(|id| id == "authSchema")
            && let Ok(Some(version)) = document.get("currentVersion")
        {
            let whole = version.as_i64().or_else(|| version.as_i32().map(i64::from));
            // Shells write doubles.
            let double = || version.as_f64().and_then(|version| format!("{version:.0}").parse().ok());
            self.schema = whole.or_else(double).unwrap_or(1);
        }
    }

    fn check_schema(&self) -> Result<()> {
        if matches!(self.schema, SCRAM_SCHEMA | MIXED_SCHEMA) {
            return Ok(());
        }
        let message = format!(
            "its users and roles have schema {}, which this server does not take; only 3 and 5 can be restored",
            self.schema
        );
        Err(Error::new(ErrorKind::Archive, message).at("admin.system.version"))
    }
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
    if !gathered.users.present && !gathered.roles.present {
        return Ok(());
    }
    gathered.check_schema()?;
    let (context, cancel) = (Arc::clone(context), cancel.clone());
    let task = tokio::spawn(async move {
        let merged = Box::pin(merge_and_check(&context, &gathered, &cancel)).await;
        let removed = remove_temporaries(&context.deployment).await;
        match (merged, removed) {
            (merged, Ok(())) => merged,
            (Ok(()), Err(error)) => Err(error),
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
    cancel: &CancellationToken,
) -> Result<()> {
    let cancelled = || {
        Error::new(
            ErrorKind::Cancelled,
            "cancelled: everything is restored but users and roles; restore again with --drop",
        )
    };
    // What an earlier restore left behind.
    drop_temporaries(&context.deployment).await?;
    let mut command = rawdoc! { "_mergeAuthzCollections": 1 };
    for (credentials, name, field, logical) in [
        (&gathered.users, TEMP_USERS, bson::cstr!("tempUsersCollection"), "system.users"),
        (&gathered.roles, TEMP_ROLES, bson::cstr!("tempRolesCollection"), "system.roles"),
    ] {
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        if credentials.present {
            let logical = Namespace::new("admin", logical).map_err(Error::archive)?;
            credentials.write(context, name, &logical).await.map_err(|error| error.at(&logical))?;
            command.append(field, format!("admin.{name}"));
        }
    }
    command.append(bson::cstr!("drop"), context.options.drop);
    command.append(bson::cstr!("db"), "");
    if cancel.is_cancelled() {
        return Err(cancelled());
    }
    ddl::merge_authorization(context, command).await.map_err(|error| error.at("admin.system.users"))
}

impl Credentials {
    /// Writes the documents into a temporary collection.
    async fn write(&self, context: &Arc<Context>, name: &str, logical: &Namespace) -> Result<()> {
        context.monitor.started(logical, Some(self.documents));
        let namespace = Namespace::new("admin", name).map_err(Error::archive)?;
        let rules = Rules { created: true, ..Rules::default() };
        let inserter = Inserter::new(context, namespace, logical.clone(), rules);
        let session = context.sessions.take().await?;
        let mut batch = Batch::default();
        for chunk in &self.chunks {
            let mut begin = 0;
            while let Some(length) = length_at(chunk, begin) {
                if !batch.has_room(length) {
                    inserter.insert(std::mem::take(&mut batch), &session).await?;
                }
                batch.push(chunk, begin..begin + length, None);
                begin += length;
            }
        }
        if !batch.is_empty() {
            inserter.insert(batch, &session).await?;
        }
        context.monitor.finished(logical, self.documents);
        Ok(())
    }
}

fn length_at(chunk: &Bytes, begin: usize) -> Option<usize> {
    let prefix = chunk.get(begin..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*prefix)).ok()
}

/// Drops the temporary collections: by a new connection where the restored users replaced the account of this one, which is
/// possible where the archive's account has the same password.
async fn remove_temporaries(deployment: &Deployment) -> Result<()> {
    let error = match drop_temporaries(deployment).await {
        Err(error) if error.kind() == ErrorKind::Authentication => error,
        settled => return settled,
    };
    let again = async { drop_temporaries(&deployment.reconnect().await?).await };
    again.await.map_err(|_| {
        Error::new(
            ErrorKind::Authentication,
            "the restored users replaced the account of this connection; log in with a restored one and drop \
             admin.tempusers and admin.temproles, which hold credentials",
        )
        .with_source(error)
    })
}

async fn drop_temporaries(deployment: &Deployment) -> Result<()> {
    for name in [TEMP_USERS, TEMP_ROLES] {
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
