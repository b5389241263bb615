//! Archives in S3 and in stores that speak its protocol.
//!
//! Permissions: writing needs `s3:PutObject` and `s3:AbortMultipartUpload`, reading `s3:GetObject`, removing
//! `s3:DeleteObject`; with `s3:ListBucket` a missing object is told apart from a forbidden one, with
//! `s3:ListBucketMultipartUploads` and `s3:ListMultipartUploadParts` an upload whose first answer got lost is removed.
//! Tags need `s3:GetObjectTagging` and `s3:PutObjectTagging`, an Object Lock `s3:PutObjectRetention` and
//! `s3:GetObjectRetention`.
//! Overwriting in a bucket without versions needs `s3:GetObject` and `s3:DeleteObject` too, and all of this for the copy
//! of the old object, `<key>.replaced-*`, where the store does not compare the whole before it replaces.
//! Buckets with a customer's KMS key need `kms:GenerateDataKey` and `kms:Decrypt` as well. Parts of uploads that nobody
//! could abort are billed until the bucket's lifecycle rule `AbortIncompleteMultipartUpload` removes them: have one.

mod abandoned;
mod asked;
mod begin;
mod body;
mod checksums;
mod client;
mod completion;
mod download;
mod failure;
mod in_flight;
mod kept;
mod listing;
mod owner;
mod parts;
mod patience;
mod requests;
mod swap;
mod tags;
mod terms;
mod upload;
mod uri;

pub(super) use aws_sdk_s3::Client;
pub(super) use client::{client, client_of_environment};
pub(super) use download::Download;
pub(super) use listing::Pages;
pub(super) use owner::with_options;
pub use parts::MAX_OBJECT_BYTES;
pub(super) use upload::Upload;

use super::{Checked, S3Options, Stored};
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::operation::head_object::{HeadObjectError, HeadObjectOutput};
use aws_sdk_s3::types::ChecksumMode;
use failure::SdkError;
use std::sync::Arc;
use std::time::Duration;

/// One S3 object, there or not.
#[derive(Clone, Debug)]
pub(super) struct Object {
    client: Client,
    bucket: String,
    key: String,
    options: Arc<S3Options>,
}

/// What a HEAD tells.
#[derive(Debug)]
enum HeadAnswer {
    There(Box<HeadObjectOutput>),
    Absent,
    /// What S3 also answers for absent objects where `s3:ListBucket` is not allowed.
    Denied(Error),
}

impl Object {
    pub(super) fn new(client: Client, options: &Arc<S3Options>, bucket: &str, key: &str) -> Self {
        let client = if bucket.starts_with("arn:") { client::for_access_points(&client) } else { client };
        Self { client, bucket: bucket.to_owned(), key: key.to_owned(), options: Arc::clone(options) }
    }

    /// Size and labels, `None` where there is no such object in an existing bucket.
    pub(super) async fn stat(&self) -> Result<Option<Stored>> {
        let head = match self.head().await? {
            HeadAnswer::There(head) => head,
            HeadAnswer::Absent => return Ok(None),
            HeadAnswer::Denied(error) => return Err(error),
        };
        let bytes = size(&head)?;
        let crc64 = checksums::crc64(&head);
        let checked = if crc64.is_some() { Checked::Crc64Nvme } else { Checked::Size };
        let labels = terms::labels(head.metadata);
        let (etag, version) = (head.e_tag, head.version_id);
        Ok(Some(Stored { bytes, labels, etag, version, crc64, checked, notes: Vec::new() }))
    }

    async fn head(&self) -> Result<HeadAnswer> {
        self.judge(self.ask_head().await).await
    }

    /// The same where something is at stake already: a store that is away is waited for.
    async fn head_patiently(&self) -> Result<HeadAnswer> {
        self.judge(patience::outlast(&self.client, || self.ask_head()).await).await
    }

    async fn ask_head(&self) -> Result<HeadObjectOutput, SdkError<HeadObjectError>> {
        let request = self.client.head_object().bucket(&self.bucket).key(&self.key);
        request.checksum_mode(ChecksumMode::Enabled).send().await
    }

    async fn judge(&self, answer: Result<HeadObjectOutput, SdkError<HeadObjectError>>) -> Result<HeadAnswer> {
        match answer {
            Ok(head) => Ok(HeadAnswer::There(Box::new(head))),
            Err(error) => match failure::status(&error) {
                Some(404) => self.bucket_exists().await.map(|()| HeadAnswer::Absent),
                Some(403) => Ok(HeadAnswer::Denied(self.failed(&error))),
                _ => Err(self.failed(&error)),
            },
        }
    }

    /// The answer to a HEAD has no body that could name the missing one of the two.
    async fn bucket_exists(&self) -> Result<()> {
        match self.client.head_bucket().bucket(&self.bucket).send().await {
            Err(error) if failure::status(&error) == Some(404) => Err(self.at(failure::no_such_bucket())),
            // Without s3:ListBucket the answer is 403; then there is a bucket.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn at(&self, error: Error) -> Error {
        error.at(format_args!("s3://{}/{}", self.bucket, self.key))
    }

    /// The client's settings with another time limit for one attempt.
    fn patience(&self, limit: Duration) -> Builder {
        let timeouts = self
            .client
            .config()
            .timeout_config()
            .map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        Builder::new().timeout_config(timeouts.operation_attempt_timeout(limit).build())
    }
}

fn size(head: &HeadObjectOutput) -> Result<u64> {
    head.content_length
        .and_then(|length| u64::try_from(length).ok())
        .ok_or_else(|| Error::new(ErrorKind::Storage, "the store does not tell the size of the object"))
}
