//! The end of an invocation, and how its last seconds are shared out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout_at};

use crate::{Error, ErrorKind, Result};

/// Time before Lambda kills the process at which the work is cancelled: a third each for stopping it (the upload is
/// aborted, or its completion settled), for writing `Failed` down and reporting it, and for stopping the deployment. A call
/// to AWS takes well under a second and may be repeated a few times.
pub const DEADLINE_MARGIN: Duration = Duration::from_secs(15);

/// The margin is at most this fraction of the time there is, so that a function with a short timeout still works.
const MARGIN_DIVISOR: u32 = 4;

/// Part of the margin that nothing may use but the answer to Lambda.
const ANSWER_DIVISOR: u32 = 30;

/// When the parts of an invocation must have ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// The work is cancelled.
    pub(crate) work: Instant,
    /// An archive that is being completed is waited for no longer, and looked for.
    pub(crate) completion: Instant,
    /// The cancelled work is abandoned.
    pub(crate) stopped: Instant,
    /// The beginning of the invocation, and the time that it was given.
    pub(crate) began: Instant,
    pub(crate) given: Duration,
    noted: Instant,
    report: Instant,
    end: Instant,
}

impl Deadline {
    /// From the context's deadline in milliseconds since 1970.
    pub(crate) fn new(milliseconds: u64, now: SystemTime) -> Self {
        let left = (UNIX_EPOCH + Duration::from_millis(milliseconds)).duration_since(now).unwrap_or_default();
        let margin = DEADLINE_MARGIN.min(left / MARGIN_DIVISOR);
        let now = Instant::now();
        Self {
            work: now + left - margin,
            completion: now + left - margin * 5 / 6,
            stopped: now + left - margin * 2 / 3,
            began: now,
            given: left,
            noted: now + left - margin / 2,
            report: now + left - margin / 3,
            end: now + left - margin / ANSWER_DIVISOR,
        }
    }

    /// Waits for `call`, which writes the answer down, as long as the answer can still be given.
    pub(crate) async fn before_answer<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        timeout_at(self.noted, call).await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// Waits for `call` as long as a call after it can still be made.
    pub(crate) async fn before_report<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        timeout_at(self.report, call).await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// Waits for `call` as long as the function can still answer.
    pub(crate) async fn before_end<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        timeout_at(self.end, call).await.unwrap_or_else(|_| Err(unanswered()))
    }
}

fn unanswered() -> Error {
    Error::new(ErrorKind::Service, "there was no answer before the function's time ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_time_left(left: Duration) -> (Deadline, Instant) {
        let now = SystemTime::now();
        let end = (now + left).duration_since(UNIX_EPOCH).unwrap();
        (Deadline::new(u64::try_from(end.as_millis()).unwrap() + 1, now), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_invocation_keeps_the_margin() {
        let (deadline, now) = with_time_left(Duration::from_mins(15));
        assert_eq!((deadline.work - now).as_secs(), 885);
        assert_eq!((deadline.completion - now).as_millis(), 887_500);
        assert_eq!((deadline.stopped - now).as_secs(), 890);
        assert_eq!((deadline.noted - now).as_millis(), 892_500);
        assert_eq!((deadline.report - now).as_secs(), 895);
        assert_eq!((deadline.end - now).as_millis() / 100, 8995);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_invocation_keeps_a_quarter() {
        let (deadline, now) = with_time_left(Duration::from_secs(4));
        assert_eq!((deadline.work - now).as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_has_passed_leaves_nothing() {
        let deadline = Deadline::new(0, SystemTime::now());
        assert_eq!(deadline.work, Instant::now());
        let error = deadline.before_end(std::future::pending::<Result<()>>()).await.unwrap_err();
        assert!(error.to_string().contains("no answer before the function's time ended"), "{error}");
    }
}
