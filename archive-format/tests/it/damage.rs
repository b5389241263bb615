use archive_format::{Decoder, Error, ErrorKind};
use bytes::BytesMut;

use crate::bytes_by_hand::{Record, find, records};
use crate::support::{content, drain, golden, read, read_what_can_be_read, small};

/// The error that an end at `cut` must be: of the right kind, and there.
fn assert_cut_is_noticed(error: &Error, cut: usize, complete_block: bool) {
    let kind = if complete_block { ErrorKind::Incomplete } else { ErrorKind::Truncated };
    assert_eq!((error.kind(), error.offset()), (kind, Some(cut as u64)), "cut at {cut}: {error}");
}

#[test]
fn every_beginning_of_an_archive_is_known_to_be_no_archive() {
    for archive in [golden("one-document"), small()] {
        let block_ends: Vec<usize> = records(&archive)
            .into_iter()
            .filter_map(|(record, extent)| (record == Record::Terminator).then_some(extent.end))
            .collect();
        for cut in 0..archive.len() {
            let error = read([&archive[..cut]]).unwrap_err();
            assert_cut_is_noticed(&error, cut, block_ends.contains(&cut));
            assert_eq!(read(archive[..cut].chunks(1)).unwrap_err(), error, "bytewise, cut at {cut}");
        }
    }
}

#[test]
fn the_zoo_ending_at_or_beside_any_record_is_no_archive() {
    let archive = golden("zoo-6.0.27");
    let (mut decoder, mut buffer, mut fed) = (Decoder::new(), BytesMut::new(), 0);
    for (record, extent) in records(&archive) {
        for cut in [extent.end - 1, extent.end, extent.end + 1] {
            if cut >= archive.len() {
                continue;
            }
            // A clone of the decoder meets the end, the original goes on: 26 MB are read once, not each time.
            if cut > fed {
                buffer.extend_from_slice(&archive[fed..cut]);
                fed = cut;
            }
            drain(&mut decoder, &mut buffer, drop).unwrap();
            let rest = &buffer[..buffer.len() - (fed - cut)];
            let error = decoder.clone().finish(rest).unwrap_err();
            assert_cut_is_noticed(&error, cut, cut == extent.end && record == Record::Terminator);
        }
    }
    assert_eq!(fed, archive.len() - 1);
}

#[test]
fn no_flipped_bit_changes_a_document_unnoticed() {
    let archive = small();
    let (original, _) = read([&archive[..]]).unwrap();
    let mut unnoticed = 0;
    for (record, extent) in records(&archive) {
        for at in extent.clone() {
            for bit in 0..8 {
                let mut damaged = archive.to_vec();
                damaged[at] ^= 1 << bit;
                let (seen, end) = read_what_can_be_read([&damaged[..]]);
                let Err(error) = end else {
                    // What the format does not protect: the prelude's texts and numbers, and the checksum of a
                    // data block's header, which has no meaning.
                    let header = &archive[extent.clone()];
                    let expected = match record {
                        Record::ArchiveHeader | Record::CollectionMetadata => true,
                        Record::DataHeader => {
                            let field = find(header, b"\x12CRC\0").end;
                            (field..field + 8).contains(&(at - extent.start))
                        }
                        _ => false,
                    };
                    assert!(expected, "bit {bit} of byte {at}, in a {record:?}, was not noticed");
                    assert_eq!(content(&seen), content(&original), "bit {bit} of byte {at} in a {record:?}");
                    unnoticed += 1;
                    continue;
                };
                let offset = error.offset().expect("an error of an archive has an offset");
                assert!(offset <= damaged.len() as u64, "{error}");
                assert_eq!(read(damaged.chunks(1)).unwrap_err(), error, "bytewise, bit {bit} of byte {at}");
            }
        }
    }
    assert!(unnoticed > 0, "the format protects more than this test believes");
}

/// Flips one bit of the golden archive `one-document`, in the `occurrence`th record of a class, at an offset in it.
fn flip(class: Record, occurrence: usize, at: usize, bit: u8) -> Result<(), Error> {
    let mut archive = golden("one-document").to_vec();
    let (_, extent) = records(&archive)
        .into_iter()
        .filter(|(record, _)| *record == class)
        .nth(occurrence)
        .expect("the archive has such a record");
    archive[extent.start + at] ^= 1 << bit;
    read([&archive[..]]).map(drop)
}

/// Where the value of a field begins, in the records of `one-document`.
fn value(class: Record, field: &[u8]) -> usize {
    let archive = golden("one-document");
    let (_, extent) = records(&archive).into_iter().find(|(record, _)| *record == class).unwrap();
    find(&archive[extent], field).end
}

