//! `mongoark dump`.

use std::pin::pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::or_cancelled;
use crate::cli::args::Dump;
use crate::cli::face::Face;
use crate::dump::{self, DumpReport, SnapshotMode};
use crate::proof::Proof;
use crate::scope::SCOPE_LABEL;
use crate::storage::{Sink, Storage};
use crate::{Deployment, Error, ErrorKind, Result, Scope};

/// How long a cancelled dump waits for the file that is being created, so that it can be removed: far more than a disk
/// needs, and not for ever, because the other end of a named pipe may never be opened.
const CREATION_TIMEOUT: Duration = Duration::from_secs(5);

pub(in crate::cli) async fn run(args: Dump, face: &Face, cancel: &CancellationToken) -> Result<()> {
    let (terminal, monitor) = (face.terminal(), face.monitor());
    let by_option = args.names_database();
    let allows_missing = args.allows_missing() || !face.manner().is_own();
    let mut create = args.create_options();
    let s3 = args.s3_options()?;
    let (uri, options, location) = args.check(face.manner())?;
    let label =
        if options.selection.is_partial() { options.scope.label_in_part() } else { options.scope.label() };
    create.labels.push((SCOPE_LABEL.to_owned(), label));
    terminal.locate(&location);
    uri.warnings().iter().for_each(|warning| terminal.warn(warning));
    if options.scope != Scope::Everything && !by_option && face.manner().is_own() {
        terminal.warn(&format!("dumping {} only: the connection string names the database", options.scope));
    }
    let work = async {
        let storage = Storage::for_location(&location).await?.with_options(s3);
        Ok((storage, Deployment::connect(&uri).await?))
    };
    let (storage, deployment) = or_cancelled(work, cancel).await?;
    let sink = created(storage.create(&location, &create), cancel).await?;
    let dumped = dump::dump(&deployment, &options, sink, monitor, cancel).await;
    deployment.close().await;
    match dumped {
        Ok(report) => {
            Proof::of_dump(&storage, &location, &report).await?;
            let DumpReport { collections, documents, bytes, snapshot, oplog, namespaces, .. } = report;
            if collections == 0 {
                terminal.warn("there is no collection to dump: the archive is empty");
            }
            // By the archive, not by what was heard: a dump may have begun twice.
            let special = namespaces.iter().filter(|end| end.namespace.is_special());
            let accounts: u64 = special.map(|end| end.documents).sum();
            if accounts > 0 {
                terminal.tell(&format!(
                    "{accounts} of the documents are users, roles and the version of their schema, which a restore does \
                     not count"
                ));
            }
            if let Some(oplog) = oplog {
                let noun = if oplog.entries == 1 { "entry" } else { "entries" };
                terminal.say(&format!("\tdumped {} oplog {noun}", oplog.entries));
            }
            if (options.snapshot != SnapshotMode::Off || options.oplog) && collections > 0 {
                terminal.tell(&snapshot.to_string());
            }
            terminal.tell(&format!(
                "dumped {documents} document(s) of {collections} collection(s), {bytes} bytes, to {location}"
            ));
            Ok(())
        }
        // mongodump's answer to a collection that is not there.
        Err(error) if error.kind() == ErrorKind::NoSuchCollection && allows_missing => {
            terminal.warn(&error.report());
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The place for the archive. One that comes into being while the dump is cancelled is taken away again: given up, it
/// could be left behind when the program ends.
async fn created(creation: impl Future<Output = Result<Sink>>, cancel: &CancellationToken) -> Result<Sink> {
    let mut creation = pin!(creation);
    tokio::select! {
        sink = &mut creation => return sink,
        () = cancel.cancelled() => {}
    }
    if let Ok(Ok(sink)) = tokio::time::timeout(CREATION_TIMEOUT, creation).await {
        sink.abort().await?;
    }
    Err(Error::cancelled())
}
