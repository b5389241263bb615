//! `mongoark verify`.

use tokio_util::sync::CancellationToken;

use super::or_cancelled;
use crate::Result;
use crate::cli::args::Verify;
use crate::cli::face::Face;
use crate::storage::Storage;
use crate::verify::verify;

pub(in crate::cli) async fn run(args: Verify, face: &Face, cancel: &CancellationToken) -> Result<()> {
    let location = args.check()?;
    let open = async { Storage::for_location(&location).await?.open(&location).await };
    let source = or_cancelled(open, cancel).await?;
    let report = Box::pin(verify(source, face.monitor(), cancel)).await?;
    report.damage.map_or(Ok(()), |damage| Err(damage.at(&location)))
}
