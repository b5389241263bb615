//! Which application a waiting deployment installs.

use tracing::warn;

use crate::{Error, ErrorKind, Result};

use super::deployment::DeploymentInfo;
use super::job::Job;
use super::name::Name;
use super::services::Services;
use super::stage::Stage;

/// A deployment that waits for its backup.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) deployment: Name,
    pub(super) application: Name,
    /// The status of a deployment that waits no longer.
    pub(super) ended: Option<String>,
}

impl Waiting {
    /// Asks CodeDeploy; `fallback` is the event's name of the application.
    pub(super) async fn ask<S: Services>(
        job: &Job<S>,
        deployment: Name,
        fallback: Option<Name>,
    ) -> Result<Self> {
        job.enter(Stage::CodeDeploy);
        let asked = job.cancel.run_until_cancelled(job.services.deployment(deployment.as_str()));
        let known = asked.await.ok_or_else(Error::cancelled)?;
        let application = application(&deployment, known.as_ref(), fallback)?;
        Ok(Self { deployment, application, ended: known.ok().and_then(|known| known.ended) })
    }

    /// Asks once more whether the deployment waits, after another invocation was waited for.
    pub(super) async fn ask_again<S: Services>(&mut self, job: &Job<S>) -> Result<()> {
        job.enter(Stage::CodeDeploy);
        let asked = job.cancel.run_until_cancelled(job.services.deployment(self.deployment.as_str()));
        match asked.await.ok_or_else(Error::cancelled)? {
            Ok(known) => self.ended = known.ended,
            Err(error) => {
                warn!(reason = error.report(), "CodeDeploy does not tell whether the deployment waits");
            }
        }
        Ok(())
    }
}

/// The application's name as CodeDeploy knows it, or as the event gives it.
fn application(
    deployment: &Name,
    known: Result<&DeploymentInfo, &Error>,
    fallback: Option<Name>,
) -> Result<Name> {
    let reason = match known {
        Ok(DeploymentInfo { application: Some(name), .. }) => {
            return Name::new("CodeDeploy's application name", name);
        }
        Ok(_) => "CodeDeploy gave no application name".to_owned(),
        Err(error) => error.report(),
    };
    match fallback {
        Some(name) => {
            warn!(reason, application = name.as_str(), "using the event's ApplicationName");
            Ok(name)
        }
        None => Err(Error::new(
            ErrorKind::Service,
            format!(
                "the application of the deployment {} is not known: {reason}; correct that, or send ApplicationName in \
                 the event",
                deployment.as_str()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new("a test", text).unwrap()
    }

    #[test]
    fn codedeploy_knows_the_application_best() {
        let known = DeploymentInfo { application: Some("shop".to_owned()), ended: None };
        assert_eq!(application(&name("d-1"), Ok(&known), Some(name("other"))).unwrap(), name("shop"));
    }

    #[test]
    fn the_events_name_stands_in_for_codedeploys() {
        let refused = Error::new(ErrorKind::Service, "refused");
        assert_eq!(application(&name("d-1"), Err(&refused), Some(name("other"))).unwrap(), name("other"));
        assert_eq!(
            application(&name("d-1"), Ok(&DeploymentInfo::default()), Some(name("other"))).unwrap(),
            name("other")
        );
    }

    #[test]
    fn without_any_name_the_reason_is_given() {
        let refused = Error::new(ErrorKind::Service, "CodeDeploy refused");
        let error = application(&name("d-1"), Err(&refused), None).unwrap_err().report();
        assert!(error.contains("CodeDeploy refused") && error.contains("send ApplicationName"), "{error}");
    }

    #[test]
    fn codedeploys_name_is_checked_too() {
        let known = DeploymentInfo { application: Some("a/b".to_owned()), ended: None };
        let error = application(&name("d-1"), Ok(&known), None).unwrap_err().report();
        assert!(error.contains("CodeDeploy's application name contains a slash"), "{error}");
    }
}
