//! Whether a name still means the collection that was planned.
//!
//! Collections are read by their names, and a name may come to mean another collection, or none, between the listing and
//! the reading: `find` then answers with other documents, or none, and no error. So what was planned is compared with
//! what the server lists: UUID, type and options.
//!
//! - A cursor does not outlive a rename or a drop of its collection: the server ends it with an error. A comparison made
//!   while a cursor is open therefore holds for everything that the cursor brings, before and after.
//! - Whatever needs more than one reply is compared when its cursor has been opened ([`Scan`](super::scan::Scan)), and again
//!   after its last reply, which shows that its options were the same from the listing to the end.
//! - What fits into one reply (views, users, small collections) is read first and compared together, by one listing for each
//!   database, as soon as all of it has been read. A name that meant another collection in between, and again the planned
//!   one by then, would not be noticed here; nothing but two renames within moments does that.
//!
//! What happens to a collection after the comparison that follows its last reply (drop, rename, `collMod`) does not concern
//! the archive: it holds what the collection was until then.

use std::collections::HashMap;

use archive_format::Namespace;
use bson::{Document, RawDocument, RawDocumentBuf, doc};

use super::source::Source;
use crate::server_error::driver_error;
use crate::{Error, ErrorKind, Result};

/// What the server lists of one collection, view or time series.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Identity {
    /// The UUID's bytes; none for views, and for servers that have none.
    uuid: Option<Vec<u8>>,
    kind: String,
    /// As the server's bytes.
    options: Vec<u8>,
    /// The UUID of the collection that holds a time series' buckets.
    buckets: Option<Vec<u8>>,
}

/// What became of a collection.
#[derive(Debug, Eq, PartialEq)]
enum Change {
    RenamedTo(String),
    Replaced,
    Dropped,
    Altered,
}

/// The collections of one database, as the server's bytes, by name.
pub(super) struct Listing(HashMap<String, RawDocumentBuf>);

