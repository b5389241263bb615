//! Extended JSON as BSON, written while it is read.

use std::fmt;

use archive_format::MAX_DOCUMENT_SIZE;
use bson::RawDocumentBuf;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::wrapper::unwrapped;
use crate::{Error, ErrorKind, Result};

/// Objects and arrays inside one another. The server takes about 180 of them, and a value's type wrapper has at most
/// three more; the stack of a thread takes several times as many.
const MAX_DEPTH: usize = 400;

/// Bytes of BSON. Options and indexes have to fit into a command each; only text that no tool writes (long arrays of plain
/// digits) becomes longer as BSON than it was.
const MAX_SIZE: usize = 2 * MAX_DOCUMENT_SIZE;

/// Reads one document of Extended JSON v2: canonical, relaxed, or with the numbers and binaries of older tools.
///
/// An object is a type wrapper if its first name is that of one, as for the official tools; in any other place such a name
/// is a field.
///
/// # Errors
/// [`ErrorKind::Archive`] when the text is no JSON object, a type wrapper in it is malformed, or it is nested deeper or
/// larger than any server takes.
pub(crate) fn read_document(text: &str) -> Result<RawDocumentBuf> {
    let mut bytes = Vec::new();
    let mut json = serde_json::Deserializer::from_str(text);
    // Its own limit is less than the server's.
    json.disable_recursion_limit();
    let read = Document(&mut bytes).deserialize(&mut json).and_then(|()| json.end());
    read.map_err(invalid)?;
    RawDocumentBuf::from_bytes(bytes).map_err(invalid)
}

fn invalid(error: impl std::error::Error) -> Error {
    Error::new(ErrorKind::Archive, format!("the metadata is not Extended JSON: {error}"))
}

/// Takes a whole document.
struct Document<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<(), A::Error> {
        write_fields(fields, self.0, 0)
    }
}

/// Takes the value of an element whose type and name have been written, and puts the type right.
struct Value<'a> {
    out: &'a mut Vec<u8>,
    /// Where the element begins.
    element: usize,
    /// Objects and arrays that it is in.
    depth: usize,
}

impl Value<'_> {
    fn put(self, kind: u8, value: &[u8]) {
        if let Some(byte) = self.out.get_mut(self.element) {
            *byte = kind;
        }
        self.out.extend_from_slice(value);
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(D::Error::custom(format_args!(
                "nested deeper than {MAX_DEPTH} levels, which no server takes"
            )));
        }
        if self.out.len() > MAX_SIZE {
            return Err(D::Error::custom(format_args!(
                "larger than {MAX_SIZE} bytes, which no server takes"
            )));
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.put(0x0A, &[]);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.put(0x08, &[u8::from(value)]);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        match i32::try_from(value) {
            Ok(value) => self.put(0x10, &value.to_le_bytes()),
            Err(_) => self.put(0x12, &value.to_le_bytes()),
        }
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            // Through text, because there is no other checked way from an integer to a double.
            Err(_) => self.visit_f64(value.to_string().parse().map_err(E::custom)?),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.put(0x01, &value.to_le_bytes());
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        let length = u32::try_from(value.len() + 1).map_err(E::custom)?;
        self.put(0x02, &[&length.to_le_bytes(), value.as_bytes(), &[0]].concat());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let start = begin(self.out);
        for index in 0_usize.. {
            let element = self.out.len();
            self.out.push(0);
            self.out.extend_from_slice(index.to_string().as_bytes());
            self.out.push(0);
            let value = Value { out: &mut *self.out, element, depth: self.depth + 1 };
            if values.next_element_seed(value)?.is_none() {
                self.out.truncate(element);
                break;
            }
        }
        end(self.out, start)?;
        self.put(0x04, &[]);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<(), A::Error> {
        let start = self.out.len();
        write_fields(fields, self.out, self.depth)?;
        match unwrapped(self.out.get(start..).unwrap_or_default()).map_err(A::Error::custom)? {
            None => self.put(0x03, &[]),
            Some((kind, value)) => {
                self.out.truncate(start);
                self.put(kind, &value);
            }
        }
        Ok(())
    }
}

/// Takes the name of a field.
struct Name<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<(), E> {
        if name.contains('\0') {
            return Err(E::custom("the name of a field contains NUL"));
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        Ok(())
    }
}

/// Writes the document that `fields` are of, which is inside `depth` others.
fn write_fields<'de, A: MapAccess<'de>>(
    mut fields: A,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), A::Error> {
    let start = begin(out);
    loop {
        let element = out.len();
        out.push(0);
        if fields.next_key_seed(Name(out))?.is_none() {
            out.truncate(element);
            return end(out, start);
        }
        fields.next_value_seed(Value { out, element, depth: depth + 1 })?;
    }
}

/// Leaves room for the length of a document.
fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 4]);
    out.len() - 4
}

fn end<E: serde::de::Error>(out: &mut Vec<u8>, start: usize) -> Result<(), E> {
    out.push(0);
    let length = u32::try_from(out.len() - start).map_err(E::custom)?;
    if let Some(prefix) = out.get_mut(start..start + 4) {
        prefix.copy_from_slice(&length.to_le_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn relaxed_numbers_are_read_and_other_text_is_refused() {
        let read = read_document(
            r#"{"v":2,"w":1.5,"x":{"$numberLong":"3"},"y":5000000000,"z":20000000000000000000}"#,
        );
        assert_eq!(
            read.unwrap(),
            rawdoc! { "v": 2, "w": 1.5, "x": 3_i64, "y": 5_000_000_000_i64, "z": 2e19 }
        );
        for text in ["", "[]", "{", "1", "{} {}", r#"{"a\u0000":1}"#, r#"{"x":{"$oid":"zz"}}"#] {
            assert_eq!(read_document(text).unwrap_err().kind(), ErrorKind::Archive, "{text}");
        }
    }

    /// `{"a":[{"a":[..]}]}` of so many objects and arrays.
    fn nested(levels: usize) -> String {
        (0..levels).rev().fold("1".to_owned(), |inner, level| {
            if level % 2 == 0 { format!("{{\"a\":{inner}}}") } else { format!("[{inner}]") }
        })
    }

    #[test]
    fn any_nesting_that_a_server_takes_is_read_and_no_text_overflows_the_stack() {
        // A quarter of the stack that a thread has.
        let read = |text: String| {
            let thread = std::thread::Builder::new().stack_size(512 * 1024);
            thread.spawn(move || read_document(&text)).unwrap().join().unwrap()
        };
        read(nested(MAX_DEPTH)).unwrap();
        for text in
            [nested(MAX_DEPTH + 1), format!("{{\"a\":{}", "[".repeat(1 << 20)), "{\"a\":".repeat(1 << 20)]
        {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains("nested deeper than 400"), "{error}");
        }
    }

    #[test]
    fn text_that_would_become_much_longer_is_refused() {
        let error = read_document(&format!("{{\"a\":[{}1]}}", "1,".repeat(MAX_SIZE / 8))).unwrap_err();
        assert!(error.to_string().contains("larger than"), "{error}");
    }
}
