//! Which indexes every collection is to have when the oplog has been replayed: those of the archive, as the oplog changes
//! them. They are built when all documents are there, so that no unique index is in the way of documents that swap their
//! values.

use std::collections::BTreeMap;

use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::restore::metadata::{Making, Metadata};
use crate::{Error, ErrorKind, Result};

/// The collections by database and name.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    collections: BTreeMap<(String, String), Metadata>,
    /// How those are made that are not in the archive.
    making: Making,
}

/// What begins the name of the collection that holds a time series' buckets.
const BUCKETS: &str = "system.buckets.";

/// Fields of an index that `collMod` may change.
const CHANGEABLE: [&str; 3] = ["expireAfterSeconds", "hidden", "prepareUnique"];

impl Catalog {
    pub(super) fn new(making: Making) -> Self {
        Self { collections: BTreeMap::new(), making }
    }

    /// Adds a collection that has these options and no indexes, unless it is there.
    pub(super) fn create(&mut self, db: &str, name: &str, options: RawDocumentBuf) {
        let making = self.making;
        let place = self.collections.entry((db.to_owned(), name.to_owned()));
        place.or_insert_with(|| Metadata::of_options(options, making));
    }

    /// Puts a collection in the place of the one that was there.
    pub(super) fn put(&mut self, db: &str, name: &str, metadata: Metadata) {
        self.collections.insert((db.to_owned(), name.to_owned()), metadata);
    }

    /// Takes a collection out.
    pub(super) fn remove(&mut self, db: &str, name: &str) -> Option<Metadata> {
        self.collections.remove(&(db.to_owned(), name.to_owned()))
    }

    /// All that are left.
    pub(super) fn into_collections(self) -> impl Iterator<Item = ((String, String), Metadata)> {
        self.collections.into_iter()
    }

    /// A collection has gone. The indexes of a time series' buckets are those of the time series.
    pub(super) fn drop_collection(&mut self, db: &str, name: &str) {
        self.remove(db, name);
        if let Some(logical) = name.strip_prefix(BUCKETS) {
            self.remove(db, logical);
        }
    }

    pub(super) fn drop_database(&mut self, db: &str) {
        self.collections.retain(|(of, _), _| of != db);
    }

    /// A collection has taken the name of another, which is gone if there was one.
    pub(super) fn rename(&mut self, from: (&str, &str), to: (&str, &str)) {
        self.remove(to.0, to.1);
        if let Some(metadata) = self.remove(from.0, from.1) {
            self.put(to.0, to.1, metadata);
        }
    }

    /// Adds an index, in the place of one with the same name.
    pub(super) fn add(&mut self, db: &str, name: &str, index: RawDocumentBuf) {
        let making = self.making;
        let place = self.collections.entry((db.to_owned(), name.to_owned()));
        let indexes =
            place.or_insert_with(|| Metadata::of_options(RawDocumentBuf::new(), making)).indexes_mut();
        let place =
            index.get_str("name").ok().and_then(|name| indexes.iter().position(|one| is_named(one, name)));
        match place.and_then(|place| indexes.get_mut(place)) {
            Some(old) => *old = index,
            None => indexes.push(index),
        }
    }

    /// Drops the indexes that the field `index` of the command names: by name, by key, several names, or `*` for all.
    pub(super) fn drop_indexes(&mut self, db: &str, name: &str, which: Option<RawBsonRef<'_>>) -> Result<()> {
        let Some(indexes) = self.indexes(db, name) else { return Ok(()) };
        match which {
            None => {}
            Some(RawBsonRef::String("*")) => indexes.retain(is_on_id),
            Some(RawBsonRef::String(name)) => indexes.retain(|index| !is_named(index, name)),
            Some(RawBsonRef::Array(names)) => {
                let names: Vec<&str> = names.into_iter().flatten().filter_map(RawBsonRef::as_str).collect();
                indexes.retain(|index| !names.iter().any(|name| is_named(index, name)));
            }
            Some(RawBsonRef::Document(key)) => {
                if indexes.iter().filter(|index| has_key(index, key)).count() > 1 {
                    return Err(unclear("several indexes have the key of the one that the oplog drops"));
                }
                indexes.retain(|index| !has_key(index, key));
            }
            Some(_) => return Err(unclear("the oplog drops an index and does not say which")),
        }
        Ok(())
    }

