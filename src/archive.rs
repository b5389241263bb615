//! An archive opened into events: the only owner of a decoder. Uncompressed chunks go in, what the archive holds comes out.

use archive_format::{Decoder, Event, Limits, Prelude};
use bytes::{Bytes, BytesMut};

use crate::codec::{Decompressed, Piece};
use crate::storage::Source;
use crate::{Error, ErrorKind, Result};

mod damage;

pub use damage::{Damage, DamageKind};

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
    /// What is wrong and has not been fetched; only where damage is survived.
    damages: Option<Vec<Damage>>,
    /// Whether the end has come because no more of the bytes can be read.
    gave_up: bool,
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
            damages: None,
            gave_up: false,
        }
    }

    /// Begins to read `source`, and goes on behind damage as long as anything can be told apart.
    ///
    /// Damage behind the prelude is no error of [`next`](Self::next) and [`finish`](Self::finish) then, but found in
    /// [`damages`](Self::damages). [`Event::End`] is a proof as ever: a namespace that has lost anything never ends.
    pub(crate) fn open_tolerant(source: Source) -> Self {
        let mut archive = Self::open(source);
        archive.decoder = archive.decoder.tolerant();
        archive.damages = Some(Vec::new());
        archive
    }

    /// Bytes of the stored archive, where that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// How many bytes of the stored archive have been read.
    pub(crate) fn read(&self) -> u64 {
        self.chunks.read()
    }

    /// CRC-64/NVME of the stored archive, when it has been read to its end.
    pub(crate) fn crc64(&self) -> Option<u64> {
        self.chunks.crc64()
    }

    /// What has been found wrong since this was asked last, each with its place; always nothing unless the archive is
    /// [tolerant](Self::open_tolerant).
    pub(crate) fn damages(&mut self) -> Vec<Damage> {
        self.damages.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What the prelude lacks of what every writer writes; known as soon as it has been read.
    pub(crate) fn oddity(&self) -> Option<Error> {
        self.decoder.oddity().cloned().map(Error::archive)
    }

    /// The position in the uncompressed archive up to which events have come.
    pub(crate) fn offset(&self) -> u64 {
        self.decoder.offset()
    }

    /// The prelude, which comes first in every archive.
    pub(crate) async fn prelude(&mut self) -> Result<Prelude> {
        match self.next().await? {
            Some(Event::Prelude(prelude)) => Ok(prelude),
            Some(_) => Err(Error::new(ErrorKind::Archive, "the archive does not begin with its prelude")),
            None => {
                self.finish()?;
                if let Some(first) = self.damages.as_ref().and_then(|damages| damages.first()) {
                    return Err(first.error());
                }
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
                return Ok(Some(self.noted(event)));
            }
            if self.ended {
                let event = self.decoder.doubt(&mut self.buffer);
                return Ok(event.map(|event| self.noted(event)));
            }
            match self.chunks.piece().await {
                Ok(Some(Piece::Bytes(chunk))) => self.add(chunk),
                Ok(Some(Piece::Lost(bytes, error))) => {
                    let damage = Damage::of(&error);
                    let why = damage.sentence.split(';').next().unwrap_or_default();
                    let Ok(event) = self.decoder.skip(&mut self.buffer, bytes, why) else {
                        return Err(error);
                    };
                    if let (Some(damages), Event::Damaged(damaged)) = (&mut self.damages, &event) {
                        damages.push(damage.behind(&damaged.error));
                    }
                    return Ok(Some(event));
                }
                Ok(None) => self.ended = true,
                Err(error) => self.give_up(error)?,
            }
        }
    }

    fn add(&mut self, chunk: Bytes) {
        if self.buffer.is_empty() {
            self.buffer = chunk.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
        } else {
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// Keeps what is wrong for [`damages`](Self::damages).
    fn noted(&mut self, event: Event) -> Event {
        if let (Some(damages), Event::Damaged(damaged)) = (&mut self.damages, &event) {
            damages.push(Damage::of(&Error::archive(damaged.error.clone())));
        }
        event
    }

    /// The compressed bytes cannot be read any further.
    fn give_up(&mut self, error: Error) -> Result<()> {
        match &mut self.damages {
            Some(damages) if error.kind() == ErrorKind::Archive => {
                damages.push(Damage::of(&error).after(self.decoder.offset()));
                (self.ended, self.gave_up) = (true, true);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Proves that the archive is complete. Call it when [`next`](Self::next) has returned `None`.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] when it is truncated, or a namespace has not ended.
    pub(crate) fn finish(&mut self) -> Result<()> {
        match (std::mem::take(&mut self.decoder).finish(&self.buffer), &mut self.damages) {
            (Ok(_), _) => Ok(()),
            // What ends too early because it could not be read any further is known to be damaged.
            (Err(_), Some(_)) if self.gave_up => Ok(()),
            (Err(error), Some(damages)) => {
                damages.push(Damage::of(&Error::archive(error)));
                Ok(())
            }
            (Err(error), None) => Err(Error::archive(error)),
        }
    }
}
