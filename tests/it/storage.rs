//! Sinks and sources over files, memory and S3: alike where all goes well, tidy where it does not.

mod conformance;
mod file;
mod s3_abandoned;
mod s3_begin;
mod s3_client;
mod s3_conflict;
mod s3_download;
mod s3_options;
mod s3_outage;
mod s3_overwrite;
mod s3_proven;
mod s3_settings;
mod s3_swap;
mod s3_tags;
mod s3_upload;
mod standard;

use bytes::Bytes;
use mongoark::Result;
use mongoark::storage::{CreateOptions, Location, Sink, Source, Storage, Stored};

/// Size of the first parts of an S3 upload and of the ranges of a download.
const PART: usize = 8 << 20;

/// Creation that must not replace anything.
fn keep() -> CreateOptions {
    CreateOptions { overwrite: false, ..CreateOptions::default() }
}

/// Bytes without a pattern; the same seed gives the same bytes.
fn noise(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect::<Vec<u8>>().into()
}

/// Cuts bytes into pieces of up to `longest`, some of them empty.
fn pieces(mut bytes: Bytes, longest: usize, seed: u64) -> Vec<Bytes> {
    let lengths = noise(4096, seed);
    let mut lengths =
        lengths.chunks(4).map(|four| u32::from_le_bytes(four.try_into().expect("four"))).cycle();
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(lengths.next().expect("a length")).expect("fits") % (longest + 1);
        pieces.push(bytes.split_to(length.min(bytes.len())));
    }
    pieces
}

/// Stores bytes in pieces.
async fn store(sink: &mut Sink, bytes: &Bytes) -> Result<()> {
    for piece in pieces(bytes.clone(), 3 << 20, 7) {
        sink.store(piece).await?;
    }
    Ok(())
}

/// A whole archive from beginning to end.
async fn write(storage: &Storage, at: &Location, options: &CreateOptions, bytes: &Bytes) -> Result<Stored> {
    let mut sink = storage.create(at, options).await?;
    match store(&mut sink, bytes).await {
        Ok(()) => sink.complete().await,
        Err(error) => {
            sink.abort().await.expect("an abort");
            Err(error)
        }
    }
}

async fn read(source: &mut Source) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = source.next().await? {
        assert!(!piece.is_empty(), "an empty piece is not the end and says nothing");
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Compares without printing megabytes.
fn assert_same(found: &[u8], expected: &[u8]) {
    let same = found.iter().zip(expected).take_while(|(one, other)| one == other).count();
    assert!(found == expected, "{} bytes against {}, equal up to {same}", found.len(), expected.len());
}
