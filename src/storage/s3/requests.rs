//! The requests that an upload is made of.

use super::Object;
use super::body::Gathered;
use super::failure::{self, SdkError};
use super::patience::outlast;
use super::terms::CompletionTerms;
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation};
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadError;
use aws_sdk_s3::operation::create_multipart_upload::CreateMultipartUploadError;
use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use std::collections::HashSet;
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
    /// The whole object in one request; its `ETag`.
    pub(super) async fn put(
        &self,
        terms: &CompletionTerms,
        whole: &Gathered,
    ) -> Result<Option<String>, SdkError<PutObjectError>> {
        let checksum = self.checksum(whole).await;
        let patience = self.patience(transfer_timeout(whole.bytes()));
        let stored = outlast(&self.client, || {
            let request = self.client.put_object().bucket(&self.bucket).key(&self.key);
            let request =
                request.set_metadata(Some(terms.metadata())).set_if_none_match(terms.if_none_match());
            let request = request.set_checksum_crc32(checksum.clone()).body(whole.to_body());
            request.customize().config_override(patience.clone()).send()
        });
        Ok(stored.await?.e_tag)
    }

    /// Asks once for an upload: a second request would begin a second one.
    pub(super) async fn create_upload(
        &self,
        terms: &CompletionTerms,
    ) -> Result<Option<String>, SdkError<CreateMultipartUploadError>> {
        let request = self.client.create_multipart_upload().bucket(&self.bucket).key(&self.key);
        let algorithm = self.sends_checksums().then_some(ChecksumAlgorithm::Crc32);
        let request = request.set_metadata(Some(terms.metadata())).set_checksum_algorithm(algorithm);
        let once = Builder::new().retry_config(RetryConfig::disabled());
        Ok(request.customize().config_override(once).send().await?.upload_id)
    }

    /// The identifiers of the uploads of this key that have not ended.
    pub(super) async fn open_uploads(&self) -> Result<HashSet<String>, SdkError<ListMultipartUploadsError>> {
        let mut open = HashSet::new();
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let page = outlast(&self.client, || {
                let request = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(&self.key);
                request.set_key_marker(key_marker.clone()).set_upload_id_marker(id_marker.clone()).send()
            });
            let page = page.await?;
            let (ours, others): (Vec<_>, Vec<_>) =
                page.uploads().iter().partition(|upload| upload.key() == Some(self.key.as_str()));
            open.extend(ours.iter().filter_map(|upload| upload.upload_id().map(ToOwned::to_owned)));
            // Keys come in their order, so that longer ones with the same beginning end the list.
            if page.is_truncated() != Some(true) || !others.is_empty() {
                return Ok(open);
            }
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
        }
    }

    pub(super) async fn put_part(
        &self,
        upload_id: &str,
        number: u32,
        part: Gathered,
    ) -> Result<CompletedPart> {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let checksum = self.checksum(&part).await;
        let patience = self.patience(transfer_timeout(part.bytes()));
        let stored = outlast(&self.client, || {
            let request = self.client.upload_part().bucket(&self.bucket).key(&self.key);
            let request = request.upload_id(upload_id).part_number(number);
            let request = request.set_checksum_crc32(checksum.clone()).body(part.to_body());
            request.customize().config_override(patience.clone()).send()
        });
        let stored = stored.await.map_err(|error| self.failed(&error))?;
        // The checksum is repeated only where the store keeps it.
        let part = CompletedPart::builder().part_number(number).set_e_tag(stored.e_tag);
        Ok(part.set_checksum_crc32(stored.checksum_crc32).build())
    }

    /// Makes an object of these parts; its `ETag`.
    pub(super) async fn complete(
        &self,
        terms: &CompletionTerms,
        upload_id: &str,
        parts: Vec<CompletedPart>,
        bytes: u64,
    ) -> Result<Option<String>, SdkError<CompleteMultipartUploadError>> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let patience = self.patience(COMPLETION_TIMEOUT);
        let completed = outlast(&self.client, || {
            let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(&self.key);
            let request = request.upload_id(upload_id).multipart_upload(parts.clone());
            let request = request.set_if_none_match(terms.if_none_match());
            let request = request.mpu_object_size(i64::try_from(bytes).unwrap_or(i64::MAX));
            request.customize().config_override(patience.clone()).send()
        });
        Ok(completed.await?.e_tag)
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
        // The normal answer is NoSuchUpload. Who must not list has to trust the abort.
        self.parts(upload_id).await.is_ok_and(|parts| parts == Some(true))
    }

    /// Whether an upload has parts; `None` where there is no such upload.
    pub(super) async fn parts(&self, upload_id: &str) -> Result<Option<bool>> {
        let request = self.client.list_parts().bucket(&self.bucket).key(&self.key);
        match request.upload_id(upload_id).max_parts(1).send().await {
            Ok(listed) => Ok(Some(!listed.parts().is_empty())),
            Err(error) if failure::has_code(&error, "NoSuchUpload") => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The checksum to send with a body, unless the AWS settings want none.
    pub(super) async fn checksum(&self, body: &Gathered) -> Option<String> {
        if self.sends_checksums() { Some(body.crc32().await) } else { None }
    }

    /// Some stores refuse them; `AWS_REQUEST_CHECKSUM_CALCULATION=when_required` is the AWS tools' way to say so.
    fn sends_checksums(&self) -> bool {
        self.client.config().request_checksum_calculation() != Some(&RequestChecksumCalculation::WhenRequired)
    }
}

fn transfer_timeout(bytes: u64) -> Duration {
    TRANSFER_PATIENCE + Duration::from_secs(bytes / MIN_TRANSFER_RATE)
}
