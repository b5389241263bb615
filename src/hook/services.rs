//! What the handler needs from the world.

use crate::dump::SnapshotMode;
use crate::storage::Storage;
use crate::{MongoUri, Result};

use super::deployment::{DeploymentInfo, Verdict};
use super::event::HookCall;

/// What the handler needs from AWS. [`Aws`](super::Aws) is the real one; tests put faults in its place.
pub trait Services: Send + Sync + 'static {
    /// The bucket of the archives.
    ///
    /// # Errors
    /// Names every environment variable that is missing.
    fn bucket(&self) -> Result<&str>;

    /// The one database that the function is to work on, where its environment names one.
    fn database(&self) -> Option<&str>;

    /// Whether a backup reads everything at one moment.
    ///
    /// # Errors
    /// When the environment says something else than is known.
    fn snapshot(&self) -> Result<SnapshotMode> {
        Ok(SnapshotMode::default())
    }

    /// The function's memory in MB, where the environment tells.
    fn memory(&self) -> Option<u64> {
        None
    }

    /// Where archives are opened and created.
    ///
    /// # Errors
    /// When the environment does not suffice for a client.
    fn storage(&self) -> Result<&Storage>;

    /// The connection string in the secret.
    ///
    /// # Errors
    /// Names the secret and what is wrong with it, never its content.
    fn mongo_uri(&self) -> impl Future<Output = Result<MongoUri>> + Send;

    /// The connection string of the deployment that drills run on.
    ///
    /// # Errors
    /// As [`mongo_uri`](Services::mongo_uri).
    fn drill_uri(&self) -> impl Future<Output = Result<MongoUri>> + Send {
        self.mongo_uri()
    }

    /// What CodeDeploy knows about a deployment.
    ///
    /// # Errors
    /// When CodeDeploy does not answer or refuses to.
    fn deployment(&self, id: &str) -> impl Future<Output = Result<DeploymentInfo>> + Send;

    /// Tells CodeDeploy how the hook ended. That it has been told before is no error.
    ///
    /// # Errors
    /// When CodeDeploy does not answer or refuses, after a few attempts.
    fn report(&self, hook: &HookCall, verdict: Verdict) -> impl Future<Output = Result<()>> + Send;

    /// Stops a deployment, without a rollback. That it has ended already is no error.
    ///
    /// # Errors
    /// When CodeDeploy does not answer or refuses, after a few attempts.
    fn stop(&self, deployment: &str) -> impl Future<Output = Result<()>> + Send;
}
