//! Elections, deaths, changes and neighbours at random moments: what was promised has to hold all the same.
//!
//! Each test is a number of rounds, few in an ordinary run and as many as it takes to believe it under `tests/run --long`
//! (which sets `MONGOARK_LONG`). A round's seed decides all that the test decides, though not what servers and schedulers
//! do; a failure names it, and `MONGOARK_SEED` begins with it again. All rounds are run before a test fails.

// What an archive holds, by the format's own decoder.
mod contents;

// Clients that write and do not mind elections.
mod writers;

// Dumps and restores of a set of three whose members step down or die.
mod failovers;

// Dumps while documents move and collections become others.
mod changes;

// Dumps that are killed where they stand.
mod kills;

// Drills that are killed.
mod drill_kills;

// Money that moves while it is dumped.
mod bank;

// Restores and backups by two functions at nearly the same time.
mod pairs;

// Restores with `--swap` that are killed.
mod swap_kills;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The rounds of one test: `few` of them, or `all` in a long run.
pub fn rounds(few: u64, all: u64) -> Vec<Random> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("MONGOARK_SEED").unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        u64::try_from(since % 1_000_000_000).expect("small") * 1000
    });
    let count = if number("MONGOARK_LONG").unwrap_or(0) > 0 { all } else { few };
    (first..first + number("MONGOARK_ROUNDS").unwrap_or(count)).map(Random::new).collect()
}

/// Numbers that are the same for the same seed.
#[derive(Clone, Debug)]
pub struct Random {
    pub seed: u64,
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// A number below `end`. (`SplitMix64`; the little that the remainder prefers small numbers does not matter.)
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let index = self.below(u64::try_from(from.len()).expect("few"));
        from[usize::try_from(index).expect("few")].clone()
    }

    /// A moment within this time.
    pub(super) fn within(&mut self, time: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(time.as_micros()).expect("short").max(1)))
    }

    /// Another source, for a task of its own.
    fn fork(&mut self) -> Self {
        Self { seed: self.seed, state: self.below(u64::MAX) }
    }
}

/// What went wrong in the rounds of a test.
#[derive(Debug, Default)]
struct Failures(Vec<String>);

impl Failures {
    /// Notes how a round ended.
    #[allow(clippy::print_stdout, reason = "a long run is watched, and its seeds are wanted")]
    fn note(&mut self, round: &Random, what: &str, result: &Result<String, String>) {
        let line = match result {
            Ok(text) => format!("seed {}: {what}: {text}", round.seed),
            Err(text) => format!("seed {}: {what}: FAILED: {text}", round.seed),
        };
        println!("{line}");
        if result.is_err() {
            self.0.push(line);
        }
    }

    #[track_caller]
    fn assert_none(&self) {
        assert!(
            self.0.is_empty(),
            "{} rounds failed (MONGOARK_SEED=<seed> begins with one):\n{}",
            self.0.len(),
            self.0.join("\n")
        );
    }
}

/// `Err` with this text unless the condition holds.
fn ensure(condition: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(otherwise()) }
}

/// The last lines of what a program has written.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}
