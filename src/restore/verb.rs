//! The ways in which documents get into a collection, each a command.

use bson::{RawDocumentBuf, rawdoc};

use super::command::Command;
use super::zero_timestamp::{push_set, push_upsert};
use crate::Result;

/// Room beside the documents for what goes around each: the head of an element, or of an update.
const ROOM_PER_DOCUMENT: usize = 16;
const ROOM_PER_UPDATE: usize = 160;

/// How documents get into a collection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verb {
    Insert,
    /// By an update that inserts: the server would replace an empty timestamp in an insert.
    Upsert,
    /// Sets the empty timestamps of documents that have been inserted.
    SetTimestamps,
}

impl Verb {
    /// The command that writes `documents`, with these fields between its name and them.
    pub(super) fn command(
        self,
        collection: &str,
        options: &RawDocumentBuf,
        documents: &[&[u8]],
    ) -> Result<RawDocumentBuf> {
        let (head, list, room) = match self {
            Self::Insert => (rawdoc! { "insert": collection }, "documents", ROOM_PER_DOCUMENT),
            Self::Upsert | Self::SetTimestamps => {
                (rawdoc! { "update": collection }, "updates", ROOM_PER_UPDATE)
            }
        };
        let size: usize = documents.iter().map(|document| document.len() + room).sum();
        let mut command = Command::new(&head, options.as_bytes().len() + room + size);
        command.fields(options);
        command.array(list.as_bytes());
        for (position, document) in documents.iter().enumerate() {
            let position = position.to_string();
            match self {
                Self::Insert => command.embedded(position.as_bytes(), document),
                Self::Upsert => push_upsert(&mut command, position.as_bytes(), document)?,
                Self::SetTimestamps => push_set(&mut command, position.as_bytes(), document)?,
            }
        }
        command.close()?;
        command.finish()
    }
}
