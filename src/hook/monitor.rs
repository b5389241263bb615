//! Progress as lines of the log.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use archive_format::Namespace;
use tracing::{info, warn};

use crate::progress::Monitor;

use super::deadline::Deadline;
use super::pace::Pace;

/// Time between two lines: often enough to see that it moves, 180 lines in a quarter of an hour.
const INTERVAL: Duration = Duration::from_secs(5);

/// Warnings that are part of the answer; further ones are in the log alone. With [`MAX_WARNING`] far below the 6 MB of an
/// answer.
const MAX_WARNINGS: usize = 50;

/// Letters of one of them.
const MAX_WARNING: usize = 1_000;

/// Logs totals every few seconds, and the end of the work's every namespace at debug level.
#[derive(Debug)]
pub(super) struct LogLines {
    began: Instant,
    documents: AtomicU64,
    bytes: AtomicU64,
    namespaces: AtomicU64,
    /// Milliseconds after the beginning at which the next line is due.
    due: AtomicU64,
    warnings: Mutex<Vec<String>>,
    plan: Mutex<Option<Plan>>,
}

/// What a dump is going to read.
#[derive(Clone, Copy, Debug)]
struct Plan {
    expected: u64,
    /// Bytes that had been read when it was made: a dump may begin once more.
    before: u64,
    made: Instant,
}

impl LogLines {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            documents: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            namespaces: AtomicU64::new(0),
            due: AtomicU64::new(millis(INTERVAL)),
            warnings: Mutex::default(),
            plan: Mutex::default(),
        }
    }

    /// How far the dump has come; `None` before it knows how far it has to go.
    pub(super) fn pace(&self) -> Option<Pace> {
        let Plan { expected, before, made } = self.plan.lock().ok()?.as_ref().copied()?;
        let done = self.bytes.load(Ordering::Relaxed).saturating_sub(before);
        Some(Pace { expected, done, elapsed: made.elapsed() })
    }

    /// The warnings so far.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().map(|warnings| warnings.clone()).unwrap_or_default()
    }

    /// What the dump would have needed, and what to change; `memory` is the function's in MB.
    pub(super) fn advice(&self, deadline: Deadline, memory: Option<u64>) -> Option<String> {
        self.pace()?.advice(deadline.began.elapsed(), deadline.given, memory)
    }

    /// Whether a line is due after this time; only one of many callers hears yes.
    fn is_due(&self, elapsed: Duration) -> bool {
        let now = millis(elapsed);
        let due = self.due.load(Ordering::Relaxed);
        let next = now.saturating_add(millis(INTERVAL));
        now >= due && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Monitor for LogLines {
    fn planned(&self, namespaces: usize, documents: Option<u64>) {
        info!(namespaces, documents, "planned");
    }

    fn expected(&self, bytes: u64) {
        let before = self.bytes.load(Ordering::Relaxed);
        if let Ok(mut plan) = self.plan.lock() {
            *plan = Some(Plan { expected: bytes, before, made: Instant::now() });
        }
    }

    fn advanced(&self, namespace: &Namespace, documents: u64, bytes: u64) {
        let documents = self.documents.fetch_add(documents, Ordering::Relaxed).saturating_add(documents);
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if self.is_due(self.began.elapsed()) {
            let finished = self.namespaces.load(Ordering::Relaxed);
            info!(documents, bytes, finished, at = %namespace, "progress");
        }
    }

    fn finished(&self, namespace: &Namespace, documents: u64) {
        self.namespaces.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(namespace = %namespace, documents, "finished");
    }

    fn note(&self, text: &str) {
        info!("{text}");
    }

    fn warn(&self, text: &str) {
        warn!("{text}");
        if let Ok(mut warnings) = self.warnings.lock()
            && warnings.len() < MAX_WARNINGS
        {
            warnings.push(text.chars().take(MAX_WARNING).collect());
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_due_in_every_interval() {
        let monitor = LogLines::new();
        let due: Vec<u64> = (0..=20).filter(|second| monitor.is_due(Duration::from_secs(*second))).collect();
        assert_eq!(due, [5, 10, 15, 20]);
    }

    #[test]
    fn a_dump_that_begins_once_more_is_measured_from_there() {
        let monitor = LogLines::new();
        assert_eq!(monitor.pace(), None);
        let orders = Namespace::new("shop", "orders").unwrap();
        for expected in [300, 200] {
            monitor.expected(expected);
            monitor.advanced(&orders, 1, 100);
            let pace = monitor.pace().unwrap();
            assert_eq!((pace.expected, pace.done), (expected, 100));
        }
    }

    #[test]
    fn only_one_of_two_callers_writes_the_line() {
        let monitor = LogLines::new();
        assert!(monitor.is_due(INTERVAL));
        assert!(!monitor.is_due(INTERVAL));
    }
}
