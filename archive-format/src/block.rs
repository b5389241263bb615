//! How documents follow one another: framing, and the header of a namespace's blocks.

use bytes::BytesMut;

use crate::bson::{Fields, Invalid, Value, Writer};
use crate::{Error, ErrorKind, Namespace};

/// The first four bytes of every archive.
pub const MAGIC: [u8; 4] = [0x6D, 0xE2, 0x99, 0x81];

/// The four bytes that end every block; as the length of a document they would be impossible.
pub const TERMINATOR: [u8; 4] = [0xFF; 4];

/// The largest document that `mongorestore` reads: 16,777,216 bytes.
///
/// It is also the server's limit on what users store. Some documents of the server's own, such as oplog entries,
/// may be 16 KiB larger; an archive cannot carry these.
pub const MAX_DOCUMENT_SIZE: usize = 16 * 1024 * 1024;

/// The smallest document: a length and a NUL.
const MIN_DOCUMENT_SIZE: usize = 5;

/// What begins at some place in a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Terminator,
    /// A whole document of this length.
    Document(usize),
    /// A part of a document that will have this length, which is acceptable.
    Partial(usize),
    /// Too little to tell.
    Short,
}

/// Looks at what `bytes` begin with. The error lacks the offset.
#[inline]
pub(crate) fn peek(bytes: &[u8], max_document_size: usize) -> Result<Frame, Error> {
    let Some(&prefix) = bytes.first_chunk() else {
        return Ok(Frame::Short);
    };
    let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if !(MIN_DOCUMENT_SIZE..=max_document_size).contains(&length) {
        return if prefix == TERMINATOR {
            Ok(Frame::Terminator)
        } else {
            Err(bad_length(prefix, max_document_size))
        };
    }
    match bytes.get(length.saturating_sub(1)) {
        Some(0) => Ok(Frame::Document(length)),
        Some(_) => Err(Error::new(ErrorKind::Malformed, "a document does not end with NUL")),
        None => Ok(Frame::Partial(length)),
    }
}

#[cold]
fn bad_length(prefix: [u8; 4], limit: usize) -> Error {
    let length = i32::from_le_bytes(prefix);
    if length < 5 {
        return Error::new(ErrorKind::Malformed, format!("no document can be {length} bytes long"));
    }
    let what = format!("a document of {length} bytes, where at most {limit} may come");
    Error::new(ErrorKind::LimitExceeded, what)
}

/// The whole documents at the begin of `bytes`: their length together, and how many they are.
pub(crate) fn scan(bytes: &[u8], max_document_size: usize) -> (usize, u64) {
    let (mut rest, mut count) = (bytes, 0);
    while let Some(&prefix) = rest.first_chunk() {
        let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
        // Whatever else it is, `peek` will say.
        if !(MIN_DOCUMENT_SIZE..=max_document_size).contains(&length) {
            break;
        }
        match rest.split_at_checked(length) {
            Some(([.., 0], next)) => rest = next,
            _ => break,
        }
        count += 1;
    }
    (bytes.len().saturating_sub(rest.len()), count)
}

/// The documents in a run of whole ones.
pub(crate) fn documents(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = u32::from_le_bytes(*bytes.first_chunk()?);
        let (document, rest) = bytes.split_at_checked(length.try_into().ok()?)?;
        bytes = rest;
        Some(document)
    })
}

/// Checks that `document` is one document that an archive can carry. The inside is the server's business.
pub(crate) fn check(document: &[u8]) -> Result<(), Error> {
    if document.len() > MAX_DOCUMENT_SIZE {
        let what = format!("a document of {} bytes is larger than the 16 MiB a reader takes", document.len());
        return Err(Error::new(ErrorKind::LimitExceeded, what));
    }
    match peek(document, MAX_DOCUMENT_SIZE)? {
        Frame::Document(length) if length == document.len() => Ok(()),
        _ => Err(Error::new(ErrorKind::Malformed, "a document's length prefix is not its length")),
    }
}

/// The first document of a namespace's blocks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamespaceHeader<'a> {
    pub(crate) db: &'a str,
    pub(crate) collection: &'a str,
    /// Whether this block ends the namespace.
    pub(crate) eof: bool,
    /// The checksum of all its documents, if it does.
    pub(crate) checksum: u64,
}

