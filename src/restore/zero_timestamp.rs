//! `Timestamp(0, 0)`: servers replace it by the current time when a document is inserted with one at its outermost level.
//!
//! A document with one is therefore written by an update that finds nothing and inserts what its pipeline makes: the
//! document itself, byte for byte, since a pipeline's literal is not looked into. It was tried on 4.4.2, 5.0.4 and 6.0.5 with
//! names that stand twice, hold `.` or nothing, text that is not UTF-8, and every type. Servers from the patch releases on
//! that know `bypassEmptyTsReplacement` need none of this.
//!
//! 4.4 refuses such an update where a name begins with `$`, and takes an insert of the same document: there the timestamps are
//! set afterwards, which is possible for names that a classic update can address.

use super::command::Command;
use super::element::{Element, TIMESTAMP, elements, malformed};
use crate::{Error, ErrorKind, Result};

/// The type of a boolean.
const BOOLEAN: u8 = 0x08;

/// Whether a field other than `_id` at the outermost level is `Timestamp(0, 0)`.
pub(super) fn has_zero_timestamp(document: &[u8]) -> Result<bool> {
    for element in elements(document) {
        if is_zero_timestamp(&element?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_zero_timestamp(element: &Element<'_>) -> bool {
    element.kind == TIMESTAMP && element.name != b"_id" && element.value == [0; 8]
}

/// Adds a statement to `updates` that inserts the document as it is, or fails as an insert would when its `_id` is there.
pub(super) fn push_upsert(command: &mut Command, position: &[u8], document: &[u8]) -> Result<()> {
    command.document(position);
    command.document(b"q");
    command.document(b"_id");
    if let Some(id) = id(document)? {
        command.field(id.kind, b"$eq", id.value);
    }
    // One of none: the update must not find the document that is there.
    command.array(b"$in");
    command.close()?;
    command.close()?;
    command.close()?;
    command.array(b"u");
    command.document(b"0");
    command.document(b"$replaceWith");
    command.embedded(b"$literal", document);
    command.close()?;
    command.close()?;
    command.close()?;
    command.field(BOOLEAN, b"upsert", &[1]);
    command.close()
}

/// Adds a statement to `updates` that sets the timestamps of a document that has been inserted.
pub(super) fn push_set(command: &mut Command, position: &[u8], document: &[u8]) -> Result<()> {
    let id = id(document)?.ok_or_else(malformed)?;
    command.document(position);
    command.document(b"q");
    command.document(b"_id");
    command.field(id.kind, b"$eq", id.value);
    command.close()?;
    command.close()?;
    command.document(b"u");
    command.document(b"$set");
    let fields = elements(document).collect::<Result<Vec<_>>>()?;
    for zero in fields.iter().filter(|field| is_zero_timestamp(field)) {
        let twice = fields.iter().filter(|field| field.name == zero.name).count() > 1;
        if twice || zero.name.is_empty() || zero.name.contains(&b'.') || zero.name.starts_with(b"$") {
            return Err(Error::new(
                ErrorKind::Server,
                "this server cannot take a document with an empty timestamp and names that begin with `$`; \
                 restore it into MongoDB 5.0 or later",
            ));
        }
        command.field(zero.kind, zero.name, zero.value);
    }
    command.close()?;
    command.close()?;
    command.close()
}

/// The document's `_id`, if it has one.
pub(super) fn id(document: &[u8]) -> Result<Option<Element<'_>>> {
    for element in elements(document) {
        let element = element?;
        if element.name == b"_id" {
            return Ok(Some(element));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use bson::{Timestamp, rawdoc};

    use super::*;

    const ZERO: Timestamp = Timestamp { time: 0, increment: 0 };

    #[test]
    fn an_empty_timestamp_counts_at_the_top_and_not_as_an_id_or_deeper() {
        let now = Timestamp { time: 1, increment: 0 };
        for (document, found) in [
            (rawdoc! { "_id": 1, "a": ZERO }, true),
            (rawdoc! { "_id": ZERO, "a": now }, false),
            (rawdoc! { "_id": 1, "a": { "b": ZERO } }, false),
            (rawdoc! {}, false),
        ] {
            assert_eq!(has_zero_timestamp(document.as_bytes()).unwrap(), found, "{document:?}");
        }
    }

    #[test]
    fn the_update_inserts_the_document_as_it_is() {
        let document = rawdoc! { "_id": 7, "at": ZERO, "d": { "x": 1 } };
        let mut command = Command::new(&rawdoc! { "update": "c" }, 0);
        command.array(b"updates");
        push_upsert(&mut command, b"0", document.as_bytes()).unwrap();
        command.close().unwrap();
        let empty: [i32; 0] = [];
        let expected = rawdoc! { "update": "c", "updates": [{
            "q": { "_id": { "$eq": 7, "$in": bson::RawArrayBuf::from_iter(empty) } },
            "u": [{ "$replaceWith": { "$literal": document } }],
            "upsert": true,
        }] };
        assert_eq!(command.finish().unwrap(), expected);
    }

    #[test]
    fn where_a_server_cannot_address_a_name_it_is_not_guessed() {
        for (document, possible) in [
            (rawdoc! { "_id": 7, "at": ZERO, "d": { "$x": 1 } }, true),
            (rawdoc! { "_id": 7, "a.b": ZERO, "d": { "$x": 1 } }, false),
            (rawdoc! { "_id": 7, "at": 1, "at": ZERO, "d": { "$x": 1 } }, false),
        ] {
            let mut command = Command::new(&rawdoc! { "update": "c" }, 0);
            command.array(b"updates");
            assert_eq!(push_set(&mut command, b"0", document.as_bytes()).is_ok(), possible, "{document:?}");
        }
    }
}
