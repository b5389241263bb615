//! The client that reaches S3: its endpoint, its patience.

use crate::{Error, ErrorKind, Result};
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Region, StalledStreamProtectionConfig};
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

/// See [`Storage::s3_client`](crate::storage::Storage::s3_client).
pub(in crate::storage) fn client(config: &SdkConfig) -> Result<Client> {
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
