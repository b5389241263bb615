//! The client that reaches S3: its endpoint, its patience.

use crate::{Error, ErrorKind, Result};
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
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

/// A client from the environment and the AWS profile.
pub(in crate::storage) async fn client_of_environment() -> Result<Client> {
    let loader = || aws_config::defaults(BehaviorVersion::latest());
    client(&Box::pin(crate::aws::load(loader)).await?)
}

/// See [`Storage::s3_client`](crate::storage::Storage::s3_client).
pub(in crate::storage) fn client(config: &SdkConfig) -> Result<Client> {
    let endpoint = endpoint(config);
    let mut builder = Builder::from(config)
        .force_path_style(endpoint.is_some())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        // Attempts are bounded by their number here. The SDK's budget is one for all clients of the process: an outage would
        // use it up and leave none for removing what was begun.
        .retry_partition(RetryPartition::custom("mongoark").token_bucket(TokenBucket::unlimited()).build())
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
        if endpoint.is_none() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "no AWS region is configured; set AWS_REGION to the region of the bucket",
            ));
        }
        builder.set_region(Some(Region::from_static(REGION_OF_CUSTOM_ENDPOINTS)));
    }
    if let Some(endpoint) = endpoint {
        builder.set_endpoint_url(Some(endpoint));
    }
    Ok(Client::from_conf(builder.build()))
}

/// The same client for access points: those have no address by path, also behind an endpoint of one's own.
pub(super) fn for_access_points(client: &Client) -> Client {
    Client::from_conf(client.config().to_builder().force_path_style(false).build())
}

/// The endpoint where it is not Amazon's: the SDK looks for it in the same places and in this order.
///
/// It ends in a slash: the SDK joins the bucket to a path of the endpoint without one (aws-sdk-s3 1.157).
fn endpoint(config: &SdkConfig) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let of_the_service = || config.service_config()?.load_config(key.ok()?);
    let of_all = || config.endpoint_url().map(ToOwned::to_owned);
    let endpoint = if config.get_origin("endpoint_url").is_client_config() {
        of_all()
    } else {
        of_the_service().or_else(of_all)
    };
    endpoint.map(|url| if url.ends_with('/') { url } else { url + "/" })
}
