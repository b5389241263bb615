//! What a claim's object holds, and how it changes: pure, with the time handed in.

use serde::{Deserialize, Serialize};

use crate::hook::failure::Failure;
use crate::{Error, ErrorKind, Result};

/// How long after its deadline a writer that has not ended counts as being at work: hosts' clocks may differ by that much,
/// and nothing but time is lost where it is too long.
const GRACE_MILLIS: u64 = 30_000;

/// Who writes the archive of one key, and what the deployment that it was taken for was answered.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Record {
    /// Grows with every change and with every sign of life: no two versions have the same bytes.
    revision: u64,
    /// The invocation that is at work on the key.
    #[serde(default)]
    writer: Option<Writer>,
    /// What the deployment's hook is answered, written down before it is.
    #[serde(default)]
    answer: Option<Answer>,
}

/// An invocation that writes an archive, or proves it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Writer {
    /// Lambda's name of the invocation, the same when an event is run again.
    pub(super) request: String,
    /// Random: tells two deliveries of one request apart.
    pub(super) attempt: String,
    /// When it ends at the latest, in milliseconds since 1970.
    pub(super) until: u64,
}

/// What a hook is answered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Succeeded,
    Failed(Failure),
}

/// An invocation that others have to wait for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Busy {
    /// Lambda's name of it.
    pub(super) request: String,
    pub(super) attempt: String,
    /// The version in which it was seen.
    pub(super) revision: u64,
}

/// Who answers a hook whose invocation has failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decided {
    /// This invocation: `Failed`.
    Failed,
    /// `Succeeded` was answered before.
    Succeeded,
    /// Another invocation is at work and answers.
    Elsewhere,
}

impl Record {
    /// Writes a writer down, unless another one is at work: that one is returned. One that was seen `silent` in this
    /// revision for long enough is dead.
    pub(super) fn take(&mut self, writer: &Writer, silent: Option<u64>, now: u64) -> Option<Busy> {
        if let Some(busy) = self.busy(writer, now).filter(|busy| silent != Some(busy.revision)) {
            return Some(busy);
        }
        self.revision += 1;
        self.writer = Some(writer.clone());
        None
    }

    /// Another invocation than `writer` that is at work.
    pub(super) fn busy(&self, writer: &Writer, now: u64) -> Option<Busy> {
        let other = self.writer.as_ref().filter(|other| other.attempt != writer.attempt)?;
        (now < other.until.saturating_add(GRACE_MILLIS)).then(|| Busy {
            request: other.request.clone(),
            attempt: other.attempt.clone(),
            revision: self.revision,
        })
    }

    /// A sign of life; an error where the key has been given to another one, or the hook been answered `Failed`.
    pub(super) fn beat(&mut self, attempt: &str) -> Result<()> {
        self.refuse_lost(attempt)?;
        self.revision += 1;
        Ok(())
    }

    /// Refuses where this attempt must not write any more.
    pub(super) fn refuse_lost(&self, attempt: &str) -> Result<()> {
        self.refuse_failed()?;
        if self.holds(attempt) {
            return Ok(());
        }
        let message = "another invocation has taken this backup over, because this one gave no sign of life; nothing was kept";
        Err(Error::new(ErrorKind::AlreadyExists, message))
    }

    /// Refuses where the hook has been answered `Failed`.
    pub(super) fn refuse_failed(&self) -> Result<()> {
        match &self.answer {
            Some(Answer::Failed(failure)) => Err(failure.again(
                "what the deployment's hook was answered the first time: no archive is taken for it any more, start a new deployment",
            )),
            Some(Answer::Succeeded) | None => Ok(()),
        }
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.answer == Some(Answer::Succeeded)
    }

    pub(super) fn holds(&self, attempt: &str) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.attempt == attempt)
    }

    /// Gives the key back; whether there was something to give.
    pub(super) fn release(&mut self, attempt: &str) -> bool {
        let held = self.holds(attempt);
        if held {
            self.writer = None;
            self.revision += 1;
        }
        held
    }

    /// The hook is going to be answered `Succeeded`; refused where it was answered `Failed`.
    pub(super) fn succeed(&mut self, attempt: &str) -> Result<()> {
        self.refuse_failed()?;
        self.answer = Some(Answer::Succeeded);
        if !self.release(attempt) {
            self.revision += 1;
        }
        Ok(())
    }

    /// The hook is going to be answered `Failed`, unless that is for somebody else to decide.
    pub(super) fn fail(&mut self, writer: &Writer, error: &Error, now: u64) -> Decided {
        match &self.answer {
            Some(Answer::Succeeded) => Decided::Succeeded,
            Some(Answer::Failed(_)) => Decided::Failed,
            None if self.busy(writer, now).is_some() => Decided::Elsewhere,
            None => {
                self.answer = Some(Answer::Failed(Failure::of(error)));
                self.writer = None;
                self.revision += 1;
                Decided::Failed
            }
        }
    }
}

#[cfg(test)]
mod tests;
