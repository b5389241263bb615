//! What a restore did.

use super::Action;
use super::collection::Filled;
use crate::Scope;

/// What a restore did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RestoreReport {
    /// What was to be restored.
    pub scope: Scope,
    /// Number of collections restored, views included; users and roles are no collections.
    pub collections: usize,
    /// Documents inserted.
    pub documents: u64,
    /// Documents that the server refused as duplicates of others or by a collection's validator.
    pub failures: u64,
    /// Documents that the archive of a busy collection holds twice, in two versions: one of each is there.
    pub repeated: u64,
    /// Users merged.
    pub users: u64,
    /// Roles merged.
    pub roles: u64,
    /// Documents of `admin.system.version` in the archive, which are read and never written.
    pub versions: u64,
    /// Whether the write concern asked for answers: without them, scripts expect no numbers.
    pub acknowledged: bool,
    /// Bytes of the stored archive, where its size is known.
    pub bytes: u64,
    /// What would have been done, in its order; of a dry run only.
    pub actions: Vec<Action>,
}

impl RestoreReport {
    pub(super) fn count(&mut self, filled: &[Filled]) {
        for collection in filled {
            self.documents += collection.counts.documents;
            self.failures += collection.counts.failures();
            self.repeated += collection.counts.repeated;
        }
    }
}
