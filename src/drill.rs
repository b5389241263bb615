//! Drill: a restore that is only a test, into databases of its own that go afterwards.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::progress::Monitor;
use crate::storage::{Location, Storage};
use crate::{Deployment, Error, ErrorKind, Result};

/// How to drill.
#[derive(Clone, Debug)]
pub struct DrillOptions {
    /// What the names of the scratch databases begin with, before the archive's own.
    pub prefix: String,
}

impl Default for DrillOptions {
    fn default() -> Self {
        Self { prefix: "mongoark_drill_".to_owned() }
    }
}

/// How a drill went. There is one only where everything was as it should be.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DrillReport {
    /// Collections that were restored and compared, views included.
    pub collections: usize,
    /// Documents that were restored and compared.
    pub documents: u64,
    /// Bytes of the stored archive.
    pub bytes: u64,
    /// How long the restore took, from the first byte to the last index.
    pub restored_in: Duration,
    /// Whether the object carries the tag that says so.
    pub tagged: bool,
}

/// Restores the archive at `at` into scratch databases, holds every document, index and option against the archive and the
/// archive against its proof, and drops them.
///
/// # Errors
/// A scratch database that exists already; any damage; any difference.
///
/// # Cancellation
/// When `cancel` fires, the scratch databases are dropped and [`ErrorKind::Cancelled`] returned.
pub async fn drill(
    _deployment: &Deployment,
    _options: &DrillOptions,
    _storage: &Storage,
    _at: &Location,
    _monitor: &Arc<dyn Monitor>,
    _cancel: &CancellationToken,
) -> Result<DrillReport> {
    std::future::ready(Err(Error::new(ErrorKind::Internal, "there is no drill yet"))).await
}
