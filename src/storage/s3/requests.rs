//! The requests that an upload is made of.

use super::body::Gathered;
use super::terms::CompletionTerms;
use super::{Object, failure};
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use std::time::Duration;

/// Time for one attempt at a transfer besides its bytes: 60 seconds for a store that is slow to answer.
const TRANSFER_PATIENCE: Duration = Duration::from_mins(1);

/// Bytes a second below which an attempt at a part is given up. Four parts in flight ask for 2 Mbit/s; a fixed limit
/// would fail large parts on slow links, none at all would wait for ever for a store that hangs.
const MIN_TRANSFER_RATE: u64 = 64 << 10;

/// Time for one attempt at a completion, which S3 documents to take minutes.
const COMPLETION_TIMEOUT: Duration = Duration::from_mins(5);

/// Aborts until the store has no parts left: one that arrives while the first abort runs survives it.
const ABORT_ATTEMPTS: u32 = 4;

/// Pause before the second abort; doubles with every further one.
const ABORT_PAUSE: Duration = Duration::from_millis(500);

/// What is said where an upload could not be removed.
pub(super) const PARTS_LEFT: &str = "parts of the unfinished upload could not be removed and are billed; abort it, or \
    let a lifecycle rule AbortIncompleteMultipartUpload do so";

impl Object {
    /// The whole object in one request.
    pub(super) async fn put(&self, terms: &CompletionTerms, whole: Gathered) -> Result<()> {
        let request = self.client.put_object().bucket(&self.bucket).key(&self.key);
        let request = request.set_metadata(Some(terms.metadata())).set_if_none_match(terms.if_none_match());
        let patience = self.patience(transfer_timeout(whole.bytes()));
        let request = request.checksum_crc32(whole.crc32().await).body(whole.into_body());
        request.customize().config_override(patience).send().await.map_err(|error| self.failed(&error))?;
        Ok(())
    }

    pub(super) async fn begin(&self, terms: &CompletionTerms) -> Result<String> {
        let request = self.client.create_multipart_upload().bucket(&self.bucket).key(&self.key);
        let request =
            request.set_metadata(Some(terms.metadata())).checksum_algorithm(ChecksumAlgorithm::Crc32);
        let begun = request.send().await.map_err(|error| self.failed(&error))?;
        begun.upload_id.ok_or_else(|| {
            self.at(Error::new(ErrorKind::Storage, "the store began an upload without naming it"))
        })
    }

    pub(super) async fn put_part(
        &self,
        upload_id: &str,
        number: u32,
        part: Gathered,
    ) -> Result<CompletedPart> {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let request = self.client.upload_part().bucket(&self.bucket).key(&self.key);
        let request = request.upload_id(upload_id).part_number(number);
        let patience = self.patience(transfer_timeout(part.bytes()));
        let request = request.checksum_crc32(part.crc32().await).body(part.into_body());
        let stored = request
            .customize()
            .config_override(patience)
            .send()
            .await
            .map_err(|error| self.failed(&error))?;
        // The checksum is repeated only where the store keeps it.
        let part = CompletedPart::builder().part_number(number).set_e_tag(stored.e_tag);
        Ok(part.set_checksum_crc32(stored.checksum_crc32).build())
    }

    pub(super) async fn complete(
        &self,
        terms: &CompletionTerms,
        upload_id: &str,
        parts: Vec<CompletedPart>,
        bytes: u64,
    ) -> Result<()> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(&self.key);
        let request =
            request.upload_id(upload_id).multipart_upload(parts).set_if_none_match(terms.if_none_match());
        let request = request.mpu_object_size(i64::try_from(bytes).unwrap_or(i64::MAX));
        let patience = self.patience(COMPLETION_TIMEOUT);
        request.customize().config_override(patience).send().await.map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// Aborts an upload until nothing of it is left.
    pub(super) async fn abort(&self, upload_id: &str) -> Result<()> {
        let left = Error::new(ErrorKind::Storage, PARTS_LEFT);
        for attempt in 0..ABORT_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(ABORT_PAUSE * (1 << (attempt - 1))).await;
            }
            let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(&self.key);
            match request.upload_id(upload_id).send().await {
                Err(error) if failure::has_code(&error, "NoSuchUpload") => return Ok(()),
                Err(error) => return Err(self.at(left.with_source(failure::describe(&error)))),
                Ok(_) if !self.has_parts(upload_id).await => return Ok(()),
                Ok(_) => {}
            }
        }
        Err(self.at(left))
    }

    async fn has_parts(&self, upload_id: &str) -> bool {
        let request =
            self.client.list_parts().bucket(&self.bucket).key(&self.key).upload_id(upload_id).max_parts(1);
        // The normal answer is NoSuchUpload. Who must not list has to trust the abort.
        request.send().await.is_ok_and(|listed| !listed.parts().is_empty())
    }
}

fn transfer_timeout(bytes: u64) -> Duration {
    TRANSFER_PATIENCE + Duration::from_secs(bytes / MIN_TRANSFER_RATE)
}
