//! Whose backup it is, and which archive is its own.

use crate::hook::archive::Archive;
use crate::hook::job::Job;
use crate::hook::labels;
use crate::hook::services::Services;
use crate::hook::waiting::Waiting;
use crate::storage::Stored;
use crate::{Error, ErrorKind, Result};

/// What is asked for, and what distinguishes a deployment's backup from one by hand.
pub(super) struct Call {
    waiting: Option<Waiting>,
    pub(super) overwrite: bool,
    /// The label of an archive that an earlier attempt of the same call has written.
    pub(super) label: (&'static str, String),
}

impl Call {
    pub(super) fn new<S: Services>(job: &Job<S>, waiting: Option<Waiting>, overwrite: bool) -> Self {
        let label = match &waiting {
            // Labels are visible ASCII, and so are CodeDeploy's ids; whatever else is sent must not look like one.
            Some(waiting) => (labels::DEPLOYMENT, labels::visible(waiting.deployment.as_str())),
            None => (labels::REQUEST, job.request_id.clone()),
        };
        Self { waiting, overwrite, label }
    }

    pub(super) fn is_hook(&self) -> bool {
        self.waiting.is_some()
    }

    fn has_written(&self, found: &Stored) -> bool {
        let (label, value) = &self.label;
        labels::find(found, label) == Some(value)
    }

    /// What is there if it is this call's; refused where it is not, and not to be overwritten.
    pub(super) fn ours(&self, archive: &Archive, found: Option<Stored>) -> Result<Option<Stored>> {
        match found {
            Some(found) if self.has_written(&found) => Ok(Some(found)),
            Some(_) if !self.overwrite => {
                let message = if self.is_hook() {
                    "another archive, not taken for this deployment, has its name; move it away and deploy again"
                } else {
                    "there is an archive already; send another DeploymentId, or none, or Overwrite: true to replace it"
                };
                Err(Error::new(ErrorKind::AlreadyExists, message).at(archive))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Refuses for a deployment that waits no longer.
    pub(super) fn refuse_ended(&self) -> Result<()> {
        let Some(Waiting { deployment, ended: Some(status), .. }) = &self.waiting else { return Ok(()) };
        let message = format!(
            "the deployment {} has ended ({status}) and gets no archive any more, which would look as if it had been taken \
             before the installation; start a new deployment",
            deployment.as_str()
        );
        Err(Error::new(ErrorKind::InvalidInput, message))
    }

    /// Asks once more whether the deployment waits, after another invocation was waited for.
    pub(super) async fn ask_again<S: Services>(&mut self, job: &Job<S>) -> Result<()> {
        match &mut self.waiting {
            Some(waiting) => waiting.ask_again(job).await,
            None => Ok(()),
        }
    }
}
