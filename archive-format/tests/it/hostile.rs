use archive_format::{Decoder, ErrorKind, MAX_DOCUMENT_SIZE};
use bytes::BytesMut;

use crate::bytes_by_hand::Is::{Raw, Text};
use crate::bytes_by_hand::{archive, data, document, entry, eof, header, numbered};
use crate::support::read;

const MAGIC: &[u8] = &archive_format::MAGIC;

/// The error of an input that claims a document of `length` where one may stand.
fn claim(before: &[u8], length: u32) -> (ErrorKind, usize) {
    let mut buffer = BytesMut::from(&[before, &length.to_le_bytes(), b"some bytes"].concat()[..]);
    let mut decoder = Decoder::new();
    let kind = loop {
        match decoder.decode(&mut buffer) {
            Ok(Some(_)) => {}
            Ok(None) => break ErrorKind::Truncated,
            Err(error) => break error.kind(),
        }
    };
    (kind, buffer.capacity())
}

#[test]
fn no_length_is_believed_beyond_the_limit() {
    let prelude = archive(&[header(), entry("d", "c", "collection")], &[]);
    let block = [&prelude[..], &data("d", "c", &[]).concat()].concat();
    for before in [MAGIC, &archive(&[header()], &[])[..prelude_end()], &prelude, &block] {
        for (length, kind) in [
            (0, ErrorKind::Malformed),
            (4, ErrorKind::Malformed),
            (1 << 24, ErrorKind::Truncated),
            ((1 << 24) + 1, ErrorKind::LimitExceeded),
            (0x7FFF_FFFF, ErrorKind::LimitExceeded),
            (0x8000_0000, ErrorKind::Malformed),
            (u32::MAX - 1, ErrorKind::Malformed),
        ] {
            let (found, capacity) = claim(before, length);
            assert_eq!(found, kind, "{length} after {} bytes", before.len());
            let enough = if kind == ErrorKind::Truncated { 2 * MAX_DOCUMENT_SIZE } else { 4096 };
            assert!(capacity <= enough, "{capacity} bytes are reserved for a claim of {length}");
        }
    }
}

/// The length of magic and archive header, after which collection metadata may come.
fn prelude_end() -> usize {
    MAGIC.len() + header().len()
}

#[test]
fn depth_is_stepped_over() {
    let mut nested = numbered(0);
    for _ in 0..10_000 {
        nested = document(&[("", Raw(3, &nested))]);
    }
    let deep = document(&[("deep", Raw(3, &nested)), ("db", Text("d")), ("collection", Text("c"))]);
    let header = document(&[("deep", Raw(4, &nested))]);
    read([&archive(&[header, deep], &[eof("d", "c", &[])])[..]]).unwrap();
}

#[test]
fn documents_of_junk_in_the_place_of_records_are_errors() {
    let junk: &[&[u8]] = &[
        b"\x06\0\0\0\x02\0",
        b"\x08\0\0\0\x02a\0\0",
        b"\x0C\0\0\0\x02a\0\xFF\xFF\xFF\x7F\0",
        b"\x0C\0\0\0\x05a\0\xFF\xFF\xFF\xFF\0",
        b"\x0C\0\0\0\x03a\0\0\0\0\0\0",
        b"\x0C\0\0\0\x0Ba\0aaaa\0",
        b"\x0C\0\0\0\x77a\0\0\0\0\0\0",
        b"\x05\0\0\0\0",
    ];
    for &junk in junk {
        let junk = junk.to_vec();
        let as_header = archive(std::slice::from_ref(&junk), &[]);
        let as_entry = archive(&[header(), junk.clone()], &[]);
        let as_block = archive(&[header()], &[vec![junk.clone()]]);
        let empty = junk.len() == 5;
        assert_eq!(read([&as_header[..]]).is_ok(), empty, "only an empty header is acceptable: {junk:?}");
        assert!(read([&as_entry[..]]).is_err(), "{junk:?} as collection metadata");
        assert!(read([&as_block[..]]).is_err(), "{junk:?} as the header of a block");
    }
}

#[test]
fn a_hundred_thousand_collections_are_read_in_linear_time() {
    let entries: Vec<Vec<u8>> =
        std::iter::once(header()).chain((0..100_000).map(|n| entry("d", &format!("c{n}"), ""))).collect();
    let blocks: Vec<_> = (0..100_000).map(|n| eof("d", &format!("c{n}"), &[])).collect();
    let (_, totals) = read(archive(&entries, &blocks).chunks(1000)).unwrap();
    assert_eq!(totals.collections, 100_000);
}

#[test]
fn names_in_messages_are_bounded() {
    let long = "x".repeat(1 << 20);
    for archive in [
        archive(&[header(), entry(&long, "c", "")], &[]),
        archive(&[header(), entry("d", &long, "")], &[]),
        archive(&[header()], &[data("d", &long, &[])]),
        archive(&[header()], &[data(&long, "c", &[])]),
    ] {
        let text = read([&archive[..]]).unwrap_err().to_string();
        assert!(text.len() < 4096, "{} bytes of message", text.len());
    }
}
