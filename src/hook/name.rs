//! Names that become part of an object's key.

use crate::{Error, ErrorKind, Result};

/// Longest application name or deployment id in bytes: two of them and what surrounds them stay well under the
/// 1,024 bytes of an S3 key, and each is a valid file name once the archives are copied to a disk.
const MAX_NAME_BYTES: usize = 255;

/// A name that can be one component of an object's key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Name(String);

impl Name {
    /// Checks a name that `origin` gave.
    pub(crate) fn new(origin: &str, text: &str) -> Result<Self> {
        let problem = if text.is_empty() {
            "is empty"
        } else if text.len() > MAX_NAME_BYTES {
            "is longer than 255 bytes"
        } else if text.contains('/') {
            "contains a slash"
        } else if text == "." || text.contains("..") {
            "is a dot or contains two in a row"
        } else if text.chars().any(char::is_control) {
            "contains a control character"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(refused(format!(
            "{origin} {problem}; send 1 to 255 bytes without slashes, double dots and control characters: it becomes part \
             of the archive's key"
        )))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What was sent cannot be used.
pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}