    /// Changes an index as the field `index` of `collMod` says.
    pub(super) fn change(&mut self, db: &str, name: &str, change: &RawDocument) -> Result<()> {
        let by_name = change.get_str("name").ok();
        let by_key = change.get_document("keyPattern").ok();
        let indexes = self.indexes(db, name);
        let found = indexes.and_then(|indexes| match (by_name, by_key) {
            (Some(name), None) => indexes.iter_mut().find(|index| is_named(index, name)),
            (None, Some(key)) => indexes.iter_mut().find(|index| has_key(index, key)),
            _ => None,
        });
        let Some(index) = found else {
            return Err(unclear(
                "the oplog changes an index (collMod) that neither the archive nor the oplog has",
            ));
        };
        for field in change {
            let (field, value) =
                field.map_err(|error| unclear("an index cannot be read").with_source(error))?;
            match (field.as_str(), value) {
                ("name" | "keyPattern", _) => {}
                (name, value) if CHANGEABLE.contains(&name) => set(index, name, Some(value.into())),
                ("unique", RawBsonRef::Boolean(unique)) => set(index, "unique", Some(unique.into())),
                // Without the option an index is as it becomes by this.
                ("forceNonUnique", RawBsonRef::Boolean(true)) => set(index, "unique", None),
                ("forceNonUnique", RawBsonRef::Boolean(false)) => {}
                (name, _) => {
                    let message = format!(
                        "the oplog changes `{name}` of an index (collMod), which nobody has heard of"
                    );
                    return Err(unclear(&message));
                }
            }
        }
        Ok(())
    }

    /// The indexes of a collection, or of the time series whose buckets it holds.
    fn indexes(&mut self, db: &str, name: &str) -> Option<&mut Vec<RawDocumentBuf>> {
        let own = (db.to_owned(), name.to_owned());
        let key = if self.collections.contains_key(&own) {
            own
        } else {
            (db.to_owned(), name.strip_prefix(BUCKETS)?.to_owned())
        };
        self.collections.get_mut(&key).map(Metadata::indexes_mut)
    }
}

/// An index that is unique has been prepared for it, and no server makes one that is both.
pub(super) fn settle(metadata: &mut Metadata) {
    for index in metadata.indexes_mut() {
        if index.get_bool("unique").unwrap_or(false) {
            set(index, "prepareUnique", None);
        }
    }
}

fn is_named(index: &RawDocument, name: &str) -> bool {
    index.get_str("name").is_ok_and(|own| own == name)
}

fn is_on_id(index: &RawDocumentBuf) -> bool {
    let mut fields = index.get_document("key").into_iter().flatten().flatten();
    let is_id = fields.next().is_some_and(|(name, order)| name.as_str() == "_id" && number(order).is_some());
    is_id && fields.next().is_none()
}

/// Whether an index has this key, whatever the types of its numbers.
fn has_key(index: &RawDocument, key: &RawDocument) -> bool {
    let Ok(own) = index.get_document("key") else { return false };
    let (mut own, mut key) = (own.iter().flatten(), key.iter().flatten());
    loop {
        match (own.next(), key.next()) {
            (None, None) => return true,
            (Some((name, value)), Some((other, wanted))) if name == other && is_same(value, wanted) => {}
            _ => return false,
        }
    }
}

fn is_same(one: RawBsonRef<'_>, other: RawBsonRef<'_>) -> bool {
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.total_cmp(&other).is_eq(),
        (None, None) => one == other,
        _ => false,
    }
}

fn number(value: RawBsonRef<'_>) -> Option<f64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => number.to_string().parse().ok(),
        RawBsonRef::Double(number) => Some(number),
        _ => None,
    }
}

/// Gives a field another value where it stands, or takes it out.
fn set(index: &mut RawDocumentBuf, name: &str, value: Option<RawBson>) {
    let mut changed = RawDocumentBuf::new();
    let mut value = value;
    for (own, old) in index.iter().flatten() {
        if own.as_str() != name {
            changed.append(own, old);
        } else if let Some(value) = value.take() {
            changed.append(own, value);
        }
    }
    if let (Some(value), Ok(name)) = (value, bson::raw::CString::try_from(name)) {
        changed.append(name, value);
    }
    *index = changed;
}

