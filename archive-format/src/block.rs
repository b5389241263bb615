//! How documents follow one another in a block.

use crate::{Error, ErrorKind};

/// The first four bytes of every archive.
pub const MAGIC: [u8; 4] = [0x6D, 0xE2, 0x99, 0x81];

/// The four bytes that end every block; as the length of a document they would be impossible.
pub const TERMINATOR: [u8; 4] = [0xFF; 4];

/// The largest document that `mongorestore` reads: 16,777,216 bytes.
///
/// It is also the server's limit on what users store. An entry of the oplog may be larger by what goes around such a
/// document: `mongodump` writes these, and a [`Decoder`](crate::Decoder) reads them, which `mongorestore` does not.
pub const MAX_DOCUMENT_SIZE: usize = 16 * 1024 * 1024;

/// How much larger an entry of the oplog may be than any other document: the server's own limit.
pub(crate) const OPLOG_ROOM: usize = 16 * 1024;

/// The smallest document: a length and a NUL.
const MIN_DOCUMENT_SIZE: usize = 5;

/// What begins at some place in a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token {
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
pub(crate) fn peek(bytes: &[u8], max_document_size: usize) -> Result<Token, Error> {
    let Some(&prefix) = bytes.first_chunk() else {
        return Ok(Token::Short);
    };
    let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if !(MIN_DOCUMENT_SIZE..=max_document_size).contains(&length) {
        return if prefix == TERMINATOR {
            Ok(Token::Terminator)
        } else {
            Err(bad_length(prefix, max_document_size))
        };
    }
    match bytes.get(length.saturating_sub(1)) {
        Some(0) => Ok(Token::Document(length)),
        Some(_) => Err(Error::new(ErrorKind::Malformed, "a document does not end with NUL")),
        None => Ok(Token::Partial(length)),
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
        Token::Document(length) if length == document.len() => Ok(()),
        _ => Err(Error::new(ErrorKind::Malformed, "a document's length prefix is not its length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &[u8] = b"\x05\0\0\0\0";

    #[test]
    fn four_bytes_tell_what_follows() {
        assert_eq!(peek(b"", 99).unwrap(), Token::Short);
        assert_eq!(peek(b"\xFF\xFF\xFF", 99).unwrap(), Token::Short);
        assert_eq!(peek(b"\xFF\xFF\xFF\xFF\0", 99).unwrap(), Token::Terminator);
        assert_eq!(peek(SMALLEST, 99).unwrap(), Token::Document(5));
        assert_eq!(peek(&SMALLEST[..4], 99).unwrap(), Token::Partial(5));
        assert_eq!(peek(b"\x63\0\0\0", 99).unwrap(), Token::Partial(99));
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
}
