//! The command line: arguments in, one verb called, one line out.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{Error, ErrorKind, Result};

mod args;
mod face;
mod manner;
mod signal;
mod terminal;
mod verb;

use args::{Args, Command, Rejected};
use face::Face;
use manner::Manner;
use signal::Signals;
use terminal::{Terminal, Verb};

/// Runs the program: exit code 0 when everything asked for was done, 1 on any error, others where a command's help says so.
pub fn main() -> ExitCode {
    let manner = Manner::of(std::env::args_os().next().as_deref());
    let args = match Args::read(std::env::args_os(), manner) {
        Ok(args) => args,
        Err(Rejected::Answered(answer)) => {
            // Nobody is left to read it when standard output is closed.
            let _ = std::io::stdout().lock().write_all(answer.as_bytes());
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
        Command::Verify(_) => Verb::Verify,
        Command::Drill(_) => Verb::Drill,
    };
    let terminal = Arc::new(Terminal::new(&args.general, verb, manner));
    std::panic::set_hook(Box::new(|panic| terminal::defect(&crate::panic::told(panic))));
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.general.threads() {
        builder.worker_threads(threads.get());
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal.failed(&Error::new(ErrorKind::Internal, "cannot start").with_source(error));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(args.command, verb, manner, &terminal));
    // The outcome is settled. The driver's own tasks may panic when the runtime is taken from under them.
    std::panic::set_hook(Box::new(|_| {}));
    // A read of standard input cannot be interrupted; do not wait for it.
    runtime.shutdown_background();
    terminal.clear();
    match result {
        Ok(code) => code,
        Err(error) => {
            terminal.failed(&error);
            terminal.sum_up_failure(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, verb: Verb, manner: Manner, terminal: &Arc<Terminal>) -> Result<ExitCode> {
    let mut signals = Signals::listen()
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot listen for signals").with_source(error))?;
    let cancel = CancellationToken::new();
    let face = Face::new(Arc::clone(terminal), manner);
    let work = async {
        match command {
            Command::Dump(dump) => Box::pin(verb::dump::run(dump, &face, &cancel)).await?,
            Command::Restore(restore) => Box::pin(verb::restore::run(restore, &face, &cancel)).await?,
            Command::Verify(verify) => return Box::pin(verb::verify::run(verify, &face, &cancel)).await,
            Command::Drill(drill) => Box::pin(verb::drill::run(drill, &face, &cancel)).await?,
        }
        Ok(ExitCode::SUCCESS)
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
            "what was restored so far stays: restore again with --drop, or with --swap, which removes what is hidden and \
             completes a switch that had begun; drop admin.tempusers and admin.temproles, which may be left"
        }
        Verb::Verify => "nothing was changed",
        Verb::Drill => "scratch databases may be left: drop those whose names begin with the drill's prefix",
    };
    Error::new(ErrorKind::Cancelled, format!("stopped by a second signal; {left}"))
}
