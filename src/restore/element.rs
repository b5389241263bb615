//! The fields of a document as they lie in memory, whatever their text: BSON libraries refuse what is not UTF-8, and a
//! document that a server has taken is not to be judged here.

use crate::{Error, ErrorKind, Result};

/// The type of a timestamp.
pub(super) const TIMESTAMP: u8 = 0x11;

/// One field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Element<'a> {
    pub(crate) kind: u8,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// The fields of the outermost level, in order.
///
/// # Errors
/// [`ErrorKind::Archive`] where the bytes are no fields; nothing comes after that.
pub(crate) fn elements(document: &[u8]) -> impl Iterator<Item = Result<Element<'_>>> {
    let mut rest = document.get(4..).unwrap_or_default();
    std::iter::from_fn(move || {
        if rest == [0] {
            return None;
        }
        let Some((element, after)) = split(rest) else {
            rest = &[0];
            return Some(Err(malformed()));
        };
        rest = after;
        Some(Ok(element))
    })
}

/// A document of the archive is not one.
pub(super) fn malformed() -> Error {
    Error::new(ErrorKind::Archive, "a document in the archive is not valid BSON")
}

fn split(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (name, rest) = text(rest)?;
    let length = match kind {
        // Undefined, null, the smallest and the largest key.
        0x06 | 0x0a | 0xff | 0x7f => 0,
        // A boolean.
        0x08 => 1,
        // A 32-bit integer.
        0x10 => 4,
        // A double, a date, a timestamp, a 64-bit integer.
        0x01 | 0x09 | TIMESTAMP | 0x12 => 8,
        // An ObjectId.
        0x07 => 12,
        // A decimal.
        0x13 => 16,
        // A document, an array, code with scope: the length counts itself.
        0x03 | 0x04 | 0x0f => prefix(rest)?,
        // A string, code, a symbol.
        0x02 | 0x0d | 0x0e => prefix(rest)?.checked_add(4)?,
        // Binary data: length and subtype go before it.
        0x05 => prefix(rest)?.checked_add(5)?,
        // A DBPointer: a string and an ObjectId.
        0x0c => prefix(rest)?.checked_add(16)?,
        // A regular expression: two texts.
        0x0b => {
            let (pattern, after) = text(rest)?;
            let (options, _) = text(after)?;
            pattern.len() + options.len() + 2
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((Element { kind, name, value }, rest))
}

fn prefix(bytes: &[u8]) -> Option<usize> {
    usize::try_from(i32::from_le_bytes(*bytes.first_chunk()?)).ok()
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Timestamp, rawdoc};

    use super::*;

    #[test]
    fn fields_of_every_type_are_found_one_after_the_other() {
        let document = rawdoc! {
            "double": 1.0, "string": "text", "document": { "a": 1 }, "array": [1, 2],
            "binary": bson::Binary { subtype: bson::spec::BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] },
            "undefined": bson::RawBson::Undefined, "id": bson::oid::ObjectId::from_bytes([7; 12]), "bool": true,
            "date": bson::DateTime::from_millis(1), "null": bson::RawBson::Null,
            "regex": bson::Regex { pattern: "a".to_owned().try_into().unwrap(), options: "im".to_owned().try_into().unwrap() },
            "code": bson::RawBson::JavaScriptCode("f()".to_owned()), "symbol": bson::RawBson::Symbol("s".to_owned()),
            "int": 1, "timestamp": Timestamp { time: 1, increment: 2 }, "long": 1_i64,
            "decimal": bson::Decimal128::from_bytes([1; 16]), "min": bson::RawBson::MinKey, "max": bson::RawBson::MaxKey,
            "last": "one",
        };
        let found: Vec<_> = elements(document.as_bytes()).map(Result::unwrap).collect();
        let expected: Vec<_> = document.iter().map(|field| field.unwrap().0.as_str().as_bytes()).collect();
        assert_eq!(found.iter().map(|element| element.name).collect::<Vec<_>>(), expected);
        let kinds: Vec<_> =
            document.iter_elements().map(|element| element.unwrap().element_type() as u8).collect();
        assert_eq!(found.iter().map(|element| element.kind).collect::<Vec<_>>(), kinds);
        assert_eq!(found.last().unwrap().value, b"\x04\0\0\0one\0");
        // Where the value of one field ends, the next begins.
        let sizes = document.iter_elements().map(|element| element.unwrap().size());
        assert_eq!(
            found.iter().map(|element| element.value.len()).collect::<Vec<_>>(),
            sizes.collect::<Vec<_>>()
        );
        assert!(matches!(document.get("last").unwrap().map(Bson::try_from), Some(Ok(Bson::String(_)))));
    }

    #[test]
    fn text_that_is_not_utf_8_is_a_field_and_a_cut_document_is_an_error() {
        let document = b"\x0f\0\0\0\x10a\xff\0\x01\0\0\0\x0aB\0\0";
        let names: Vec<_> = elements(document).map(|element| element.unwrap().name.to_vec()).collect();
        assert_eq!(names, [b"a\xff".to_vec(), b"B".to_vec()]);
        for end in 5..document.len() - 1 {
            let cut = document.get(..end).unwrap();
            assert!(elements(cut).any(|element| element.is_err()), "{end}");
        }
    }
}
