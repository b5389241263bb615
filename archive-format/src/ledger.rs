//! The account of every namespace: what reading and writing an archive have in common.

use std::collections::HashMap;

use crate::checksum::Checksum;
use crate::segment::wide;
use crate::{End, Error, ErrorKind, Kind, Namespace, Prelude, ServerVersion, Totals};

/// What has passed of each collection in the prelude.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Names under which data may come, and the index of the collection that it belongs to.
    names: HashMap<Namespace, usize>,
    /// One per collection, by index.
    accounts: Vec<Account>,
}

#[derive(Clone, Debug)]
struct Account {
    /// The name of its data as soon as any has come, until then the one in the prelude.
    name: Namespace,
    begun: bool,
    documents: u64,
    bytes: u64,
    checksum: Checksum,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Ended,
    /// Something of it has been lost: it never ends.
    Damaged,
    /// The prelude has announced the same name before; only that entry is used.
    Duplicate,
}

impl Ledger {
    /// Every collection under the one name that its data must have.
    pub(crate) fn strict(prelude: &Prelude, server: &ServerVersion) -> Result<Self, Error> {
        let mut ledger = Self::sized(prelude);
        for (index, entry) in prelude.collections.iter().enumerate() {
            let name = entry.data_namespace(server);
            if ledger.names.insert(name.clone(), index).is_some() {
                return Err(
                    Error::new(ErrorKind::Order, "the prelude has two entries for one namespace").of(&name)
                );
            }
        }
        Ok(ledger)
    }

    /// Every collection under all names that its data may have, given what the prelude leaves open.
    pub(crate) fn tolerant(prelude: &Prelude) -> Self {
        let mut ledger = Self::sized(prelude);
        for (index, (entry, account)) in prelude.collections.iter().zip(&mut ledger.accounts).enumerate() {
            if *ledger.names.entry(entry.namespace.clone()).or_insert(index) != index {
                account.state = State::Duplicate;
            }
        }
        let server = prelude.server_version.parse::<ServerVersion>();
        // Nothing if the version is not known: then either name may be right.
        let apart = server.ok().map(ServerVersion::keeps_buckets_apart);
        let mut misnamed = Vec::new();
        for (index, entry) in prelude.collections.iter().enumerate() {
            let may_be_buckets = match entry.kind {
                Kind::Timeseries | Kind::Unspecified => {
                    let name = &entry.namespace;
                    apart != Some(false) && !name.is_oplog() && !name.is_special()
                }
                Kind::Collection | Kind::View => false,
            };
            if ledger.accounts.get(index).is_some_and(|account| account.state == State::Open) {
                if may_be_buckets {
                    ledger.names.entry(entry.namespace.buckets()).or_insert(index);
                }
                if entry.kind == Kind::Timeseries && apart == Some(true) {
                    misnamed.push(&entry.namespace);
                }
            }
        }
        // Last: a name that is removed here stands in the way of other collections' buckets until then.
        for name in misnamed {
            ledger.names.remove(name);
        }
        ledger
    }

    fn sized(prelude: &Prelude) -> Self {
        let accounts = prelude.collections.iter().map(|entry| Account {
            name: entry.namespace.clone(),
            begun: false,
            documents: 0,
            bytes: 0,
            checksum: Checksum::default(),
            state: State::Open,
        });
        Self { names: HashMap::with_capacity(prelude.collections.len()), accounts: accounts.collect() }
    }

    /// The collection that data of this name belongs to, and the name, shared with all that use it.
    pub(crate) fn find(&self, name: &Namespace) -> Result<(Namespace, usize), Error> {
        if let Some((name, &index)) = self.names.get_key_value(name) {
            return Ok((name.clone(), index));
        }
        let other = name.of_buckets().unwrap_or_else(|| name.buckets());
        let what = if self.names.contains_key(&other) {
            format!("data under this name, but its place is {other}")
        } else {
            "data of a namespace that is not in the prelude".into()
        };
        Err(Error::new(ErrorKind::UnknownNamespace, what).of(name))
    }

    /// Whether data of the collection has come before.
    pub(crate) fn has_begun(&self, index: usize) -> bool {
        self.accounts.get(index).is_some_and(|account| account.begun)
    }

    /// A block of the collection begins.
    pub(crate) fn begin(&mut self, name: &Namespace, index: usize) -> Result<(), Error> {
        let Some(account) = self.accounts.get_mut(index) else { return Ok(()) };
        if account.state == State::Ended {
            return Err(Error::new(ErrorKind::Order, "a block of a namespace that has ended").of(name));
        }
        if !account.begun {
            account.begun = true;
            account.name = name.clone();
        } else if account.name != *name {
            let what = format!("data of one collection under two names, before under {}", account.name);
            return Err(Error::new(ErrorKind::Order, what).of(name));
        }
        Ok(())
    }

    /// Documents have been read.
    pub(crate) fn read(&mut self, index: usize, documents: u64, bytes: &[u8]) {
        let Some(account) = self.accounts.get_mut(index) else { return };
        account.documents = account.documents.saturating_add(documents);
        account.bytes = account.bytes.saturating_add(wide(bytes.len()));
        account.checksum.update(bytes);
    }

    /// Documents have been written, whose checksum is known.
    pub(crate) fn write(&mut self, index: usize, documents: u64, bytes: u64, checksum: Checksum) {
        let Some(account) = self.accounts.get_mut(index) else { return };
        account.documents = account.documents.saturating_add(documents);
        account.bytes = account.bytes.saturating_add(bytes);
        account.checksum.append(checksum, bytes);
    }

    /// What the collection comes to.
    pub(crate) fn balance(&self, namespace: Namespace, index: usize) -> End {
        let mut end = End { namespace, collection: index, documents: 0, bytes: 0, checksum: 0 };
        if let Some(account) = self.accounts.get(index) {
            end.documents = account.documents;
            end.bytes = account.bytes;
            end.checksum = account.checksum.value();
        }
        end
    }

    /// The collection has ended.
    pub(crate) fn end(&mut self, index: usize) {
        if let Some(account) = self.accounts.get_mut(index) {
            account.state = State::Ended;
        }
    }

    /// Something of the collection has been lost.
    pub(crate) fn damage(&mut self, index: usize) {
        if let Some(account) = self.accounts.get_mut(index) {
            account.state = State::Damaged;
        }
    }

    pub(crate) fn is_damaged(&self, index: usize) -> bool {
        self.accounts.get(index).is_some_and(|account| account.state == State::Damaged)
    }

    /// What all collections came to. The error lacks the offset.
    pub(crate) fn totals(&self) -> Result<Totals, Error> {
        let open = || self.accounts.iter().filter(|account| account.state == State::Open);
        if let Some(first) = open().next() {
            let what = match open().count() {
                1 => "a namespace of the prelude never ended".into(),
                count => format!("{count} namespaces of the prelude never ended, this one first"),
            };
            return Err(Error::new(ErrorKind::Incomplete, what).of(&first.name));
        }
        let mut totals = Totals::default();
        for account in self.accounts.iter().filter(|account| account.state == State::Ended) {
            totals.collections = totals.collections.saturating_add(1);
            totals.documents = totals.documents.saturating_add(account.documents);
            totals.bytes = totals.bytes.saturating_add(account.bytes);
        }
        Ok(totals)
    }
}
