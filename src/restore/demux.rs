//! The one owner of the decoder: uncompressed chunks in, events out.

use archive_format::{Decoder, Event, Prelude};
use bytes::BytesMut;

use crate::codec::Decompressed;
use crate::storage::Source;
use crate::{Error, ErrorKind, Result};

/// An archive being read.
#[derive(Debug)]
pub(super) struct Demux {
    chunks: Decompressed,
    decoder: Decoder,
    buffer: BytesMut,
    ended: bool,
}

impl Demux {
    pub(super) fn new(source: Source) -> Self {
        Self {
            chunks: Decompressed::new(source),
            decoder: Decoder::new(),
            buffer: BytesMut::new(),
            ended: false,
        }
    }

    /// The prelude, which comes first in every archive.
    pub(super) async fn prelude(&mut self) -> Result<Prelude> {
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
    pub(super) async fn next(&mut self) -> Result<Option<Event>> {
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
    pub(super) fn finish(&mut self) -> Result<()> {
        std::mem::take(&mut self.decoder).finish(&self.buffer).map_err(Error::archive)?;
        Ok(())
    }
}
