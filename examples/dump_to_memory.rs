//! Dumps one database into memory and says what the archive holds.
//!
//! ```sh
//! cargo run --example dump_to_memory -- mongodb://localhost:27017 shop
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;

use mongoark::codec::{Compression, GzipLevel};
use mongoark::dump::{DumpOptions, dump};
use mongoark::progress::{Monitor, Silent};
use mongoark::storage::Sink;
use mongoark::{Deployment, MongoUri, Scope};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> mongoark::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let uri = arguments.next().unwrap_or_else(|| "mongodb://localhost:27017".to_owned());
    let scope = match arguments.next() {
        Some(db) => Scope::database(&db)?,
        None => Scope::Everything,
    };
    let deployment = Deployment::connect(&MongoUri::parse(&uri)?).await?;
    let options =
        DumpOptions { scope, compression: Compression::Gzip(GzipLevel::default()), ..DumpOptions::default() };
    // The archive is in `memory` once it is complete, and not before.
    let (sink, memory) = Sink::memory();
    let monitor: Arc<dyn Monitor> = Arc::new(Silent);
    let report = dump(&deployment, &options, sink, &monitor, &CancellationToken::new()).await?;
    deployment.close().await;
    let archive = memory.bytes().unwrap_or_default();
    println!("{} collections, {} documents, {} bytes", report.collections, report.documents, archive.len());
    Ok(())
}
