//! Whether a document is BSON to its last byte, for `--objcheck`.
//!
//! Text need not be UTF-8: the official tool does not ask for that, and servers hold such documents.

use super::element::{Element, elements, malformed};
use crate::Result;

/// Documents inside one another: more than any server takes.
const MAX_DEPTH: usize = 500;

/// # Errors
/// [`ErrorKind::Archive`](crate::ErrorKind::Archive) for a document that is not BSON.
pub(super) fn check(document: &[u8]) -> Result<()> {
    // Those that are still to be looked at, and how deep they lie.
    let mut open = vec![(document, 0)];
    while let Some((document, depth)) = open.pop() {
        let length = document.first_chunk().map(|length| u32::from_le_bytes(*length));
        let is_whole = length.and_then(|length| usize::try_from(length).ok()) == Some(document.len());
        if !is_whole || document.len() < 5 || document.last() != Some(&0) || depth > MAX_DEPTH {
            return Err(malformed());
        }
        for element in elements(document) {
            let element = element?;
            if let Some(inner) = inner(&element)? {
                open.push((inner, depth + 1));
            }
        }
    }
    Ok(())
}

/// The document in this field, if it holds one; what else it holds is looked at here.
fn inner<'a>(element: &Element<'a>) -> Result<Option<&'a [u8]>> {
    let value = element.value;
    let right = match element.kind {
        0x03 | 0x04 => return Ok(Some(value)),
        0x0f => {
            let code = value.get(4..).ok_or_else(malformed)?;
            let (text, scope) = text(code).ok_or_else(malformed)?;
            return if text.last() == Some(&0) { Ok(Some(scope)) } else { Err(malformed()) };
        }
        0x02 | 0x0d | 0x0e => value.len() > 4 && value.last() == Some(&0),
        0x08 => matches!(value, [0 | 1]),
        _ => true,
    };
    if right { Ok(None) } else { Err(malformed()) }
}

/// A text with its length before it, and what follows.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length).try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use bson::{Bson, JavaScriptCodeWithScope, RawDocumentBuf, doc};

    use super::*;

    fn bytes() -> Vec<u8> {
        let scoped =
            JavaScriptCodeWithScope { code: "f()".to_owned(), scope: doc! { "x": [1, { "y": true }] } };
        let document = doc! { "_id": 1, "t": "text", "d": { "a": [{ "b": null }] }, "c": scoped, "yes": true, "e": Bson::MinKey };
        RawDocumentBuf::try_from(&document).unwrap().into_bytes()
    }

    #[test]
    fn whatever_a_library_writes_is_bson_and_text_need_not_be_utf_8() {
        check(&bytes()).unwrap();
        check(b"\x11\0\0\0\x02_id\0\x03\0\0\0a\xff\0\0").unwrap();
        let deep = (0..150).fold(doc! {}, |inner, _| doc! { "a": inner });
        check(&RawDocumentBuf::try_from(&deep).unwrap().into_bytes()).unwrap();
    }

    #[test]
    fn a_byte_that_makes_it_something_else_is_found_at_any_depth() {
        let whole = bytes();
        for (find, offset, byte) in [
            (&b"\x02t\0"[..], 0, 0x20), // a type that there is none of
            (b"\x08yes\0\x01", 5, 7),   // a boolean that is neither
            (b"text\0", 4, b'x'),       // a text without its end
            (b"b\0\0\0", 3, 1),         // a document without its end
            (b"f()\0", 3, b'x'),
        ] {
            let place = whole.windows(find.len()).position(|part| part == find).unwrap_or(9) + offset;
            let mut broken = whole.clone();
            broken[place] = byte;
            assert!(check(&broken).is_err(), "{find:?}");
        }
        for end in 0..whole.len() {
            assert!(check(&whole[..end]).is_err(), "{end}");
        }
    }
}
