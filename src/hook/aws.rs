//! The real services: one client each for S3, Secrets Manager and CodeDeploy, built once and without a network call.

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_codedeploy::error::{ProvideErrorMetadata, SdkError};

use crate::storage::Storage;
use crate::{Error, ErrorKind, MongoUri, Result};

use super::deployment::{self, Deployment, Verdict};
use super::event::HookCall;
use super::secret;
use super::services::Services;
use super::settings::Settings;

/// Longest time to open a connection. In a VPC without a way out nothing ever answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time for one answer of Secrets Manager or CodeDeploy; they take a tenth of a second.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);

/// Longest time for one call with all its attempts: a function of one minute can still report after two that hung.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Attempts of one call: refused for too many requests, a broken connection, an error of the service. More than the
/// SDK's three, because a deployment hangs on the answer.
const ATTEMPTS: u32 = 5;

/// Longest pause before the second attempt, doubled for each further one: all pauses together stay under 8 s.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// The services of the account that the function runs in.
#[derive(Debug)]
pub struct Aws {
    settings: Settings,
    storage: Result<Storage>,
    secrets: aws_sdk_secretsmanager::Client,
    codedeploy: aws_sdk_codedeploy::Client,
}

impl Aws {
    /// From the environment: the three variables, and the standard ones of the AWS SDK. What is missing shows when it is
    /// needed, so that a hook call can still report it.
    ///
    /// # Cancellation
    /// Nothing is left behind when the future is dropped.
    pub async fn from_env() -> Self {
        let settings = Settings::from_env();
        // Only the variable: the SDK's own search ends at the instance metadata service, which costs seconds.
        let region = (!settings.region.is_empty()).then(|| Region::new(settings.region.clone()));
        let loader =
            aws_config::defaults(BehaviorVersion::latest()).region(RegionProviderChain::first_try(region));
        let config = Box::pin(loader.load()).await;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_BACKOFF);
        let secrets = aws_sdk_secretsmanager::config::Builder::from(&config)
            .timeout_config(timeouts.clone())
            .retry_config(retries.clone());
        let codedeploy =
            aws_sdk_codedeploy::config::Builder::from(&config).timeout_config(timeouts).retry_config(retries);
        Self {
            storage: Storage::s3_client(&config).map(Storage::with_s3),
            secrets: aws_sdk_secretsmanager::Client::from_conf(secrets.build()),
            codedeploy: aws_sdk_codedeploy::Client::from_conf(codedeploy.build()),
            settings,
        }
    }
}

impl Services for Aws {
    fn bucket(&self) -> Result<&str> {
        self.settings.check()?;
        Ok(&self.settings.bucket)
    }

    fn storage(&self) -> Result<&Storage> {
        self.storage.as_ref().map_err(|error| Error::new(error.kind(), error.report()))
    }

    async fn mongo_uri(&self) -> Result<MongoUri> {
        Box::pin(secret::mongo_uri(&self.secrets, &self.settings.secret_id)).await
    }

    async fn deployment(&self, id: &str) -> Result<Deployment> {
        Box::pin(deployment::get(&self.codedeploy, id)).await
    }

    async fn report(&self, hook: &HookCall, verdict: Verdict) -> Result<()> {
        Box::pin(deployment::report(&self.codedeploy, hook, verdict)).await
    }

    async fn stop(&self, deployment: &str) -> Result<()> {
        Box::pin(deployment::stop(&self.codedeploy, deployment)).await
    }
}

/// One sentence for a call that did not come about: who did not do what, why, and what to change.
pub(super) fn refusal<E>(service: &str, action: &str, permission: &str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let message = match error {
        SdkError::ServiceError(refused) => {
            let code = refused.err().code().unwrap_or("no reason given");
            let reason = refused.err().message().map(|text| format!(": {text}")).unwrap_or_default();
            let advice = if code.starts_with("AccessDenied") || code == "UnauthorizedOperation" {
                format!("; allow {permission} in the function's role")
            } else {
                String::new()
            };
            format!("{service} did not {action} ({code}{reason}){advice}")
        }
        SdkError::TimeoutError(_) => not_reached(service, action, "no answer in time"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() || failure.is_io() => {
            let reason = failure.as_connector_error().map_or_else(String::new, |error| root_cause(error));
            not_reached(service, action, &reason)
        }
        other => format!("{service} was not asked to {action}: {}", root_cause(other)),
    };
    Error::new(ErrorKind::Service, message)
}

fn not_reached(service: &str, action: &str, reason: &str) -> String {
    format!(
        "{service} could not be reached to {action} ({reason}); a function in a VPC needs an interface endpoint for \
         {service} or a NAT gateway, and a security group that lets HTTPS through"
    )
}

fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
