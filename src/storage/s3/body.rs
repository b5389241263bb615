//! A request's body made of many pieces, sent and re-sent without joining them.

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes in the order in which they were stored, cut into parts without copying.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pieces: VecDeque<Bytes>,
    bytes: u64,
}

impl Gathered {
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += length(&piece);
            self.pieces.push_back(piece);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes this many bytes from the front, or all.
    pub(super) fn take(&mut self, bytes: u64) -> Self {
        let mut taken = Self::default();
        while let Some(mut piece) = self.pieces.pop_front() {
            let wanted = bytes - taken.bytes;
            if length(&piece) > wanted {
                let split = usize::try_from(wanted).unwrap_or(piece.len());
                taken.push(piece.split_to(split));
                self.pieces.push_front(piece);
                break;
            }
            taken.push(piece);
        }
        self.bytes -= taken.bytes;
        taken
    }

    /// A body that can be sent again.
    pub(super) fn into_body(self) -> ByteStream {
        ByteStream::from(self.pieces.into_iter().flatten().collect::<Vec<u8>>())
    }
}

/// A length in memory always fits.
pub(super) fn length(piece: &Bytes) -> u64 {
    u64::try_from(piece.len()).unwrap_or(u64::MAX)
}
