//! The indexes of a collection as `createIndexes` takes them.

use std::collections::HashSet;

use bson::raw::CStr;
use bson::{Bson, RawBsonRef, RawDocument, RawDocumentBuf, cstr, rawdoc};

use super::legacy::{self, as_number};
use crate::restore::IndexOptions;

/// How the indexes of one collection are built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Indexes {
    pub(super) rules: IndexOptions,
    /// Whether indexes without a collation have to say so.
    pub(super) collated: bool,
}

/// What becomes of indexes.
#[derive(Clone, Debug, Default)]
pub(in crate::restore) struct Built {
    /// As `createIndexes` takes them, each with a name of its own.
    pub(in crate::restore) specifications: Vec<RawDocumentBuf>,
    /// What somebody should know of them, a sentence each.
    pub(in crate::restore) notes: Vec<String>,
}

/// One index on its way.
struct Candidate {
    specification: RawDocumentBuf,
    /// Its name, where it has one that no index before it has.
    name: Option<String>,
    /// Whether its key is not what the archive has.
    changed: bool,
}

impl Indexes {
    pub(super) fn build(self, indexes: &[RawDocumentBuf]) -> Built {
        let mut candidates: Vec<Candidate> =
            indexes.iter().filter(|index| !is_default(index)).map(|index| self.candidate(index)).collect();
        let mut built = Built::default();
        built.drop_what_became_equal(&mut candidates);
        let mut names = HashSet::new();
        for candidate in &mut candidates {
            candidate.name = candidate.name.take().filter(|name| names.insert(name.clone()));
        }
        let mut ready: Vec<RawDocumentBuf> = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let specification = candidate.specification;
            if candidate.name.is_some() {
                ready.push(specification);
                continue;
            }
            // Without a name, or with one that another has: the official tool loses it.
            let bare = without_name(&specification);
            if ready.iter().any(|other| without_name(other) == bare) {
                continue;
            }
            let name = free_name(&key_as_name(&specification), &mut names);
            built.notes.push(format!("an index without a name of its own is built as {name}"));
            let mut specification = bare;
            specification.append(cstr!("name"), name);
            ready.push(specification);
        }
        built.specifications = ready;
        built
    }

    fn candidate(self, index: &RawDocument) -> Candidate {
        let mut made = portable(index, self.rules.keep_version);
        let mut changed = false;
        if (self.rules.convert_legacy || self.rules.fix_dotted_hash)
            && let Some(key) = legacy::converted(index, self.rules)
        {
            made = super::fields(&made)
                .map(|(name, value)| {
                    (name, if name.as_str() == "key" { RawBsonRef::Document(&key) } else { value })
                })
                .collect();
            changed = true;
        }
        let is_first = self.rules.keep_version && is_first_version(index);
        if self.collated && !is_first && super::value(index, "collation").is_none() {
            // Without it the index would inherit the collection's collation, which it did not have.
            made.append(cstr!("collation"), rawdoc! { "locale": "simple" });
        }
        if kinds(index).any(|kind| kind == "2dsphere")
            && super::value(index, "2dsphereIndexVersion").is_none()
        {
            // Version 1 is the only one that servers do not write into the index.
            made.append(cstr!("2dsphereIndexVersion"), 1);
        }
        let name = index.get_str("name").ok().filter(|name| !name.is_empty()).map(ToOwned::to_owned);
        Candidate { specification: made, name, changed }
    }
}

impl Built {
    /// Of indexes that have the same key only since one was changed, one is enough: the one that was not, or the first.
    fn drop_what_became_equal(&mut self, candidates: &mut Vec<Candidate>) {
        let keys: Vec<Option<RawDocumentBuf>> = candidates
            .iter()
            .map(|candidate| candidate.specification.get_document("key").ok().map(ToOwned::to_owned))
            .collect();
        let changed: Vec<bool> = candidates.iter().map(|candidate| candidate.changed).collect();
        let is_superfluous = |position: usize| {
            let Some(Some(key)) = keys.get(position) else { return false };
            changed.get(position) == Some(&true)
                && keys.iter().zip(&changed).enumerate().any(|(other, (its_key, its_changed))| {
                    let goes_first = !its_changed || other < position;
                    other != position
                        && goes_first
                        && its_key.as_ref().is_some_and(|its| legacy::same_key(its, key))
                })
        };
        let mut position = 0..;
        candidates.retain(|candidate| {
            let stays = !position.next().is_some_and(is_superfluous);
            if !stays {
                let name = candidate.name.as_deref().unwrap_or("an index without a name");
                self.notes
                    .push(format!("{name} is left out: with its key put right there is another like it"));
            }
            stays
        });
    }
}

/// The indexed fields, and how.
fn key(index: &RawDocument) -> impl Iterator<Item = (&CStr, RawBsonRef<'_>)> {
    index.get_document("key").into_iter().flat_map(super::fields)
}

pub(super) fn kinds(index: &RawDocument) -> impl Iterator<Item = &str> {
    key(index).filter_map(|(_, order)| order.as_str())
}

/// The index without what the target decides: the namespace that old servers wrote into it and, unless it is to be kept, its
/// version. Of the first version it has no collation, which servers from 9.0 on write into it.
pub(super) fn portable(index: &RawDocument, keeps_version: bool) -> RawDocumentBuf {
    let is_first = keeps_version && is_first_version(index);
    let own = |(name, value): &(&CStr, RawBsonRef<'_>)| match name.as_str() {
        "v" => keeps_version,
        "ns" => false,
        "name" => value.as_str().is_some(),
        "collation" => !(is_first && is_simple(*value)),
        _ => true,
    };
    super::fields(index).filter(own).collect()
}

fn is_first_version(index: &RawDocument) -> bool {
    super::value(index, "v").and_then(as_number) == Some(1.0)
}

fn is_simple(collation: RawBsonRef<'_>) -> bool {
    let locale = collation.as_document().and_then(|collation| collation.get_str("locale").ok());
    locale == Some("simple")
}

/// The index that every collection has by itself: `{_id: 1}`, clustered or not, and whatever old servers took for 1.
fn is_default(index: &RawDocument) -> bool {
    let mut key = key(index);
    let ascending = match key.next() {
        Some((name, order)) if name.as_str() == "_id" => legacy::meant(order) == Some(1.0),
        _ => false,
    };
    ascending && key.next().is_none() && super::value(index, "partialFilterExpression").is_none()
}

fn without_name(index: &RawDocument) -> RawDocumentBuf {
    super::fields(index).filter(|(name, _)| name.as_str() != "name").collect()
}

/// The name that drivers give an index.
fn key_as_name(index: &RawDocument) -> String {
    let parts: Vec<String> =
        key(index).map(|(field, order)| format!("{}_{}", field.as_str(), plain(order))).collect();
    parts.join("_")
}

fn free_name(wanted: &str, taken: &mut HashSet<String>) -> String {
    let mut name = wanted.to_owned();
    let mut number = 2;
    while name.is_empty() || !taken.insert(name.clone()) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    name
}

fn plain(order: RawBsonRef<'_>) -> String {
    match order {
        RawBsonRef::String(text) => text.to_owned(),
        RawBsonRef::Int32(number) => number.to_string(),
        RawBsonRef::Int64(number) => number.to_string(),
        RawBsonRef::Double(number) => number.to_string(),
        other => Bson::try_from(other).map(|order| order.to_string()).unwrap_or_default(),
    }
}
