//! Backs MongoDB up into `mongodump --archive` archives and restores them, to and from files, pipes and S3.
//!
//! Two verbs: [`dump::dump`] reads a deployment into a [`Sink`](storage::Sink), [`restore::restore`] replays a
//! [`Source`](storage::Source). Both take a deployment, options, the stream, a [`Monitor`](progress::Monitor) and a token
//! that cancels; both run as a pipeline of bounded queues whose memory does not depend on the size of the data. Documents
//! stay bytes from the server's reply to the archive and back.
//!
//! ```no_run
//! use std::sync::Arc;
//! use mongoark::codec::{Compression, GzipLevel};
//! use mongoark::dump::{DumpOptions, dump};
//! use mongoark::progress::{Monitor, Silent};
//! use mongoark::storage::{CreateOptions, Location, Storage};
//! use mongoark::{Deployment, MongoUri};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example() -> mongoark::Result<()> {
//! let deployment = Deployment::connect(&MongoUri::parse("mongodb://localhost:27017")?).await?;
//! let location = Location::parse("s3://backups/shop.archive.gz")?;
//! let storage = Storage::for_location(&location).await?;
//! let sink = storage.create(&location, &CreateOptions::default()).await?;
//! let options = DumpOptions { compression: Compression::Gzip(GzipLevel::default()), ..DumpOptions::default() };
//! let monitor: Arc<dyn Monitor> = Arc::new(Silent);
//! let report = dump(&deployment, &options, sink, &monitor, &CancellationToken::new()).await?;
//! println!("{} documents, {} bytes", report.documents, report.bytes);
//! # Ok(())
//! # }
//! ```
//!
//! What is promised:
//!
//! - An archive is complete or it is not there. A [`Sink`](storage::Sink) shows nothing before it is completed, and it is
//!   completed only after every collection has ended.
//! - `mongorestore` reads every archive, and the metadata in it is what mongodump writes, byte for byte.
//! - A restore is reported as done only after the archive's last byte has been read and every checksum was right.
//! - No error, log line or `Debug` output holds a password or a document.
//!
//! The format itself is the crate [`archive_format`]; [`hook`] is the AWS Lambda function, [`cli`] the command.
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        reason = "tests assert"
    )
)]

mod archive;
#[cfg(feature = "s3")]
mod aws;
mod connection;
mod error;
mod extended_json;
mod filter;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod panic;
mod scope;
mod server_error;
mod uri;

#[cfg(feature = "cli")]
pub mod cli;
pub mod codec;
pub mod drill;
pub mod dump;
#[cfg(feature = "lambda")]
pub mod hook;
pub mod progress;
pub mod proof;
pub mod restore;
pub mod storage;
pub mod verify;

pub use connection::{Deployment, FIRST_ANSWER_TIMEOUT};
pub use error::{Error, ErrorKind, Result};
pub use filter::Filter;
pub use scope::Scope;
pub use uri::MongoUri;
