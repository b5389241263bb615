//! `mongoark restore`.

use tokio_util::sync::CancellationToken;

use super::or_cancelled;
use crate::archive::Archive;
use crate::cli::args::Restore;
use crate::cli::face::Face;
use crate::restore::{self, RestoreReport};
use crate::storage::{Location, Storage};
use crate::{Deployment, Result, Scope};

pub(in crate::cli) async fn run(args: Restore, face: &Face, cancel: &CancellationToken) -> Result<()> {
    let (terminal, monitor) = (face.terminal(), face.monitor());
    let (uri, options, location) = args.check()?;
    uri.warnings().iter().for_each(|warning| terminal.warn(warning));
    if options.scope != Scope::Everything {
        terminal.warn(&format!("restoring {} only: the connection string names the database", options.scope));
    }
    let work = async {
        let storage = Storage::for_location(&location).await?;
        look_at(&storage, &location).await?;
        let source = storage.open(&location).await?;
        let deployment = Deployment::connect(&uri).await?;
        Ok((deployment, source))
    };
    let (deployment, source) = or_cancelled(work, cancel).await?;
    let restored = restore::restore(&deployment, &options, source, monitor, cancel).await;
    deployment.close().await;
    let RestoreReport { documents, failures, .. } = restored?;
    let accounts = terminal.accounts();
    if accounts > 0 {
        terminal.say(&format!(
            "{accounts} document(s) of users, roles and the version of their schema were merged besides"
        ));
    }
    let outcome =
        format!("{documents} document(s) restored successfully. {failures} document(s) failed to restore.");
    if failures > 0 {
        terminal.warn(&outcome);
    } else {
        terminal.say(&outcome);
    }
    Ok(())
}

/// Whether it is an archive at all, before a server is asked. What can be read only once, a stream or pipe, is not looked at.
async fn look_at(storage: &Storage, location: &Location) -> Result<()> {
    if storage.stat(location).await?.is_some() {
        Archive::open(storage.open(location).await?).prelude().await?;
    }
    Ok(())
}
