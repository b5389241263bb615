//! Indexes, after all documents: a build that takes hours stops no other collection.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::collection::Filled;
use super::{Context, ddl};
use crate::codec::task_failed;
use crate::server_error::{answer, code, driver_error};
use crate::{Error, ErrorKind, Result};

/// `createIndexes` commands in flight at once: mongorestore's default of four collections.
const BUILDS_IN_FLIGHT: usize = 4;

/// Builds all indexes of each collection in a single command, as mongorestore does: all of them or none. What cannot be built
/// is returned when the others have been.
pub(super) async fn build(context: &Arc<Context>, filled: &[Filled]) -> Result<Vec<Error>> {
    let builds = Arc::new(Semaphore::new(BUILDS_IN_FLIGHT));
    let mut running = JoinSet::new();
    let mut failed = Vec::new();
    for collection in filled.iter().filter(|collection| collection.create_indexes.is_some()) {
        let build = Arc::clone(&builds).acquire_owned().await.map_err(|_| Error::hung_up())?;
        let (context, collection) = (Arc::clone(context), collection.clone());
        running.spawn(async move {
            let _build = build;
            build_one(&context, collection).await
        });
        while let Some(done) = running.try_join_next() {
            failed.extend(done.map_err(task_failed)?.err());
        }
    }
    while let Some(done) = running.join_next().await {
        failed.extend(done.map_err(task_failed)?.err());
    }
    Ok(failed)
}

async fn build_one(context: &Context, collection: Filled) -> Result<()> {
    let Filled { namespace, place, counts, create_indexes: Some(command), .. } = collection else {
        return Ok(());
    };
    let failed = |error: Error| error.at(&namespace);
    match ddl::create_indexes(context, &place, command).await {
        Ok(safe) => safe.map_err(failed),
        // The server's answer belongs into the sentence: there is no other cause.
        Err(error) if code(&error).is_some() => {
            let message = format!("{counts}, its indexes are not: {}", answer(&error));
            Err(failed(Error::new(ErrorKind::Server, message)))
        }
        Err(error) => Err(failed(driver_error(&format!("{counts}, its indexes are not"), &error))),
    }
}
