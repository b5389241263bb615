//! What became of documents.

use std::fmt;
use std::ops::AddAssign;

use crate::{Error, ErrorKind, Result};

/// Documents by what became of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    /// Inserted.
    pub(super) documents: u64,
    /// Refused as duplicates of documents that were there before.
    pub(super) duplicates: u64,
    /// Refused by the collection's validator.
    pub(super) invalid: u64,
    /// Left out because the archive holds another version of the document.
    pub(super) repeated: u64,
    /// Refused for a reason that ends the restore.
    pub(super) fatal: u64,
}

impl Counts {
    /// Documents of the archive that are not in the collection.
    pub(super) fn failures(&self) -> u64 {
        self.duplicates + self.invalid + self.fatal
    }

    /// Documents that the server did not take, whatever the reason.
    pub(super) fn refused(&self) -> u64 {
        self.failures() + self.repeated
    }

    /// Every document, or the restore is not what was asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Server`] with the number of documents that were refused, and why.
    pub(super) fn strictly_all(&self) -> Result<()> {
        match self.left_out() {
            Some(left_out) => Err(Error::new(
                ErrorKind::Server,
                format!("{self}, and with --strict that is an error: {left_out}"),
            )),
            None => Ok(()),
        }
    }

    /// Nothing that the server refused, or it is not what the archive has.
    ///
    /// # Errors
    /// [`ErrorKind::Server`] with the number of documents that were refused.
    pub(super) fn all_or_nothing(&self) -> Result<()> {
        if self.failures() == 0 {
            return Ok(());
        }
        let message = format!(
            "the server refused {} of its documents ({} by its validator): nothing was changed",
            self.failures(),
            self.invalid
        );
        Err(Error::new(ErrorKind::Server, message))
    }

    /// What somebody should know of documents that are not in the collection.
    pub(super) fn left_out(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.duplicates > 0 {
            parts.push(format!("{} documents were refused as duplicates of others", self.duplicates));
        }
        if self.invalid > 0 {
            parts.push(format!("{} documents were refused by its validator", self.invalid));
        }
        if self.repeated > 0 {
            parts.push(format!(
                "{} documents are in the archive twice, as they changed during the dump: one version of each was kept",
                self.repeated
            ));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.documents += other.documents;
        self.duplicates += other.duplicates;
        self.invalid += other.invalid;
        self.repeated += other.repeated;
        self.fatal += other.fatal;
    }
}

impl fmt::Display for Counts {
    /// As in `10 documents are restored, 2 were refused`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of its documents are restored", self.documents)?;
        if self.failures() > 0 {
            write!(f, ", {} were refused", self.failures())?;
        }
        Ok(())
    }
}
