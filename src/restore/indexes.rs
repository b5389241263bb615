//! Indexes, after all documents: a build that takes hours stops no other collection.

use std::sync::Arc;

use archive_format::Namespace;
use bson::RawDocumentBuf;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::collection::Filled;
use super::counts::Counts;
use super::{Context, ddl};
use crate::codec::task_failed;
use crate::server_error::{answer, code, driver_error};
use crate::{Error, ErrorKind, Result};

/// `createIndexes` commands in flight at once: mongorestore's default of four collections.
const BUILDS_IN_FLIGHT: usize = 4;

/// Builds all indexes of each collection in a single command, as mongorestore does: all of them or none. What cannot be built
/// is returned when the others have been.
pub(super) async fn build(context: &Arc<Context>, filled: &mut [Filled]) -> Result<Vec<Error>> {
    let builds = Arc::new(Semaphore::new(BUILDS_IN_FLIGHT));
    let mut running = JoinSet::new();
    let mut failed = Vec::new();
    for collection in filled {
        let Some(command) = collection.create_indexes.take() else { continue };
        let build = Arc::clone(&builds).acquire_owned().await.map_err(|_| Error::hung_up())?;
        let context = Arc::clone(context);
        let (namespace, place, counts) =
            (collection.namespace.clone(), collection.place.clone(), collection.counts);
        running.spawn(async move {
            let _build = build;
            let outcome = build_one(&context, &place, counts, command).await;
            outcome.map_err(|error| error.at(namespace))
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

async fn build_one(
    context: &Context,
    place: &Namespace,
    counts: Counts,
    command: RawDocumentBuf,
) -> Result<()> {
    match ddl::create_indexes(context, place, command).await {
        Ok(safe) => safe,
        // The server's answer belongs into the sentence: there is no other cause.
        Err(error) if code(&error).is_some() => {
            let message = format!("{counts}, its indexes are not: {}", answer(&error));
            Err(Error::new(ErrorKind::Server, message))
        }
        Err(error) => Err(driver_error(&format!("{counts}, its indexes are not"), &error)),
    }
}
