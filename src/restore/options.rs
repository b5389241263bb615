//! How to restore.

use std::collections::BTreeSet;

use super::{Accounts, Expected};
use crate::{Error, ErrorKind, Filter, Result, Scope};

mod indexes;
mod oplog;
mod writes;

pub use indexes::IndexOptions;
pub use oplog::{OplogLimit, OplogReplay};
pub use writes::WriteOptions;

/// How to restore.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own, and any may go with any")]
pub struct RestoreOptions {
    /// Drop each collection of the archive just before it is created, and replace users and roles. Collections that are
    /// not in the archive stay, and so does `system.js`, whose documents are replaced one by one.
    pub drop: bool,
    /// Restore into hidden collections of the same databases, and give them their names only when everything is there,
    /// counted and indexed, in one step where the account may do anything, or there are no accounts. What fails before that
    /// leaves the databases as they were. Users and roles are replaced, after it. Includes `drop`.
    ///
    /// The hidden collections are named `mongoark_swap_<24 hexadecimal digits>_<number>`, their record
    /// `mongoark_swap_<the same digits>_record`. What a restore that was killed has left of them is removed by the next into
    /// the same databases; where it was killed in the middle of a switch of single steps, the switch is completed.
    pub swap: bool,
    /// Remove from the databases that the archive has what the archive does not have, when everything else is in place: with
    /// `swap` in the same step. Nothing is removed from `admin`, `config` and `local`, and no system collection. Includes
    /// `drop`.
    pub exact: bool,
    /// Write nothing: read the archive to its end, prove it, and say [what would be done](super::RestoreReport::actions).
    pub dry_run: bool,
    /// Restore these namespaces only, by the names of their data in the archive, and do not mind what is wrong with the
    /// others.
    pub only: Option<BTreeSet<String>>,
    /// What the archive held when it was proven: see [`prove_first`](super::prove_first).
    pub expected: Option<Expected>,
    /// What of the archive is restored; nothing outside is touched that the filter does not name.
    pub scope: Scope,
    /// Which namespaces of the scope are restored, which besides, and what they are called then.
    pub filter: Filter,
    /// Which users and roles are restored.
    pub accounts: Accounts,
    /// Whether collections' validators are asked.
    pub validation: DocumentValidation,
    /// What the names of the target's databases begin with, before the archive's own. Users and roles are then left out.
    pub prefix: String,
    /// Leave out everything by which documents expire (`expireAfterSeconds` of collections and indexes): what is restored only
    /// to be looked at must not go meanwhile.
    pub keep_expired: bool,
    /// Whether the archive's oplog is replayed.
    pub oplog: OplogReplay,
    /// How collections and their documents are written.
    pub writes: WriteOptions,
    /// Which indexes are built, and how.
    pub indexes: IndexOptions,
}

/// Whether a restored document has to satisfy its collection's validator, which may be younger than the document.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum DocumentValidation {
    /// It has to, and is counted as a failure otherwise. As mongorestore does.
    #[default]
    Enforced,
    /// Not where this restore has created the collection: the validator is the archive's own, and so are the documents.
    BypassedWhereCreated,
    /// Not at all, as with mongorestore's `--bypassDocumentValidation`.
    Bypassed,
}

impl RestoreOptions {
    /// With what follows from what was asked for.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for options that do not go together.
    pub(crate) fn complete(&self) -> Result<Self> {
        if self.exact && self.only.is_some() {
            let message =
                "what is exactly the archive cannot be had from a damaged one: restore without --exact";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        if self.exact && !self.filter.is_empty() {
            let message = "--exact removes what the archive does not have, and of a part of an archive, or of what is renamed, \
                           that cannot be told: restore without --exact, or whole databases, one by one, with --db";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        self.accounts.check(&self.scope)?;
        self.check_replay()?;
        let mut options = self.clone();
        if self.writes.preserve_uuid && !self.drop {
            let message = "a collection cannot take another's UUID while that is there: give --preserveUUID with --drop";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        if self.writes.preserve_uuid && self.swap {
            let message = "with --swap the old collection and the new one are there at once, and cannot have the same UUID: \
                           give --preserveUUID without --swap";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        options.drop |= options.swap || options.exact;
        options.writes.stop_on_error |= options.writes.ordered;
        Ok(options)
    }

    /// What becomes of the oplog when nobody has said it, and the collections are of one moment only with it.
    pub(super) fn unasked_replay(&self) -> OplogReplay {
        let is_hindered = self.only.is_some()
            || self.swap
            || self.exact
            || !self.prefix.is_empty()
            || !self.filter.is_empty();
        if is_hindered { self.oplog } else { OplogReplay::Replayed { limit: None } }
    }

    /// Refuses what cannot be had together with a replay.
    fn check_replay(&self) -> Result<()> {
        if !self.oplog.is_asked_for() {
            return Ok(());
        }
        let filter = &self.filter;
        let is_of_some =
            self.scope != Scope::Everything || self.only.is_some() || filter.includes_only_some();
        let with = if is_of_some {
            "includes specified: it is of all databases"
        } else if filter.excludes_some() {
            "excludes specified: it is of all collections"
        } else if !filter.renames_nothing() || !self.prefix.is_empty() {
            "namespace renames specified: its entries have the names of the source"
        } else if self.swap {
            "--swap: its entries go to the names that the old collections still have"
        } else if self.exact {
            "--exact: what it creates and drops is not known beforehand"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidInput, format!("cannot use --oplogReplay with {with}")))
    }
}
