//! The command line: arguments in, one verb called, one line out.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::dump::{self, DumpReport};
use crate::progress::Monitor;
use crate::restore::{self, RestoreReport};
use crate::scope::SCOPE_LABEL;
use crate::storage::{Location, Sink, Storage};
use crate::{Deployment, Error, ErrorKind, Result, Scope};

mod args;
mod signal;
mod terminal;

use args::{Args, Command, Dump, Rejected, Restore};
use signal::Signals;
use terminal::{Terminal, Verb};

/// How long a cancelled dump waits for the file that is being created, so that it can be removed: far more than a disk
/// needs, and not for ever, because the other end of a named pipe may never be opened.
const CREATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the program: exit code 0 when everything asked for was done, 1 on any error.
pub fn main() -> ExitCode {
    let args = match Args::read(std::env::args_os()) {
        Ok(args) => args,
        Err(Rejected::Answered(answer)) => {
            // Nobody is left to read it when standard output is closed.
            let _ = answer.print();
            return ExitCode::SUCCESS;
        }
        Err(Rejected::Refused { sentence, help }) => {
            terminal::reject(&sentence, help);
            return ExitCode::FAILURE;
        }
    };
    let verb = match &args.command {
        Command::Dump(_) => Verb::Dump,
        Command::Restore(_) => Verb::Restore,
    };
    let terminal = Arc::new(Terminal::new(args.quiet, verb));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal.failed(&Error::new(ErrorKind::Internal, "cannot start").with_source(error));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(args.command, verb, &terminal));
    // The outcome is settled. The driver's own tasks may panic when the runtime is taken from under them.
    std::panic::set_hook(Box::new(|_| {}));
    // A read of standard input cannot be interrupted; do not wait for it.
    runtime.shutdown_background();
    terminal.clear();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.failed(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, verb: Verb, terminal: &Arc<Terminal>) -> Result<()> {
    let mut signals = Signals::listen()
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot listen for signals").with_source(error))?;
    let cancel = CancellationToken::new();
    let monitor: Arc<dyn Monitor> = Arc::clone(terminal) as Arc<dyn Monitor>;
    let work = async {
        match command {
            Command::Dump(dump) => Box::pin(run_dump(dump, terminal, &monitor, &cancel)).await,
            Command::Restore(restore) => Box::pin(run_restore(restore, terminal, &monitor, &cancel)).await,
        }
    };
    tokio::select! {
        result = work => result,
        error = stopped(&mut signals, verb, &cancel, terminal) => Err(error),
        never = terminal.show_progress() => match never {},
    }
}

/// The first signal cancels, and the work ends in its own time; the second does not wait for it.
async fn stopped(
    signals: &mut Signals,
    verb: Verb,
    cancel: &CancellationToken,
    terminal: &Terminal,
) -> Error {
    signals.next().await;
    terminal.say("stopping: cleaning up; a second signal stops at once");
    cancel.cancel();
    signals.next().await;
    let left = match verb {
        Verb::Dump => {
            "what was stored so far may be left: remove the file .*.partial beside the archive, or the unfinished \
             upload, whose parts are billed"
        }
        Verb::Restore => {
            "what was restored so far stays: restore again with --drop; drop admin.tempusers and admin.temproles, which \
             may be left"
        }
    };
    Error::new(ErrorKind::Cancelled, format!("stopped by a second signal; {left}"))
}

async fn run_dump(
    args: Dump,
    terminal: &Terminal,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<()> {
    let by_option = args.names_database();
    let mut create = args.create_options();
    let (uri, options, location) = args.check()?;
    create.labels.push((SCOPE_LABEL.to_owned(), options.scope.label()));
    uri.warnings().iter().for_each(|warning| terminal.warn(warning));
    if options.scope != Scope::Everything && !by_option {
        terminal.warn(&format!("dumping {} only: the connection string names the database", options.scope));
    }
    let work = async { Ok((Storage::for_location(&location).await?, Deployment::connect(&uri).await?)) };
    let (storage, deployment) = or_cancelled(work, cancel).await?;
    let sink = created(storage.create(&location, &create), cancel).await?;
    let dumped = dump::dump(&deployment, &options, sink, monitor, cancel).await;
    deployment.close().await;
    match dumped {
        Ok(DumpReport { collections, documents, bytes, .. }) => {
            if collections == 0 {
                terminal.warn("there is no collection to dump: the archive is empty");
            }
            let accounts = terminal.accounts();
            if accounts > 0 {
                terminal.say(&format!(
                    "{accounts} of the documents are users, roles and the version of their schema, which a restore does \
                     not count"
                ));
            }
            terminal.say(&format!(
                "dumped {documents} document(s) of {collections} collection(s), {bytes} bytes, to {location}"
            ));
            Ok(())
        }
        // mongodump's answer to a collection that is not there, which scripts rely on.
        Err(error) if error.kind() == ErrorKind::NoSuchCollection => {
            terminal.warn(&error.report());
            Ok(())
        }
        Err(error) => Err(error),
    }
}

async fn run_restore(
    args: Restore,
    terminal: &Terminal,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<()> {
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

async fn or_cancelled<T>(work: impl Future<Output = Result<T>>, cancel: &CancellationToken) -> Result<T> {
    tokio::select! {
        result = work => result,
        () = cancel.cancelled() => Err(Error::cancelled()),
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
