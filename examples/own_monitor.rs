//! Restores an archive and follows it with a monitor of one's own.
//!
//! ```sh
//! cargo run --example own_monitor -- mongodb://localhost:27017 shop.archive.gz
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use archive_format::Namespace;
use mongoark::progress::Monitor;
use mongoark::restore::{RestoreOptions, restore};
use mongoark::storage::{Location, Storage};
use mongoark::{Deployment, Error, ErrorKind, MongoUri};
use tokio_util::sync::CancellationToken;

/// Prints a line for every collection and for whatever somebody has to read.
#[derive(Debug, Default)]
struct Lines {
    documents: AtomicU64,
}

impl Monitor for Lines {
    // Called from many tasks, so it only counts.
    fn advanced(&self, _namespace: &Namespace, documents: u64, _bytes: u64) {
        self.documents.fetch_add(documents, Ordering::Relaxed);
    }

    fn finished(&self, namespace: &Namespace, documents: u64) {
        let all = self.documents.load(Ordering::Relaxed);
        println!("{:?}: {documents} documents, {all} so far", namespace.to_string());
    }

    fn warn(&self, text: &str) {
        println!("warning: {text:?}");
    }
}

#[tokio::main]
async fn main() -> mongoark::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(uri), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err(Error::new(ErrorKind::InvalidInput, "give a connection string and an archive"));
    };
    let location = Location::parse(&path)?;
    let source = Storage::for_location(&location).await?.open(&location).await?;
    let deployment = Deployment::connect(&MongoUri::parse(&uri)?).await?;
    let monitor: Arc<dyn Monitor> = Arc::new(Lines::default());
    let options = RestoreOptions::default();
    let report = restore(&deployment, &options, source, &monitor, &CancellationToken::new()).await?;
    deployment.close().await;
    println!("{} documents restored, {} refused", report.documents, report.failures);
    Ok(())
}
