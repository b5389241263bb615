//! What is known of the work's progress, and the lines that tell it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use archive_format::Namespace;
use indicatif::{FormattedDuration, HumanBytes};

use super::printable::printable;

/// Collections shown at once: with the line of the whole they fit on the smallest terminal, 24 lines, twice over.
const ROWS: usize = 8;

/// A collection that takes less time is gone before its name is read.
const NOTABLE_TIME: Duration = Duration::from_secs(1);

/// A collection of so many bytes is worth a line however fast it was done.
const NOTABLE_BYTES: u64 = 64 * 1024 * 1024;

/// The time over which the rate is told: long enough to be steady, short enough to show a stall.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// No time left is told before: the first seconds are not like the others.
const ESTIMATE_AFTER: Duration = Duration::from_secs(5);

/// Characters of a bar: mongodump's.
const BAR: u64 = 24;

/// Which way the bytes go: the words are mongodump's or mongorestore's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Verb {
    Dump,
    Restore,
}

/// The state of the whole work.
#[derive(Debug)]
pub(super) struct Progress {
    verb: Verb,
    began: Instant,
    open: HashMap<Namespace, Row>,
    opened: u64,
    /// Collections of the whole work; nothing is told before they are known.
    planned: Option<usize>,
    finished: usize,
    /// Documents of those collections that hold users, roles and their schema.
    accounts: u64,
    documents: u64,
    /// Documents expected in the whole.
    expected: Option<u64>,
    bytes: u64,
    /// Bytes of the archive read, and its size.
    archive: (u64, Option<u64>),
    /// Moments of the last [`RATE_WINDOW`] and the bytes that were done then.
    rate: VecDeque<(Instant, u64)>,
}

#[derive(Debug)]
struct Row {
    began: Instant,
    /// Rows are shown in the order in which work on them began.
    order: u64,
    documents: u64,
    refused: u64,
    bytes: u64,
    expected: Option<u64>,
}

/// A line that says that a collection is done.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Done {
    pub(super) text: String,
    /// It took long or was large: worth a line to a person.
    pub(super) notable: bool,
    /// Documents failed to restore.
    pub(super) incomplete: bool,
}

impl Progress {
    pub(super) fn new(verb: Verb, now: Instant) -> Self {
        Self {
            verb,
            began: now,
            open: HashMap::new(),
            opened: 0,
            planned: None,
            finished: 0,
            accounts: 0,
            documents: 0,
            expected: None,
            bytes: 0,
            archive: (0, None),
            rate: VecDeque::from([(now, 0)]),
        }
    }

    pub(super) fn planned(&mut self, namespaces: usize, documents: Option<u64>) {
        self.planned = Some(namespaces);
        self.expected = documents;
    }

    pub(super) fn archive(&mut self, read: u64, size: Option<u64>) {
        self.archive = (read, size);
    }

    pub(super) fn started(&mut self, namespace: &Namespace, expected: Option<u64>, now: Instant) {
        let row = Row { began: now, order: self.opened, documents: 0, refused: 0, bytes: 0, expected };
        self.opened += 1;
        self.open.insert(namespace.clone(), row);
    }

    pub(super) fn advanced(&mut self, namespace: &Namespace, documents: u64, bytes: u64) {
        self.documents += documents;
        self.bytes += bytes;
        if let Some(row) = self.open.get_mut(namespace) {
            row.documents += documents;
            row.bytes += bytes;
        }
    }

    pub(super) fn refused(&mut self, namespace: &Namespace, documents: u64) {
        if let Some(row) = self.open.get_mut(namespace) {
            row.refused += documents;
        }
    }

    pub(super) fn finished(&mut self, namespace: &Namespace, documents: u64, now: Instant) -> Done {
        self.finished += 1;
        if namespace.is_special() {
            self.accounts += documents;
        }
        let row = self.open.remove(namespace);
        let refused = row.as_ref().map_or(0, |row| row.refused);
        let documents = counted(documents, "document");
        let text = match self.verb {
            Verb::Dump => format!("done dumping `{namespace}` ({documents})"),
            Verb::Restore => {
                format!("finished restoring `{namespace}` ({documents}, {})", counted(refused, "failure"))
            }
        };
        let notable = row.is_some_and(|row| {
            now.saturating_duration_since(row.began) >= NOTABLE_TIME || row.bytes >= NOTABLE_BYTES
        });
        Done { text, notable, incomplete: refused > 0 }
    }

