//! The verbs: one file for each, which does what its arguments ask for.

use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

pub(super) mod drill;
pub(super) mod dump;
pub(super) mod restore;
pub(super) mod verify;

async fn or_cancelled<T>(work: impl Future<Output = Result<T>>, cancel: &CancellationToken) -> Result<T> {
    tokio::select! {
        result = work => result,
        () = cancel.cancelled() => Err(Error::cancelled()),
    }
}
