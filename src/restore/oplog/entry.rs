//! One entry of an oplog, as it lies in the archive.

use crate::restore::element::{Element, TIMESTAMP, elements, malformed};
use crate::{Error, ErrorKind, Result};

const STRING: u8 = 0x02;
const DOCUMENT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const INT32: u8 = 0x10;
const INT64: u8 = 0x12;

/// An entry, or an operation inside one: views of its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// Seconds and increment; zeros for an operation inside an entry.
    pub(super) time: (u32, u32),
    pub(super) term: Option<Element<'a>>,
    pub(super) version: Option<Element<'a>>,
    /// What kind of operation: `i`, `u`, `d`, `c` or one of the server's own.
    pub(super) kind: &'a str,
    pub(super) namespace: &'a str,
    /// What is inserted, changed or deleted, or the command.
    pub(super) object: &'a [u8],
    /// Which document is changed.
    pub(super) query: Option<Element<'a>>,
    /// The UUID of the collection.
    pub(super) uuid: Option<Element<'a>>,
    pub(super) session: Option<&'a [u8]>,
    pub(super) number: Option<i64>,
    /// Whether it is an insert of many documents, which looks like a transaction.
    pub(super) is_vectored: bool,
}

impl<'a> Entry<'a> {
    /// Reads what a replay needs of it; what else the entry has is left alone.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] where it is none.
    pub(super) fn read(document: &'a [u8]) -> Result<Self> {
        let mut entry = Self {
            time: (0, 0),
            term: None,
            version: None,
            kind: "",
            namespace: "",
            object: EMPTY,
            query: None,
            uuid: None,
            session: None,
            number: None,
            is_vectored: false,
        };
        for element in elements(document) {
            let element = element?;
            match (element.name, element.kind) {
                (b"ts", TIMESTAMP) => entry.time = time(element.value)?,
                (b"t", _) => entry.term = Some(element),
                (b"v", _) => entry.version = Some(element),
                (b"op", STRING) => entry.kind = text(&element)?,
                (b"ns", STRING) => entry.namespace = text(&element)?,
                (b"o", DOCUMENT) => entry.object = element.value,
                (b"o2", DOCUMENT) => entry.query = Some(element),
                (b"ui", _) => entry.uuid = Some(element),
                (b"lsid", DOCUMENT) => entry.session = Some(element.value),
                (b"txnNumber", _) => entry.number = whole(&element),
                (b"multiOpType", _) => entry.is_vectored = whole(&element) == Some(1),
                (b"ts" | b"op" | b"ns" | b"o" | b"o2" | b"lsid", kind) => {
                    return Err(of_another_type(element.name, kind));
                }
                _ => {}
            }
        }
        Ok(entry)
    }

    /// The first field of the object, which names a command.
    pub(super) fn command(&self) -> Result<Option<Element<'a>>> {
        elements(self.object).next().transpose()
    }

    /// A field of the object.
    pub(super) fn field(&self, name: &str) -> Result<Option<Element<'a>>> {
        find(self.object, name)
    }

    /// The database.
    pub(super) fn db(&self) -> &'a str {
        self.namespace.split_once('.').map_or(self.namespace, |(db, _)| db)
    }
}

/// An object that is not there.
const EMPTY: &[u8] = &[5, 0, 0, 0, 0];

/// A field of a document.
pub(super) fn find<'a>(document: &'a [u8], name: &str) -> Result<Option<Element<'a>>> {
    for element in elements(document) {
        let element = element?;
        if element.name == name.as_bytes() {
            return Ok(Some(element));
        }
    }
    Ok(None)
}

/// The text of a field.
///
/// # Errors
/// [`ErrorKind::Archive`] where it is none.
pub(super) fn text<'a>(element: &Element<'a>) -> Result<&'a str> {
    if element.kind != STRING {
        return Err(of_another_type(element.name, element.kind));
    }
    let bytes = element.value.get(4..).and_then(|bytes| bytes.strip_suffix(&[0])).ok_or_else(malformed)?;
    std::str::from_utf8(bytes).map_err(|error| malformed().with_source(error))
}

/// The documents of an array.
///
/// # Errors
/// [`ErrorKind::Archive`] where it is none.
pub(super) fn documents<'a>(
    element: &Element<'a>,
) -> Result<impl Iterator<Item = Result<&'a [u8]>> + use<'a>> {
    if element.kind != ARRAY {
        return Err(of_another_type(element.name, element.kind));
    }
    Ok(elements(element.value).map(|element| {
        let element = element?;
        if element.kind == DOCUMENT {
            Ok(element.value)
        } else {
            Err(of_another_type(element.name, element.kind))
        }
    }))
}

/// Whether a field is set: true, or a number other than zero.
pub(super) fn is_true(element: &Element<'_>) -> bool {
    !matches!(element.kind, 0x06 | 0x0a) && element.value.iter().any(|byte| *byte != 0)
}

/// A whole number of either size.
pub(super) fn whole(element: &Element<'_>) -> Option<i64> {
    match element.kind {
        INT32 => Some(i32::from_le_bytes(*element.value.first_chunk()?).into()),
        INT64 => Some(i64::from_le_bytes(*element.value.first_chunk()?)),
        _ => None,
    }
}

fn time(value: &[u8]) -> Result<(u32, u32)> {
    let (increment, rest) = value.split_first_chunk().ok_or_else(malformed)?;
    let seconds = rest.first_chunk().ok_or_else(malformed)?;
    Ok((u32::from_le_bytes(*seconds), u32::from_le_bytes(*increment)))
}

fn of_another_type(name: &[u8], kind: u8) -> Error {
    let name = String::from_utf8_lossy(name);
    Error::new(
        ErrorKind::Archive,
        format!("`{name}` in an entry of the oplog has another type (0x{kind:02x})"),
    )
}

#[cfg(test)]
mod tests {
    use bson::{Timestamp, rawdoc};

    use super::*;

    #[test]
    fn an_entry_is_read_and_what_a_replay_does_not_need_is_left_alone() {
        let document = rawdoc! {
            "lsid": { "id": 1 }, "txnNumber": 7_i64, "op": "i", "ns": "shop.a.b", "o": { "_id": 1 }, "o2": { "_id": 1 },
            "ts": Timestamp { time: 5, increment: 6 }, "t": 1_i64, "v": 2_i64, "wall": bson::DateTime::from_millis(0),
            "multiOpType": 1,
        };
        let entry = Entry::read(document.as_bytes()).unwrap();
        assert_eq!((entry.time, entry.kind, entry.namespace, entry.db()), ((5, 6), "i", "shop.a.b", "shop"));
        assert_eq!((entry.number, entry.is_vectored, entry.object.len()), (Some(7), true, 14));
        assert_eq!(entry.command().unwrap().unwrap().name, b"_id");
        assert!(entry.session.is_some() && entry.query.is_some() && entry.uuid.is_none());
    }

    #[test]
    fn what_is_no_entry_is_an_error_of_the_archive() {
        for document in [rawdoc! { "o": [1] }, rawdoc! { "ns": 1 }, rawdoc! { "ts": 1 }] {
            assert_eq!(
                Entry::read(document.as_bytes()).unwrap_err().kind(),
                ErrorKind::Archive,
                "{document:?}"
            );
        }
        let entry = rawdoc! {};
        assert!(Entry::read(entry.as_bytes()).unwrap().command().unwrap().is_none());
    }
}
