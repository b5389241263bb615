//! What has passed of every namespace of the archive, and what of it is wrong.

use archive_format::{Documents, End, Prelude};

use super::digest;
use super::document::Checker;
use crate::archive::{Damage, DamageKind};

/// The accounts of all entries of the prelude, by their position.
#[derive(Debug)]
pub(super) struct Accounts {
    entries: Vec<Account>,
    checker: Checker,
    /// How many ordinary collections are open, and how many the prelude says may be.
    open: usize,
    may_be_open: usize,
}

#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "four independent facts about a namespace")]
struct Account {
    digest: u64,
    /// Users, roles and the oplog are not among the collections whose number the prelude tells.
    is_ordinary: bool,
    begun: bool,
    /// Something is wrong that its checksum does not tell.
    flawed: bool,
    /// It is a view and has no documents of its own.
    is_view: bool,
}

impl Accounts {
    pub(super) fn new(prelude: &Prelude) -> Self {
        let accounts = prelude.collections.iter().map(|entry| Account {
            is_ordinary: !entry.namespace.is_special() && !entry.namespace.is_oplog(),
            ..Account::default()
        });
        Self {
            entries: accounts.collect(),
            checker: Checker::default(),
            open: 0,
            may_be_open: match usize::try_from(prelude.concurrent_collections) {
                // The archive does not say.
                Ok(0) | Err(_) => usize::MAX,
                Ok(number) => number,
            },
        }
    }

    /// The prelude has something wrong about this namespace.
    pub(super) fn flaw(&mut self, index: usize) {
        if let Some(account) = self.entries.get_mut(index) {
            account.flawed = true;
        }
    }

    /// The namespace is a view by its options.
    pub(super) fn view(&mut self, index: usize) {
        if let Some(account) = self.entries.get_mut(index) {
            account.is_view = true;
        }
    }

    /// A block begins; whether it is the first of its namespace.
    pub(super) fn begin(&mut self, index: usize) -> bool {
        let Some(account) = self.entries.get_mut(index).filter(|account| !account.begun) else {
            return false;
        };
        account.begun = true;
        self.open += usize::from(account.is_ordinary);
        true
    }

    /// More collections are open than the prelude says, for which mongorestore would wait for ever; told once.
    pub(super) fn too_many_open(&mut self, offset: u64) -> Option<Damage> {
        let (open, limit) = (self.open, self.may_be_open);
        if open <= limit {
            return None;
        }
        self.may_be_open = usize::MAX;
        let mut damage = Damage::new(
            DamageKind::Contradiction,
            format!(
                "{open} collections are open at byte {offset}, where the prelude says {limit} at most: mongorestore would wait \
                 for ever; use another copy"
            ),
        );
        damage.offset = Some(offset);
        Some(damage)
    }

    /// Takes documents that end at this offset, and looks into each of them. Only the first flaw of a namespace is told.
    pub(super) fn documents(&mut self, documents: &Documents, end: u64) -> Option<Damage> {
        let account = self.entries.get_mut(documents.collection())?;
        let mut left = u64::try_from(documents.bytes().len()).unwrap_or_default();
        let mut found = None;
        for document in documents.iter() {
            account.digest = account.digest.wrapping_add(digest(document));
            if let Err(flaw) = self.checker.check(document)
                && !account.flawed
            {
                account.flawed = true;
                let damage = Damage::new(DamageKind::Malformed, flaw);
                found = Some(damage.within(documents.namespace(), end.saturating_sub(left)));
            }
            left = left.saturating_sub(u64::try_from(document.len()).unwrap_or_default());
        }
        found
    }

    /// A namespace has ended and its checksum is right: its digest, unless something else is wrong. What has been told is not
    /// told again.
    pub(super) fn end(&mut self, end: &End, offset: u64) -> Result<u64, Option<Damage>> {
        let Some(account) = self.entries.get(end.collection) else { return Err(None) };
        self.open = self.open.saturating_sub(usize::from(account.begun && account.is_ordinary));
        if account.is_view && end.documents > 0 && !account.flawed {
            let sentence = format!("{} documents of a view, which has none", end.documents);
            let damage = Damage::new(DamageKind::Contradiction, sentence);
            return Err(Some(damage.within(&end.namespace, offset)));
        }
        if account.flawed { Err(None) } else { Ok(account.digest) }
    }
}
