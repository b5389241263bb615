//! Archives in S3 and in stores that speak its protocol.
//!
//! Permissions: writing needs `s3:PutObject` and `s3:AbortMultipartUpload`, reading `s3:GetObject`; with
//! `s3:ListBucket` a missing object is told apart from a forbidden one. Buckets with a customer's KMS key need
//! `kms:GenerateDataKey` and `kms:Decrypt` as well. Parts of uploads that nobody could abort are billed until the
//! bucket's lifecycle rule `AbortIncompleteMultipartUpload` removes them: have one.

mod body;
mod completion;
mod download;
mod failure;
mod parts;
mod upload;

pub(super) use download::Download;
pub use parts::MAX_OBJECT_BYTES;
pub(super) use upload::Upload;

use super::Stored;
use crate::{Error, ErrorKind, Result};
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_types::service_config::ServiceConfigKey;
use std::time::Duration;

/// A connection that takes longer is a dead endpoint or a network without a route to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One attempt at a request without a body: S3 answers in well under a second, overloaded stores in a few.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// A transfer that moves nothing for this long is broken; the SDK's own 5 seconds are too short for stores that write
/// a part to a slow disk before they read on.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Attempts at each request. Four connections that time out and the pauses between them make half a minute.
const ATTEMPTS: u32 = 4;

/// Only signs requests where an endpoint of one's own is configured without a region.
const REGION_OF_CUSTOM_ENDPOINTS: &str = "us-east-1";

/// User metadata of an object that says which upload made it.
const TOKEN: &str = "mongoark-upload";

/// One S3 object, there or not.
#[derive(Clone, Debug)]
pub(super) struct Object {
    client: Client,
    bucket: String,
    key: String,
}

/// What a HEAD tells.
#[derive(Debug)]
enum Look {
    There(Box<HeadObjectOutput>),
    Absent,
    /// What S3 also answers for absent objects where `s3:ListBucket` is not allowed.
    Denied(Error),
}

/// See [`Storage::s3_client`](super::Storage::s3_client).
pub(super) fn client(config: &SdkConfig) -> Result<Client> {
    let endpoint = has_endpoint(config);
    let mut builder = Builder::from(config)
        .force_path_style(endpoint)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled().grace_period(STALL_TIMEOUT).build(),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        );
    if config.behavior_version().is_none() {
        builder.set_behavior_version(Some(BehaviorVersion::latest()));
    }
    if config.region().is_none() {
        if !endpoint {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "no AWS region is configured; set AWS_REGION to the region of the bucket",
            ));
        }
        builder.set_region(Some(Region::from_static(REGION_OF_CUSTOM_ENDPOINTS)));
    }
    Ok(Client::from_conf(builder.build()))
}

/// Whether the SDK will talk to an endpoint other than Amazon's: it looks for one in the same places.
fn has_endpoint(config: &SdkConfig) -> bool {
    let key =
        ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let of_the_service = || config.service_config()?.load_config(key.ok()?);
    config.endpoint_url().is_some() || of_the_service().is_some()
}

impl Object {
    pub(super) fn new(client: Client, bucket: &str, key: &str) -> Self {
        Self { client, bucket: bucket.to_owned(), key: key.to_owned() }
    }

    /// Size and labels, `None` where there is no such object in an existing bucket.
    pub(super) async fn stat(&self) -> Result<Option<Stored>> {
        let head = match self.look().await? {
            Look::There(head) => head,
            Look::Absent => return Ok(None),
            Look::Denied(error) => return Err(error),
        };
        let bytes = size(&head)?;
        let mut labels: Vec<_> = head.metadata.unwrap_or_default().into_iter().collect();
        labels.retain(|(name, _)| name != TOKEN);
        labels.sort();
        Ok(Some(Stored { bytes, labels }))
    }

    async fn look(&self) -> Result<Look> {
        match self.client.head_object().bucket(&self.bucket).key(&self.key).send().await {
            Ok(head) => Ok(Look::There(Box::new(head))),
            Err(error) => match failure::status(&error) {
                Some(404) => self.bucket_exists().await.map(|()| Look::Absent),
                Some(403) => Ok(Look::Denied(self.failed(&error))),
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

    fn failed<E: failure::Answer>(&self, error: &failure::SdkError<E>) -> Error {
        self.at(failure::describe(error))
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
