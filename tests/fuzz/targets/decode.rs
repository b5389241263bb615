//! Any bytes in any pieces: no panic, no memory beyond the limits, and the same outcome for all ways of cutting.
//!
//! The first byte seeds the cuts, the rest is the input; the magic comes by itself.
#![no_main]

use archive_format::{Decoder, Error, Event, Limits, MAGIC, Totals};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { max_document_size: 1 << 16, max_prelude_size: 1 << 20 };

/// What documents there were, how many namespaces ended, and how it came out.
type Outcome = (Vec<u8>, usize, Result<Totals, Error>);

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let (mut decoder, mut buffer) = (Decoder::with_limits(LIMITS), BytesMut::new());
    let (mut documents, mut ends) = (Vec::new(), 0);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(Event::Documents(batch))) => {
                    assert_eq!(batch.iter().count() as u64, batch.count());
                    documents.extend_from_slice(batch.bytes());
                }
                Ok(Some(Event::End(_))) => ends += 1,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return (documents, ends, Err(error)),
            }
        }
        assert!(buffer.capacity() <= 4 * LIMITS.max_document_size + piece.len());
    }
    (documents, ends, decoder.finish(&buffer))
}

fuzz_target!(|input: &[u8]| {
    let Some((&seed, rest)) = input.split_first() else { return };
    let archive = [&MAGIC[..], rest].concat();
    let whole = read(std::iter::once(&archive[..]));
    let mut state = u32::from(seed);
    let mut left = &archive[..];
    let pieces = std::iter::from_fn(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = ((state >> 24) as usize % 40 + 1).min(left.len());
        let (piece, rest) = left.split_at(length);
        left = rest;
        (!piece.is_empty()).then_some(piece)
    });
    assert_eq!(read(pieces), whole);
});