fn unclear(message: &str) -> Error {
    Error::new(ErrorKind::Archive, message)
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn filled() -> Catalog {
        let mut catalog = Catalog::default();
        catalog.add("d", "c", rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1" });
        catalog.add("d", "c", rawdoc! { "v": 2, "key": { "b": 1 }, "name": "b_1" });
        catalog
    }

    fn names(catalog: &mut Catalog, db: &str, name: &str) -> Vec<String> {
        let indexes = catalog.indexes(db, name).into_iter().flatten();
        indexes.map(|index| index.get_str("name").unwrap().to_owned()).collect()
    }

    #[test]
    fn b73_indexes_go_by_name_key_or_all_at_once() {
        let left = |which: RawBson| {
            let mut catalog = filled();
            catalog.add("d", "c", rawdoc! { "key": { "_id": 1 }, "name": "_id_" });
            catalog.drop_indexes("d", "c", Some(which.as_raw_bson_ref())).unwrap();
            names(&mut catalog, "d", "c")
        };
        assert_eq!(left("a_1".into()), ["b_1", "_id_"]);
        assert_eq!(left("*".into()), ["_id_"]);
        assert_eq!(left(rawdoc! { "b": 1.0 }.into()), ["a_1", "_id_"]);
        assert_eq!(left(rawdoc! { "b": -1 }.into()), ["a_1", "b_1", "_id_"]);
        let both = bson::RawArrayBuf::from_iter(["a_1", "b_1"]);
        assert_eq!(left(both.into()), ["_id_"]);
        let mut catalog = filled();
        assert!(catalog.drop_indexes("d", "c", Some(RawBsonRef::Int32(1))).is_err());
        catalog.drop_indexes("d", "other", Some(RawBsonRef::String("*"))).unwrap();
    }

    #[test]
    fn b73_an_index_is_changed_as_coll_mod_says() {
        let mut catalog = filled();
        catalog
            .change("d", "c", &rawdoc! { "name": "a_1", "expireAfterSeconds": 60, "hidden": true })
            .unwrap();
        catalog
            .change("d", "c", &rawdoc! { "keyPattern": { "a": 1_i64 }, "expireAfterSeconds": 90 })
            .unwrap();
        let a = catalog.indexes("d", "c").unwrap().first().unwrap().clone();
        assert_eq!(
            a,
            rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1", "expireAfterSeconds": 90, "hidden": true }
        );
        for change in [
            rawdoc! { "name": "nobody", "hidden": true },
            rawdoc! { "hidden": true },
            rawdoc! { "name": "a_1", "keyPattern": { "a": 1 } },
            rawdoc! { "name": "a_1", "colour": 1 },
            rawdoc! { "name": "a_1", "unique": 1 },
        ] {
            assert_eq!(
                catalog.change("d", "c", &change).unwrap_err().kind(),
                ErrorKind::Archive,
                "{change:?}"
            );
        }
    }

    #[test]
    fn w43_an_index_that_was_prepared_and_made_unique_can_be_built() {
        let mut catalog = filled();
        for change in
            [rawdoc! { "name": "a_1", "prepareUnique": true }, rawdoc! { "name": "a_1", "unique": true }]
        {
            catalog.change("d", "c", &change).unwrap();
        }
        let mut metadata = catalog.remove("d", "c").unwrap();
        settle(&mut metadata);
        assert_eq!(
            *metadata.indexes_mut().first().unwrap(),
            rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1", "unique": true }
        );
    }

    #[test]
    fn b73_an_index_that_is_no_longer_unique_stays_prepared_as_with_mongorestore() {
        let mut catalog = filled();
        for change in [
            rawdoc! { "name": "a_1", "prepareUnique": true },
            rawdoc! { "name": "a_1", "unique": true },
            rawdoc! { "name": "a_1", "forceNonUnique": true },
        ] {
            catalog.change("d", "c", &change).unwrap();
        }
        let mut metadata = catalog.remove("d", "c").unwrap();
        settle(&mut metadata);
        let index = metadata.indexes_mut().first().unwrap().clone();
        assert_eq!(index, rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1", "prepareUnique": true });
    }

    #[test]
    fn indexes_follow_their_collection_and_go_with_it() {
        let mut catalog = filled();
        catalog.rename(("d", "c"), ("e", "x"));
        assert_eq!((names(&mut catalog, "d", "c").len(), names(&mut catalog, "e", "x").len()), (0, 2));
        catalog.drop_database("e");
        assert_eq!(names(&mut catalog, "e", "x").len(), 0);
        catalog.add("d", "series", rawdoc! { "key": { "t": 1 }, "name": "t_1" });
        catalog.drop_indexes("d", "system.buckets.series", Some(RawBsonRef::String("t_1"))).unwrap();
        assert_eq!(names(&mut catalog, "d", "series").len(), 0);
        catalog.drop_collection("d", "system.buckets.series");
        assert_eq!(catalog.into_collections().count(), 0);
    }
}
