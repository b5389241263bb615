//! As much BSON as the format's own records need: flat documents of strings, numbers and booleans.
//!
//! Values of other types are stepped over by their length, never entered, so depth costs nothing.

use bytes::{BufMut, BytesMut};

/// Why a document cannot be read.
pub(crate) type Invalid = &'static str;

const PAST_THE_END: Invalid = "a field runs past the end of its document";

/// A value, as far as this crate looks into it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Double(f64),
    /// Not yet known to be UTF-8, because nobody may ask.
    String(&'a [u8]),
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Other,
}

impl<'a> Value<'a> {
    pub(crate) fn text(self) -> Result<&'a str, Invalid> {
        match self {
            Value::String(bytes) => str::from_utf8(bytes).map_err(|_| "a string is not UTF-8"),
            _ => Err("a field that must be a string is none"),
        }
    }
}

/// The fields of a document, in order.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Reads a document whose length prefix and final NUL have been checked.
    pub(crate) fn of(document: &'a [u8]) -> Self {
        let end = document.len().saturating_sub(1);
        Self { rest: document.get(4..end).unwrap_or_default() }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Invalid> {
        let (head, tail) = self.rest.split_at_checked(length).ok_or(PAST_THE_END)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Invalid> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(PAST_THE_END)?;
        self.rest = tail;
        Ok(*head)
    }

    fn cstring(&mut self) -> Result<&'a [u8], Invalid> {
        let length = self.rest.iter().position(|&byte| byte == 0).ok_or(PAST_THE_END)?;
        let text = self.take(length)?;
        self.take(1)?;
        Ok(text)
    }

    /// A length prefix, less what of its extent has been read with it.
    fn length(&mut self, read: usize) -> Result<usize, Invalid> {
        let length = u32::from_le_bytes(self.array()?);
        usize::try_from(length).ok().and_then(|length| length.checked_sub(read)).ok_or(PAST_THE_END)
    }

    fn string(&mut self) -> Result<&'a [u8], Invalid> {
        let length = self.length(1)?;
        let text = self.take(length)?;
        if self.array()? != [0] {
            return Err("a string does not end with NUL");
        }
        Ok(text)
    }

    fn value(&mut self, kind: u8) -> Result<Value<'a>, Invalid> {
        match kind {
            0x01 => return Ok(Value::Double(f64::from_le_bytes(self.array()?))),
            0x02 => return Ok(Value::String(self.string()?)),
            0x08 => {
                return match self.array()? {
                    [0] => Ok(Value::Boolean(false)),
                    [1] => Ok(Value::Boolean(true)),
                    _ => Err("a boolean is neither 0 nor 1"),
                };
            }
            0x10 => return Ok(Value::Int32(i32::from_le_bytes(self.array()?))),
            0x12 => return Ok(Value::Int64(i64::from_le_bytes(self.array()?))),
            _ => {}
        }
        let length = match kind {
            // document, array, code with scope: the length counts itself
            0x03 | 0x04 | 0x0F => self.length(4)?,
            // binary: a subtype follows the length
            0x05 => self.length(0)?.saturating_add(1),
            // undefined, null, minimum and maximum key
            0x06 | 0x0A | 0xFF | 0x7F => 0,
            // ObjectId
            0x07 => 12,
            // date, timestamp
            0x09 | 0x11 => 8,
            // regular expression
            0x0B => {
                self.cstring()?;
                self.cstring()?;
                0
            }
            // pointer: a string and an ObjectId
            0x0C => {
                self.string()?;
                12
            }
            // code, symbol
            0x0D | 0x0E => {
                self.string()?;
                0
            }
            // decimal
            0x13 => 16,
            _ => return Err("a field has a type that BSON does not know"),
        };
        self.take(length)?;
        Ok(Value::Other)
    }

    fn field(&mut self) -> Result<(&'a [u8], Value<'a>), Invalid> {
        let [kind] = self.array()?;
        let name = self.cstring()?;
        Ok((name, self.value(kind)?))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a [u8], Value<'a>), Invalid>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The first of these names that no field of a document has, or the fields before one that cannot be read.
pub(crate) fn lacking(document: &[u8], names: &[&'static str]) -> Option<&'static str> {
    let has = |name: &str| Fields::of(document).flatten().any(|(field, _)| field == name.as_bytes());
    names.iter().find(|name| !has(name)).copied()
}

/// Appends one document to a buffer.
pub(crate) struct Writer<'a> {
    out: &'a mut BytesMut,
    start: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn begin(out: &'a mut BytesMut) -> Self {
        let start = out.len();
        out.put_u32_le(0);
        Self { out, start }
    }

    fn name(self, kind: u8, name: &str) -> Self {
        self.out.put_u8(kind);
        self.out.put_slice(name.as_bytes());
        self.out.put_u8(0);
        self
    }

    pub(crate) fn string(self, name: &str, value: &str) -> Self {
        let this = self.name(0x02, name);
        this.out.put_u32_le(length_prefix(value.len().saturating_add(1)));
        this.out.put_slice(value.as_bytes());
        this.out.put_u8(0);
        this
    }

    pub(crate) fn boolean(self, name: &str, value: bool) -> Self {
        let this = self.name(0x08, name);
        this.out.put_u8(value.into());
        this
    }

    pub(crate) fn int32(self, name: &str, value: i32) -> Self {
        let this = self.name(0x10, name);
        this.out.put_i32_le(value);
        this
    }

    pub(crate) fn int64(self, name: &str, value: i64) -> Self {
        let this = self.name(0x12, name);
        this.out.put_i64_le(value);
        this
    }

    /// Closes the document and returns its length, for the caller to compare with the limit.
    pub(crate) fn end(self) -> usize {
        self.out.put_u8(0);
        let length = self.out.len().saturating_sub(self.start);
        if let Some(prefix) = self.out.get_mut(self.start..).and_then(<[u8]>::first_chunk_mut) {
            *prefix = length_prefix(length).to_le_bytes();
        }
        length
    }
}

/// Lengths beyond `u32` saturate: such a document is far over the limit that every caller checks.
fn length_prefix(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(elements: &[u8]) -> Result<Vec<Value<'_>>, Invalid> {
        Fields { rest: elements }.map(|field| field.map(|(_, value)| value)).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = BytesMut::new();
        let length =
            Writer::begin(&mut out).string("s", "é").boolean("b", true).int32("i", -1).int64("l", 7).end();
        assert_eq!(length, out.len());
        let fields: Vec<_> = Fields::of(&out).map(Result::unwrap).collect();
        let s = "é".as_bytes();
        assert_eq!(
            fields,
            [
                (&b"s"[..], Value::String(s)),
                (&b"b"[..], Value::Boolean(true)),
                (&b"i"[..], Value::Int32(-1)),
                (&b"l"[..], Value::Int64(7)),
            ]
        );
    }

    #[test]
    fn every_other_type_is_stepped_over() {
        let elements: [&[u8]; 15] = [
            b"\x03d\0\x05\0\0\0\0",
            b"\x04a\0\x05\0\0\0\0",
            b"\x05b\0\x02\0\0\0\x80xy",
            b"\x06u\0",
            b"\x07o\0abcdefghijkl",
            b"\x09t\0abcdefgh",
            b"\x0An\0",
            b"\x0Br\0ab\0i\0",
            b"\x0Cp\0\x02\0\0\0x\0abcdefghijkl",
            b"\x0Dc\0\x01\0\0\0\0",
            b"\x0Es\0\x01\0\0\0\0",
            b"\x0Fw\0\x0E\0\0\0\x01\0\0\0\0\x05\0\0\0\0",
            b"\x11t\0abcdefgh",
            b"\x13d\0abcdefghijklmnop",
            b"\xFFk\0",
        ];
        for element in elements {
            let followed = [element, b"\x7Fk\0\x10i\0\x01\0\0\0"].concat();
            assert_eq!(values(&followed).unwrap(), [Value::Other, Value::Other, Value::Int32(1)]);
            for end in 1..element.len() {
                assert!(values(&element[..end]).is_err(), "{element:?} cut at {end}");
            }
        }
    }

    #[test]
    fn lies_are_refused() {
        for elements in [
            &b"\x02s\0\xFF\xFF\xFF\xFFx\0"[..],
            b"\x02s\0\0\0\0\0",
            b"\x02s\0\x02\0\0\0xx",
            b"\x03d\0\x03\0\0\0\0",
            b"\x05b\0\xFF\xFF\xFF\xFF\0",
            b"\x08b\0\x02",
            b"\x14x\0",
            b"\0",
            b"\x10name without end",
        ] {
            assert!(values(elements).is_err(), "{elements:?}");
        }
    }
}
