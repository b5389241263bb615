//! What it rests on that a store holds what was sent.

use std::fmt;

/// What it rests on that a place holds the very bytes that were stored there: what the place itself has told of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Checked {
    /// Only their number.
    #[default]
    Size,
    /// The CRC-32 of every part, and how many there are.
    Crc32OfParts,
    /// The CRC-64/NVME of the whole.
    Crc64Nvme,
    /// All of them were read back.
    Reading,
}

impl Checked {
    /// The name in a proof record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Crc32OfParts => "crc32 of parts",
            Self::Crc64Nvme => "crc64nvme",
            Self::Reading => "reading",
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
