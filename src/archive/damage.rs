//! What is wrong with an archive: of which kind, and where.

use archive_format::{ErrorKind as Format, Namespace};

use crate::codec;
use crate::{Error, ErrorKind};

/// A place at which an archive is damaged.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Damage {
    /// The class.
    pub kind: DamageKind,
    /// Where, in bytes from the begin of the uncompressed archive; near that for compressed bytes that cannot be read.
    pub offset: Option<u64>,
    /// Where in the archive as it is stored, for compressed bytes.
    pub stored_offset: Option<u64>,
    /// The namespace that was hit, where it is one that is known.
    pub namespace: Option<Namespace>,
    /// What is wrong, in one sentence that says where as well, and what to do. It names no document; names in it may hold any
    /// character.
    pub sentence: String,
}

/// The classes of [`Damage`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DamageKind {
    /// The archive ends too early: inside a block or a gzip member, or before all its namespaces have ended.
    Truncated,
    /// The documents of a namespace are not those that were written.
    Checksum,
    /// Bytes that can be no archive's, or no document.
    Malformed,
    /// Something else than an archive.
    NotAnArchive,
    /// The archive contradicts itself: its prelude or the metadata in it are not those of its data.
    Contradiction,
    /// Compressed bytes that cannot be inflated to what they were.
    Gzip,
}

impl DamageKind {
    /// One word, which stays the same: `truncated`, `checksum`, `malformed`, `not_an_archive`, `contradiction`, `gzip`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Checksum => "checksum",
            Self::Malformed => "malformed",
            Self::NotAnArchive => "not_an_archive",
            Self::Contradiction => "contradiction",
            Self::Gzip => "gzip",
        }
    }
}

impl Damage {
    /// Found by this program in what the format permits.
    pub(crate) fn new(kind: DamageKind, sentence: impl Into<String>) -> Self {
        Self { kind, offset: None, stored_offset: None, namespace: None, sentence: sentence.into() }
    }

    /// What an error of the format or of the compression says.
    pub(crate) fn of(error: &Error) -> Self {
        let mut damage = Self::new(DamageKind::Malformed, error.report());
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<archive_format::Error>() {
                damage.kind = kind(error.kind());
                damage.offset = error.offset();
                damage.namespace = error.namespace().cloned();
            } else if let Some(error) = error.downcast_ref::<codec::Damage>() {
                damage.kind = if error.truncated { DamageKind::Truncated } else { DamageKind::Gzip };
                damage.stored_offset = Some(error.offset);
            } else {
                cause = error.source();
                continue;
            }
            damage.sentence = error.to_string();
            break;
        }
        damage
    }

    /// The same, with the place that the format gives to it.
    pub(super) fn behind(mut self, error: &archive_format::Error) -> Self {
        self.offset = error.offset();
        self.namespace = error.namespace().cloned();
        self.sentence = error.to_string();
        self
    }

    /// The same, near this byte of the uncompressed archive.
    pub(super) fn after(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The same, of this namespace.
    pub(crate) fn within(mut self, namespace: &Namespace, offset: u64) -> Self {
        self.sentence = format!(
            "{} ({namespace}, byte {offset}): the archive is damaged, use another copy",
            self.sentence
        );
        self.offset = Some(offset);
        self.namespace = Some(namespace.clone());
        self
    }

    /// As an error.
    pub(crate) fn error(&self) -> Error {
        Error::new(ErrorKind::Archive, self.sentence.clone())
    }
}

fn kind(kind: Format) -> DamageKind {
    match kind {
        Format::NotAnArchive => DamageKind::NotAnArchive,
        Format::Truncated | Format::Incomplete => DamageKind::Truncated,
        Format::Checksum { .. } => DamageKind::Checksum,
        Format::UnknownNamespace | Format::Order => DamageKind::Contradiction,
        Format::Missing => DamageKind::Gzip,
        _ => DamageKind::Malformed,
    }
}
