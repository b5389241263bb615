//! Members of ours, of later writers and of other tools.

use super::*;
use crate::codec::Decompressed;
use crate::storage::Source;
use std::io::Read;

fn compress(input: &[u8]) -> Bytes {
    let blocks = [Bytes::copy_from_slice(input)];
    Compressors::new(GzipLevel::new(1).unwrap()).compress(None, &blocks).unwrap()
}

/// Bytes that do not compress, the same every time.
fn noise(size: usize) -> Vec<u8> {
    let mut state: u64 = 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).unwrap()
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// The member with more subfields around its own.
fn with_subfields(member: &[u8], before: &[u8], after: &[u8]) -> Vec<u8> {
    let extra = before.len() + 12 + after.len();
    let whole = u32::try_from(member.len() + before.len() + after.len()).unwrap().to_le_bytes();
    let mut ours = member[FIXED..WRITTEN].to_vec();
    ours[4..8].copy_from_slice(&whole);
    let extra = u16::try_from(extra).unwrap().to_le_bytes();
    [&member[..10], &extra, before, &ours, after, &member[WRITTEN..]].concat()
}

/// All of it, read in pieces of a size that no header divides.
async fn inflated(archive: &[u8]) -> Result<Vec<u8>> {
    let pieces = archive.chunks(1007).map(Bytes::copy_from_slice).collect::<Vec<_>>();
    let mut chunks = Decompressed::new(Source::memory(pieces));
    let mut all = Vec::new();
    while let Some(chunk) = chunks.next().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

#[tokio::test]
async fn a_member_is_what_it_was_and_any_gzip_reader_takes_it() {
    let text = b"to be, or not to be, or to be";
    let member = compress(text);
    let length = u8::try_from(member.len()).unwrap();
    let expected =
        [&b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x0c\0ma\x08\0"[..], &[length, 0, 0, 0, 29, 0, 0, 0]].concat();
    assert_eq!(member[..WRITTEN], expected);
    assert_eq!(member[member.len() - 8..], [libdeflater::crc32(text).to_le_bytes(), [29, 0, 0, 0]].concat());
    let mut read = Vec::new();
    flate2::read::MultiGzDecoder::new(&member[..]).read_to_end(&mut read).unwrap();
    assert_eq!(read, text);
    assert_eq!(inflated(&member).await.unwrap(), text);
}

#[tokio::test]
async fn members_of_later_writers_are_inflated_as_members() {
    let (first, second) = (noise(5000), noise(70_000));
    let long = [&b"zz"[..], &60_000_u16.to_le_bytes(), &vec![1; 60_000]].concat();
    for (before, after) in
        [(&b"AP\0\0"[..], &b""[..]), (b"", b"ix\x02\0ab"), (b"AP\0\0xy\x01\0z", b"AP\0\0"), (&long, b"")]
    {
        let extended = with_subfields(&compress(&first), before, after);
        let archive = [&extended[..], &compress(&second), &extended].concat();
        assert_eq!(inflated(&archive).await.unwrap(), [&first[..], &second, &first].concat());

        // Only the reader of members can say which of them is damaged.
        let mut damaged = archive.clone();
        let last = damaged.len() - 5;
        damaged[last] ^= 1;
        let at = archive.len() - extended.len();
        let error = inflated(&damaged).await.unwrap_err().report();
        assert!(error.contains(&format!("the gzip member at byte {at} ")), "{error}");

        for end in [5, 11, 13, extended.len() - 1] {
            let error = inflated(&[&compress(&second)[..], &extended[..end]].concat()).await.unwrap_err();
            assert!(error.report().contains("truncated"), "cut at {end}: {error}");
        }
    }
}

#[tokio::test]
async fn members_of_other_tools_are_inflated_among_ours() {
    let text = noise(3000);
    let ours = compress(&text);
    let twice = with_subfields(&ours, &ours[FIXED..WRITTEN], b"");
    let mut named = ours[..10].to_vec();
    named[3] = 8;
    named.extend_from_slice(b"name\0");
    named.extend_from_slice(&ours[WRITTEN..]);
    for foreign in [twice, named] {
        let archive = [&ours[..], &foreign, &ours].concat();
        assert_eq!(inflated(&archive).await.unwrap(), text.repeat(3));
    }
}

#[tokio::test]
async fn more_bytes_than_may_be_in_flight_pass_through() {
    let zeros = vec![0; LARGEST_INPUT];
    let (member, times) = (compress(&zeros), BYTES_IN_FLIGHT / LARGEST_INPUT + 2);
    let mut chunks = Decompressed::new(Source::memory(vec![Bytes::from(member.repeat(times))]));
    for _ in 0..times {
        assert!(chunks.next().await.unwrap().unwrap() == zeros);
    }
    assert_eq!(chunks.next().await.unwrap(), None);
}

#[tokio::test]
async fn no_member_is_larger_than_a_reader_takes() {
    let noise = noise(LARGEST_INPUT + 1);
    let largest = compress(&noise[..LARGEST_INPUT]);
    assert_eq!(Header::read(&largest).unwrap().member, largest.len());
    assert!(largest.len() > LARGEST_INPUT, "it does not compress");
    let two = compress(&noise);
    let first = Header::read(&two).unwrap().member;
    assert_eq!(Header::read(&two[first..]).unwrap().inflated, 1);
    assert!(inflated(&two).await.unwrap() == noise);
}
