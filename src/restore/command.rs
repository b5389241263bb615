//! Commands written byte by byte: what goes into one is copied once, and never looked into.

use bson::RawDocumentBuf;

use super::element::malformed;
use crate::Result;

const DOCUMENT: u8 = 0x03;
const ARRAY: u8 = 0x04;

/// A command being written.
#[derive(Debug)]
pub(super) struct Command {
    bytes: Vec<u8>,
    /// Where the documents and arrays begin that have no end yet, the command itself first.
    open: Vec<usize>,
}

impl Command {
    /// Begins with the fields of `head`; room for `size` bytes more is reserved.
    pub(super) fn new(head: &RawDocumentBuf, size: usize) -> Self {
        let head = head.as_bytes();
        let fields = head.split_last().map_or(head, |(_, fields)| fields);
        let mut bytes = Vec::with_capacity(fields.len() + size);
        bytes.extend_from_slice(fields);
        Self { bytes, open: vec![0] }
    }

    /// Begins a document, which [`close`](Self::close) ends.
    pub(super) fn document(&mut self, name: &[u8]) {
        self.begin(DOCUMENT, name);
    }

    /// Begins an array, whose elements are named `0`, `1` and so on.
    pub(super) fn array(&mut self, name: &[u8]) {
        self.begin(ARRAY, name);
    }

    /// Ends the document or array that was begun last.
    pub(super) fn close(&mut self) -> Result<()> {
        self.bytes.push(0);
        let begin = self.open.pop().ok_or_else(malformed)?;
        let length = i32::try_from(self.bytes.len() - begin).map_err(|_| malformed())?;
        let place = self.bytes.get_mut(begin..).and_then(|rest| rest.first_chunk_mut::<4>());
        *place.ok_or_else(malformed)? = length.to_le_bytes();
        Ok(())
    }

    /// A field with a value as it lies in a document.
    pub(super) fn field(&mut self, kind: u8, name: &[u8], value: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.bytes.extend_from_slice(value);
    }

    /// A field that is a whole document.
    pub(super) fn embedded(&mut self, name: &[u8], document: &[u8]) {
        self.field(DOCUMENT, name, document);
    }

    /// The whole command.
    pub(super) fn finish(mut self) -> Result<RawDocumentBuf> {
        self.close()?;
        RawDocumentBuf::from_bytes(self.bytes).map_err(|error| malformed().with_source(error))
    }

    fn begin(&mut self, kind: u8, name: &[u8]) {
        self.field(kind, name, &[]);
        self.open.push(self.bytes.len());
        self.bytes.extend_from_slice(&[0; 4]);
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn a_command_is_what_a_library_would_make_of_it() {
        let mut command = Command::new(&rawdoc! { "delete": "c", "ordered": false }, 64);
        command.array(b"deletes");
        command.document(b"0");
        command.embedded(b"q", rawdoc! { "_id": 1 }.as_bytes());
        command.field(0x10, b"limit", &1_i32.to_le_bytes());
        command.close().unwrap();
        command.close().unwrap();
        let expected =
            rawdoc! { "delete": "c", "ordered": false, "deletes": [{ "q": { "_id": 1 }, "limit": 1 }] };
        assert_eq!(command.finish().unwrap(), expected);
    }
}
