//! Backup: a dump into an object that is never overwritten.

use std::collections::BTreeMap;

use tracing::{info, warn};

use crate::codec::{Compression, GzipLevel};
use crate::dump::{DumpOptions, dump};
use crate::storage::{CreateOptions, Location, Sink};
use crate::{Error, ErrorKind, Result};

use super::event::Name;
use super::job::Job;
use super::outcome::{Action, Archive, Outcome};
use super::services::Services;
use super::stage::Stage;

/// Label of an archive that a hook call took: the deployment it was taken for.
const DEPLOYMENT_LABEL: &str = "mongoark-deployment";

/// Label of every archive: the Lambda request that wrote it. It stays the same when Lambda runs an event again.
pub(super) const REQUEST_LABEL: &str = "mongoark-request";

/// What distinguishes a deployment's backup from one by hand.
struct Call {
    /// The label of an archive that an earlier attempt of the same call has written.
    label: (&'static str, String),
    /// What to say of any other archive under the same key.
    foreign: &'static str,
    /// Why there must be no new archive.
    refusal: Option<Error>,
}

/// The backup of a deployment that waits for it; `ended` is the status of a deployment that waits no longer.
pub(super) async fn for_deployment<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    deployment: &Name,
    ended: Option<String>,
) -> Result<Outcome> {
    let deployment = deployment.as_str();
    let refusal = ended.map(|status| {
        let message = format!(
            "the deployment {deployment} has ended ({status}) and gets no archive any more, which would look as if it \
             had been taken before the installation; start a new deployment"
        );
        Error::new(ErrorKind::InvalidInput, message)
    });
    let call = Call {
        // Labels are visible ASCII, and so are CodeDeploy's ids; whatever else is sent must not look like one.
        label: (DEPLOYMENT_LABEL, deployment.escape_default().to_string()),
        foreign: "another archive, not taken for this deployment, has its name; move it away and deploy again",
        refusal,
    };
    backup(job, archive, call).await
}

/// A backup that somebody asked for.
pub(super) async fn by_hand<S: Services>(job: &Job<S>, archive: &Archive) -> Result<Outcome> {
    let call = Call {
        label: (REQUEST_LABEL, job.request_id.clone()),
        foreign: "there is an archive already; send another DeploymentId, or none, or delete that archive first",
        refusal: None,
    };
    backup(job, archive, call).await
}

/// Dumps, unless an archive is there already.
async fn backup<S: Services>(job: &Job<S>, archive: &Archive, call: Call) -> Result<Outcome> {
    let Call { label, foreign, refusal } = call;
    let location = archive.location()?;
    match write(job, archive, &location, label.clone(), refusal).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        other => return other,
    }
    job.enter(Stage::Bucket);
    let stored = job.unless_cancelled(Box::pin(job.services.storage()?.stat(&location))).await?;
    let ours = stored.filter(|stored| {
        stored
            .labels
            .iter()
            .any(|(name, value)| (name.as_str(), value.as_str()) == (label.0, label.1.as_str()))
    });
    let Some(ours) = ours else {
        return Err(Error::new(ErrorKind::AlreadyExists, foreign).at(location));
    };
    info!(archive = %location, "an earlier attempt has written the archive");
    Ok(Outcome::existing(Action::Backup, archive, ours.bytes))
}

async fn write<S: Services>(
    job: &Job<S>,
    archive: &Archive,
    location: &Location,
    label: (&str, String),
    refusal: Option<Error>,
) -> Result<Outcome> {
    job.enter(Stage::Bucket);
    let mut labels = BTreeMap::from([(REQUEST_LABEL.to_owned(), job.request_id.clone())]);
    labels.insert(label.0.to_owned(), label.1);
    // The bucket first: an archive that is there already needs neither the secret nor the database.
    let options =
        CreateOptions { overwrite: false, labels: labels.into_iter().collect(), ..CreateOptions::default() };
    let sink = job.unless_cancelled(Box::pin(job.services.storage()?.create(location, &options))).await?;
    let connected = match refusal {
        Some(error) => Err(error),
        None => job.connect().await,
    };
    let client = match connected {
        Ok(client) => client,
        Err(error) => {
            abort(sink).await;
            return Err(error);
        }
    };
    job.enter(Stage::Dump);
    info!(archive = %location, "dumping");
    let options =
        DumpOptions { compression: Compression::Gzip(GzipLevel::default()), ..DumpOptions::default() };
    let dumped = Box::pin(dump(&client, &options, sink, &job.monitor, &job.cancel)).await;
    job.disconnect(client).await;
    let report = dumped?;
    info!(archive = %location, bytes = report.bytes, documents = report.documents, "the archive is complete");
    Ok(Outcome::backup(archive, report.bytes, report.documents, report.collections))
}

async fn abort(sink: Sink) {
    if let Err(error) = Box::pin(sink.abort()).await {
        warn!(reason = error.report(), "what was begun in the bucket could not be removed");
    }
}
