//! The lock of a restore: an object that says which invocation restores an application, and until when at most.
//!
//! A restore that takes longer than the AWS CLI waits is sent again while it runs, and two of them would drop each
//! other's collections. The lock is the object `backups/<ApplicationName>/restore.lock`; its state is in its labels, so
//! that a bucket is all it takes. It cannot be left behind: an invocation does not outlive its deadline.
//!
//! Two calls that find the same expired lock within the same few milliseconds would both go on; repeated calls are a
//! minute apart.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::storage::{CreateOptions, Location};
use crate::{Error, ErrorKind, Result};

use super::backup::REQUEST_LABEL;
use super::event::Name;
use super::job::Job;
use super::outcome::Archive;
use super::services::Services;

/// Label: until when the lock holds, in milliseconds since 1970. 0 when it was released.
const UNTIL_LABEL: &str = "mongoark-until";

/// Label: the object that was restored, once that is done; `-` before and after a failure.
const RESTORED_LABEL: &str = "mongoark-restored";

/// What became of the attempt to take a lock.
#[derive(Debug)]
pub(super) enum Locked {
    /// It is ours.
    Taken(Lock),
    /// The same call has been answered before: it was delivered twice.
    Restored,
}

/// A lock that is held.
#[derive(Debug)]
pub(super) struct Lock {
    location: Location,
    request: String,
    archive: String,
}

impl Lock {
    /// Takes the lock of an application.
    pub(super) async fn take<S: Services>(
        job: &Job<S>,
        application: &Name,
        archive: &Archive,
    ) -> Result<Locked> {
        let lock = Self {
            location: Location::s3(
                &archive.bucket,
                &format!("backups/{}/restore.lock", application.as_str()),
            )?,
            request: job.request_id.clone(),
            archive: archive.key.escape_default().to_string(),
        };
        match lock.write(job, false, job.deadline, "-").await {
            Ok(()) => return Ok(Locked::Taken(lock)),
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
        }
        let found = job.unless_cancelled(Box::pin(job.services.storage()?.stat(&lock.location))).await?;
        if let Some(found) = &found {
            if label(&found.labels, REQUEST_LABEL) == lock.request
                && label(&found.labels, RESTORED_LABEL) == lock.archive
            {
                return Ok(Locked::Restored);
            }
            lock.refuse_if_held(&found.labels, SystemTime::now())?;
        }
        lock.write(job, true, job.deadline, "-").await?;
        Ok(Locked::Taken(lock))
    }

    /// Gives the lock back; a finished restore is remembered for the case that its call is delivered again.
    pub(super) async fn release<S: Services>(self, job: &Job<S>, restored: bool) -> Result<()> {
        self.write(job, true, 0, if restored { &self.archive } else { "-" }).await
    }

    fn refuse_if_held(&self, found: &[(String, String)], now: SystemTime) -> Result<()> {
        // A lock without a readable time is none of ours, and nothing would ever end it.
        let until = label(found, UNTIL_LABEL).parse::<u64>().unwrap_or_default();
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let left = u128::from(until).saturating_sub(now).div_ceil(1000);
        if left == 0 {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "the request {} is restoring this application, and this one would drop what that one restores; wait for \
                 its result, or {left} seconds if it was killed",
                label(found, REQUEST_LABEL)
            ),
        )
        .at(&self.location))
    }

    async fn write<S: Services>(
        &self,
        job: &Job<S>,
        overwrite: bool,
        until: u64,
        restored: &str,
    ) -> Result<()> {
        let labels = vec![
            (REQUEST_LABEL.to_owned(), self.request.clone()),
            (RESTORED_LABEL.to_owned(), restored.to_owned()),
            (UNTIL_LABEL.to_owned(), until.to_string()),
        ];
        let text = "mongoark's lock of a restore; its state is in this object's metadata\n";
        let mut sink = Box::pin(
            job.services
                .storage()?
                .create(&self.location, &CreateOptions { overwrite, labels, ..CreateOptions::default() }),
        )
        .await?;
        Box::pin(sink.store(Bytes::from_static(text.as_bytes()))).await?;
        Box::pin(sink.complete()).await?;
        Ok(())
    }
}

fn label<'a>(labels: &'a [(String, String)], name: &str) -> &'a str {
    labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(milliseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    fn lock() -> Lock {
        Lock {
            location: Location::s3("vault", "backups/shop/restore.lock").unwrap(),
            request: "r-2".to_owned(),
            archive: "backups/shop/d-1.archive".to_owned(),
        }
    }

    fn labels(until: &str) -> Vec<(String, String)> {
        vec![(REQUEST_LABEL.to_owned(), "r-1".to_owned()), (UNTIL_LABEL.to_owned(), until.to_owned())]
    }

    #[test]
    fn a_lock_that_is_held_names_its_holder_and_its_end() {
        let error = lock().refuse_if_held(&labels("10000"), at(2_500)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let message = error.report();
        assert!(message.contains("s3://vault/backups/shop/restore.lock"), "{message}");
        assert!(message.contains("request r-1") && message.contains("8 seconds"), "{message}");
    }

    #[test]
    fn a_lock_that_was_released_or_left_behind_is_free() {
        for until in ["0", "9999", "10000", "", "never"] {
            assert!(lock().refuse_if_held(&labels(until), at(10_000)).is_ok(), "{until}");
        }
    }
}
