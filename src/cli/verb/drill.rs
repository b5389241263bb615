//! `mongoark drill`.

use tokio_util::sync::CancellationToken;

use super::or_cancelled;
use crate::cli::args::Drill;
use crate::cli::face::Face;
use crate::drill::drill;
use crate::storage::Storage;
use crate::{Deployment, Result};

pub(in crate::cli) async fn run(args: Drill, face: &Face, cancel: &CancellationToken) -> Result<()> {
    let (uri, options, location) = args.check()?;
    let work = async { Ok((Storage::for_location(&location).await?, Deployment::connect(&uri).await?)) };
    let (storage, deployment) = or_cancelled(work, cancel).await?;
    let drilled = Box::pin(drill(&deployment, &options, &storage, &location, face.monitor(), cancel)).await;
    deployment.close().await;
    drilled.map(drop)
}
