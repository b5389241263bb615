//! Finding the next block where the bytes before it cannot be read.

use bytes::BytesMut;

use crate::Namespace;
use crate::block::{Token, peek};
use crate::header::{NamespaceHeader, write_header};

/// What follows the length of every header that is written.
const FIRST_FIELD: &[u8] = b"\x02db\0";

/// Bytes of a length prefix.
const PREFIX: usize = 4;

/// Far more bytes than the header of the longest names has.
const MAX_HEADER_SIZE: usize = 1024;

/// Where the search has come to, in bytes from the begin of what was searched.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A header begins here.
    At(usize),
    /// None begins before; from here on more bytes are needed to tell.
    NotBefore(usize),
}

/// Looks for the header of a block of a namespace that `is_known`. It must be, byte for byte, what a writer makes of it, so
/// that no user's document is taken for one; not even a damaged terminator before it matters.
pub(super) fn search(bytes: &[u8], is_known: impl Fn(&Namespace) -> bool) -> Found {
    let mut from = 0;
    loop {
        let rest = bytes.get(from..).unwrap_or_default();
        let Some(first) = rest
            .get(PREFIX..)
            .and_then(|fields| fields.windows(FIRST_FIELD.len()).position(|window| window == FIRST_FIELD))
        else {
            let undecided = PREFIX.saturating_add(FIRST_FIELD.len()).saturating_sub(1);
            return Found::NotBefore(bytes.len().saturating_sub(undecided).max(from));
        };
        from = from.saturating_add(first);
        let candidate = bytes.get(from..).unwrap_or_default();
        match peek(candidate, MAX_HEADER_SIZE) {
            Ok(Token::Document(length))
                if is_header(candidate.get(..length).unwrap_or_default(), &is_known) =>
            {
                return Found::At(from);
            }
            Ok(Token::Partial(_)) => return Found::NotBefore(from),
            _ => from = from.saturating_add(1),
        }
    }
}

/// The same at the end of the input and behind the first byte, where what is not whole will not become so.
pub(super) fn last_resort(bytes: &[u8], is_known: impl Fn(&Namespace) -> bool) -> Option<usize> {
    let mut from: usize = 1;
    while from < bytes.len() {
        match search(bytes.get(from..)?, &is_known) {
            Found::At(more) => return Some(from.saturating_add(more)),
            Found::NotBefore(more) => from = from.saturating_add(more).saturating_add(1),
        }
    }
    None
}

fn is_header(document: &[u8], is_known: impl Fn(&Namespace) -> bool) -> bool {
    let Ok(header) = NamespaceHeader::read(document) else { return false };
    let Ok(namespace) = Namespace::archived(header.db, header.collection) else { return false };
    let mut written = BytesMut::new();
    write_header(&mut written, &namespace, header.eof, header.checksum);
    written == document && is_known(&namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(collection: &str) -> Vec<u8> {
        let mut out = BytesMut::new();
        write_header(&mut out, &Namespace::new("d", collection).unwrap(), false, 0);
        out.to_vec()
    }

    fn found(bytes: &[u8]) -> Found {
        search(bytes, |name| name.collection() == "c")
    }

    #[test]
    fn a_header_is_found_among_what_looks_like_one() {
        let header = named("c");
        let user = b"\x23\0\0\0\x02db\0\x02\0\0\0d\0\x02collection\0\x02\0\0\0c\0\0";
        let others = [&user[..], &named("other"), b"\x02db\0\x02db\0\0"].concat();
        assert_eq!(found(&[&others[..], &header, b"more"].concat()), Found::At(others.len()));
        assert_eq!(found(&header), Found::At(0));
    }

    #[test]
    fn nothing_that_may_become_a_header_is_stepped_over() {
        let bytes = [&[7; 100][..], &named("c")].concat();
        for end in 0..bytes.len() {
            let Found::NotBefore(at) = found(&bytes[..end]) else { panic!("found in {end} bytes") };
            assert!(at <= 100.min(end), "{at} of {end}");
        }
        assert_eq!(found(&[7; 100]), Found::NotBefore(93));
    }
}
