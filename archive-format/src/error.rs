//! What can be wrong with an archive, or with the way one is being written.

use std::borrow::Cow;
use std::fmt;

use crate::Namespace;

/// An archive that cannot be read any further, or a call that would have made one unreadable.
///
/// It says what is wrong ([`kind`](Error::kind)), where ([`offset`](Error::offset),
/// [`namespace`](Error::namespace)), and its text adds what to do now. It never holds any byte of a document.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    what: Cow<'static, str>,
    offset: Option<u64>,
    namespace: Option<Namespace>,
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input does not begin with [`MAGIC`](crate::MAGIC); often it is still compressed.
    NotAnArchive,
    /// The input ended inside a block.
    Truncated,
    /// Bytes that cannot be a record of the format, or a document whose framing is wrong.
    Malformed,
    /// Data of a namespace that the prelude does not announce, or not under this name.
    UnknownNamespace,
    /// Records, each of them well-formed, in an order that the format does not permit.
    Order,
    /// The documents of a namespace are not those that were written.
    Checksum {
        /// The checksum in the archive.
        expected: u64,
        /// The checksum of the documents that were read.
        found: u64,
    },
    /// Bytes that the caller could not get: [`Decoder::skip`](crate::Decoder::skip).
    Missing,
    /// Something is larger or more numerous than the limits in force.
    LimitExceeded,
    /// Whole blocks, but some namespace of the prelude never ended.
    Incomplete,
    /// A database or collection name that no server accepts.
    InvalidName,
    /// A server version that is not of the form `major.minor.patch`.
    InvalidVersion,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, what: what.into(), offset: None, namespace: None }))
    }

    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.0.offset = Some(offset);
        self
    }

    pub(crate) fn of(mut self, namespace: &Namespace) -> Self {
        self.0.namespace = Some(namespace.clone());
        self
    }

    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The position in the uncompressed archive, in bytes from its begin, of the record that is wrong or of
    /// the end that came too early; nothing for errors of the writing side.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// The namespace concerned, if it is one namespace.
    pub fn namespace(&self) -> Option<&Namespace> {
        self.0.namespace.as_ref()
    }

    /// What to do about an archive that is wrong. Errors without an offset are the caller's, and their text
    /// says by itself which rule it broke.
    fn advice(&self) -> Option<&'static str> {
        self.0.offset?;
        Some(match self.0.kind {
            ErrorKind::NotAnArchive => "expected what `mongodump --archive` writes, uncompressed",
            ErrorKind::Truncated => "the archive is incomplete, fetch it or dump it again",
            ErrorKind::Malformed | ErrorKind::Order | ErrorKind::Checksum { .. } | ErrorKind::Missing => {
                "the archive is damaged, use another copy"
            }
            ErrorKind::UnknownNamespace => "the archive contradicts its own prelude, use another copy",
            ErrorKind::LimitExceeded => "if the archive is to be trusted, read it with higher limits",
            ErrorKind::Incomplete => "the dump did not finish, dump again",
            ErrorKind::InvalidName | ErrorKind::InvalidVersion => "no server could take it, dump again",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        match (&self.0.namespace, self.0.offset) {
            (Some(namespace), Some(offset)) => write!(f, " ({namespace}, byte {offset})")?,
            (Some(namespace), None) => write!(f, " ({namespace})")?,
            (None, Some(offset)) => write!(f, " (byte {offset})")?,
            (None, None) => {}
        }
        self.advice().map_or(Ok(()), |advice| write!(f, ": {advice}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("what", &self.0.what)
            .field("offset", &self.0.offset)
            .field("namespace", &self.0.namespace)
            .finish()
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_archive_says_what_where_and_what_now() {
        let error = Error::new(ErrorKind::Truncated, "ends inside a document").at(17).of(&Namespace::oplog());
        assert_eq!(
            error.to_string(),
            "ends inside a document (oplog, byte 17): the archive is incomplete, fetch it or dump it again"
        );
    }

    #[test]
    fn an_error_of_the_caller_blames_no_archive() {
        assert_eq!(Error::new(ErrorKind::Order, "it has ended already").to_string(), "it has ended already");
    }
}
