//! Any bytes after gzip's magic, in any pieces: no panic, no chunk beyond the limits, and the same outcome for all ways of
//! cutting.
//!
//! The first byte seeds the cuts.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mongoark::ErrorKind;
use mongoark::codec::bench::Decompressed;
use mongoark::storage::Source;
use tokio::runtime::Runtime;

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// The most that one chunk may hold: the largest member that is inflated as a whole.
const MAX_CHUNK: usize = 20 << 20;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).build().unwrap()
});

fn read(pieces: Vec<Bytes>) -> (Vec<u8>, Result<(), ErrorKind>) {
    RUNTIME.block_on(async {
        let (mut chunks, mut inflated) = (Decompressed::new(Source::memory(pieces)), Vec::new());
        loop {
            match chunks.next().await {
                Ok(Some(chunk)) => {
                    assert!(chunk.len() <= MAX_CHUNK);
                    inflated.extend_from_slice(&chunk);
                }
                Ok(None) => return (inflated, Ok(())),
                Err(error) => {
                    assert!(!matches!(error.kind(), ErrorKind::Internal), "{}", error.report());
                    return (inflated, Err(error.kind()));
                }
            }
        }
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((&seed, rest)) = input.split_first() else { return };
    let whole = [&MAGIC[..], rest].concat();
    let mut state = u32::from(seed);
    let mut left = &whole[..];
    let mut pieces = Vec::new();
    while !left.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, rest) = left.split_at(((state >> 24) as usize % 200 + 1).min(left.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        left = rest;
    }
    let (inflated, ended) = read(vec![Bytes::from(whole)]);
    let (in_pieces, pieces_ended) = read(pieces);
    assert_eq!(pieces_ended, ended);
    if ended.is_ok() {
        assert_eq!(in_pieces, inflated);
    }
});
