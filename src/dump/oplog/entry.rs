//! What an entry of the oplog says, as far as a dump has to know. Documents of users are in it, so nothing is looked into that
//! need not be.

use bson::raw::CStr;
use bson::{RawArray, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp, cstr};

use crate::{Error, ErrorKind, Result};

/// How deep lists of operations may lie in one another: more than any server nests documents.
const DEPTH: usize = 200;

/// An entry, or an operation in the list of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) document: &'a RawDocument,
    /// `i`, `u`, `d`, `c`, `n`, and others of newer servers.
    pub(super) kind: &'a str,
    pub(super) db: &'a str,
    /// `$cmd` for commands.
    pub(super) collection: &'a str,
    depth: usize,
}

/// A command in an entry: its name and what it is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command<'a> {
    pub(super) name: &'a str,
    pub(super) value: RawBsonRef<'a>,
    pub(super) document: &'a RawDocument,
}

/// Which transaction an entry belongs to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Transaction {
    session: Vec<u8>,
    number: i64,
}

impl<'a> Entry<'a> {
    pub(super) fn new(document: &'a RawDocument) -> Result<Self> {
        Self::at_depth(document, 0)
    }

    fn at_depth(document: &'a RawDocument, depth: usize) -> Result<Self> {
        if depth > DEPTH {
            return Err(unreadable("it nests lists of operations too deeply"));
        }
        let text = |name| match document.get(name) {
            Ok(Some(RawBsonRef::String(text))) => Ok(text),
            Ok(None) => Ok(""),
            _ => Err(unreadable(format!("it has a field {name} that is no text"))),
        };
        let (kind, namespace) = (text("op")?, text("ns")?);
        let (db, collection) = namespace.split_once('.').unwrap_or((namespace, ""));
        Ok(Self { document, kind, db, collection, depth })
    }

    pub(super) fn at(&self) -> Result<Timestamp> {
        self.document.get_timestamp("ts").map_err(|error| unreadable("it has no time").with_source(error))
    }

    /// What is done, if that is a command.
    pub(super) fn command(&self) -> Result<Option<Command<'a>>> {
        if self.kind != "c" {
            return Ok(None);
        }
        let document = self.document.get_document("o").map_err(no_command)?;
        let first = document.iter().next().ok_or_else(|| unreadable("its command is empty"))?;
        let (name, value) = first.map_err(no_command)?;
        Ok(Some(Command { name: name.as_str(), value, document }))
    }

    /// The operations of a list of them.
    pub(super) fn operations(&self, list: &'a RawArray) -> impl Iterator<Item = Result<Self>> {
        let depth = self.depth + 1;
        list.into_iter().map(move |operation| match operation {
            Ok(RawBsonRef::Document(operation)) => Self::at_depth(operation, depth),
            _ => Err(unreadable("an operation in its list is no document")),
        })
    }

    /// The transaction that it is a part of, or the whole.
    pub(super) fn transaction(&self) -> Result<Option<Transaction>> {
        let is_of_one = |name: &str| matches!(name, "applyOps" | "commitTransaction" | "abortTransaction");
        // Several inserts at once, which may be repeated: no transaction, though numbered like one.
        let is_vectored = self.document.get_i32("multiOpType").is_ok_and(|kind| kind == 1);
        let is_of_one = self.command()?.is_some_and(|command| is_of_one(command.name)) && !is_vectored;
        Ok(if is_of_one { Transaction::of(self.document, "lsid", "txnNumber") } else { None })
    }

    /// When the entry before this one of the same transaction (or of the same retryable write) was made, if there is one.
    pub(super) fn previous(&self) -> Option<Timestamp> {
        let previous = self.document.get_document("prevOpTime").ok()?.get_timestamp("ts").ok()?;
        (previous != Timestamp { time: 0, increment: 0 }).then_some(previous)
    }

    /// Whether more of its transaction lies in other entries.
    pub(super) fn is_one_of_several(&self) -> Result<bool> {
        let says = |command: &Command<'_>, name| command.document.get_bool(name).unwrap_or(false);
        let Some(command) = self.command()? else { return Ok(false) };
        let is_open = says(&command, "partialTxn") || says(&command, "prepare");
        Ok(self.transaction()?.is_some() && (is_open || self.previous().is_some()))
    }

    /// The same with another command.
    pub(super) fn with_command(&self, command: &RawDocument) -> Result<RawDocumentBuf> {
        replaced(self.document, cstr!("o"), Some(RawBsonRef::Document(command)))
    }
}

impl Transaction {
    /// By the fields that hold the session and the number.
    pub(super) fn of(document: &RawDocument, session: &str, number: &str) -> Option<Self> {
        let session = document.get_document(session).ok()?.get_binary("id").ok()?.bytes.to_vec();
        let number = document.get_i64(number).ok()?;
        Some(Self { session, number })
    }
}

/// A list of operations.
pub(super) fn list<'a>(operations: impl IntoIterator<Item = &'a RawDocument>) -> RawArrayBuf {
    let mut list = RawArrayBuf::new();
    operations.into_iter().for_each(|operation| list.push(operation));
    list
}

/// The document with this field changed, or without it.
pub(super) fn replaced(
    document: &RawDocument,
    name: &CStr,
    value: Option<RawBsonRef<'_>>,
) -> Result<RawDocumentBuf> {
    let mut changed = RawDocumentBuf::new();
    for field in document {
        let (field, old) = field.map_err(|error| unreadable("it is damaged").with_source(error))?;
        let new = if field == name { value } else { Some(old) };
        if let Some(new) = new {
            changed.append(field, new);
        }
    }
    Ok(changed)
}

pub(super) fn unreadable(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Server, "an entry of the oplog cannot be read").with_source(why.into())
}

fn no_command(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    unreadable("it is a command, and holds none").with_source(error)
}
