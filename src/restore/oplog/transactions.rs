//! Transactions: their entries wait until it is known what becomes of them.

use std::collections::HashMap;

use super::entry::{Entry, is_true};
use crate::Result;
use crate::restore::element::elements;

/// A transaction by its session and number.
type Id = (Box<[u8]>, i64);

/// The transactions of which the end has not been read.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: HashMap<Id, Vec<Box<[u8]>>>,
}

/// What an entry of a transaction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// Operations, and there are more to come or it is to be decided.
    Operations,
    /// Operations, and the transaction is committed.
    Last,
    Commit,
    Abort,
}

impl Part {
    /// `None` for an entry that belongs to no transaction.
    pub(super) fn of(entry: &Entry<'_>) -> Result<Option<Self>> {
        if entry.is_vectored || entry.kind != "c" || entry.session.is_none() || entry.number.is_none() {
            return Ok(None);
        }
        let (mut part, mut goes_on) = (None, false);
        for element in elements(entry.object) {
            let element = element?;
            match element.name {
                b"applyOps" => part = part.or(Some(Self::Last)),
                b"commitTransaction" => part = Some(Self::Commit),
                b"abortTransaction" => part = Some(Self::Abort),
                b"partialTxn" | b"prepare" => goes_on |= is_true(&element),
                _ => {}
            }
        }
        Ok(part.map(|part| if part == Self::Last && goes_on { Self::Operations } else { part }))
    }
}

impl Transactions {
    /// Takes an entry, and returns the objects of all entries of its transaction when that is committed by it.
    pub(super) fn take(&mut self, entry: &Entry<'_>, part: Part) -> Vec<Box<[u8]>> {
        let id = (entry.session.unwrap_or_default().into(), entry.number.unwrap_or_default());
        match part {
            Part::Operations => {
                self.open.entry(id).or_default().push(entry.object.into());
                Vec::new()
            }
            Part::Last => {
                let mut objects = self.open.remove(&id).unwrap_or_default();
                objects.push(entry.object.into());
                objects
            }
            Part::Commit => self.open.remove(&id).unwrap_or_default(),
            Part::Abort => {
                self.open.remove(&id);
                Vec::new()
            }
        }
    }
}
