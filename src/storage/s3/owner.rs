//! The account that a bucket must belong to, said with every request.
//!
//! The name of a bucket is free again when it is deleted, and anybody may take it: without this an archive would go there.

use crate::storage::S3Options;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

const OWNER: &str = "x-amz-expected-bucket-owner";
const SOURCE: &str = "x-amz-copy-source";
const OWNER_OF_SOURCE: &str = "x-amz-source-expected-bucket-owner";

/// Says it at the one place that all requests come through, so that none can go without.
#[derive(Debug)]
struct ExpectedOwner(String);

impl Intercept for ExpectedOwner {
    fn name(&self) -> &'static str {
        "ExpectedOwner"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        headers.try_insert(OWNER, self.0.clone())?;
        if headers.contains_key(SOURCE) {
            headers.try_insert(OWNER_OF_SOURCE, self.0.clone())?;
        }
        Ok(())
    }
}

/// The same client with what these options ask of every request.
pub(in crate::storage) fn with_options(client: Client, options: &S3Options) -> Client {
    match &options.expected_bucket_owner {
        Some(owner) => {
            Client::from_conf(client.config().to_builder().interceptor(ExpectedOwner(owner.clone())).build())
        }
        None => client,
    }
}
