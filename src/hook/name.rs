//! Names that become part of an object's key.

use crate::{Error, ErrorKind, Result};

/// Longest application name or deployment id in bytes: two of them and what surrounds them stay well under the
/// 1,024 bytes of an S3 key, and each is a valid file name once the archives are copied to a disk.
const MAX_NAME_BYTES: usize = 255;

/// What separates the components of a key or a path, and what a reader would take for that.
const SLASHES: [char; 8] =
    ['/', '\\', '\u{2044}', '\u{2215}', '\u{2216}', '\u{29f8}', '\u{ff0f}', '\u{ff3c}'];

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
        } else if text.contains(SLASHES) {
            "contains a slash, or what looks like one"
        } else if text == "." || text.contains("..") {
            "is a dot or contains two in a row"
        } else if text.chars().any(is_invisible) {
            "contains a control character, or one that is not seen"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(refused(format!(
            "{origin} {problem}; send 1 to 255 bytes without slashes, double dots and invisible characters: it becomes part \
             of the archive's key"
        )))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, and those of Unicode's format characters and separators that change how a line is read.
fn is_invisible(letter: char) -> bool {
    let format = [
        '\u{ad}'..='\u{ad}',
        '\u{61c}'..='\u{61c}',
        '\u{200b}'..='\u{200f}',
        '\u{2028}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
        '\u{feff}'..='\u{feff}',
        '\u{e0000}'..='\u{e007f}',
    ];
    letter.is_control() || format.iter().any(|range| range.contains(&letter))
}

/// What was sent cannot be used.
pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}
