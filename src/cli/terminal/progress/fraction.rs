//! How much of a whole is done.

use std::time::Duration;

/// Characters of a bar: mongodump's.
const BAR: u64 = 24;

/// No time left is told before: the first seconds are not like the others.
const ESTIMATE_AFTER: Duration = Duration::from_secs(5);

/// A part of a whole that is not nothing. The whole may be an estimate, so more may be done than was expected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fraction {
    done: u64,
    whole: u64,
}

impl Fraction {
    pub(super) fn new(done: u64, whole: u64) -> Option<Self> {
        (whole > 0).then_some(Self { done, whole })
    }

    /// `[######..................]`
    pub(super) fn bar(self) -> String {
        let filled = self.of(BAR);
        let bar = (0..BAR).map(|at| if at < filled { '#' } else { '.' });
        format!("[{}]", bar.collect::<String>())
    }

    /// `25.0%`
    pub(super) fn percent(self) -> String {
        let permille = self.of(1000);
        format!("{}.{}%", permille / 10, permille % 10)
    }

    /// As much time for the rest as was needed for what is done, in proportion.
    pub(super) fn time_left(self, elapsed: Duration) -> Option<Duration> {
        // When all is done that was expected, nothing is known of the rest.
        if elapsed < ESTIMATE_AFTER || self.done == 0 || self.done >= self.whole {
            return None;
        }
        let left = elapsed.as_millis() * u128::from(self.whole - self.done) / u128::from(self.done);
        u64::try_from(left).ok().map(Duration::from_millis)
    }

    /// The same part of `scale`.
    fn of(self, scale: u64) -> u64 {
        let part = u128::from(self.done) * u128::from(scale) / u128::from(self.whole);
        u64::try_from(part).unwrap_or(scale).min(scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_was_expected_is_a_full_bar_without_time_left() {
        let minute = Duration::from_mins(1);
        let part = |done, whole| Fraction::new(done, whole).unwrap();
        assert_eq!(part(12, 10).bar(), format!("[{}]", "#".repeat(24)));
        assert_eq!(part(u64::MAX, 10).percent(), "100.0%");
        assert_eq!(part(1, 3).percent(), "33.3%");
        assert_eq!(part(1, 3).time_left(minute), Some(2 * minute));
        assert_eq!(part(12, 10).time_left(minute), None);
        assert_eq!(part(0, 10).time_left(minute), None);
        assert_eq!(part(1, 10).time_left(Duration::from_secs(1)), None);
        assert!(Fraction::new(1, 0).is_none());
    }
}
