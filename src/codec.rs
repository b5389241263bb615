//! Compression of archives: gzip, written as many independent members on all cores, read back the same way.
//!
//! `mongorestore --gzip` reads any number of members as one stream. Each member written here tells its own length in an
//! extra header field, so a reader can find the next one without inflating and inflate several at once. Archives by
//! other tools have no such field and are inflated in one stream. Plain or gzip is told from the first bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::storage::Source;
use crate::{Error, Result};

mod damage;
mod header;
mod level;
pub(crate) mod members;
mod stream;

pub(crate) use damage::Damage;

/// What `benches/codec.rs` measures, which is a program of its own. No part of the interface.
#[doc(hidden)]
pub mod bench {
    pub use super::Decompressed;
    pub use super::members::Compressors;
}

/// How an archive's bytes are stored.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// As gzip members.
    Gzip(GzipLevel),
}

/// How much work goes into making gzip members small. By default the level is chosen from samples of the data: the
/// fastest that makes the archive at most 1.05 times as large as mongodump's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GzipLevel(Option<u8>);

impl GzipLevel {
    /// One level for everything: 1 (fastest) to 12 (smallest), libdeflate's levels.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for what is not 1 to 12.
    pub fn new(level: u8) -> Result<Self> {
        if (1..=12).contains(&level) {
            return Ok(Self(Some(level)));
        }
        Err(Error::new(
            crate::ErrorKind::InvalidInput,
            format!("there is no gzip level {level}; give 1 to 12"),
        ))
    }
}

/// The two bytes every gzip member starts with (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Chunks of the source read ahead of the decompressor: enough to bridge one slow read, and few because a chunk may be
/// as large as a ranged GET (8 MiB).
const CHUNKS_READ_AHEAD: usize = 1;

/// Inflated chunks waiting for the decoder. A chunk is at most one member: 2 MiB, or one document.
const CHUNKS_INFLATED: usize = 1;

/// What inflating comes to, in the order of the archive.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The next bytes.
    Bytes(Bytes),
    /// So many bytes, by what the archive itself says, cannot be had; those behind them can.
    Lost(u64, Error),
}

/// What is known of the archive's bytes as they are stored.
#[derive(Debug, Default)]
struct Stored {
    /// Bytes taken from the source so far.
    read: AtomicU64,
    /// CRC-64/NVME of all of them, as soon as the source has ended.
    crc64: OnceLock<u64>,
}

/// The uncompressed bytes of an archive, in order.
#[derive(Debug)]
pub struct Decompressed {
    chunks: mpsc::Receiver<Result<Piece>>,
    stored: Arc<Stored>,
    _task: AbortOnDropHandle<()>,
}

impl Decompressed {
    /// Starts reading `source`; gzip is recognised by its first bytes.
    pub fn new(source: Source) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_INFLATED);
        let stored = Arc::<Stored>::default();
        let counter = Arc::clone(&stored);
        let task = tokio::spawn(async move {
            let input = ReadAhead::new(source, counter);
            if let Err(error) = decompress(input, &sender).await {
                // The receiver hangs up only when it no longer wants the bytes.
                let _ = sender.send(Err(error)).await;
            }
        });
        Self { chunks, stored, _task: AbortOnDropHandle::new(task) }
    }

    /// How many bytes of the source, as it is stored, have been read.
    pub(crate) fn read(&self) -> u64 {
        self.stored.read.load(Ordering::Relaxed)
    }

    /// CRC-64/NVME of the source, as it is stored; `None` until it has been read to its end.
    pub(crate) fn crc64(&self) -> Option<u64> {
        self.stored.crc64.get().copied()
    }

    /// The next chunk, `None` at the end of the archive.
    ///
    /// # Errors
    /// Those of the source, and [`ErrorKind::Archive`](crate::ErrorKind::Archive) when the compressed bytes are damaged or
    /// truncated.
    ///
    /// # Cancellation
    /// Safe: nothing is lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.piece().await? {
            None => Ok(None),
            Some(Piece::Bytes(chunk)) => Ok(Some(chunk)),
            Some(Piece::Lost(_, error)) => Err(error),
        }
    }

    /// The next chunk, or the damage in its place; `None` at the end of the archive.
    ///
    /// # Errors
    /// Those of [`next`](Self::next), after which nothing comes.
    ///
    /// # Cancellation
    /// Safe: nothing is lost.
    pub(crate) async fn piece(&mut self) -> Result<Option<Piece>> {
        self.chunks.recv().await.transpose()
    }
}

async fn decompress(mut input: ReadAhead, output: &mpsc::Sender<Result<Piece>>) -> Result<()> {
    input.fill(GZIP_MAGIC.len()).await?;
    if input.buffer.starts_with(&GZIP_MAGIC) {
        return members::inflate(input, output).await;
    }
    while let Some(chunk) = input.next().await? {
        if output.send(Ok(Piece::Bytes(chunk))).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The source's bytes with a look ahead; reading happens in a task of its own.
#[derive(Debug)]
struct ReadAhead {
    chunks: mpsc::Receiver<Result<Bytes>>,
    /// Bytes received and not yet taken.
    buffer: BytesMut,
    _task: AbortOnDropHandle<()>,
}

impl ReadAhead {
    fn new(mut source: Source, stored: Arc<Stored>) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_READ_AHEAD);
        let task = tokio::spawn(async move {
            let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
            loop {
                let Some(chunk) = source.next().await.transpose() else {
                    let _ = stored.crc64.set(digest.finalize());
                    return;
                };
                if let Ok(chunk) = &chunk {
                    digest.update(chunk);
                    stored.read.fetch_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
                }
                let failed = chunk.is_err();
                if sender.send(chunk).await.is_err() || failed {
                    return;
                }
            }
        });
        Self { chunks, buffer: BytesMut::new(), _task: AbortOnDropHandle::new(task) }
    }

    /// Gathers at least `size` bytes in `buffer`, fewer only at the end of the source.
    async fn fill(&mut self, size: usize) -> Result<()> {
        while self.buffer.len() < size {
            let Some(chunk) = self.chunks.recv().await.transpose()? else { return Ok(()) };
            if self.buffer.is_empty() {
                self.buffer = chunk.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
            } else {
                self.buffer.reserve(chunk.len().max(size.saturating_sub(self.buffer.len())));
                self.buffer.extend_from_slice(&chunk);
            }
        }
        Ok(())
    }

    /// The next bytes as they come.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.buffer.is_empty() {
            return self.chunks.recv().await.transpose();
        }
        Ok(Some(self.buffer.split().freeze()))
    }
}

/// A blocking task ended without a result: it panicked, or the runtime is going down.
pub(crate) fn task_failed(error: tokio::task::JoinError) -> Error {
    Error::new(crate::ErrorKind::Internal, "a task of this program ended without a result")
        .with_source(crate::panic::ending(error))
}
