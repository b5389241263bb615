//! What a person sees: bars on a terminal, a line every few seconds elsewhere, one line for an error. Standard error only.

use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use archive_format::Namespace;

use super::args::General;
use super::manner::Manner;
use crate::progress::Monitor;
use crate::storage::Location;
use crate::{Error, ErrorKind};

mod bars;
mod printable;
mod progress;

use bars::Bars;
pub(super) use printable::printable;
use progress::Progress;
pub(super) use progress::{Verb, restored};

/// Between two lines of progress where there is no terminal: mongodump's three seconds.
const LINE_INTERVAL: Duration = Duration::from_secs(3);

/// Between two pictures on a terminal: often enough to be seen to move.
const PICTURE_INTERVAL: Duration = Duration::from_millis(200);

/// The program's face.
#[derive(Debug)]
pub(super) struct Terminal {
    quiet: bool,
    verbose: bool,
    manner: Manner,
    verb: Verb,
    /// Where the archive is, in the tools' words, once that is known.
    place: OnceLock<String>,
    bars: Option<Bars>,
    progress: Mutex<Progress>,
}

impl Terminal {
    pub(super) fn new(general: &General, verb: Verb, manner: Manner) -> Self {
        let (quiet, verbose) = (general.quiet, general.is_verbose());
        // A terminal that cannot move its cursor gets lines.
        let moves =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let bars = (!quiet && moves).then(Bars::default);
        let progress = Mutex::new(Progress::new(verb, Instant::now()));
        Self { quiet, verbose, manner, verb, place: OnceLock::new(), bars, progress }
    }

    /// One line with the time, as mongodump prints them.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            self.print(text);
        }
    }

    /// A line that the tools do not have: in their manner, only who wants more sees it.
    pub(super) fn tell(&self, text: &str) {
        if self.manner.is_own() || self.verbose {
            self.say(text);
        }
    }

    /// A line that is no progress: printed with --quiet, too, but for the tools', whose --quiet hides it.
    pub(super) fn warn(&self, text: &str) {
        if !self.quiet || self.manner.is_own() {
            self.print(text);
        }
    }

    /// From now on the archive is known to be here.
    pub(super) fn locate(&self, location: &Location) {
        let stream = if self.verb == Verb::Dump { "stdout" } else { "stdin" };
        let place = if *location == Location::standard() {
            format!("`archive on {stream}`")
        } else {
            format!("\"archive `{location}`\"")
        };
        // Said once.
        let _ = self.place.set(place);
    }

    /// The one place where an error is printed; before it, what a restore had done by then.
    pub(super) fn failed(&self, error: &Error) {
        let outcome = self.progress().outcome();
        if let Some(outcome) = outcome.filter(|_| self.manner.is_own()) {
            self.print(&outcome);
        }
        self.print(&format!("Failed: {}", error.report()));
    }

    /// The tool counts what it restored before it failed, too, once it has a server.
    pub(super) fn sum_up_failure(&self, error: &Error) {
        let unbegun = [ErrorKind::Authentication, ErrorKind::Connection, ErrorKind::InvalidInput];
        if self.manner == Manner::Mongorestore && !unbegun.contains(&error.kind()) {
            let (documents, failures) = self.progress().restored();
            self.say(&restored(documents, failures));
        }
    }

    /// How many documents of users, roles and their schema have been dumped or restored.
    pub(super) fn accounts(&self) -> u64 {
        self.progress().accounts()
    }

    /// Takes the bars off the screen.
    pub(super) fn clear(&self) {
        if let Some(bars) = &self.bars {
            bars.clear();
        }
    }

    /// Shows the progress, again and again, until it is dropped.
    pub(super) async fn show_progress(&self) -> Infallible {
        if self.quiet {
            return std::future::pending().await;
        }
        let interval = if self.bars.is_some() { PICTURE_INTERVAL } else { LINE_INTERVAL };
        let mut tick = tokio::time::interval(interval);
        tick.tick().await;
        loop {
            tick.tick().await;
            let lines = self.progress().lines(Instant::now());
            match &self.bars {
                Some(bars) => bars.show(&lines),
                None => lines.iter().for_each(|line| self.print(line)),
            }
        }
    }

    /// The one place that writes to standard error while the work goes on.
    fn print(&self, text: &str) {
        let line = line(text);
        match &self.bars {
            Some(bars) => bars.above(|| write(&line)),
            None => write(&line),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says why the arguments cannot be used, in mongodump's words, before there is anything else to show.
pub(super) fn reject(sentence: &str, help: &str) {
    write(&line(&format!("error parsing command line options: {sentence}")));
    write(&line(&format!("try '{help}' for more information")));
}

/// Says that the program has a defect. Past the bars, which may be where it is.
pub(super) fn defect(text: &str) {
    write(&line(&format!("a defect of mongoark, please report it: {text}")));
}

/// As mongodump indents some lines, a tab in front stays.
fn line(text: &str) -> String {
    let (indent, text) = text.strip_prefix('\t').map_or(("", text), |text| ("\t", text));
    format!("{}\t{indent}{}\n", now(), printable(text))
}

fn write(line: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// The time in UTC with milliseconds, in mongodump's form.
fn now() -> String {
    let time = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
    let time = time.trim_end_matches('Z');
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    format!("{seconds}.{fraction:0<3}+0000")
}

impl Monitor for Terminal {
    fn planned(&self, namespaces: usize, documents: Option<u64>) {
        self.progress().planned(namespaces, documents);
    }

    fn archive(&self, read: u64, size: Option<u64>) {
        self.progress().archive(read, size);
    }

    fn started(&self, namespace: &Namespace, documents: Option<u64>) {
        self.progress().started(namespace, documents, Instant::now());
        if let (false, Some(place)) = (self.manner.is_own(), self.place.get()) {
            self.say(&match self.verb {
                Verb::Dump => format!("writing `{namespace}` to {place}"),
                _ => format!("restoring `{namespace}` from {place}"),
            });
        }
    }

    fn advanced(&self, namespace: &Namespace, documents: u64, bytes: u64) {
        self.progress().advanced(namespace, documents, bytes);
    }

    fn refused(&self, namespace: &Namespace, documents: u64) {
        self.progress().refused(namespace, documents);
    }

    /// A script gets a line for every collection. A person sees the bars, and the lines of what took long.
    fn finished(&self, namespace: &Namespace, documents: u64) {
        let done = self.progress().finished(namespace, documents, Instant::now());
        if done.incomplete {
            self.warn(&done.text);
        } else if done.notable || self.bars.is_none() || self.verbose || !self.manner.is_own() {
            self.say(&done.text);
        }
    }

    fn note(&self, text: &str) {
        self.tell(text);
    }

    fn step(&self, text: &str) {
        self.say(text);
    }

    fn warn(&self, text: &str) {
        self.warn(text);
    }
}
