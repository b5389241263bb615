//! CRC-64/NVME: what S3 knows a whole object by.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use std::fmt;

/// Bytes that are summed at once: less than a millisecond, in which no socket is kept waiting.
const BYTES_AT_ONCE: usize = 1 << 20;

/// The CRC-64/NVME of bytes that come in pieces.
#[derive(Clone)]
pub(crate) struct Crc64(Digest);

impl Crc64 {
    pub(crate) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Nvme))
    }

    /// The CRC-64/NVME of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
    }

    /// Takes the next bytes; other tasks run between two pieces of a large one.
    pub(crate) async fn add(&mut self, bytes: &Bytes) {
        for piece in bytes.chunks(BYTES_AT_ONCE) {
            self.0.update(piece);
            if piece.len() == BYTES_AT_ONCE {
                tokio::task::yield_now().await;
            }
        }
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.finalize()
    }
}

impl fmt::Debug for Crc64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crc64({:016x})", self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_AT_ONCE, Bytes, Crc64};

    #[tokio::test]
    async fn the_checksum_is_the_crc_64_nvme_whatever_the_pieces() {
        assert_eq!(Crc64::of(b"123456789"), 0xae8b_1486_0a79_9888, "the check value of CRC-64/NVME");
        let bytes = Bytes::from(vec![7; 2 * BYTES_AT_ONCE + 5]);
        for cut in [0, 1, BYTES_AT_ONCE, bytes.len()] {
            let (one, other) = (bytes.slice(..cut), bytes.slice(cut..));
            let mut sum = Crc64::new();
            sum.add(&one).await;
            sum.add(&other).await;
            assert_eq!(sum.value(), Crc64::of(&bytes));
        }
    }
}
