//! Compression of archives: gzip, written as many independent members on all cores, read back the same way.
//!
//! `mongorestore --gzip` reads any number of members as one stream. Each member written here tells its own length in an
//! extra header field, so a reader can find the next one without inflating and inflate several at once. Archives by
//! other tools have no such field and are inflated in one stream. Plain or gzip is told from the first bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::storage::Source;
use crate::{Error, Result};

mod header;
mod level;
pub(crate) mod members;
mod stream;

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

/// The uncompressed bytes of an archive, in order.
#[derive(Debug)]
pub struct Decompressed {
    chunks: mpsc::Receiver<Result<Bytes>>,
    /// Bytes taken from the source so far.
    read: Arc<AtomicU64>,
    _task: AbortOnDropHandle<()>,
}

impl Decompressed {
    /// Starts reading `source`; gzip is recognised by its first bytes.
    pub fn new(source: Source) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_INFLATED);
        let read = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&read);
        let task = tokio::spawn(async move {
            let input = ReadAhead::new(source, counter);
            if let Err(error) = decompress(input, &sender).await {
                // The receiver hangs up only when it no longer wants the bytes.
                let _ = sender.send(Err(error)).await;
            }
        });
        Self { chunks, read, _task: AbortOnDropHandle::new(task) }
    }

    /// How many bytes of the source, as it is stored, have been read.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
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
        self.chunks.recv().await.transpose()
    }
}

async fn decompress(mut input: ReadAhead, output: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
    input.fill(GZIP_MAGIC.len()).await?;
    if input.buffer.starts_with(&GZIP_MAGIC) {
        return members::inflate(input, output).await;
    }
    while let Some(chunk) = input.next().await? {
        if output.send(Ok(chunk)).await.is_err() {
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
    fn new(mut source: Source, read: Arc<AtomicU64>) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_READ_AHEAD);
        let task = tokio::spawn(async move {
            loop {
                let Some(chunk) = source.next().await.transpose() else { return };
                let length = chunk.as_ref().map_or(0, Bytes::len);
                read.fetch_add(u64::try_from(length).unwrap_or(u64::MAX), Ordering::Relaxed);
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
