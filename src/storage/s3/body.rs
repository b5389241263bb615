//! A request's body made of many pieces, sent and re-sent without joining them.

use super::checksums::{Algorithm, format_crc32, format_crc64};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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

    /// The CRC-32 or the CRC-64/NVME in S3's notation, as the algorithm wants. Sent as a header it lets the body go out as
    /// it is: the SDK's own checksum would follow a streamed body as a trailer, which older stores do not understand.
    pub(super) async fn sums(&self, algorithm: Algorithm) -> (Option<String>, Option<String>) {
        match algorithm {
            Algorithm::Unchecked => (None, None),
            Algorithm::Crc32 => (Some(format_crc32(self.sum(CrcAlgorithm::Crc32IsoHdlc).await)), None),
            Algorithm::Crc64Nvme => (None, Some(format_crc64(self.sum(CrcAlgorithm::Crc64Nvme).await))),
        }
    }

    /// Other tasks run between two pieces.
    async fn sum(&self, algorithm: CrcAlgorithm) -> u64 {
        let mut digest = Digest::new(algorithm);
        for piece in &self.pieces {
            digest.update(piece);
            tokio::task::yield_now().await;
        }
        digest.finalize()
    }

    /// A body that can be sent again. The pieces are shared, not copied.
    pub(super) fn to_body(&self) -> ByteStream {
        let pieces: Arc<[Bytes]> = self.pieces.iter().cloned().collect();
        let left = self.bytes;
        ByteStream::new(SdkBody::retryable(move || {
            SdkBody::from_body_1_x(PartBody { pieces: Arc::clone(&pieces), next: 0, left })
        }))
    }
}

#[derive(Debug)]
struct PartBody {
    pieces: Arc<[Bytes]>,
    next: usize,
    left: u64,
}

impl Body for PartBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(piece) = self.pieces.get(self.next).cloned() else { return Poll::Ready(None) };
        self.next += 1;
        self.left -= length(&piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A length in memory always fits.
pub(super) fn length(piece: &Bytes) -> u64 {
    u64::try_from(piece.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Bytes, Gathered};

    fn gathered(pieces: &[&'static str]) -> Gathered {
        let mut gathered = Gathered::default();
        for piece in pieces {
            gathered.push(Bytes::from_static(piece.as_bytes()));
        }
        gathered
    }

    #[test]
    fn parts_are_cut_inside_pieces_and_keep_the_order() {
        let mut gathered = gathered(&["abc", "", "defg", "h"]);
        let part = gathered.take(5);
        assert_eq!(part.pieces, [Bytes::from_static(b"abc"), Bytes::from_static(b"de")]);
        assert_eq!((part.bytes(), gathered.bytes()), (5, 3));
        assert_eq!(gathered.take(100).pieces, [Bytes::from_static(b"fg"), Bytes::from_static(b"h")]);
        assert_eq!(gathered.bytes(), 0);
    }

    #[tokio::test]
    async fn the_checksums_are_those_that_s3_expects() {
        let gathered = gathered(&["1234", "56789"]);
        let (crc32, crc64) = (Some("y/Q5Jg==".to_owned()), Some("rosUhgp5mIg=".to_owned()));
        assert_eq!(
            gathered.sums(Algorithm::Crc32).await,
            (crc32, None),
            "the check value of CRC-32/ISO-HDLC"
        );
        assert_eq!(
            gathered.sums(Algorithm::Crc64Nvme).await,
            (None, crc64),
            "the check value of CRC-64/NVME"
        );
        assert_eq!(gathered.sums(Algorithm::Unchecked).await, (None, None));
    }
}
