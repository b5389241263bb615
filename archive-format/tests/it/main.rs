//! The tests of the archive format, all in one binary: it links once, and the modules share their support.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test that panics has failed, as it should"
)]

/// Every bit and every end of an archive, damaged: an error of the right kind and place, never a wrong document.
mod damage;
/// What mongodump wrote is read as what it dumped.
mod golden;
/// Lengths, depths and counts that no honest writer would write.
mod hostile;
/// Each rule of the encoder, broken.
mod misuse;
/// Anything that can be written is read again, in any order and any pieces.
mod roundtrip;
/// However the bytes come, the events are the same.
mod split;
/// The deviations that a reader must accept, and those that it must not.
mod tolerance;

/// Reading on behind damage: what ends is whole all the same.
mod survival;

/// Archives by hand, byte by byte.
mod bytes_by_hand;
/// Reading in pieces, golden archives, a small archive of everything.
mod support;
