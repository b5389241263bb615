//! What an archive is known to hold, against which a later reading is held.

use std::collections::BTreeMap;
use std::sync::Arc;

use archive_format::End;

use crate::proof::Proof;
use crate::verify::VerifyReport;
use crate::{Error, ErrorKind, Result};

/// Every namespace of a proven archive, with the number and the checksum of its documents.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Expected(Arc<BTreeMap<String, (u64, u64)>>);

impl Expected {
    /// What the proof record of an archive says.
    pub fn of_proof(proof: &Proof) -> Self {
        let namespaces = proof.namespaces.iter();
        Self::collect(namespaces.map(|one| (one.namespace.clone(), (one.documents, one.checksum))))
    }

    /// What an earlier reading has found.
    pub fn of_reading(report: &VerifyReport) -> Self {
        let ends = report.whole.iter().map(|one| &one.end);
        Self::collect(ends.map(|end| (end.namespace.to_string(), (end.documents, end.checksum))))
    }

    fn collect(namespaces: impl Iterator<Item = (String, (u64, u64))>) -> Self {
        Self(Arc::new(namespaces.collect()))
    }

    /// Holds the end of one namespace against what is known of it.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] where it differs.
    pub(super) fn check(&self, end: &End) -> Result<()> {
        if self.0.get(&end.namespace.to_string()) == Some(&(end.documents, end.checksum)) {
            return Ok(());
        }
        let message = "the archive does not hold what it held when it was proven: it was replaced, or its storage returns \
                       something else than before";
        Err(Error::new(ErrorKind::Archive, message).at(&end.namespace))
    }

    /// How many namespaces there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
