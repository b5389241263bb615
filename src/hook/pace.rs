//! Whether a dump ends in time, and what it would take.

use std::time::Duration;

/// Most time that Lambda gives a function today. Only advice rests on it: the time left is told by each invocation.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(15);

/// Most memory that Lambda gives a function, in MB. It brings processors in proportion, one for each 1,769 MB.
const MOST_MEMORY: u64 = 10_240;

/// Memory is advised in steps of so many MB.
const MEMORY_STEP: u64 = 64;

/// How far a dump has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// Raw bytes that are to be read, by the server's statistics.
    pub(super) expected: u64,
    /// Raw bytes that have been read.
    pub(super) done: u64,
    /// Since the first one was asked for.
    pub(super) elapsed: Duration,
}

impl Pace {
    /// How long the rest takes at the rate so far, or at that since `before` where it is higher: a dump that was slow to
    /// start is not given up for that. `None` where nothing has been read by which one could tell.
    pub(super) fn rest(&self, before: Option<&Self>) -> Option<Duration> {
        let since = |done: u64, elapsed: Duration| float(done) / elapsed.as_secs_f64();
        let lately = before.map_or(0.0, |before| {
            since(self.done.saturating_sub(before.done), self.elapsed.saturating_sub(before.elapsed))
        });
        let rate = since(self.done, self.elapsed).max(if lately.is_finite() { lately } else { 0.0 });
        Duration::try_from_secs_f64(float(self.expected.saturating_sub(self.done)) / rate).ok()
    }

    /// What the dump would have needed, and what to change; `used` and `given` are the function's time so far and in all,
    /// `memory` is its MB.
    pub(super) fn advice(&self, used: Duration, given: Duration, memory: Option<u64>) -> Option<String> {
        // A tenth more: the statistics are estimates, and the archive has to be completed.
        let needed = used + self.rest(None)?.mul_f64(1.1);
        let seconds = |time: Duration| time.as_secs_f64().ceil();
        Some(format!(
            "{} of about {} MB were read in {} s, so that the function needs about {} s and has {}; {}",
            self.done / 1_000_000,
            self.expected / 1_000_000,
            seconds(self.elapsed),
            seconds(needed),
            seconds(given),
            remedy(needed, given, memory)
        ))
    }
}

/// What gives the dump the time that it needs.
fn remedy(needed: Duration, given: Duration, memory: Option<u64>) -> String {
    let mut remedies = Vec::new();
    let minutes = needed.as_secs().div_ceil(60);
    if needed <= LONGEST_TIMEOUT {
        remedies.push(format!("raise its timeout to {minutes} minutes"));
    }
    if let Some(memory) = memory {
        let wanted = Duration::from_secs(memory).mul_f64(needed.as_secs_f64() / given.as_secs_f64().max(1.0));
        let wanted = wanted.as_secs().div_ceil(MEMORY_STEP).saturating_mul(MEMORY_STEP);
        if (memory + 1..=MOST_MEMORY).contains(&wanted) {
            remedies.push(format!(
                "give it {wanted} MB of memory instead of {memory}, which brings more processors"
            ));
        }
    }
    if remedies.is_empty() {
        return format!(
            "Lambda's {} minutes and {MOST_MEMORY} MB will not do: run the command mongoark on ECS or Fargate, or this function \
             on Lambda Managed Instances with a timeout of {minutes} minutes",
            LONGEST_TIMEOUT.as_secs() / 60
        );
    }
    remedies.join(", or ")
}

/// Bytes for a rate; what is lost above 2^53 does not matter.
fn float(bytes: u64) -> f64 {
    Duration::from_micros(bytes).as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pace(done: u64, elapsed: u64) -> Pace {
        Pace { expected: 100_000_000, done, elapsed: seconds(elapsed) }
    }

    #[test]
    fn the_rest_takes_as_long_as_the_beginning_did_in_proportion() {
        let rest = pace(20_000_000, 10).rest(None).unwrap();
        assert!((rest.as_secs_f64() - 40.0).abs() < 0.5, "{rest:?}");
        assert_eq!(pace(200_000_000, 10).rest(None), Some(Duration::ZERO), "statistics that were too small");
    }

    #[test]
    fn nothing_is_said_of_a_dump_that_has_read_nothing() {
        assert_eq!(pace(0, 10).rest(None), None);
        assert_eq!(pace(0, 0).rest(None), None);
        assert_eq!(pace(0, 10).advice(seconds(10), seconds(60), Some(1024)), None);
    }

    #[test]
    fn a_dump_that_was_slow_to_start_is_judged_by_what_it_does_now() {
        let (before, now) = (pace(1_000_000, 20), pace(21_000_000, 22));
        let rest = now.rest(Some(&before)).unwrap();
        assert!((rest.as_secs_f64() - 8.0).abs() < 0.5, "{rest:?}");
        let stalled = Pace { elapsed: seconds(40), ..before };
        assert_eq!(stalled.rest(Some(&before)), stalled.rest(None), "a stall of a moment is no rate");
    }

    #[test]
    fn the_advice_names_time_and_memory() {
        let advice = |done, memory| pace(done, 60).advice(seconds(60), seconds(300), memory).unwrap();
        let said = advice(10_000_000, Some(1_769));
        assert!(said.contains("10 of about 100 MB were read in 60 s"), "{said}");
        assert!(said.contains("needs about 654 s and has 300"), "{said}");
        assert!(
            said.contains("raise its timeout to 11 minutes, or give it 3904 MB of memory instead of 1769"),
            "{said}"
        );
        let said = advice(2_000_000, Some(512));
        assert!(said.contains("give it") && !said.contains("raise its timeout"), "{said}");
        let said = advice(10_000_000, None);
        assert!(said.ends_with("raise its timeout to 11 minutes"), "{said}");
    }

    #[test]
    fn what_lambda_cannot_do_is_sent_elsewhere() {
        for memory in [None, Some(2_048), Some(10_240)] {
            let said = pace(1_000_000, 60).advice(seconds(60), seconds(900), memory).unwrap();
            assert!(said.contains("ECS or Fargate") && said.contains("Lambda Managed Instances"), "{said}");
        }
    }
}
