//! Whether bytes are a BSON document, at any depth: lengths, types, ends of names and texts.
//!
//! Only what holds the bytes together is looked at, as a server does before it stores them. Texts need not be UTF-8: servers
//! store others, and a dump keeps documents as they are.

/// Documents and arrays inside one another: more than the 250 that a server can be told to take.
const MAX_DEPTH: usize = 255;

/// Checks documents; keeps the memory that it needs from one to the next.
#[derive(Debug, Default)]
pub(super) struct Checker {
    /// Where the documents that are open end, in bytes from the begin of the outermost.
    ends: Vec<usize>,
}

/// Why bytes are no document.
pub(super) type Flaw = &'static str;

const PAST_THE_END: Flaw = "a field runs past the end of its document";

impl Checker {
    /// Checks one document from its length to its last byte.
    pub(super) fn check(&mut self, document: &[u8]) -> Result<(), Flaw> {
        self.ends.clear();
        let mut at = self.open(document, 0, document.len())?;
        if self.ends.first() != Some(&document.len()) {
            return Err("a document's length prefix is not its length");
        }
        while let Some(&end) = self.ends.last() {
            let kind = *document.get(at).ok_or(PAST_THE_END)?;
            at += 1;
            if kind == 0 {
                if at != end {
                    return Err("a document ends before its length says");
                }
                self.ends.pop();
                continue;
            }
            at = cstring(document, at, end)?;
            at = self.value(document, kind, at, end)?;
            // The NUL that closes the document has to fit as well.
            if at >= end {
                return Err(PAST_THE_END);
            }
        }
        Ok(())
    }

    /// Steps into a document: its length is read, and its first field comes next.
    fn open(&mut self, bytes: &[u8], at: usize, limit: usize) -> Result<usize, Flaw> {
        if self.ends.len() >= MAX_DEPTH {
            return Err("a document is nested deeper than any server takes");
        }
        let length = length(bytes, at)?;
        let end = at.saturating_add(length);
        if length < 5 || end > limit {
            return Err("an embedded document has an impossible length");
        }
        self.ends.push(end);
        Ok(at + 4)
    }

    /// Steps over a value, or into it. It may end at `end` at the latest.
    fn value(&mut self, bytes: &[u8], kind: u8, at: usize, end: usize) -> Result<usize, Flaw> {
        let next = match kind {
            // double, date, timestamp, int64
            0x01 | 0x09 | 0x11 | 0x12 => at + 8,
            // string, code, symbol
            0x02 | 0x0D | 0x0E => string(bytes, at, end)?,
            0x03 | 0x04 => return self.open(bytes, at, end),
            // binary: a subtype follows the length
            0x05 => at.saturating_add(length(bytes, at)?).saturating_add(5),
            // undefined, null, minimum and maximum key
            0x06 | 0x0A | 0xFF | 0x7F => at,
            // ObjectId
            0x07 => at + 12,
            0x08 => match bytes.get(at) {
                Some(0 | 1) => at + 1,
                _ => return Err("a boolean is neither 0 nor 1"),
            },
            // regular expression
            0x0B => {
                let options = cstring(bytes, at, end)?;
                cstring(bytes, options, end)?
            }
            // pointer: a string and an ObjectId
            0x0C => string(bytes, at, end)? + 12,
            0x0F => return self.scoped(bytes, at, end),
            0x10 => at + 4,
            // decimal
            0x13 => at + 16,
            _ => return Err("a field has a type that BSON does not know"),
        };
        if next > end { Err(PAST_THE_END) } else { Ok(next) }
    }

    /// Code with scope: a length, a string and a document, which the length covers exactly.
    fn scoped(&mut self, bytes: &[u8], at: usize, end: usize) -> Result<usize, Flaw> {
        let whole = at.saturating_add(length(bytes, at)?);
        if whole > end {
            return Err(PAST_THE_END);
        }
        let scope = string(bytes, at + 4, whole)?;
        let first = self.open(bytes, scope, whole)?;
        if self.ends.last() != Some(&whole) {
            return Err("a scope ends before its code's length says");
        }
        Ok(first)
    }
}

/// A length prefix.
fn length(bytes: &[u8], at: usize) -> Result<usize, Flaw> {
    let prefix = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(PAST_THE_END)?;
    let length = u32::from_le_bytes(*prefix);
    // A server reads it as a signed number.
    if length > i32::MAX.unsigned_abs() {
        return Err("a length is negative");
    }
    usize::try_from(length).map_err(|_| PAST_THE_END)
}

