//! The requests that an upload is made of.

use super::Object;
use super::body::Gathered;
use super::checksums::{Algorithm, Promise, format_crc64};
use super::failure::{self, SdkError};
use super::patience::{outlast, outlast_briefly};
use super::terms::CompletionTerms;
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation};
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadError;
use aws_sdk_s3::operation::create_multipart_upload::{
    CreateMultipartUploadError, CreateMultipartUploadOutput,
};
use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
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

/// What the store says of an object that it has made.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) etag: Option<String>,
    pub(super) version: Option<String>,
    pub(super) crc64: Option<String>,
}

/// A part that has arrived.
#[derive(Debug)]
pub(super) struct StoredPart {
    pub(super) completed: CompletedPart,
    pub(super) bytes: u64,
    /// Its CRC-32, where that is what was sent.
    pub(super) crc32: Option<String>,
}

impl Object {
    /// The whole object in one request.
    pub(super) async fn put(
        &self,
        terms: &CompletionTerms,
        whole: &Gathered,
        algorithm: Algorithm,
    ) -> Result<Answer, SdkError<PutObjectError>> {
        let (crc32, crc64) = whole.sums(algorithm).await;
        let patience = self.patience(transfer_timeout(whole.bytes()));
        let stored = outlast(&self.client, || {
            let request = self.client.put_object().bucket(&self.bucket).key(&self.key);
            let request =
                request.set_metadata(Some(terms.metadata())).set_if_none_match(terms.if_none_match());
            let request = request.set_checksum_crc32(crc32.clone()).set_checksum_crc64_nvme(crc64.clone());
            let request = request.set_server_side_encryption(self.encryption());
            let request = request.set_ssekms_key_id(self.kms_key_id()).set_tagging(self.tagging());
            let request = request.set_object_lock_mode(self.lock_mode());
            let request = request.set_object_lock_retain_until_date(terms.retain_until());
            let request = request.set_checksum_algorithm(self.algorithm_of_locked(algorithm));
            request.body(whole.to_body()).customize().config_override(patience.clone()).send()
        });
        let stored = stored.await?;
        Ok(Answer { etag: stored.e_tag, version: stored.version_id, crc64: stored.checksum_crc64_nvme })
    }

    /// Asks once for an upload: a second request would begin a second one.
    pub(super) async fn create_upload(
        &self,
        terms: &CompletionTerms,
        algorithm: Algorithm,
    ) -> Result<CreateMultipartUploadOutput, SdkError<CreateMultipartUploadError>> {
        let request = self.client.create_multipart_upload().bucket(&self.bucket).key(&self.key);
        let request = request.set_metadata(Some(terms.metadata()));
        let request = request.set_server_side_encryption(self.encryption());
        let request = request.set_ssekms_key_id(self.kms_key_id()).set_tagging(self.tagging());
        let request = request.set_object_lock_mode(self.lock_mode());
        let request = request.set_object_lock_retain_until_date(terms.retain_until());
        let request = match algorithm {
            Algorithm::Unchecked => request,
            Algorithm::Crc32 => request.checksum_algorithm(ChecksumAlgorithm::Crc32),
            Algorithm::Crc64Nvme => request
                .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                .checksum_type(ChecksumType::FullObject),
        };
        let once = Builder::new().retry_config(RetryConfig::disabled());
        request.customize().config_override(once).send().await
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
        algorithm: Algorithm,
    ) -> Result<StoredPart> {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let (crc32, crc64) = part.sums(algorithm).await;
        let patience = self.patience(transfer_timeout(part.bytes()));
        let stored = outlast(&self.client, || {
            let request = self.client.upload_part().bucket(&self.bucket).key(&self.key);
            let request = request.upload_id(upload_id).part_number(number);
            let request = request.set_checksum_crc32(crc32.clone()).set_checksum_crc64_nvme(crc64.clone());
            let request = request.set_checksum_algorithm(self.algorithm_of_locked(algorithm));
            request.body(part.to_body()).customize().config_override(patience.clone()).send()
        });
        let stored = stored.await.map_err(|error| self.failed(&error))?;
        // A checksum is repeated only where the store keeps it.
        if differs(stored.checksum_crc32(), crc32.as_deref())
            || differs(stored.checksum_crc64_nvme(), crc64.as_deref())
        {
            let message =
                "the store holds other bytes than were sent (the checksum of a part differs); start again";
            return Err(self.at(Error::new(ErrorKind::Storage, message)));
        }
        let completed = CompletedPart::builder().part_number(number).set_e_tag(stored.e_tag);
        let completed = completed.set_checksum_crc32(stored.checksum_crc32);
        let completed = completed.set_checksum_crc64_nvme(stored.checksum_crc64_nvme).build();
        Ok(StoredPart { completed, bytes: part.bytes(), crc32 })
    }

