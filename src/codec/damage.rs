//! What is wrong with compressed bytes.

use std::fmt;

use crate::{Error, ErrorKind};

/// A place at which compressed bytes are damaged, or end too early. It is the cause of an [`ErrorKind::Archive`].
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    /// Where, in bytes from the begin of the archive as it is stored: the member, or how far it could be read.
    pub(crate) offset: u64,
    /// Whether more bytes would have been enough.
    pub(crate) truncated: bool,
    /// The sentence.
    text: String,
}

impl Damage {
    /// As the cause of the error that the reader of the archive gets.
    pub(super) fn into_error(self) -> Error {
        Error::new(ErrorKind::Archive, "the archive cannot be read").with_source(self)
    }

    pub(super) fn member(offset: u64) -> Self {
        let text = format!(
            "the gzip member at byte {offset} of the compressed archive is damaged; take another copy of it"
        );
        Self { offset, truncated: false, text }
    }

    pub(super) fn end_of_member(offset: u64) -> Self {
        let text = format!(
            "the archive ends inside the gzip member at byte {offset}: it is truncated; take a complete copy of it"
        );
        Self { offset, truncated: true, text }
    }

    pub(super) fn stream(offset: u64) -> Self {
        let text = format!(
            "the gzip stream is damaged before byte {offset} of the compressed archive; take another copy of it"
        );
        Self { offset, truncated: false, text }
    }

    pub(super) fn end_of_stream(offset: u64) -> Self {
        let text = format!(
            "the gzip stream ends too early, at byte {offset}: the archive is truncated; take a complete copy of it"
        );
        Self { offset, truncated: true, text }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Damage {}
