//! An archive opened into events: the only owner of a decoder. Uncompressed chunks go in, what the archive holds comes out.

use archive_format::{Decoder, Event, Limits, Prelude};
use bytes::BytesMut;

use crate::codec::Decompressed;
use crate::storage::Source;
use crate::{Error, ErrorKind, Result};

/// The largest prelude, in bytes, each collection counting half a KiB more than its entry: a hundred thousand collections with
/// 800 bytes of options and indexes each. What is kept of it stays in memory to the end.
const MAX_PRELUDE_SIZE: usize = 128 * 1024 * 1024;

/// An archive being read.
#[derive(Debug)]
pub(crate) struct Archive {
    chunks: Decompressed,
    decoder: Decoder,
    buffer: BytesMut,
    size: Option<u64>,
    ended: bool,
}

impl Archive {
    /// Begins to read `source`, gzip or not.
    pub(crate) fn open(source: Source) -> Self {
        let limits = Limits { max_prelude_size: MAX_PRELUDE_SIZE, ..Limits::default() };
        Self {
            size: source.size(),
            chunks: Decompressed::new(source),
            decoder: Decoder::with_limits(limits),
            buffer: BytesMut::new(),
            ended: false,
        }
    }

    /// Bytes of the stored archive, where that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// How many bytes of the stored archive have been read.
    pub(crate) fn read(&self) -> u64 {
        self.chunks.read()
    }

    /// The prelude, which comes first in every archive.
    pub(crate) async fn prelude(&mut self) -> Result<Prelude> {
        match self.next().await? {
            Some(Event::Prelude(prelude)) => Ok(prelude),
            Some(_) => Err(Error::new(ErrorKind::Archive, "the archive does not begin with its prelude")),
            None => {
                self.finish()?;
                Err(Error::new(ErrorKind::Archive, "the archive is empty; take another copy of it"))
            }
        }
    }

    /// The next event; `None` when the source has ended, well or not: [`finish`](Self::finish) tells.
    ///
    /// # Cancellation
    /// Safe: a chunk is taken up in the same step in which it arrives.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.decoder.decode(&mut self.buffer).map_err(Error::archive)? {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match self.chunks.next().await? {
                None => self.ended = true,
                Some(chunk) if self.buffer.is_empty() => {
                    self.buffer = chunk.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
                }
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
            }
        }
    }

    /// Proves that the archive is complete. Call it when [`next`](Self::next) has returned `None`.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] when it is truncated, or a namespace has not ended.
    pub(crate) fn finish(&mut self) -> Result<()> {
        std::mem::take(&mut self.decoder).finish(&self.buffer).map_err(Error::archive)?;
        Ok(())
    }
}
