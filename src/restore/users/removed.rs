//! The accounts that a restore with `drop` takes from the server.

use bson::{Document, RawDocumentBuf, doc};
use futures::TryStreamExt;

use super::gathered::{Credentials, Gathered};
use super::special::Special;
use crate::server_error::{code, driver_error};
use crate::{Deployment, Result};

/// Users or roles that the server has and the archive has not, as `database.name`.
#[derive(Debug)]
pub(in crate::restore) struct Removed {
    pub(in crate::restore) special: Special,
    /// `None` where the server does not show this account its users and roles.
    pub(in crate::restore) names: Option<Vec<String>>,
}

/// What a merge with `drop` would remove now.
///
/// # Errors
/// Those of the connection.
pub(in crate::restore) async fn removed(
    deployment: &Deployment,
    gathered: &Gathered,
) -> Result<Vec<Removed>> {
    let mut all = Vec::new();
    for (special, credentials) in [(Special::Users, &gathered.users), (Special::Roles, &gathered.roles)] {
        if credentials.present {
            let names = of(deployment, special, credentials, gathered.database.as_deref()).await?;
            all.push(Removed { special, names });
        }
    }
    Ok(all)
}

async fn of(
    deployment: &Deployment,
    special: Special,
    credentials: &Credentials,
    database: Option<&str>,
) -> Result<Option<Vec<String>>> {
    let filter = database.map_or_else(Document::new, |db| doc! { "db": db });
    let collection = special.name().trim_start_matches("admin.");
    let command = doc! { "find": collection, "filter": filter, "projection": { "_id": 1 } };
    let asked = deployment.repeated(|| async {
        let cursor = deployment.client().database("admin").run_cursor_command(command.clone()).await?;
        cursor.with_type::<RawDocumentBuf>().try_collect::<Vec<_>>().await
    });
    let found = match asked.await {
        Ok(found) => found,
        Err(error) if code(&error).is_some() => return Ok(None),
        Err(error) => return Err(driver_error("cannot read the server's users and roles", &error)),
    };
    let kept = credentials.ids();
    let ids = found.iter().filter_map(|document| document.get_str("_id").ok());
    let mut names: Vec<String> = ids.filter(|id| !kept.contains(id)).map(ToOwned::to_owned).collect();
    names.sort_unstable();
    Ok(Some(names))
}
