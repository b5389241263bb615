//! The parts of an upload that are on their way, and those that have arrived.

use super::Object;
use super::body::Gathered;
use super::checksums::{Algorithm, crc32_of_parts};
use super::requests::StoredPart;
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::types::CompletedPart;
use std::mem;
use tokio::task::{JoinError, JoinSet};

/// Parts in flight at once: one connection reaches some 80 MB/s to S3, four fill the network of the largest Lambda.
const MAX_PARTS_IN_FLIGHT: usize = 4;

/// Bytes of the parts in flight, at least one part: 64 MiB. With the part being filled, and the piece that overfills
/// it, an upload holds 40 MiB with parts of 8 MiB (archives up to 70 GiB), 80 MiB with parts of 16 MiB, 96 MiB with
/// parts of 32 MiB (up to 281 GiB), and two parts beyond.
const MAX_BYTES_IN_FLIGHT: u64 = 64 << 20;

#[derive(Debug, Default)]
pub(super) struct PartsInFlight {
    tasks: JoinSet<Result<StoredPart>>,
    bytes: u64,
    stored: Vec<StoredPart>,
}

impl PartsInFlight {
    /// Sends a part as soon as there is room for it.
    pub(super) async fn send(
        &mut self,
        object: &Object,
        upload_id: String,
        number: u32,
        part: Gathered,
        algorithm: Algorithm,
    ) -> Result<()> {
        let bytes = part.bytes();
        while self.tasks.len() >= MAX_PARTS_IN_FLIGHT
            || (!self.tasks.is_empty() && self.bytes + bytes > MAX_BYTES_IN_FLIGHT)
        {
            self.wait_for_one().await?;
        }
        self.bytes += bytes;
        let object = object.clone();
        self.tasks.spawn(async move { Box::pin(object.put_part(&upload_id, number, part, algorithm)).await });
        Ok(())
    }

    /// Takes in what has arrived, or failed, without waiting.
    pub(super) fn look(&mut self) -> Result<()> {
        while let Some(result) = self.tasks.try_join_next() {
            self.take_in(result)?;
        }
        Ok(())
    }

    /// Waits until every part has arrived.
    pub(super) async fn wait_for_all(&mut self) -> Result<()> {
        while !self.tasks.is_empty() {
            self.wait_for_one().await?;
        }
        Ok(())
    }

    /// The parts that have arrived, in their order, and what S3 calls their CRC-32, where that is what was sent.
    pub(super) fn take_stored(&mut self) -> (Vec<CompletedPart>, Option<String>) {
        self.stored.sort_by_key(|part| part.completed.part_number);
        let stored = mem::take(&mut self.stored);
        let (parts, sums): (Vec<_>, Vec<_>) =
            stored.into_iter().map(|part| (part.completed, part.crc32)).unzip();
        let sums: Option<Vec<String>> = sums.into_iter().collect();
        (parts, sums.and_then(|sums| crc32_of_parts(&sums)))
    }

    /// Cancels everything, and waits for that.
    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Cancels everything.
    pub(super) fn abort_all(&mut self) {
        self.tasks.abort_all();
    }

    async fn wait_for_one(&mut self) -> Result<()> {
        match self.tasks.join_next().await {
            Some(result) => self.take_in(result),
            None => Ok(()),
        }
    }

    fn take_in(&mut self, result: Result<Result<StoredPart>, JoinError>) -> Result<()> {
        let part = result.map_err(ended)??;
        self.bytes -= part.bytes;
        self.stored.push(part);
        Ok(())
    }
}

/// A task of an upload never panics and is cancelled only where nobody asks for its result.
pub(super) fn ended(error: JoinError) -> Error {
    Error::new(ErrorKind::Internal, "a task of the upload ended without a result")
        .with_source(crate::panic::ending(error))
}