    /// Makes an object of these parts.
    pub(super) async fn complete(
        &self,
        terms: &CompletionTerms,
        upload_id: &str,
        parts: Vec<CompletedPart>,
        promise: &Promise,
        algorithm: Algorithm,
    ) -> Result<Answer, SdkError<CompleteMultipartUploadError>> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let patience = self.patience(COMPLETION_TIMEOUT);
        let completed = outlast(&self.client, || {
            let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(&self.key);
            let request = request.upload_id(upload_id).multipart_upload(parts.clone());
            let request = request.set_if_none_match(terms.if_none_match());
            let request = request.mpu_object_size(i64::try_from(promise.bytes).unwrap_or(i64::MAX));
            let request = if algorithm == Algorithm::Crc64Nvme {
                request
                    .checksum_crc64_nvme(format_crc64(promise.crc64))
                    .checksum_type(ChecksumType::FullObject)
            } else {
                request
            };
            request.customize().config_override(patience.clone()).send()
        });
        let completed = completed.await?;
        Ok(Answer {
            etag: completed.e_tag,
            version: completed.version_id,
            crc64: completed.checksum_crc64_nvme,
        })
    }

    /// Aborts an upload until nothing of it is left. A store that is away is waited for, though not as long as for an archive.
    pub(super) async fn abort(&self, upload_id: &str) -> Result<()> {
        let left = Error::new(ErrorKind::Storage, PARTS_LEFT);
        for attempt in 0..ABORT_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(ABORT_PAUSE * (1 << (attempt - 1))).await;
            }
            let aborted = outlast_briefly(&self.client, || {
                let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(&self.key);
                request.upload_id(upload_id).send()
            });
            match aborted.await {
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
        let listed = outlast_briefly(&self.client, || {
            let request = self.client.list_parts().bucket(&self.bucket).key(&self.key);
            request.upload_id(upload_id).max_parts(1).send()
        });
        match listed.await {
            Ok(listed) => Ok(Some(!listed.parts().is_empty())),
            Err(error) if failure::has_code(&error, "NoSuchUpload") => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// What is locked must be sent with the name of its checksum, too.
    fn algorithm_of_locked(&self, algorithm: Algorithm) -> Option<ChecksumAlgorithm> {
        self.options.object_lock?;
        match algorithm {
            Algorithm::Unchecked => None,
            Algorithm::Crc32 => Some(ChecksumAlgorithm::Crc32),
            Algorithm::Crc64Nvme => Some(ChecksumAlgorithm::Crc64Nvme),
        }
    }

    /// The checksums to send, unless the AWS settings want none: some stores refuse them, and
    /// `AWS_REQUEST_CHECKSUM_CALCULATION=when_required` is the AWS tools' way to say so. What is locked requires one.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self.client.config().request_checksum_calculation() {
            Some(RequestChecksumCalculation::WhenRequired) if self.options.object_lock.is_none() => {
                Algorithm::Unchecked
            }
            _ => Algorithm::Crc64Nvme,
        }
    }
}

/// Whether the store tells a checksum, and not the one that was sent.
fn differs(told: Option<&str>, sent: Option<&str>) -> bool {
    told.is_some() && sent.is_some() && told != sent
}

fn transfer_timeout(bytes: u64) -> Duration {
    TRANSFER_PATIENCE + Duration::from_secs(bytes / MIN_TRANSFER_RATE)
}
