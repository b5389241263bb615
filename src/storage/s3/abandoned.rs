//! Uploads whose writers are dead: nobody will complete or abort them, and their parts are billed.
//!
//! A store does not tell whether anybody is behind an upload. Who holds a lease on the key knows that nobody is, and
//! aborts [all of them](Object::remove_uploads). A command has no lease; what it has is a new archive. When that is
//! proven, an upload of the same key is aborted
//!
//! - if it was open before this archive was begun, so that it could only put an older state in the place of a newer one, or
//!   be refused,
//! - and if not one part of it has arrived between this archive's beginning and its end: who is at work stores parts.
//!
//! So there is a newer archive whenever one is given up, and a writer that was at work nevertheless, too slowly to store a
//! part in all that time, ends with an error that says so (`NoSuchUpload`), never with an archive that is not whole. What
//! began later, and what goes on, is left alone. Where the store does not let us list, the lifecycle rule
//! `AbortIncompleteMultipartUpload` does it.

use super::Object;
use super::failure;
use super::patience::outlast;
use crate::{Error, Result};
use aws_sdk_s3::primitives::DateTime;
use std::collections::HashMap;

/// The uploads of a key that were open before one's own, and how far each was.
#[derive(Debug, Default)]
pub(super) struct Older(HashMap<String, Progress>);

/// What changes with every part that arrives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Progress {
    parts: usize,
    /// When the last one arrived, by the store's clock.
    newest: Option<DateTime>,
}

impl Object {
    /// Aborts every upload of this key that is open; how many there were.
    pub(in crate::storage) async fn remove_uploads(&self) -> Result<usize> {
        let open = self.open_uploads().await.map_err(|error| self.failed(&error))?;
        for upload_id in &open {
            self.abort(upload_id).await?;
        }
        Ok(open.len())
    }

    /// What is open now. What cannot be listed is left to others.
    pub(super) async fn older_uploads(&self) -> Older {
        let mut older = Older::default();
        for upload_id in self.open_uploads().await.unwrap_or_default() {
            if let Ok(Some(progress)) = self.progress(&upload_id).await {
                older.0.insert(upload_id, progress);
            }
        }
        older
    }

    /// Aborts those of them that have stood still since; what could not be removed.
    pub(super) async fn remove_standing(&self, older: Older) -> Vec<Error> {
        let mut left = Vec::new();
        for (upload_id, before) in older.0 {
            if matches!(self.progress(&upload_id).await, Ok(Some(now)) if now == before) {
                left.extend(self.abort(&upload_id).await.err());
            }
        }
        left
    }

    /// `None` where there is no such upload any more.
    async fn progress(&self, upload_id: &str) -> Result<Option<Progress>> {
        let mut progress = Progress::default();
        let mut marker = None;
        loop {
            let page = outlast(&self.client, || {
                let request = self.client.list_parts().bucket(&self.bucket).key(&self.key);
                request.upload_id(upload_id).set_part_number_marker(marker.clone()).send()
            });
            let page = match page.await {
                Ok(page) => page,
                Err(error) if failure::has_code(&error, "NoSuchUpload") => return Ok(None),
                Err(error) => return Err(self.failed(&error)),
            };
            progress.parts += page.parts().len();
            let newest = page.parts().iter().filter_map(|part| part.last_modified().copied()).max();
            progress.newest = progress.newest.max(newest);
            if page.is_truncated() != Some(true) || page.next_part_number_marker().is_none() {
                return Ok(Some(progress));
            }
            marker = page.next_part_number_marker;
        }
    }
}
