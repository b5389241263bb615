//! Operations gathered for one command.

use bson::RawDocumentBuf;

use super::entry::{Entry, whole};
use crate::Result;
use crate::restore::command::Command;

/// Bytes of operations at which a command is full: what the server spends on the command itself is then a hundredth of what
/// it spends on the operations.
const SIZE: usize = 1024 * 1024;

/// Operations at which a command is full: the answer has an element for each.
const COUNT: usize = 5000;

/// Room for what goes around the fields of an operation.
const ROOM: usize = 96;

const INT32: u8 = 0x10;
const INT64: u8 = 0x12;
const STRING: u8 = 0x02;
const DOCUMENT: u8 = 0x03;
const TIMESTAMP: u8 = 0x11;

/// Operations in their order, as `applyOps` takes them.
#[derive(Debug, Default)]
pub(super) struct Operations {
    all: Vec<RawDocumentBuf>,
    size: usize,
    /// Whether validators are asked.
    validates: bool,
}

impl Operations {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether it is to be sent before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.all.len() >= COUNT || self.size >= SIZE
    }

    /// Whether an operation of this size fits, for which validators are asked or not. The first always does.
    pub(super) fn has_room(&self, size: usize, validates: bool) -> bool {
        self.is_empty() || (self.size + size <= SIZE && self.validates == validates)
    }

    pub(super) fn push(&mut self, operation: RawDocumentBuf, validates: bool) {
        self.validates = validates;
        self.size += operation.as_bytes().len();
        self.all.push(operation);
    }

    pub(super) fn validates(&self) -> bool {
        self.validates
    }

    pub(super) fn into_vec(self) -> Vec<RawDocumentBuf> {
        self.all
    }
}

/// The operation of an entry, with another object if there is one. Without `keeps_uuid` it goes to the collection of that
/// name, whichever that is.
pub(super) fn operation(
    entry: &Entry<'_>,
    object: Option<&[u8]>,
    keeps_uuid: bool,
) -> Result<RawDocumentBuf> {
    let object = object.unwrap_or(entry.object);
    let query = entry.query.map_or(0, |query| query.value.len());
    let mut operation =
        Command::new(&RawDocumentBuf::new(), object.len() + query + entry.namespace.len() + ROOM);
    let (seconds, increment) = entry.time;
    operation.field(TIMESTAMP, b"ts", &[increment.to_le_bytes(), seconds.to_le_bytes()].concat());
    if let Some(term) = entry.term.and_then(|term| whole(&term)) {
        // Servers take no other type.
        operation.field(INT64, b"t", &term.to_le_bytes());
    }
    match entry.version {
        Some(version) => operation.field(version.kind, b"v", version.value),
        None => operation.field(INT32, b"v", &2_i32.to_le_bytes()),
    }
    string(&mut operation, b"op", entry.kind);
    string(&mut operation, b"ns", entry.namespace);
    if let Some(uuid) = entry.uuid.filter(|_| keeps_uuid) {
        operation.field(uuid.kind, b"ui", uuid.value);
    }
    operation.field(DOCUMENT, b"o", object);
    if let Some(query) = entry.query {
        operation.field(DOCUMENT, b"o2", query.value);
    }
    operation.finish()
}

fn string(command: &mut Command, name: &[u8], text: &str) {
    let length = i32::try_from(text.len() + 1).unwrap_or(i32::MAX);
    command.field(STRING, name, &[&length.to_le_bytes(), text.as_bytes(), &[0]].concat());
}

#[cfg(test)]
mod tests {
    use bson::{Timestamp, rawdoc};

    use super::*;

    #[test]
    fn an_operation_has_what_a_server_applies_and_nothing_else() {
        let document = rawdoc! {
            "lsid": { "id": 1 }, "txnNumber": 7_i64, "op": "u", "ns": "d.c", "ui": 1, "o": { "$v": 2, "diff": { "u": { "a": 1 } } },
            "o2": { "_id": 1 }, "ts": Timestamp { time: 5, increment: 6 }, "t": 1_i64, "wall": bson::DateTime::from_millis(0),
        };
        let entry = Entry::read(document.as_bytes()).unwrap();
        let expected = rawdoc! {
            "ts": Timestamp { time: 5, increment: 6 }, "t": 1_i64, "v": 2, "op": "u", "ns": "d.c",
            "o": { "$v": 2, "diff": { "u": { "a": 1 } } }, "o2": { "_id": 1 },
        };
        assert_eq!(operation(&entry, None, false).unwrap(), expected);
        assert_eq!(operation(&entry, None, true).unwrap().get("ui").unwrap().unwrap().as_i32(), Some(1));
    }
}
