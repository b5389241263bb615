//! The real services: one client each for S3, Secrets Manager and CodeDeploy, built once and without a network call.

use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};

use crate::dump::SnapshotMode;
use crate::storage::Storage;
use crate::{Error, MongoUri, Result};

use super::deployment::{self, DeploymentInfo, Verdict};
use super::event::HookCall;
use super::secret;
use super::services::Services;
use super::settings::{DRILL_SECRET_ID, SECRET_ID, Settings};

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
    /// From the environment: the variables of [`hook`](crate::hook), and the standard ones of the AWS SDK. What is missing shows when it is
    /// needed, so that a hook call can still report it.
    ///
    /// # Cancellation
    /// Nothing is left behind when the future is dropped.
    pub async fn from_env() -> Self {
        let settings = Settings::from_env();
        // Only the variable: the SDK's own search ends at the instance metadata service, which costs seconds.
        let region = (!settings.region.is_empty()).then(|| Region::new(settings.region.clone()));
        let loader = || {
            let region = RegionProviderChain::first_try(region.clone());
            aws_config::defaults(BehaviorVersion::latest()).region(region)
        };
        let (config, storage) = match Box::pin(crate::aws::load(loader)).await {
            Ok(config) => {
                let client = Storage::s3_client(&config).map(Storage::with_s3);
                let storage = client.and_then(|storage| Ok(storage.with_options(settings.s3_options()?)));
                (config, storage)
            }
            // CodeDeploy is told by whatever certificates the system trusts.
            Err(error) => (Box::pin(loader().load()).await, Err(error)),
        };
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
            storage,
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

    fn database(&self) -> Option<&str> {
        self.settings.database.as_deref()
    }

    fn snapshot(&self) -> Result<SnapshotMode> {
        self.settings.snapshot()
    }

    fn memory(&self) -> Option<u64> {
        self.settings.memory
    }

    fn storage(&self) -> Result<&Storage> {
        self.storage.as_ref().map_err(|error| Error::new(error.kind(), error.report()))
    }

    async fn mongo_uri(&self) -> Result<MongoUri> {
        Box::pin(secret::mongo_uri(&self.secrets, &self.settings.secret_id, SECRET_ID)).await
    }

    async fn drill_uri(&self) -> Result<MongoUri> {
        let Some(secret_id) = &self.settings.drill_secret_id else { return self.mongo_uri().await };
        Box::pin(secret::mongo_uri(&self.secrets, secret_id, DRILL_SECRET_ID)).await
    }

    async fn deployment(&self, id: &str) -> Result<DeploymentInfo> {
        Box::pin(deployment::get(&self.codedeploy, id)).await
    }

    async fn report(&self, hook: &HookCall, verdict: Verdict) -> Result<()> {
        Box::pin(deployment::report(&self.codedeploy, hook, verdict)).await
    }

    async fn stop(&self, deployment: &str) -> Result<()> {
        Box::pin(deployment::stop(&self.codedeploy, deployment)).await
    }
}
