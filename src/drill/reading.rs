//! An archive read for what it says of each collection: its documents in any order, its options, its indexes.

use std::collections::BTreeMap;

use archive_format::{CollectionMetadata, Event, Namespace};
use crc_fast::CrcAlgorithm;

use crate::archive::Archive;
use crate::restore::elements;
use crate::storage::Source;
use crate::verify::digest;
use crate::{Error, Result};

/// Collections by their name.
pub(super) type Reading = BTreeMap<Namespace, Content>;

/// What an archive holds of one collection.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) entry: CollectionMetadata,
    pub(super) documents: u64,
    /// The sum of the CRC-64/XZ of each document.
    pub(super) digest: u64,
    /// The same of the documents as a server keeps them: with `_id` in front.
    pub(super) stored: u64,
    /// The same without their `_id`.
    pub(super) nameless: u64,
    /// Documents that have no `_id`: the server gives them one.
    pub(super) without_id: u64,
}

impl Content {
    pub(super) fn new(entry: CollectionMetadata) -> Self {
        Self { entry, documents: 0, digest: 0, stored: 0, nameless: 0, without_id: 0 }
    }

    fn take(&mut self, document: &[u8], closely: bool) {
        self.documents += 1;
        self.digest = self.digest.wrapping_add(digest(document));
        if !closely {
            return;
        }
        let mut sum = crc_fast::Digest::new(CrcAlgorithm::Crc64Xz);
        if let Some((id, before, after)) = id(document) {
            for part in [id, before, after] {
                sum.update(part);
            }
            self.stored = self.stored.wrapping_add(sum.finalize_reset());
            for part in [before, after] {
                sum.update(part);
            }
        } else {
            self.without_id += 1;
            sum.update(fields(document));
        }
        self.nameless = self.nameless.wrapping_add(sum.finalize());
    }
}

/// Reads `source` to its end. `closely` is slower and knows what a server may change of a document that it stores.
pub(super) async fn read(source: Source, closely: bool) -> Result<Reading> {
    let mut archive = Archive::open(source);
    let prelude = archive.prelude().await?;
    let mut contents: Vec<Content> = prelude.collections.into_iter().map(Content::new).collect();
    while let Some(event) = archive.next().await? {
        let Event::Documents(documents) = event else { continue };
        let content = contents.get_mut(documents.collection()).ok_or_else(Error::hung_up)?;
        documents.iter().for_each(|document| content.take(document, closely));
    }
    archive.finish()?;
    Ok(contents.into_iter().map(|content| (content.entry.namespace.clone(), content)).collect())
}

/// The field `_id` of a document, and the fields before and behind it.
fn id(document: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let fields = fields(document);
    let mut at = 0;
    for element in elements(document).map_while(Result::ok) {
        // Its type and the end of its name are a byte each.
        let end = at + element.name.len() + element.value.len() + 2;
        if element.name == b"_id" {
            return Some((fields.get(at..end)?, fields.get(..at)?, fields.get(end..)?));
        }
        at = end;
    }
    None
}

/// A document without its length and its end.
fn fields(document: &[u8]) -> &[u8] {
    document.get(4..document.len().saturating_sub(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use archive_format::Kind;
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;

    fn content(documents: &[RawDocumentBuf]) -> Content {
        let namespace = Namespace::new("d", "c").unwrap();
        let entry = CollectionMetadata { namespace, metadata: String::new(), kind: Kind::Collection };
        let mut content = Content::new(entry);
        for document in documents {
            content.take(document.as_bytes(), true);
        }
        content
    }

    #[test]
    fn an_id_in_another_place_is_the_same_document_to_a_server_and_another_value_is_not() {
        let last = content(&[rawdoc! { "a": 1, "_id": 7, "b": "x" }, rawdoc! { "_id": 8 }]);
        let first = content(&[rawdoc! { "_id": 8 }, rawdoc! { "_id": 7, "a": 1, "b": "x" }]);
        assert_ne!(last.digest, first.digest);
        assert_eq!((last.stored, last.nameless, last.without_id), (first.stored, first.nameless, 0));
        let other = content(&[rawdoc! { "_id": 8, "a": 1, "b": "x" }, rawdoc! { "_id": 7 }]);
        assert_ne!(last.stored, other.stored);
    }

    #[test]
    fn a_document_without_an_id_is_the_one_that_was_given_one() {
        let without = content(&[rawdoc! { "a": 1 }, rawdoc! { "_id": 8, "a": 2 }]);
        let given = content(&[rawdoc! { "_id": 5, "a": 1 }, rawdoc! { "_id": 8, "a": 2 }]);
        assert_eq!((without.nameless, without.without_id), (given.nameless, 1));
        assert_ne!(
            without.nameless,
            content(&[rawdoc! { "_id": 5, "a": 1 }, rawdoc! { "_id": 8, "a": 3 }]).nameless
        );
    }
}
