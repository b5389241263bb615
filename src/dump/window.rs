//! Whether a dump will end before the server's history does: said beforehand from the sizes, and again when it is known how
//! fast it goes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bson::{Bson, doc};

use super::moment::WINDOW;
use super::source::Source;
use crate::progress::Monitor;

/// Seconds of history that servers keep unless they are told otherwise.
const DEFAULT_WINDOW: Duration = Duration::from_mins(5);

/// Bytes of documents in a second, before it is known how many: a third of what one reader does on two cores with gzip.
const RATE: u64 = 25 << 20;

/// After this share of the window the rate is believed. What is read first is small, and slower than the rest.
const MEASURED_AFTER: u32 = 10;

/// The time that there is, and what is to be read in it.
#[derive(Debug)]
pub(super) struct Window {
    length: Duration,
    /// Bytes to be read, by the server's statistics.
    expected: u64,
    began: Instant,
    read: AtomicU64,
    has_told: AtomicBool,
}

impl Window {
    /// Asks how long the window is, and says so when it will hardly do.
    pub(super) async fn begin(source: &Source, expected: u64, monitor: &dyn Monitor) -> Self {
        let window = window(source).await.unwrap_or(DEFAULT_WINDOW);
        let needed = Duration::from_secs(expected / RATE);
        if needed > window {
            monitor.note(&format!(
                "about {} MiB are to be read at one moment, which may take longer than the {} s for which the server keeps it; \
                 if so, raise its parameter {WINDOW}",
                expected >> 20,
                window.as_secs()
            ));
        }
        Self {
            length: window,
            expected,
            began: Instant::now(),
            read: AtomicU64::new(0),
            has_told: AtomicBool::new(false),
        }
    }

    /// So many more bytes have been read. Warns once when the rest will take too long.
    pub(super) fn advance(&self, bytes: u64, monitor: &dyn Monitor) {
        let read = self.read.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let elapsed = self.began.elapsed();
        if elapsed < self.length / MEASURED_AFTER || self.has_told.load(Ordering::Relaxed) {
            return;
        }
        let Some(whole) = whole(elapsed, read, self.expected).filter(|whole| *whole > self.length) else {
            return;
        };
        if !self.has_told.swap(true, Ordering::Relaxed) {
            monitor.warn(&format!(
                "at this rate the dump takes about {} s, and the server keeps the state of one moment for {} s: raise its \
                 parameter {WINDOW} (setParameter, on every member)",
                whole.as_secs(),
                self.length.as_secs()
            ));
        }
    }
}

/// How long everything takes when `read` of `expected` bytes have taken `elapsed`.
fn whole(elapsed: Duration, read: u64, expected: u64) -> Option<Duration> {
    let nanoseconds =
        elapsed.as_nanos().checked_mul(u128::from(expected.max(read)))? / u128::from(read.max(1));
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

/// Seconds of history that the server keeps, where the account may ask.
async fn window(source: &Source) -> Option<Duration> {
    let command = doc! { "getParameter": 1, WINDOW: 1 };
    let reply = source.command("admin", command).await.ok()?;
    let seconds =
        reply.get(WINDOW).and_then(|value: &Bson| value.as_i64().or(value.as_i32().map(i64::from)))?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_takes_as_long_as_its_share_says() {
        let minute = Duration::from_mins(1);
        assert_eq!(whole(minute, 10, 40), Some(4 * minute));
        // Statistics may be too small.
        assert_eq!(whole(minute, 50, 40), Some(minute));
        assert!(whole(minute, 0, 40).is_some_and(|whole| whole > minute));
    }
}
