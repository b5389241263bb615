//! One invocation's work: run in a task of its own, cancelled before Lambda kills the process.

use std::sync::Arc;

use lambda_runtime::Context;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span, info, warn};

use crate::progress::Monitor;
use crate::{Deployment as Database, Error, ErrorKind, Result};

use super::deadline::Deadline;
use super::deployment::Deployment;
use super::event::{Name, Request};
use super::monitor::LogLines;
use super::outcome::{Archive, Outcome};
use super::services::Services;
use super::stage::Stage;
use super::{backup, restore};

/// What the steps of one invocation share.
#[derive(Debug)]
pub(super) struct Job<S> {
    pub(super) services: Arc<S>,
    /// Lambda's name of the invocation, as visible ASCII: it becomes a label.
    pub(super) request_id: String,
    /// When Lambda kills the process, in milliseconds since 1970.
    pub(super) deadline: u64,
    pub(super) monitor: Arc<dyn Monitor>,
    pub(super) cancel: CancellationToken,
    stage: watch::Sender<Stage>,
}

impl<S: Services> Job<S> {
    /// Does what `request` asks for, in time.
    ///
    /// The task makes a panic an error like any other, one that CodeDeploy hears of.
    pub(super) async fn run(
        services: &Arc<S>,
        request: Request,
        context: &Context,
        deadline: Deadline,
    ) -> Result<Outcome> {
        let (stage, reached) = watch::channel(Stage::CodeDeploy);
        let cancel = CancellationToken::new();
        let job = Self {
            services: Arc::clone(services),
            request_id: context.request_id.escape_default().to_string(),
            deadline: context.deadline,
            monitor: Arc::new(LogLines::new()),
            cancel: cancel.clone(),
            stage,
        };
        let began = Instant::now();
        let work = async move { Box::pin(job.work(request)).await }.instrument(Span::current());
        let mut task = AbortOnDropHandle::new(tokio::spawn(work));
        let result = tokio::select! {
            ended = &mut task => settle(ended),
            () = sleep_until(deadline.work) => {
                warn!("the function's time is running out, cancelling");
                cancel.cancel();
                let stopped = timeout_at(deadline.stopped, &mut task).await;
                match stopped.map_or_else(|_| Err(Error::cancelled()), settle) {
                    Err(error) if error.is_cancelled() => Err(reached.borrow().out_of_time()),
                    ended => ended,
                }
            }
        };
        result.map(|outcome| outcome.after(began.elapsed()))
    }

    async fn work(self, request: Request) -> Result<Outcome> {
        let bucket = self.services.bucket()?;
        match request {
            Request::Hook { deployment, fallback } => {
                let known = self.deployment(&deployment).await?;
                let application = application(&deployment, known.as_ref(), fallback)?;
                let archive = Archive::new(bucket, &application, &deployment);
                let ended = known.ok().and_then(|known| known.ended);
                backup::for_deployment(&self, &archive, &deployment, ended).await
            }
            Request::Backup { application, deployment } => {
                backup::by_hand(&self, &Archive::new(bucket, &application, &deployment)).await
            }
            Request::Restore { application, deployment } => {
                let archive = Archive::new(bucket, &application, &deployment);
                restore::restore(&self, &application, &archive).await
            }
        }
    }

    /// What CodeDeploy says of the deployment; the inner error is one that the event's name may make up for.
    async fn deployment(&self, deployment: &Name) -> Result<Result<Deployment>> {
        self.enter(Stage::CodeDeploy);
        let asked = self.cancel.run_until_cancelled(self.services.deployment(deployment.as_str()));
        asked.await.ok_or_else(Error::cancelled)
    }

    /// The deployment of the secret's connection string, which has answered.
    pub(super) async fn connect(&self) -> Result<Database> {
        self.enter(Stage::Secret);
        let uri = self.unless_cancelled(self.services.mongo_uri()).await?;
        self.enter(Stage::Connection);
        info!(hosts = %uri, "connecting to MongoDB");
        self.unless_cancelled(Box::pin(Database::connect(&uri))).await
    }

    /// A frozen function would leave the connections open at the server.
    pub(super) async fn disconnect(&self, database: Database) {
        if !database.close().await {
            warn!("the connections to MongoDB did not close in time");
        }
    }

    pub(super) async fn unless_cancelled<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        self.cancel.run_until_cancelled(step).await.unwrap_or_else(|| Err(Error::cancelled()))
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }
}

/// The application's name as CodeDeploy knows it, or as the event gives it.
fn application(
    deployment: &Name,
    known: Result<&Deployment, &Error>,
    fallback: Option<Name>,
) -> Result<Name> {
    let reason = match known {
        Ok(Deployment { application: Some(name), .. }) => {
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

fn settle(ended: std::result::Result<Result<Outcome>, JoinError>) -> Result<Outcome> {
    ended.unwrap_or_else(|lost| {
        let message = "the work ended in a panic, which is a defect of mongoark; its place is in the log, please report it";
        Err(Error::new(ErrorKind::Internal, message).with_source(lost))
    })
}

#[cfg(test)]
mod tests;
