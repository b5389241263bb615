//! What the steps of one invocation's work share.

use std::sync::{Arc, OnceLock};

use lambda_runtime::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::progress::Monitor;
use crate::storage::Stored;
use crate::{Deployment, Error, ErrorKind, MongoUri, Result, Scope};

use super::archive::Archive;
use super::claim::Claim;
use super::deadline::Deadline;
use super::identity::Identity;
use super::lease::Lease;
use super::monitor::LogLines;
use super::pace::Pace;
use super::services::Services;
use super::stage::Stage;

/// The context of one invocation's work.
#[derive(Debug)]
pub(super) struct Job<S> {
    pub(super) services: Arc<S>,
    /// Lambda's name of the invocation, as visible ASCII: it becomes a label.
    pub(super) request_id: String,
    /// When Lambda kills the process, in milliseconds since 1970.
    pub(super) killed_at: u64,
    pub(super) deadline: Deadline,
    pub(super) cancel: CancellationToken,
    claim: Arc<OnceLock<Claim>>,
    monitor: Arc<LogLines>,
    stage: watch::Sender<Stage>,
}

impl<S: Services> Job<S> {
    pub(super) fn new(
        services: &Arc<S>,
        context: &Context,
        deadline: Deadline,
        monitor: &Arc<LogLines>,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            services: Arc::clone(services),
            request_id: super::labels::visible(&context.request_id),
            killed_at: context.deadline,
            deadline,
            cancel,
            claim: Arc::default(),
            monitor: Arc::clone(monitor),
            stage: watch::Sender::new(Stage::CodeDeploy),
        }
    }

    /// The claim of an archive's key, for this invocation.
    pub(super) fn claim(&self, archive: &Archive) -> Result<&Claim> {
        let claim = Claim::new(self.services.storage()?, archive, &self.request_id, self.killed_at)?;
        Ok(self.claim.get_or_init(|| claim))
    }

    /// The claim that the job has come to, if any; known also when the job is no more.
    pub(super) fn claimed(&self) -> Arc<OnceLock<Claim>> {
        Arc::clone(&self.claim)
    }

    /// The secret's connection string, and what it lets this function work on.
    pub(super) async fn target(&self) -> Result<(MongoUri, Scope)> {
        self.enter(Stage::Secret);
        let uri = self.unless_cancelled(self.services.mongo_uri()).await?;
        uri.warnings().iter().for_each(|warning| self.warn(warning));
        let scope = Scope::of_function(&uri, self.services.database())?;
        info!(%scope, hosts = %uri, "the database is chosen");
        Ok((uri, scope))
    }

    /// What is known of an archive that has to be there.
    pub(super) async fn stored(&self, archive: &Archive) -> Result<Stored> {
        self.enter(Stage::Bucket);
        let location = archive.location()?;
        let stat = Box::pin(self.services.storage()?.stat(&location));
        self.unless_cancelled(stat).await?.ok_or_else(|| {
            let message = "there is no such archive; check ApplicationName, DeploymentId and BUCKET_NAME";
            Error::new(ErrorKind::NotFound, message).at(&location)
        })
    }

    /// The deployment of a connection string, which has answered.
    pub(super) async fn connect(&self, uri: &MongoUri) -> Result<Deployment> {
        self.enter(Stage::Connection);
        info!(hosts = %uri, "connecting to MongoDB");
        self.unless_cancelled(Box::pin(Deployment::connect(uri))).await
    }

    /// The lease of a deployment, for work on this part of it.
    pub(super) async fn lease(&self, deployment: &Deployment, scope: &Scope) -> Result<Lease> {
        let identity = self.unless_cancelled(Box::pin(Identity::ask(deployment))).await?;
        self.enter(Stage::Lease);
        Lease::new(self.services.storage()?, self.services.bucket()?, &identity.lease_key(), scope)
    }

    /// A frozen function would leave the connections open at the server.
    pub(super) async fn disconnect(&self, deployment: Deployment) {
        if !deployment.close().await {
            warn!("the connections to MongoDB did not close in time");
        }
    }

    pub(super) async fn unless_cancelled<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        self.cancel.run_until_cancelled(step).await.unwrap_or_else(|| Err(Error::cancelled()))
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// How far the dump has come.
    pub(super) fn pace(&self) -> Option<Pace> {
        self.monitor.pace()
    }

    /// What the dump would have needed, and what to change.
    pub(super) fn advice(&self) -> Option<String> {
        self.monitor.advice(self.deadline, self.services.memory())
    }

    /// Hears how the stage changes.
    pub(super) fn stages(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    pub(super) fn monitor(&self) -> Arc<dyn Monitor> {
        Arc::clone(&self.monitor) as Arc<dyn Monitor>
    }

    /// Says something in the log and in the answer.
    pub(super) fn warn(&self, text: &str) {
        self.monitor.warn(text);
    }
}
