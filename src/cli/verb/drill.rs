//! `mongoark drill`.

use tokio_util::sync::CancellationToken;

use super::or_cancelled;
use crate::cli::args::Drill;
use crate::cli::face::Face;
use crate::drill::{drill, newest};
use crate::storage::Storage;
use crate::{Deployment, Result};

pub(in crate::cli) async fn run(args: Drill, face: &Face, cancel: &CancellationToken) -> Result<()> {
    let (terminal, monitor) = (face.terminal(), face.monitor());
    let is_folder = args.names_folder();
    let s3 = args.s3_options()?;
    let (uri, options, location) = args.check()?;
    uri.warnings().iter().for_each(|warning| terminal.warn(warning));
    let work = async {
        let storage = Storage::for_location(&location).await?.with_options(s3);
        let at = if is_folder { newest(&storage, &location, monitor.as_ref()).await? } else { location };
        Ok((storage, at, Deployment::connect(&uri).await?))
    };
    let (storage, at, deployment) = or_cancelled(work, cancel).await?;
    terminal.say(&format!(
        "drilling {at}: its databases are restored under names that begin with {}",
        options.prefix
    ));
    let drilled = Box::pin(drill(&deployment, &options, &storage, &at, monitor, cancel)).await;
    deployment.close().await;
    let report = drilled?;
    terminal.say(&format!(
        "restored {} document(s) of {} collection(s) from {} bytes in {:.1} s, {} documents/s; all agree with the archive{}, \
         and the scratch databases are gone",
        report.documents,
        report.collections,
        report.bytes,
        report.restored_in.as_secs_f64(),
        report.documents_per_second(),
        if report.proven { " and its proof" } else { "" }
    ));
    if report.tagged {
        terminal.say(&format!("tagged {at} as restored-ok"));
    }
    Ok(())
}
