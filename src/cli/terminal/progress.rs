//! What is known of the work's progress, and the lines that tell it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use archive_format::Namespace;
use indicatif::{FormattedDuration, HumanBytes};

use super::printable::printable;

mod fraction;

use fraction::Fraction;

/// Collections shown at once: with the line of the whole they fit on the smallest terminal, 24 lines, twice over.
const ROWS: usize = 8;

/// A collection that takes less time is gone before its name is read.
const NOTABLE_TIME: Duration = Duration::from_secs(1);

/// A collection of so many bytes is worth a line however fast it was done.
const NOTABLE_BYTES: u64 = 64 * 1024 * 1024;

/// The time over which the rate is told: long enough to be steady, short enough to show a stall.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// Which way the bytes go: the words are mongodump's or mongorestore's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Verb {
    Dump,
    Restore,
    Verify,
    Drill,
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
    /// Documents that a server has refused.
    refused: u64,
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

/// mongorestore's last line.
pub(in crate::cli) fn restored(documents: u64, failures: u64) -> String {
    format!("{documents} document(s) restored successfully. {failures} document(s) failed to restore.")
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
            refused: 0,
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
        self.refused += documents;
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
            Verb::Restore | Verb::Drill => {
                format!("finished restoring `{namespace}` ({documents}, {})", counted(refused, "failure"))
            }
            Verb::Verify => format!("verified `{namespace}` ({documents})"),
        };
        let notable = row.is_some_and(|row| {
            now.saturating_duration_since(row.began) >= NOTABLE_TIME || row.bytes >= NOTABLE_BYTES
        });
        Done { text, notable, incomplete: refused > 0 }
    }

    /// How many documents are there, and how many are not.
    pub(super) fn restored(&self) -> (u64, u64) {
        (self.documents.saturating_sub(self.accounts), self.refused)
    }

    /// How many documents of users, roles and their schema are done.
    pub(super) fn accounts(&self) -> u64 {
        self.accounts
    }

    /// What a restore that goes no further has done.
    pub(super) fn outcome(&self) -> Option<String> {
        let (documents, refused) = self.restored();
        let has_begun = self.verb == Verb::Restore && self.planned.is_some();
        has_begun.then(|| restored(documents, refused))
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
            (Verb::Restore | Verb::Verify | Verb::Drill, Some(size), _) => Fraction::new(read, size),
            (_, _, Some(expected)) => Fraction::new(self.documents, expected),
            _ => None,
        };
        // The right end is what a narrow terminal cuts off.
        let mut parts = vec![format!("{}/s", HumanBytes(self.rate(now)))];
        let left =
            fraction.and_then(|fraction| fraction.time_left(now.saturating_duration_since(self.began)));
        if let Some(left) = left {
            parts.push(format!("{} left", FormattedDuration(left)));
        }
        if self.verb != Verb::Dump
            && let Some(size) = size
        {
            parts.push(format!("{} of {} read", HumanBytes(read), HumanBytes(size)));
        }
        parts.push(match (self.verb, self.expected) {
            (Verb::Dump, Some(expected)) => format!("{} of about {expected} documents", self.documents),
            _ => counted(self.documents, "document"),
        });
        parts.push(format!("{} of {planned} collections", self.finished));
        let text = parts.join(", ");
        match fraction {
            Some(fraction) => format!("{}  {}  {text}", fraction.bar(), fraction.percent()),
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
        let expected = self.expected.unwrap_or_default();
        match Fraction::new(done, expected) {
            Some(fraction) => {
                format!("{}  {name}  {done}/{expected}  ({})", fraction.bar(), fraction.percent())
            }
            None => format!("{name}  {done}"),
        }
    }
}

/// `1 document`, `2 documents`
fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests;