impl Listing {
    /// Asks for those that `filter` selects.
    pub(super) async fn read(source: &Source, db: &str, filter: Document) -> Result<Self> {
        let command = doc! { "listCollections": 1, "filter": filter };
        let listed = source
            .documents(db, command)
            .await
            .map_err(|error| driver_error("cannot list the collections", &error).at(db))?;
        let named = listed.into_iter().map(|info| match info.get_str("name") {
            Ok(name) => Ok((name.to_owned(), info)),
            Err(error) => {
                let message = "the server's list of collections cannot be read";
                Err(Error::new(ErrorKind::Server, message).at(db).with_source(error))
            }
        });
        named.collect::<Result<_>>().map(Self)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &RawDocument)> {
        self.0.iter().map(|(name, info)| (name.as_str(), info.as_ref()))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What is listed under this name.
    pub(super) fn identity(&self, name: &str) -> Option<Identity> {
        let info = self.0.get(name)?;
        let options = info.get_document("options").map(|options| options.as_bytes().to_vec());
        Some(Identity {
            uuid: uuid(info),
            kind: info.get_str("type").unwrap_or("collection").to_owned(),
            options: options.unwrap_or_default(),
            buckets: self.0.get(&buckets(name)).and_then(|info| uuid(info)),
        })
    }

    /// What became of `planned`, if anything did.
    fn change(&self, name: &str, planned: &Identity) -> Option<Change> {
        let listed = self.identity(name);
        if listed.as_ref() == Some(planned) {
            return None;
        }
        let is_same = |listed: &Identity| {
            listed.uuid == planned.uuid && listed.buckets == planned.buckets && listed.kind == planned.kind
        };
        if listed.as_ref().is_some_and(is_same) {
            return Some(Change::Altered);
        }
        let elsewhere = self.0.iter().find(|(_, info)| planned.uuid.is_some() && uuid(info) == planned.uuid);
        Some(match (elsewhere, listed) {
            (Some((renamed, _)), _) if renamed != name => Change::RenamedTo(renamed.clone()),
            (_, Some(_)) => Change::Replaced,
            (_, None) => Change::Dropped,
        })
    }

    /// # Errors
    /// The name no longer means what was planned.
    pub(super) fn compare(&self, namespace: &Namespace, planned: &Identity) -> Result<()> {
        let happened = match self.change(namespace.collection(), planned) {
            None => return Ok(()),
            Some(Change::RenamedTo(name)) => format!("was renamed to {}.{name}", namespace.db()),
            Some(Change::Replaced) => {
                "was replaced by another of the same name (dropped and created, $out, convertToCapped, or a rename over it)"
                    .to_owned()
            }
            Some(Change::Dropped) => "was dropped, or moved to another database,".to_owned(),
            Some(Change::Altered) => "was changed in its options (collMod)".to_owned(),
        };
        let message = format!("it {happened} while it was dumped; dump again");
        Err(Error::new(ErrorKind::Server, message).at(namespace))
    }
}

/// Compares one collection with what was planned.
///
/// # Errors
/// It is another, has gone, or cannot be listed.
pub(super) async fn compare(source: &Source, namespace: &Namespace, planned: &Identity) -> Result<()> {
    let (db, name) = (namespace.db(), namespace.collection());
    let names = vec![name.to_owned(), buckets(name)];
    let listing = Listing::read(source, db, doc! { "name": { "$in": names } }).await?;
    if listing.change(name, planned).is_none() {
        return Ok(());
    }
    // Its new name, if it has one, is in the whole list.
    Listing::read(source, db, doc! {}).await?.compare(namespace, planned)
}

/// Whether what was planned is no longer under its name.
///
/// # Errors
/// It cannot be listed.
pub(super) async fn has_gone(source: &Source, namespace: &Namespace, planned: &Identity) -> Result<bool> {
    let listing = Listing::read(source, namespace.db(), doc! {}).await?;
    let change = listing.change(namespace.collection(), planned);
    Ok(matches!(change, Some(Change::Dropped | Change::Replaced | Change::RenamedTo(_))))
}

pub(super) const BUCKETS: &str = "system.buckets.";

fn buckets(name: &str) -> String {
    format!("{BUCKETS}{name}")
}

fn uuid(info: &RawDocument) -> Option<Vec<u8>> {
    Some(info.get_document("info").ok()?.get_binary("uuid").ok()?.bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Binary, rawdoc, spec::BinarySubtype};

    fn listing(collections: &[(&str, u8, i32)]) -> Listing {
        let info = |(name, uuid, size): &(&str, u8, i32)| {
            let uuid = Binary { subtype: BinarySubtype::Uuid, bytes: vec![*uuid; 16] };
            let info = rawdoc! { "name": *name, "type": "collection", "options": { "size": *size }, "info": { "uuid": uuid } };
            ((*name).to_owned(), info)
        };
        Listing(collections.iter().map(info).collect())
    }

    #[test]
    fn what_became_of_a_collection_is_told_apart() {
        let planned = listing(&[("a", 1, 0)]).identity("a").unwrap();
        for (now, expected) in [
            (&[("a", 1, 0), ("b", 2, 0)][..], None),
            (&[("b", 1, 0)], Some(Change::RenamedTo("b".to_owned()))),
            (&[("b", 1, 0), ("a", 2, 0)], Some(Change::RenamedTo("b".to_owned()))),
            (&[("a", 2, 0)], Some(Change::Replaced)),
            (&[("b", 2, 0)], Some(Change::Dropped)),
            (&[("a", 1, 7)], Some(Change::Altered)),
        ] {
            assert_eq!(listing(now).change("a", &planned), expected, "{now:?}");
        }
    }

    #[test]
    fn a_time_series_is_known_by_its_buckets() {
        let planned = listing(&[("a", 1, 0), ("system.buckets.a", 5, 0)]).identity("a").unwrap();
        let now = listing(&[("a", 1, 0), ("system.buckets.a", 6, 0)]);
        assert_eq!(now.change("a", &planned), Some(Change::Replaced));
        let error = now.compare(&Namespace::new("d", "a").unwrap(), &planned).unwrap_err();
        assert!(error.report().starts_with("d.a: it was replaced by another"), "{}", error.report());
    }
}
