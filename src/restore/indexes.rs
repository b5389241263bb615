//! Indexes, after all documents: a build that takes hours stops no other collection.

use std::sync::Arc;

use archive_format::Namespace;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::collection::Filled;
use super::counts::Counts;
use super::{Context, ddl};
use crate::codec::task_failed;
use crate::server_error::{answer, code, driver_error};
use crate::{Error, ErrorKind, Result};

/// Builds the indexes of every collection. What cannot be built is returned when the others have been.
pub(super) async fn build(context: &Arc<Context>, filled: &mut [Filled]) -> Result<Vec<Error>> {
    let builds = Arc::new(Semaphore::new(context.options.writes.collections_in_flight()));
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

/// Builds the indexes of one collection in one command, which reads the documents once. The server builds all of them then or
/// none: where it refuses, each is tried on its own, so that those stay away only that cannot be there.
async fn build_one(
    context: &Context,
    place: &Namespace,
    counts: Counts,
    command: RawDocumentBuf,
) -> Result<()> {
    let (names, single) = single(&command);
    let refusal = match ddl::create_indexes(context, place, command).await {
        Ok(safe) => return safe,
        Err(error) if code(&error).is_some() => error,
        Err(error) => return Err(driver_error(&format!("{counts}, its indexes are not"), &error)),
    };
    // The server's answers belong into the sentence: there is no other cause.
    let mut missing = Vec::new();
    if single.len() < 2 {
        missing.extend(names.iter().map(|name| format!("{name}: {}", answer(&refusal))));
    } else {
        for (name, command) in names.iter().zip(single) {
            match ddl::create_indexes(context, place, command).await {
                Ok(safe) => safe?,
                Err(error) => missing.push(format!("{name}: {}", answer(&error))),
            }
        }
    }
    let what = match (missing.len(), names.len()) {
        (0, _) => return Ok(()),
        (some, all) if some < all => format!("{some} of its {all} indexes are not"),
        _ => "its indexes are not".to_owned(),
    };
    Err(Error::new(ErrorKind::Server, format!("{counts}, {what}: {}", missing.join("; "))))
}

/// The names of the indexes that a command builds, and a command for each of them.
fn single(command: &RawDocumentBuf) -> (Vec<String>, Vec<RawDocumentBuf>) {
    let indexes = command.get_array("indexes").into_iter().flatten().flatten();
    let indexes: Vec<&RawDocument> = indexes.filter_map(RawBsonRef::as_document).collect();
    let one = |index: &RawDocument| {
        let only = RawArrayBuf::from_iter([index.to_owned()]);
        let fields = command.iter().flatten().map(|(name, value)| {
            (name, if name.as_str() == "indexes" { RawBsonRef::Array(&only) } else { value })
        });
        fields.collect()
    };
    let name = |index: &RawDocument| index.get_str("name").unwrap_or_default().to_owned();
    (indexes.iter().map(|index| name(index)).collect(), indexes.iter().map(|index| one(index)).collect())
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn every_index_has_a_command_of_its_own() {
        let (a, b) =
            (rawdoc! { "key": { "a": 1 }, "name": "a_1" }, rawdoc! { "key": { "b": 1 }, "name": "b" });
        let all = rawdoc! { "createIndexes": "c", "indexes": [a.clone(), b.clone()], "ignoreUnknownIndexOptions": true };
        let (names, commands) = single(&all);
        assert_eq!(names, ["a_1", "b"]);
        let one =
            |index| rawdoc! { "createIndexes": "c", "indexes": [index], "ignoreUnknownIndexOptions": true };
        assert_eq!(commands, [one(a), one(b)]);
    }
}
