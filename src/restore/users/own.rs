//! The account that a restore has logged in with, where the archive does not have it: a merge with `drop` would remove it, and
//! then nobody could drop the temporary collections. It stays for so long, and goes as the last of all.

use bson::{RawDocumentBuf, doc};
use futures::TryStreamExt;

use super::gathered::Gathered;
use crate::server_error::{answer, code};
use crate::{Deployment, Error, ErrorKind, Result};

/// The answer where a user has gone already.
const USER_NOT_FOUND: i32 = 11;

/// An account that is to go when everything is done.
#[derive(Debug)]
pub(super) struct Own {
    db: String,
    name: String,
    /// As the server has it.
    pub(super) document: RawDocumentBuf,
}

impl Own {
    /// The account of this connection, if the merge would remove it; `None`, too, where the server does not show it.
    pub(super) async fn find(deployment: &Deployment, gathered: &Gathered) -> Option<Self> {
        if !gathered.users.present {
            return None;
        }
        let status = deployment.command("admin", doc! { "connectionStatus": 1 }, None).await.ok()?;
        let users = status.get_document("authInfo").ok()?.get_array("authenticatedUsers").ok()?;
        let [user] = users.as_slice() else { return None };
        let user = user.as_document()?;
        let (db, name) = (user.get_str("db").ok()?.to_owned(), user.get_str("user").ok()?.to_owned());
        let id = format!("{db}.{name}");
        let is_removed = gathered.database.as_ref().is_none_or(|database| *database == db);
        if !is_removed || gathered.users.ids().contains(id.as_str()) {
            return None;
        }
        let command = doc! { "find": "system.users", "filter": { "_id": id }, "limit": 1 };
        let asked = deployment.repeated(|| async {
            let cursor = deployment.client().database("admin").run_cursor_command(command.clone()).await?;
            cursor.with_type::<RawDocumentBuf>().try_collect::<Vec<_>>().await
        });
        let document = asked.await.ok()?.pop()?;
        Some(Self { db, name, document })
    }

    /// Removes the account. It is the last command that the account may send.
    ///
    /// # Errors
    /// Where the account stays.
    pub(super) async fn remove(&self, deployment: &Deployment) -> Result<()> {
        let command = doc! { "dropUser": &self.name, "writeConcern": { "w": "majority" } };
        match deployment.command(&self.db, command, None).await {
            Ok(_) => Ok(()),
            // Removed by an attempt whose answer was lost.
            Err(error) if code(&error) == Some(USER_NOT_FOUND) => Ok(()),
            Err(error) => {
                let message = "everything is restored, but the account of this connection, which the archive does not have, is \
                               still there: drop it";
                Err(Error::new(ErrorKind::Server, message)
                    .at(format_args!("{}.{}", self.db, self.name))
                    .with_source(answer(&error)))
            }
        }
    }
}
