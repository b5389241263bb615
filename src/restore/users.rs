//! Users and roles: gathered in temporary collections and merged by the server in one step, as mongorestore does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use archive_format::{Namespace, Prelude, ServerVersion};
use bson::{RawDocument, doc};
use mongodb::Client;
use tokio::sync::mpsc;

use super::collection::{Counts, Writers};
use super::{Context, Work};
use crate::server_error::driver_error;
use crate::{Error, ErrorKind, Result};

/// mongorestore's names for the collections, in `admin`, that hold users and roles until they are merged.
const TEMP_USERS: &str = "tempusers";
const TEMP_ROLES: &str = "temproles";

/// The schema of users and roles since MongoDB 3.0: SCRAM credentials.
const SCRAM_SCHEMA: i64 = 5;
/// Its forerunner with the same shape, which servers still take.
const MIXED_SCHEMA: i64 = 3;

/// The namespaces that are not collections like others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Special {
    /// `admin.system.users`
    Users,
    /// `admin.system.roles`
    Roles,
    /// `admin.system.version`: read for the schema, never written.
    Version,
    /// Users and roles of one database, and the oplog: nothing in this restore asked for them.
    Ignored,
}

impl Special {
    pub(super) fn of(namespace: &Namespace) -> Option<Self> {
        match (namespace.db(), namespace.collection()) {
            ("admin", "system.users") => Some(Self::Users),
            ("admin", "system.roles") => Some(Self::Roles),
            ("admin", "system.version") => Some(Self::Version),
            _ if namespace.is_oplog() || namespace.is_special() => Some(Self::Ignored),
            _ => None,
        }
    }
}

/// What the archive says of users and roles.
#[derive(Debug)]
pub(super) struct Authorization {
    /// From 8.1 on the schema document may be missing and is the newest one.
    schema: AtomicI64,
    users: AtomicBool,
    roles: AtomicBool,
}

impl Authorization {
    pub(super) fn new(prelude: &Prelude) -> Self {
        let newest = ServerVersion { major: 8, minor: 1, patch: 0 };
        let assumed = prelude.server_version.parse::<ServerVersion>().is_ok_and(|version| version >= newest);
        Self {
            schema: AtomicI64::new(if assumed { SCRAM_SCHEMA } else { 1 }),
            users: AtomicBool::new(false),
            roles: AtomicBool::new(false),
        }
    }

    /// Takes the documents of one special namespace until it ends.
    pub(super) async fn take(
        &self,
        context: &Arc<Context>,
        special: Special,
        mut work: mpsc::UnboundedReceiver<Work>,
    ) -> Result<Counts> {
        let temporary = match special {
            Special::Users => Some((TEMP_USERS, &self.users)),
            Special::Roles => Some((TEMP_ROLES, &self.roles)),
            Special::Version | Special::Ignored => None,
        };
        let mut writers = match temporary {
            Some((name, present)) => {
                drop_temporary(&context.client, name).await?;
                present.store(true, Ordering::Relaxed);
                let namespace = Namespace::new("admin", name).map_err(Error::archive)?;
                Some(Writers::new(context, namespace.clone(), namespace))
            }
            None => None,
        };
        while let Some(next) = work.recv().await {
            let Work::Documents(documents, permit) = next else { break };
            if special == Special::Version {
                documents.iter().for_each(|document| self.read_schema(document));
            }
            if let Some(writers) = &mut writers {
                writers.take(context, &documents, permit).await?;
                writers.flush(context).await?;
            }
        }
        if let Some(writers) = writers {
            writers.finish(context).await?;
        }
        Ok(Counts::default())
    }

    fn read_schema(&self, document: &[u8]) {
        let Ok(document) = RawDocument::from_bytes(document) else { return };
        if document.get_str("_id").is_ok_and(|id| id == "authSchema")
            && let Ok(Some(version)) = document.get("currentVersion")
        {
            let version = version.as_i64().or_else(|| version.as_i32().map(i64::from));
            self.schema
                .store(version.or_else(|| whole(version_f64(document))).unwrap_or(1), Ordering::Relaxed);
        }
    }

    /// Hands the gathered users and roles to the server, which replaces all of its own with `drop` and adds otherwise.
    ///
    /// # Errors
    /// When the archive's users are of a schema the server does not take, or it refuses them.
    pub(super) async fn merge(&self, context: &Context) -> Result<Credentials> {
        let (users, roles) = (self.users.load(Ordering::Relaxed), self.roles.load(Ordering::Relaxed));
        if !users && !roles {
            return Ok(Credentials::Valid);
        }
        let result = self.merge_present(context, users, roles).await;
        // The temporary collections hold credentials: they go, whatever came of the merge.
        match (result, drop_temporaries(&context.client).await) {
            (Ok(()), Ok(())) => Ok(Credentials::Valid),
            // The account of this connection was replaced by the archive's, and its connections are no longer logged in.
            (Ok(()), Err(error)) if error.kind() == ErrorKind::Authentication => Ok(Credentials::Replaced),
            (Ok(()), Err(error)) | (Err(error), _) => Err(error),
        }
    }

    async fn merge_present(&self, context: &Context, users: bool, roles: bool) -> Result<()> {
        let schema = self.schema.load(Ordering::Relaxed);
        if schema != SCRAM_SCHEMA && schema != MIXED_SCHEMA {
            return Err(Error::new(
                ErrorKind::Archive,
                format!("its users and roles have schema {schema}, which this server does not take; only 3 and 5 can be restored"),
            )
            .at("admin.system.version"));
        }
        let mut command = doc! { "_mergeAuthzCollections": 1 };
        if users {
            command.insert("tempUsersCollection", format!("admin.{TEMP_USERS}"));
        }
        if roles {
            command.insert("tempRolesCollection", format!("admin.{TEMP_ROLES}"));
        }
        command.insert("drop", context.options.drop);
        command.insert("db", "");
        command.insert("writeConcern", doc! { "w": "majority" });
        context.client.database("admin").run_command(command).await.map_err(|error| {
            driver_error("the server refused the users and roles of the archive", &error)
                .at("admin.system.users")
        })?;
        Ok(())
    }
}

/// Whether the connections of this restore are still logged in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Credentials {
    /// They are.
    #[default]
    Valid,
    /// The restored users replaced the account they were made with; [`drop_temporaries`] has to be called with a new
    /// client, whose user name and password are those of the archive.
    Replaced,
}

/// Drops the collections in `admin` in which users and roles are gathered until they are merged. They hold credentials.
///
/// # Errors
/// [`ErrorKind::Authentication`] when the client is no longer logged in.
///
/// # Cancellation
/// Safe: call it again.
pub(super) async fn drop_temporaries(client: &Client) -> Result<()> {
    for name in [TEMP_USERS, TEMP_ROLES] {
        drop_temporary(client, name).await?;
    }
    Ok(())
}

async fn drop_temporary(client: &Client, name: &str) -> Result<()> {
    client.database("admin").collection::<bson::Document>(name).drop().await.map_err(|error| {
        driver_error("cannot drop the temporary collection", &error).at(format_args!("admin.{name}"))
    })
}

fn version_f64(document: &RawDocument) -> Option<f64> {
    document.get_f64("currentVersion").ok()
}

/// The integer that a double stands for, if it does.
fn whole(number: Option<f64>) -> Option<i64> {
    [1_i64, 2, 3, 4, 5]
        .into_iter()
        .find(|candidate| number == Some(f64::from(i32::try_from(*candidate).unwrap_or(0))))
}
