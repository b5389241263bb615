//! Archives in memory, for tests, benchmarks and archives that never leave the process.

use super::Stored;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

/// Reads what a [`Sink::memory`](super::Sink::memory) holds once it is complete.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<OnceLock<Vec<Bytes>>>);

impl Memory {
    /// The completed archive in one piece; `None` before completion and after an abort.
    pub fn bytes(&self) -> Option<Bytes> {
        let pieces = self.0.get()?;
        let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
        for piece in pieces {
            whole.extend_from_slice(piece);
        }
        Some(whole.freeze())
    }
}

#[derive(Debug)]
pub(super) struct MemorySink {
    pieces: Vec<Bytes>,
    completed: Memory,
}

pub(super) fn pair() -> (MemorySink, Memory) {
    let memory = Memory::default();
    (MemorySink { pieces: Vec::new(), completed: memory.clone() }, memory)
}

impl MemorySink {
    pub(super) fn store(&mut self, bytes: Bytes) {
        self.pieces.push(bytes);
    }

    pub(super) fn restart(self) -> Self {
        Self { pieces: Vec::new(), ..self }
    }

    pub(super) fn complete(self) -> Stored {
        let bytes = total(&self.pieces);
        self.completed.0.get_or_init(|| self.pieces);
        Stored::plain(bytes)
    }
}

#[derive(Debug)]
pub(super) struct MemorySource {
    pieces: VecDeque<Bytes>,
    size: u64,
}

impl MemorySource {
    pub(super) fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let pieces: VecDeque<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let size = total(&pieces);
        Self { pieces, size }
    }

    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.pieces.pop_front()
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

/// Bytes in all pieces; a length in memory always fits.
fn total<'a>(pieces: impl IntoIterator<Item = &'a Bytes>) -> u64 {
    pieces.into_iter().map(|piece| u64::try_from(piece.len()).unwrap_or(u64::MAX)).sum()
}
