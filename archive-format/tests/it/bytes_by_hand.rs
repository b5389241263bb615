//! A second, independent notion of the format: nothing here uses the crate.

/// A value of a hand-written document.
#[derive(Clone, Copy)]
pub(crate) enum Is<'a> {
    Text(&'a str),
    Bool(bool),
    Int32(i32),
    Int64(i64),
    Double(f64),
    /// A type byte and the raw bytes of the value.
    Raw(u8, &'a [u8]),
}
use Is::{Bool, Int32, Int64, Text};

pub(crate) fn document(fields: &[(&str, Is<'_>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let (kind, bytes) = match value {
            Text(text) => (2, [&(text.len() as u32 + 1).to_le_bytes()[..], text.as_bytes(), b"\0"].concat()),
            Bool(value) => (8, vec![u8::from(*value)]),
            Int32(value) => (0x10, value.to_le_bytes().to_vec()),
            Int64(value) => (0x12, value.to_le_bytes().to_vec()),
            Is::Double(value) => (1, value.to_le_bytes().to_vec()),
            Is::Raw(kind, bytes) => (*kind, bytes.to_vec()),
        };
        body.extend([&[kind][..], name.as_bytes(), b"\0", &bytes].concat());
    }
    [&(body.len() as u32 + 5).to_le_bytes()[..], &body, b"\0"].concat()
}

pub(crate) fn header() -> Vec<u8> {
    document(&[
        ("concurrent_collections", Int32(4)),
        ("version", Text("0.1")),
        ("server_version", Text("6.0.5")),
        ("tool_version", Text("x")),
    ])
}

pub(crate) fn header_of_server(version: &str) -> Vec<u8> {
    document(&[("concurrent_collections", Int32(4)), ("server_version", Text(version))])
}

pub(crate) fn entry(db: &str, collection: &str, kind: &str) -> Vec<u8> {
    document(&[
        ("db", Text(db)),
        ("collection", Text(collection)),
        ("metadata", Text("")),
        ("size", Int32(0)),
        ("type", Text(kind)),
    ])
}

/// The documents of a data block.
pub(crate) fn data(db: &str, collection: &str, documents: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let header = document(&[
        ("db", Text(db)),
        ("collection", Text(collection)),
        ("EOF", Bool(false)),
        ("CRC", Int64(0)),
    ]);
    [&[header], documents].concat()
}

/// The one document of an EOF block, for a namespace that held `documents`.
pub(crate) fn eof(db: &str, collection: &str, documents: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let checksum = crc64(&documents.concat()) as i64;
    vec![document(&[
        ("db", Text(db)),
        ("collection", Text(collection)),
        ("EOF", Bool(true)),
        ("CRC", Int64(checksum)),
    ])]
}

/// An archive of a prelude and blocks.
pub(crate) fn archive(prelude: &[Vec<u8>], blocks: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut archive = vec![0x6D, 0xE2, 0x99, 0x81];
    for block in [&[prelude.to_vec()], blocks].concat() {
        archive.extend(block.concat());
        archive.extend([0xFF; 4]);
    }
    archive
}

/// `{_id: n}`.
pub(crate) fn numbered(n: i32) -> Vec<u8> {
    document(&[("_id", Int32(n))])
}

/// CRC-64/XZ bit by bit, from its definition.
pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    !bytes.iter().fold(u64::MAX, |register, &byte| {
        (0..8).fold(register ^ u64::from(byte), |register, _| {
            (register >> 1) ^ if register & 1 == 1 { 0xC96C_5795_D787_0F42 } else { 0 }
        })
    })
}

/// What a record of an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Magic,
    ArchiveHeader,
    CollectionMetadata,
    DataHeader,
    Document,
    EofHeader,
    Terminator,
}

/// All records of a well-formed archive with their extents.
pub(crate) fn records(archive: &[u8]) -> Vec<(Record, std::ops::Range<usize>)> {
    let mut records = vec![(Record::Magic, 0..4)];
    let (mut at, mut block, mut first, mut end) = (4, 0, true, false);
    while at < archive.len() {
        let prefix = u32::from_le_bytes(archive[at..at + 4].try_into().unwrap());
        if prefix == u32::MAX {
            records.push((Record::Terminator, at..at + 4));
            (at, block, first) = (at + 4, block + 1, true);
            continue;
        }
        let extent = at..at + prefix as usize;
        if first && block > 0 {
            let flag = find(&archive[extent.clone()], b"\x08EOF\0").end;
            end = archive[at + flag] == 1;
        }
        let record = match (block, first) {
            (0, true) => Record::ArchiveHeader,
            (0, false) => Record::CollectionMetadata,
            (_, true) if end => Record::EofHeader,
            (_, true) => Record::DataHeader,
            (_, false) => Record::Document,
        };
        at = extent.end;
        first = false;
        records.push((record, extent));
    }
    records
}

/// Where `needle` is in `bytes`.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> std::ops::Range<usize> {
    let at = bytes.windows(needle.len()).position(|window| window == needle).expect("it is there");
    at..at + needle.len()
}