impl<'a> NamespaceHeader<'a> {
    pub(crate) fn read(document: &'a [u8]) -> Result<Self, Invalid> {
        let (mut db, mut collection, mut eof, mut checksum) = (None, None, None, None);
        for field in Fields::of(document) {
            let again = match field? {
                (b"db", value) => db.replace(value.text()?).is_some(),
                (b"collection", value) => collection.replace(value.text()?).is_some(),
                (b"EOF", Value::Boolean(value)) => eof.replace(value).is_some(),
                (b"CRC", Value::Int64(value)) => checksum.replace(value.cast_unsigned()).is_some(),
                (b"EOF", _) => return Err("EOF is not a boolean"),
                (b"CRC", _) => return Err("CRC is not an int64"),
                _ => return Err("it has a field other than db, collection, EOF and CRC"),
            };
            if again {
                return Err("it has a field twice");
            }
        }
        let collection = collection.filter(|name| !name.is_empty()).ok_or("it names no collection")?;
        Ok(Self {
            db: db.unwrap_or_default(),
            collection,
            eof: eof.unwrap_or_default(),
            checksum: checksum.unwrap_or_default(),
        })
    }
}

/// Writes the header of a block. Its length is bounded by the limits on names.
pub(crate) fn write_header(out: &mut BytesMut, namespace: &Namespace, eof: bool, checksum: u64) {
    Writer::begin(out)
        .string("db", namespace.db())
        .string("collection", namespace.collection())
        .boolean("EOF", eof)
        .int64("CRC", checksum.cast_signed())
        .end();
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &[u8] = b"\x05\0\0\0\0";

    #[test]
    fn four_bytes_tell_what_follows() {
        assert_eq!(peek(b"", 99).unwrap(), Frame::Short);
        assert_eq!(peek(b"\xFF\xFF\xFF", 99).unwrap(), Frame::Short);
        assert_eq!(peek(b"\xFF\xFF\xFF\xFF\0", 99).unwrap(), Frame::Terminator);
        assert_eq!(peek(SMALLEST, 99).unwrap(), Frame::Document(5));
        assert_eq!(peek(&SMALLEST[..4], 99).unwrap(), Frame::Partial(5));
        assert_eq!(peek(b"\x63\0\0\0", 99).unwrap(), Frame::Partial(99));
    }

    #[test]
    fn impossible_lengths_are_told_from_large_ones() {
        for (prefix, kind) in [
            ([4, 0, 0, 0], ErrorKind::Malformed),
            ([0, 0, 0, 0x80], ErrorKind::Malformed),
            ([0xFE, 0xFF, 0xFF, 0xFF], ErrorKind::Malformed),
            ([0x64, 0, 0, 0], ErrorKind::LimitExceeded),
            ([0xFF, 0xFF, 0xFF, 0x7F], ErrorKind::LimitExceeded),
        ] {
            assert_eq!(peek(&prefix, 99).unwrap_err().kind(), kind, "{prefix:?}");
        }
    }

    #[test]
    fn a_scan_stops_before_what_is_no_whole_document() {
        let two = SMALLEST.repeat(2);
        for rest in [&b""[..], b"\x05\0\0", b"\x05\0\0\0", b"\x05\0\0\0\x01", &TERMINATOR, b"\x04\0\0\0\0"] {
            assert_eq!(scan(&[&two, rest].concat(), 99), (10, 2), "{rest:?}");
        }
    }

    #[test]
    fn a_header_survives_and_tolerates_absence() {
        let namespace = Namespace::new("d", "c").unwrap();
        let mut out = BytesMut::new();
        write_header(&mut out, &namespace, true, u64::MAX);
        let header = NamespaceHeader { db: "d", collection: "c", eof: true, checksum: u64::MAX };
        assert_eq!(NamespaceHeader::read(&out).unwrap(), header);

        let mut out = BytesMut::new();
        Writer::begin(&mut out).string("collection", "oplog").end();
        let header = NamespaceHeader { db: "", collection: "oplog", eof: false, checksum: 0 };
        assert_eq!(NamespaceHeader::read(&out).unwrap(), header);
    }

    #[test]
    fn a_header_is_refused_if_it_says_anything_else() {
        let refused = |fill: fn(Writer<'_>) -> Writer<'_>| {
            let mut out = BytesMut::new();
            fill(Writer::begin(&mut out)).end();
            NamespaceHeader::read(&out).unwrap_err()
        };
        let unknown = refused(|w| w.string("db", "d").string("collection", "c").int32("size", 0));
        assert!(unknown.contains("other than"), "{unknown}");
        assert!(refused(|w| w.string("collection", "c").int32("EOF", 0)).contains("EOF"));
        assert!(refused(|w| w.string("collection", "c").int32("CRC", 0)).contains("CRC"));
        assert!(refused(|w| w.string("collection", "")).contains("no collection"));
        assert!(refused(|w| w.string("db", "d")).contains("no collection"));
        assert!(refused(|w| w.string("collection", "c").string("collection", "e")).contains("twice"));
    }
}
