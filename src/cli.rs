//! The command line: arguments in, one verb called, one line out.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::dump::{self, DumpReport};
use crate::progress::Monitor;
use crate::restore::{self, RestoreReport};
use crate::storage::{CreateOptions, Storage};
use crate::{Deployment, Error, ErrorKind, Result, Scope};

mod args;
mod terminal;

use args::{Args, Command, Dump, Restore};
use terminal::Terminal;

/// Runs the program: exit code 0 when everything asked for was done, 1 on any error, 2 on arguments that make no sense.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Nothing is left to do when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let terminal = Arc::new(Terminal::new(args.quiet));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal.failed(&Error::new(ErrorKind::Internal, "cannot start").with_source(error));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(args.command, &terminal));
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

async fn run(command: Command, terminal: &Arc<Terminal>) -> Result<()> {
    let cancel = CancellationToken::new();
    let monitor: Arc<dyn Monitor> = Arc::clone(terminal) as Arc<dyn Monitor>;
    let lines = terminal.lines();
    let work = async {
        match command {
            Command::Dump(dump) => Box::pin(run_dump(dump, terminal, &monitor, &cancel)).await,
            Command::Restore(restore) => Box::pin(run_restore(restore, terminal, &monitor, &cancel)).await,
        }
    };
    tokio::select! {
        result = work => result,
        error = stopped(&cancel, terminal) => Err(error),
        never = lines => match never {},
    }
}

/// The first SIGINT or SIGTERM cancels, and the work ends in its own time; the second does not wait for it.
async fn stopped(cancel: &CancellationToken, terminal: &Terminal) -> Error {
    for first in [true, false] {
        if let Err(error) = termination().await {
            return Error::new(ErrorKind::Internal, "cannot listen for signals").with_source(error);
        }
        if first {
            terminal.say("stopping: cleaning up; a second signal stops at once");
            cancel.cancel();
        }
    }
    Error::new(
        ErrorKind::Cancelled,
        "stopped by a second signal; what was stored so far may have to be removed by hand",
    )
}

async fn termination() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn run_dump(
    args: Dump,
    terminal: &Terminal,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<()> {
    let (uri, options, location) = args.check()?;
    let work = async {
        let storage = Storage::for_location(&location).await?;
        let deployment = Deployment::connect(&uri).await?;
        let sink = storage.create(&location, &CreateOptions::default()).await?;
        Ok((deployment, sink))
    };
    let (deployment, sink) = or_cancelled(work, cancel).await?;
    if let Some(named) = uri.database().filter(|named| options.scope == Scope::Database(named.clone())) {
        terminal.say(&format!("dumping the database {named} only: the connection string names it"));
    }
    let dumped = dump::dump(&deployment, &options, sink, monitor, cancel).await;
    deployment.close().await;
    match dumped {
        Ok(DumpReport { collections, documents, bytes, .. }) => {
            terminal.say(&format!(
                "dumped {documents} document(s) of {collections} collection(s), {bytes} bytes, to {location}"
            ));
            Ok(())
        }
        // mongodump's answer to a collection that is not there, which scripts rely on.
        Err(error) if error.kind() == ErrorKind::NoSuchCollection => {
            terminal.say(&error.report());
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
    if let Some(db) = options.scope.db() {
        terminal.say(&format!("restoring the database {db} only: the connection string names it"));
    }
    let work = async {
        let storage = Storage::for_location(&location).await?;
        let source = storage.open(&location).await?;
        let deployment = Deployment::connect(&uri).await?;
        Ok((deployment, source))
    };
    let (deployment, source) = or_cancelled(work, cancel).await?;
    let restored = restore::restore(&deployment, &options, source, monitor, cancel).await;
    deployment.close().await;
    let report = restored?;
    let RestoreReport { documents, failures, .. } = report;
    terminal.say(&format!(
        "{documents} document(s) restored successfully. {failures} document(s) failed to restore."
    ));
    Ok(())
}

async fn or_cancelled<T>(work: impl Future<Output = Result<T>>, cancel: &CancellationToken) -> Result<T> {
    tokio::select! {
        result = work => result,
        () = cancel.cancelled() => Err(Error::cancelled()),
    }
}