/// Steps over a text that ends with NUL.
fn cstring(bytes: &[u8], at: usize, end: usize) -> Result<usize, Flaw> {
    let text = bytes.get(at..end).ok_or(PAST_THE_END)?;
    let length = text.iter().position(|byte| *byte == 0).ok_or("a name has no end")?;
    Ok(at + length + 1)
}

/// Steps over a string, which has a length and a NUL at its end.
fn string(bytes: &[u8], at: usize, end: usize) -> Result<usize, Flaw> {
    let length = length(bytes, at)?;
    let next = at.saturating_add(4).saturating_add(length);
    if next > end {
        return Err(PAST_THE_END);
    }
    match bytes.get(next - 1) {
        Some(0) if length > 0 => Ok(next),
        _ => Err("a string does not end with NUL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, doc};

    fn check(document: &[u8]) -> Result<(), Flaw> {
        Checker::default().check(document)
    }

    /// A document of these elements.
    fn document(elements: &[u8]) -> Vec<u8> {
        let length = u32::try_from(elements.len() + 5).unwrap();
        [&length.to_le_bytes()[..], elements, &[0]].concat()
    }

    fn every_type() -> Vec<u8> {
        let all = doc! {
            "double": 1.5, "string": "s\0", "array": [1, [2_i64], { "x": null }], "doc": { "a": { "b": {} } },
            "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] },
            "undefined": Bson::Undefined, "oid": bson::oid::ObjectId::from_bytes([9; 12]), "bool": true,
            "date": bson::DateTime::from_millis(-1),
            "regex": Bson::RegularExpression(bson::Regex { pattern: "a/b".try_into().unwrap(), options: "imx".try_into().unwrap() }),
            "code": Bson::JavaScriptCode("x()".into()), "symbol": Bson::Symbol("sym".into()),
            "scoped": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: "y".into(), scope: doc! { "z": 1 } }),
            "int": i32::MIN, "ts": Bson::Timestamp(bson::Timestamp { time: u32::MAX, increment: 2 }),
            "decimal": "1.50E+3".parse::<bson::Decimal128>().unwrap(), "min": Bson::MinKey, "max": Bson::MaxKey,
        };
        bson::serialize_to_vec(&all).unwrap()
    }

    #[test]
    fn every_type_is_a_document_and_none_of_its_beginnings_is() {
        let all = every_type();
        check(&all).unwrap();
        check(&document(b"\x0cpointer\0\x02\0\0\0x\0abcdefghijkl")).unwrap();
        for end in 5..all.len() {
            let mut cut = all[..end].to_vec();
            assert!(check(&cut).is_err(), "cut at {end}");
            cut.splice(..4, u32::try_from(end).unwrap().to_le_bytes());
            *cut.last_mut().unwrap() = 0;
            // With a length and an end that suit, it is one only between two fields, as for any other reader.
            let is_one = bson::deserialize_from_slice::<bson::Document>(&cut).is_ok();
            assert_eq!(check(&cut).is_ok(), is_one, "cut at {end}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for elements in [
            &b"\x02s\0\xFF\xFF\xFF\xFFx\0"[..],
            b"\x02s\0\0\0\0\0",
            b"\x02s\0\x02\0\0\0xx",
            b"\x03d\0\x03\0\0\0\0",
            b"\x03d\0\x06\0\0\0\0",
            b"\x03d\0\x06\0\0\0\0\0",
            b"\x04a\0\x07\0\0\0\x0Ax\0",
            b"\x05b\0\xFF\xFF\xFF\xFF\0",
            b"\x05b\0\x03\0\0\0\x80xy",
            b"\x08b\0\x02",
            b"\x0Fw\0\x0F\0\0\0\x01\0\0\0\0\x05\0\0\0\0\0",
            b"\x0Fw\0\x0D\0\0\0\x01\0\0\0\0\x05\0\0\0\0",
            b"\x14x\0",
            b"\0",
            b"\x10name without end",
            b"\x10i\0\x01\0\0",
        ] {
            assert!(check(&document(elements)).is_err(), "{elements:?}");
        }
        assert!(check(b"\x06\0\0\0\0").is_err() && check(b"").is_err());
        let texts = document(b"\x02\xFF\0\x02\0\0\0\xFE\0");
        check(&texts).unwrap();
    }

    #[test]
    fn depth_has_an_end() {
        let nested = |depth: usize| {
            (0..depth).fold(document(b""), |inner, _| document(&[&b"\x03d\0"[..], &inner].concat()))
        };
        check(&nested(MAX_DEPTH - 1)).unwrap();
        assert!(check(&nested(MAX_DEPTH)).is_err());
    }
}
