//! What a person sees: bars on a terminal, a line every few seconds elsewhere, one line for an error. Standard error only.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archive_format::Namespace;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::Error;
use crate::progress::Monitor;

/// Between two lines of progress where there is no terminal: mongodump's three seconds.
const LINE_INTERVAL: Duration = Duration::from_secs(3);

/// The program's face.
#[derive(Debug)]
pub(super) struct Terminal {
    quiet: bool,
    bars: Option<MultiProgress>,
    work: Mutex<Work>,
}

/// Namespaces being worked on, and the sum of all.
#[derive(Debug, Default)]
struct Work {
    open: HashMap<Namespace, Row>,
    total: Option<ProgressBar>,
    planned: usize,
    finished: usize,
    documents: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Row {
    documents: u64,
    expected: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Terminal {
    pub(super) fn new(quiet: bool) -> Self {
        let bars = (!quiet && std::io::stderr().is_terminal()).then(MultiProgress::new);
        Self { quiet, bars, work: Mutex::default() }
    }

    /// One line with the time, as mongodump prints them.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            self.print(text);
        }
    }

    /// The one place where an error is printed.
    pub(super) fn failed(&self, error: &Error) {
        self.print(&format!("Failed: {}", error.report()));
    }

    /// Takes the bars off the screen.
    pub(super) fn clear(&self) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
    }

    /// Prints a line of progress every few seconds until it is dropped.
    pub(super) async fn lines(&self) -> Infallible {
        if self.quiet || self.bars.is_some() {
            return std::future::pending().await;
        }
        let mut tick = tokio::time::interval(LINE_INTERVAL);
        tick.tick().await;
        loop {
            tick.tick().await;
            for line in self.work().lines() {
                self.print(&line);
            }
        }
    }

    fn print(&self, text: &str) {
        let line = format!("{}\t{text}\n", now());
        let write = || {
            // Nobody is left to tell when standard error is closed.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bar(&self, expected: Option<u64>, name: &str) -> Option<ProgressBar> {
        let template = match expected {
            Some(_) => "[{bar:24}] {msg} {human_pos}/{human_len} ({percent}%)",
            None => "{spinner} {msg} {human_pos}",
        };
        let style = ProgressStyle::with_template(template).ok()?.progress_chars("##.");
        let bar = expected.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let bar = self.bars.as_ref()?.add(bar.with_style(style));
        bar.set_message(name.to_owned());
        Some(bar)
    }
}

/// The time in UTC with milliseconds, in mongodump's form.
fn now() -> String {
    let time = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
    let time = time.trim_end_matches('Z');
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    format!("{seconds}.{fraction:0<3}+0000")
}

impl Work {
    fn lines(&self) -> Vec<String> {
        let mut rows: Vec<_> = self.open.iter().filter(|(_, row)| row.documents > 0).collect();
        rows.sort_by_key(|(namespace, _)| *namespace);
        let rows = rows.into_iter().map(|(namespace, row)| match row.expected {
            Some(expected) if expected > 0 => {
                let percent = row.documents.saturating_mul(100) / expected;
                format!("{namespace}  {}/{expected}  ({}%)", row.documents, percent.min(100))
            }
            _ => format!("{namespace}  {}", row.documents),
        });
        let total = format!(
            "{} of {} collections, {} documents, {} MiB",
            self.finished,
            self.planned,
            self.documents,
            self.bytes >> 20
        );
        rows.chain([total]).collect()
    }
}

impl Monitor for Terminal {
    fn planned(&self, namespaces: usize, documents: Option<u64>) {
        let total = self.bar(documents, "total");
        let mut work = self.work();
        work.planned = namespaces;
        work.total = total;
    }

    fn started(&self, namespace: &Namespace, documents: Option<u64>) {
        let bar = if documents == Some(0) { None } else { self.bar(documents, &namespace.to_string()) };
        self.work().open.insert(namespace.clone(), Row { documents: 0, expected: documents, bar });
    }

    fn advanced(&self, namespace: &Namespace, documents: u64, bytes: u64) {
        let mut work = self.work();
        work.documents += documents;
        work.bytes += bytes;
        if let Some(total) = &work.total {
            total.inc(documents);
        }
        if let Some(row) = work.open.get_mut(namespace) {
            row.documents += documents;
            if let Some(bar) = &row.bar {
                bar.inc(documents);
            }
        }
    }

    fn finished(&self, namespace: &Namespace, documents: u64) {
        let row = {
            let mut work = self.work();
            work.finished += 1;
            work.open.remove(namespace)
        };
        if let Some(bar) = row.and_then(|row| row.bar) {
            bar.finish_and_clear();
        }
        self.say(&format!("done with `{namespace}` ({documents} documents)"));
    }

    fn note(&self, text: &str) {
        self.say(text);
    }

    fn warn(&self, text: &str) {
        self.print(text);
    }
}
