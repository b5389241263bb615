//! Gzip by other tools: one stream, inflated in order by zlib-rs on the threads for blocking work.
//!
//! The decoder works in steps, each of at most one chunk, and never waits in a thread: when its input is used up it
//! says so, and the next piece is awaited outside. A stalled source can therefore be given up at any time.

use std::io::{self, BufRead, Read};

use bytes::{Buf, Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{Damage, Piece, ReadAhead, task_failed};
use crate::{Error, Result};

/// Bytes inflated before they are handed on: enough for the decoder to see many documents at once, about 3 ms of work.
const CHUNK: usize = 1024 * 1024;

/// Inflates any number of members.
/// `offset` is where in the archive they begin.
pub(super) async fn inflate(
    mut input: ReadAhead,
    offset: u64,
    output: &mpsc::Sender<Result<Piece>>,
) -> Result<()> {
    let mut inflater = Inflater::default();
    loop {
        let (back, step) = spawn_blocking(move || {
            let step = inflater.step();
            (inflater, step)
        })
        .await
        .map_err(task_failed)?;
        inflater = back;
        match step.map_err(|error| damaged(&error, offset + inflater.decoder.get_ref().consumed))? {
            Step::Hungry => inflater.feed(input.next().await?),
            Step::Chunk(chunk) => {
                if output.send(Ok(Piece::Bytes(chunk))).await.is_err() {
                    return Ok(());
                }
            }
            Step::End => return Ok(()),
        }
    }
}

/// What a step came to.
#[derive(Debug)]
enum Step {
    /// The next inflated bytes.
    Chunk(Bytes),
    /// It needs more input.
    Hungry,
    /// The last member has ended with the input.
    End,
}

/// A decoder between two pieces of its input.
#[derive(Debug)]
struct Inflater {
    decoder: MultiGzDecoder<Pieces>,
    chunk: BytesMut,
    filled: usize,
    /// What came instead of more bytes, told when those before have been handed on.
    failed: Option<io::Error>,
}

impl Default for Inflater {
    fn default() -> Self {
        Self {
            decoder: MultiGzDecoder::new(Pieces::default()),
            chunk: BytesMut::new(),
            filled: 0,
            failed: None,
        }
    }
}

impl Inflater {
    /// Gives the next piece of the input, or tells that there is none.
    fn feed(&mut self, piece: Option<Bytes>) {
        let pieces = self.decoder.get_mut();
        pieces.ended = piece.is_none();
        pieces.piece = piece.unwrap_or_default();
    }

    /// Inflates until a chunk is full or the piece is used up. Blocking: belongs on a thread for computing.
    fn step(&mut self) -> io::Result<Step> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.chunk.is_empty() {
            self.chunk = BytesMut::zeroed(CHUNK);
        }
        loop {
            let room = self.chunk.get_mut(self.filled..).unwrap_or_default();
            if room.is_empty() {
                return Ok(Step::Chunk(self.take()));
            }
            match self.decoder.read(room) {
                Ok(0) if self.filled == 0 => return Ok(Step::End),
                Ok(0) => return Ok(Step::Chunk(self.take())),
                Ok(size) => self.filled += size,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Hungry),
                Err(error) if self.filled == 0 => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    return Ok(Step::Chunk(self.take()));
                }
            }
        }
    }

    fn take(&mut self) -> Bytes {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.truncate(std::mem::take(&mut self.filled));
        chunk.freeze()
    }
}

/// The input as a reader that "would block" where the next piece has not come yet.
#[derive(Debug, Default)]
struct Pieces {
    piece: Bytes,
    ended: bool,
    /// Bytes of all pieces that have been used up.
    consumed: u64,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece.is_empty() && !self.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, size: usize) {
        self.piece.advance(size);
        self.consumed = self.consumed.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.fill_buf()?.read(into)?;
        self.consume(size);
        Ok(size)
    }
}

fn damaged(error: &io::Error, offset: u64) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Damage::end_of_stream(offset).into_error();
    }
    Damage::stream(offset).into_error()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    /// Two members, the first longer than a chunk, and what they hold.
    fn members() -> (Vec<u8>, Vec<u8>) {
        let texts = [vec![b'a'; CHUNK + 1], (0..=u8::MAX).collect::<Vec<_>>()];
        let member = |text: &Vec<u8>| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        (texts.iter().flat_map(member).collect(), texts.concat())
    }

    /// Positions in and around headers and trailers: between them every step inflates a chunk for nothing.
    fn borders(gzip: &[u8]) -> impl Iterator<Item = usize> {
        let length = gzip.len();
        (1..24).chain(length - 320..length)
    }

    fn inflated(pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
        let mut inflater = Inflater::default();
        let mut rest = pieces.iter().map(|piece| Bytes::copy_from_slice(piece));
        let mut text = Vec::new();
        loop {
            match inflater.step()? {
                Step::Hungry => inflater.feed(rest.next()),
                Step::Chunk(chunk) => text.extend_from_slice(&chunk),
                Step::End => return Ok(text),
            }
        }
    }

    #[test]
    fn b20_members_are_inflated_wherever_the_input_is_cut() {
        let (gzip, text) = members();
        assert_eq!(inflated(&[&gzip]).unwrap(), text);
        for cut in borders(&gzip) {
            let (head, tail) = gzip.split_at(cut);
            assert!(inflated(&[head, tail]).unwrap() == text, "cut at {cut}");
        }
        let single: Vec<&[u8]> = gzip.chunks(1).collect();
        assert!(inflated(&single).unwrap() == text);
    }

    #[test]
    fn every_truncation_is_one_and_every_other_defect_is_damage() {
        let (gzip, _) = members();
        let first = gzip.len() - {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&(0..=u8::MAX).collect::<Vec<_>>()).unwrap();
            encoder.finish().unwrap().len()
        };
        for end in borders(&gzip).filter(|end| *end != first) {
            let error = inflated(&[&gzip[..end]]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "truncated to {end}");
        }
        let mut wrong_checksum = gzip.clone();
        let at = gzip.len() - 8;
        wrong_checksum[at] ^= 1;
        for defect in [wrong_checksum, [gzip.as_slice(), b"more than a header"].concat()] {
            let error = inflated(&[&defect]).unwrap_err();
            assert_ne!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
