//! One message of MongoDB's wire protocol.

use mongodb::bson::{RawDocument, RawDocumentBuf};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;

/// Length, id, the id that it answers, kind.
const HEADER: usize = 16;

/// Flag bits come before the first section of an `OP_MSG`.
const FLAGS: usize = 4;

const OP_MSG: i32 = 2013;
const OP_QUERY: i32 = 2004;
const OP_REPLY: i32 = 1;

/// Twice what a server takes.
const LONGEST: usize = 100 << 20;

/// A whole message with its header.
#[derive(Debug)]
pub struct Message(Vec<u8>);

impl Message {
    /// The next message; `None` when the peer has gone.
    pub async fn read(from: &mut OwnedReadHalf) -> Option<Self> {
        let mut bytes = vec![0; HEADER];
        from.read_exact(&mut bytes).await.ok()?;
        let length = usize::try_from(number(&bytes, 0)).expect("a length");
        assert!((HEADER..LONGEST).contains(&length), "a message of {length} bytes");
        bytes.resize(length, 0);
        from.read_exact(&mut bytes[HEADER..]).await.ok()?;
        Some(Self(bytes))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// So many of its bytes, at most all but the last.
    pub fn first(&self, bytes: usize) -> &[u8] {
        &self.0[..bytes.min(self.0.len() - 1)]
    }

    pub fn id(&self) -> i32 {
        number(&self.0, 4)
    }

    /// The id of the request that this answers.
    pub fn answers(&self) -> i32 {
        number(&self.0, 8)
    }

    /// The command or the reply in it, without documents that are in sections of their own.
    pub fn command(&self) -> Option<RawDocumentBuf> {
        let start = self.document()?;
        let end = start + usize::try_from(number(&self.0, start)).ok()?;
        let document = RawDocument::from_bytes(self.0.get(start..end)?).ok()?;
        Some(document.to_owned())
    }

    /// The same message with another document in its place.
    pub fn with_document(&self, document: &RawDocument) -> Self {
        assert_eq!(self.kind(), OP_MSG, "a reply in the form of this decade");
        let mut bytes = self.0[..HEADER].to_vec();
        bytes.extend([0; FLAGS + 1]);
        bytes.extend(document.as_bytes());
        let length = i32::try_from(bytes.len()).expect("short");
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        Self(bytes)
    }

    /// The answer to this message, in the form that it asks for.
    pub fn reply(&self, document: &RawDocument) -> Self {
        let (kind, head) = match self.kind() {
            OP_MSG => (OP_MSG, vec![0; FLAGS + 1]),
            // Flags, cursor, position, and that there is one document.
            _ => (OP_REPLY, [[0; FLAGS + 8 + 4].as_slice(), &1_i32.to_le_bytes()].concat()),
        };
        let length = i32::try_from(HEADER + head.len() + document.as_bytes().len()).expect("short");
        let header = [length, 1, self.id(), kind].map(i32::to_le_bytes).concat();
        Self([header.as_slice(), &head, document.as_bytes()].concat())
    }

    fn kind(&self) -> i32 {
        number(&self.0, 12)
    }

    /// Where its first document begins.
    fn document(&self) -> Option<usize> {
        match self.kind() {
            // The driver writes the command first, then the sequences of documents.
            OP_MSG if self.0.get(HEADER + FLAGS) == Some(&0) => Some(HEADER + FLAGS + 1),
            OP_QUERY => {
                let name = self.0.get(HEADER + FLAGS..)?.iter().position(|byte| *byte == 0)?;
                Some(HEADER + FLAGS + name + 1 + 8)
            }
            _ => None,
        }
    }
}

fn number(bytes: &[u8], at: usize) -> i32 {
    let bytes = bytes.get(at..at + 4).expect("four bytes");
    i32::from_le_bytes(bytes.try_into().expect("four bytes"))
}
