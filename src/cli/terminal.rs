//! What a person sees: bars on a terminal, a line every few seconds elsewhere, one line for an error. Standard error only.

use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use archive_format::Namespace;

use crate::Error;
use crate::progress::Monitor;

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
    bars: Option<Bars>,
    progress: Mutex<Progress>,
}

impl Terminal {
    pub(super) fn new(quiet: bool, verb: Verb) -> Self {
        // A terminal that cannot move its cursor gets lines.
        let moves =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let bars = (!quiet && moves).then(Bars::default);
        Self { quiet, bars, progress: Mutex::new(Progress::new(verb, Instant::now())) }
    }

    /// One line with the time, as mongodump prints them.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            self.print(text);
        }
    }

    /// A line that is no progress: printed with --quiet, too.
    pub(super) fn warn(&self, text: &str) {
        self.print(text);
    }

    /// The one place where an error is printed; before it, what a restore had done by then.
    pub(super) fn failed(&self, error: &Error) {
        let outcome = self.progress().outcome();
        if let Some(outcome) = outcome {
            self.print(&outcome);
        }
        self.print(&format!("Failed: {}", error.report()));
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
        } else if done.notable || self.bars.is_none() {
            self.say(&done.text);
        }
    }

    fn note(&self, text: &str) {
        self.say(text);
    }

    fn warn(&self, text: &str) {
        self.warn(text);
    }
}