    /// How many documents of users, roles and their schema are done.
    pub(super) fn accounts(&self) -> u64 {
        self.accounts
    }

    /// The lines of this moment: the collections at work, the whole last.
    pub(super) fn lines(&mut self, now: Instant) -> Vec<String> {
        let Some(planned) = self.planned else { return Vec::new() };
        let mut rows: Vec<_> = self
            .open
            .iter()
            .filter(|(_, row)| row.documents + row.refused > 0)
            .filter(|(_, row)| now.saturating_duration_since(row.began) >= NOTABLE_TIME)
            .collect();
        rows.sort_by_key(|(_, row)| row.order);
        let mut lines: Vec<String> = rows.iter().take(ROWS).map(|(name, row)| row.line(name)).collect();
        lines.push(self.whole(planned, now));
        lines
    }

    fn whole(&mut self, planned: usize, now: Instant) -> String {
        let (read, size) = self.archive;
        let fraction = match (self.verb, size, self.expected) {
            (Verb::Restore, Some(size), _) => Some((read, size)),
            (_, _, Some(expected)) => Some((self.documents, expected)),
            _ => None,
        }
        .filter(|(_, whole)| *whole > 0);
        // The right end is what a narrow terminal cuts off.
        let mut parts = vec![format!("{}/s", HumanBytes(self.rate(now)))];
        let left =
            fraction.and_then(|fraction| time_left(fraction, now.saturating_duration_since(self.began)));
        if let Some(left) = left {
            parts.push(format!("{} left", FormattedDuration(left)));
        }
        if self.verb == Verb::Restore
            && let Some((read, size)) = fraction
        {
            parts.push(format!("{} of {} read", HumanBytes(read), HumanBytes(size)));
        }
        parts.push(match (self.verb, self.expected) {
            (Verb::Dump, Some(expected)) => format!("{} of {expected} documents", self.documents),
            _ => counted(self.documents, "document"),
        });
        parts.push(format!("{} of {planned} collections", self.finished));
        let text = parts.join(", ");
        match fraction {
            Some(fraction) => format!("{}  {}  {text}", bar(fraction), percent(fraction)),
            None => text,
        }
    }

    /// Bytes a second, over the last [`RATE_WINDOW`].
    fn rate(&mut self, now: Instant) -> u64 {
        while self.rate.len() > 1
            && self.rate.front().is_some_and(|(then, _)| now.saturating_duration_since(*then) > RATE_WINDOW)
        {
            self.rate.pop_front();
        }
        self.rate.push_back((now, self.bytes));
        let (then, before) = self.rate.front().copied().unwrap_or((now, self.bytes));
        let time = now.saturating_duration_since(then).as_millis();
        let bytes = u128::from(self.bytes.saturating_sub(before)) * 1000;
        bytes.checked_div(time).and_then(|rate| u64::try_from(rate).ok()).unwrap_or_default()
    }
}

impl Row {
    /// mongodump's line: bar, name, documents, percentage.
    fn line(&self, namespace: &Namespace) -> String {
        let name = printable(&namespace.to_string());
        let done = self.documents + self.refused;
        match self.expected {
            Some(expected) if expected > 0 => {
                let fraction = (done, expected);
                format!("{}  {name}  {done}/{expected}  ({})", bar(fraction), percent(fraction))
            }
            _ => format!("{name}  {done}"),
        }
    }
}

/// `[######..................]`
fn bar((done, whole): (u64, u64)) -> String {
    let filled = scaled(done, whole, BAR);
    let bar = (0..BAR).map(|at| if at < filled { '#' } else { '.' });
    format!("[{}]", bar.collect::<String>())
}

/// `25.0%`
fn percent((done, whole): (u64, u64)) -> String {
    let permille = scaled(done, whole, 1000);
    format!("{}.{}%", permille / 10, permille % 10)
}

/// `done / whole` of `scale`. Numbers of documents are estimates, so more may be done than was expected.
fn scaled(done: u64, whole: u64, scale: u64) -> u64 {
    let scaled = u128::from(done) * u128::from(scale) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(scale).min(scale)
}

/// As much time for the rest as was needed for what is done, in proportion.
fn time_left((done, whole): (u64, u64), elapsed: Duration) -> Option<Duration> {
    if elapsed < ESTIMATE_AFTER || done == 0 {
        return None;
    }
    let left = elapsed.as_millis() * u128::from(whole.saturating_sub(done)) / u128::from(done);
    u64::try_from(left).ok().map(Duration::from_millis)
}

/// `1 document`, `2 documents`
fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests;
