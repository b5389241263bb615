//! `mongoark restore`.

use std::io::Write;

use tokio_util::sync::CancellationToken;

use super::or_cancelled;
use crate::archive::Archive;
use crate::cli::args::{Reading, Restore};
use crate::cli::face::Face;
use crate::cli::manner::Manner;
use crate::cli::terminal::restored;
use crate::restore::{self, Action, RestoreOptions, RestoreReport};
use crate::scope::refuse_exact_part;
use crate::storage::{Location, Source, Storage};
use crate::verify::verify;
use crate::{Deployment, Error, ErrorKind, Result, Scope};

pub(in crate::cli) async fn run(args: Restore, face: &Face, cancel: &CancellationToken) -> Result<()> {
    let (terminal, monitor) = (face.terminal(), face.monitor());
    let (reading, saves_reading) = (args.reading(), args.saves_reading());
    let s3 = args.s3_options()?;
    let (names_database, deprecations) = (args.names_database(), args.deprecations());
    let (uri, mut options, location) = args.check(face.manner())?;
    terminal.locate(&location);
    uri.warnings().iter().for_each(|warning| terminal.warn(warning));
    for text in deprecations {
        terminal.say(text);
    }
    if options.scope != Scope::Everything && !names_database {
        terminal.warn(&format!("restoring {} only: the connection string names the database", options.scope));
    }
    if saves_reading {
        terminal.tell("--verifyFirst needs no reading of its own here: nothing is changed before all of the archive is read");
    }
    let work = async {
        let storage = Storage::for_location(&location).await?.with_options(s3);
        look_at(&storage, &location, &options).await?;
        Ok(storage)
    };
    let storage = or_cancelled(work, cancel).await?;
    let opening = Box::pin(open(&storage, &location, reading, &mut options, face, cancel));
    let (source, missing) = opening.await?;
    let deployment = or_cancelled(Deployment::connect(&uri), cancel).await?;
    if face.manner() == Manner::Mongorestore {
        terminal.say("preparing collections to restore from");
    }
    let done = Box::pin(restore::restore(&deployment, &options, source, monitor, cancel)).await;
    deployment.close().await;
    let report = done?;
    if options.dry_run {
        if face.manner().is_own() {
            print(&report.actions)?;
            terminal.say("a dry run: the archive is whole, and nothing was written");
        } else {
            terminal.say("dry run completed");
            terminal.say(&restored(0, 0));
        }
    } else {
        tell(&report, face);
    }
    missing.map_or(Ok(()), Err)
}

fn tell(report: &RestoreReport, face: &Face) {
    // Documents that the archive holds twice are no loss, but not restored either: the number is mongorestore's.
    let (documents, failures) = (report.documents, report.failures + report.repeated);
    let terminal = face.terminal();
    let accounts = terminal.accounts();
    if accounts > 0 {
        terminal.tell(&format!(
            "{accounts} document(s) of users, roles and the version of their schema were merged besides"
        ));
    }
    if !report.acknowledged {
        terminal.say("done");
        return;
    }
    let outcome = restored(documents, failures);
    if failures > 0 {
        terminal.warn(&outcome);
    } else {
        terminal.say(&outcome);
    }
}

/// One line for each action. Names come from the archive and the server.
fn print(actions: &[Action]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let printed =
        actions.iter().try_for_each(|action| writeln!(out, "{}", action.to_string().escape_debug()));
    printed.and_then(|()| out.flush()).map_err(|error| {
        Error::new(ErrorKind::Storage, "cannot print what would be done")
            .at("standard output")
            .with_source(error)
    })
}

/// Whether it is an archive at all, before a server is asked. What can be read only once, a stream or pipe, is not looked at.
async fn look_at(storage: &Storage, location: &Location, options: &RestoreOptions) -> Result<()> {
    let Some(stored) = storage.stat(location).await? else { return Ok(()) };
    if options.exact {
        refuse_exact_part(&stored.labels).map_err(|error| error.at(location))?;
    }
    Archive::open(storage.open(location).await?).prelude().await?;
    Ok(())
}

/// Opens the archive, read before as was asked; the error is of what cannot be restored from a damaged one.
async fn open(
    storage: &Storage,
    location: &Location,
    reading: Reading,
    options: &mut RestoreOptions,
    face: &Face,
    cancel: &CancellationToken,
) -> Result<(Source, Option<Error>)> {
    match reading {
        Reading::Once => Ok((or_cancelled(storage.open(location), cancel).await?, None)),
        Reading::Twice => {
            let proven = Box::pin(restore::prove_first(storage, location, face.monitor(), cancel)).await?;
            let source = or_cancelled(proven.open(), cancel).await?;
            options.expected = proven.expected;
            Ok((source, None))
        }
        Reading::Salvage => {
            let missing = Box::pin(look_for_whole(storage, location, options, face, cancel)).await?;
            Ok((or_cancelled(storage.open(location), cancel).await?, missing))
        }
    }
}

/// Reads a damaged archive to see what of it is whole, and restricts the restore to that.
async fn look_for_whole(
    storage: &Storage,
    location: &Location,
    options: &mut RestoreOptions,
    face: &Face,
    cancel: &CancellationToken,
) -> Result<Option<Error>> {
    if storage.stat(location).await?.is_none() {
        let message =
            "--salvage reads the archive twice, which a stream or pipe cannot be: put it into a file";
        return Err(Error::new(ErrorKind::InvalidInput, message).at(location));
    }
    let source = or_cancelled(storage.open(location), cancel).await?;
    let report = Box::pin(verify(source, face.monitor(), cancel)).await?;
    let Some(damage) = report.damage else { return Ok(None) };
    let lost = if report.lost.is_empty() {
        "nothing that the archive names is missing".to_owned()
    } else {
        format!("missing: {}", report.lost.join(", "))
    };
    if report.whole.is_empty() {
        let message = format!("no collection of the archive is whole, and nothing was restored; {lost}");
        return Err(Error::new(ErrorKind::Archive, message).at(location).with_source(damage));
    }
    let whole = report.whole.iter().map(|one| one.end.namespace.to_string());
    options.only = Some(whole.collect());
    let message = format!("the archive is damaged, and only what is whole of it was restored; {lost}");
    Ok(Some(Error::new(ErrorKind::Archive, message).at(location).with_source(damage)))
}