#[test]
fn a_flipped_bit_gives_the_error_of_what_it_hit() {
    // Records of `one-document`: magic 0, header 4, metadata 100, terminator 179, data header 183, document 235,
    // terminator 249, EOF header 253, terminator 305, end 309.
    let cases = [
        ("magic", flip(Record::Magic, 0, 0, 0), ErrorKind::NotAnArchive, 0),
        ("length of the archive header", flip(Record::ArchiveHeader, 0, 3, 7), ErrorKind::Malformed, 4),
        ("NUL of the archive header", flip(Record::ArchiveHeader, 0, 95, 0), ErrorKind::Malformed, 4),
        (
            "a field's type in the archive header",
            flip(Record::ArchiveHeader, 0, 4, 7),
            ErrorKind::Malformed,
            4,
        ),
        ("length of the metadata", flip(Record::CollectionMetadata, 0, 3, 4), ErrorKind::LimitExceeded, 100),
        (
            "database in the metadata",
            flip(Record::CollectionMetadata, 0, value(Record::CollectionMetadata, b"\x02db\0") + 4, 0),
            ErrorKind::UnknownNamespace,
            183,
        ),
        (
            "database in the metadata, to a forbidden one",
            flip(Record::CollectionMetadata, 0, value(Record::CollectionMetadata, b"\x02db\0") + 4, 6),
            ErrorKind::InvalidName,
            100,
        ),
        ("terminator of the prelude", flip(Record::Terminator, 0, 0, 0), ErrorKind::Malformed, 179),
        (
            "collection in the data header",
            flip(Record::DataHeader, 0, value(Record::DataHeader, b"\x02collection\0") + 4, 0),
            ErrorKind::UnknownNamespace,
            183,
        ),
        (
            "field name in the data header",
            flip(Record::DataHeader, 0, value(Record::DataHeader, b"\x08EOF\0") - 2, 0),
            ErrorKind::Malformed,
            183,
        ),
        (
            "EOF flag of the data header",
            flip(Record::DataHeader, 0, value(Record::DataHeader, b"\x08EOF\0"), 0),
            ErrorKind::Order,
            235,
        ),
        ("length of the document, longer", flip(Record::Document, 0, 0, 0), ErrorKind::Malformed, 235),
        (
            "length of the document, beyond the end",
            flip(Record::Document, 0, 1, 5),
            ErrorKind::Truncated,
            309,
        ),
        (
            "length of the document, over the limit",
            flip(Record::Document, 0, 3, 0),
            ErrorKind::LimitExceeded,
            235,
        ),
        ("NUL of the document", flip(Record::Document, 0, 13, 0), ErrorKind::Malformed, 235),
        ("terminator of the data", flip(Record::Terminator, 1, 3, 7), ErrorKind::LimitExceeded, 249),
        (
            "EOF flag of the EOF header",
            flip(Record::EofHeader, 0, value(Record::EofHeader, b"\x08EOF\0"), 0),
            ErrorKind::Incomplete,
            309,
        ),
        (
            "EOF flag, to what is no boolean",
            flip(Record::EofHeader, 0, value(Record::EofHeader, b"\x08EOF\0"), 1),
            ErrorKind::Malformed,
            253,
        ),
        (
            "checksum",
            flip(Record::EofHeader, 0, value(Record::EofHeader, b"\x12CRC\0"), 0),
            ErrorKind::Checksum { expected: 0xF3EA_6143_6A44_59FF, found: 0xF3EA_6143_6A44_59FE },
            253,
        ),
        ("terminator of the EOF block", flip(Record::Terminator, 2, 0, 0), ErrorKind::Order, 305),
    ];
    for (what, result, kind, offset) in cases {
        let error = result.expect_err(what);
        assert_eq!((error.kind(), error.offset()), (kind, Some(offset)), "{what}: {error}");
    }
}

#[test]
fn a_flipped_bit_inside_a_document_is_a_wrong_checksum_of_its_namespace() {
    for at in 4..13 {
        let error = flip(Record::Document, 0, at, 2).unwrap_err();
        let ErrorKind::Checksum { expected, found } = error.kind() else { panic!("{error}") };
        assert_eq!(expected, 0xF3EA_6143_6A44_59FE);
        assert_ne!(found, expected);
        assert_eq!(error.namespace().unwrap().to_string(), "d.c");
        assert_eq!(error.offset(), Some(253));
        assert!(error.to_string().contains("f3ea61436a4459fe"), "{error}");
    }
}

#[test]
fn what_the_format_does_not_protect_goes_unnoticed() {
    // By design of the format, not of this crate: nothing covers these bytes.
    let tool_version = value(Record::ArchiveHeader, b"\x02tool_version\0") + 4;
    flip(Record::ArchiveHeader, 0, tool_version, 0).unwrap();
    flip(Record::ArchiveHeader, 0, value(Record::ArchiveHeader, b"\x02version\0") + 4, 0).unwrap();
    flip(Record::CollectionMetadata, 0, value(Record::CollectionMetadata, b"\x10size\0"), 0).unwrap();
    flip(Record::CollectionMetadata, 0, value(Record::CollectionMetadata, b"\x02type\0") + 4, 0).unwrap();
    flip(Record::DataHeader, 0, value(Record::DataHeader, b"\x12CRC\0"), 0).unwrap();
}

#[test]
fn bytes_after_the_last_block_are_noticed() {
    let archive = small();
    let end = archive.len() as u64;
    for (trailing, kind, offset) in [
        (&b"\0"[..], ErrorKind::Truncated, end + 1),
        (b"\0\0\0\0", ErrorKind::Malformed, end),
        (b"\x05\0\0\0\0", ErrorKind::Malformed, end),
        (b"\x05\0\0\0", ErrorKind::Truncated, end + 4),
        (b"\xFF\xFF\xFF\xFF", ErrorKind::Order, end),
        (b"\x1F\x8B\x08\0", ErrorKind::Truncated, end + 4),
    ] {
        let error = read([&archive, trailing]).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (kind, Some(offset)), "{trailing:?}: {error}");
    }
}

#[test]
fn an_archive_twice_is_not_an_archive() {
    let archive = small();
    let error = read([&archive[..], &archive]).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Malformed, Some(archive.len() as u64)));
}
