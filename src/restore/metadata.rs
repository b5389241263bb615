//! A collection's metadata text as the commands that make the collection and its indexes.

use archive_format::{CollectionMetadata, Kind};
use bson::raw::CStr;
use bson::{Bson, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, cstr, rawdoc};

use super::server::Server;
use crate::extended_json::read_document;
use crate::{Error, ErrorKind, Result};

/// Options and indexes of one collection, as the server sent them to the dump. The default is that of an archive that holds
/// no metadata: a plain collection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    options: RawDocumentBuf,
    indexes: Vec<RawDocumentBuf>,
}

impl Metadata {
    /// Reads the text of the prelude: canonical or relaxed; empty text, unknown keys and missing ones are accepted.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] when it is not Extended JSON, or `options` or `indexes` have another type.
    pub(crate) fn read(entry: &CollectionMetadata) -> Result<Self> {
        let mut metadata = Self::default();
        if entry.metadata.is_empty() {
            return Ok(metadata);
        }
        let malformed =
            |what: &str| Error::new(ErrorKind::Archive, format!("`{what}` in the metadata has another type"));
        for (name, value) in fields(&read_document(&entry.metadata)?) {
            match (name.as_str(), value) {
                ("options" | "indexes", RawBsonRef::Null) => {}
                ("options", RawBsonRef::Document(options)) => metadata.options = options.to_owned(),
                ("indexes", RawBsonRef::Array(indexes)) => {
                    let documents = indexes.into_iter().map(|index| match index {
                        Ok(RawBsonRef::Document(index)) => Ok(index.to_owned()),
                        _ => Err(malformed("indexes")),
                    });
                    metadata.indexes = documents.collect::<Result<_>>()?;
                }
                (name @ ("options" | "indexes"), _) => return Err(malformed(name)),
                _ => {}
            }
        }
        Ok(metadata)
    }

    /// Of a collection with these options and no indexes yet.
    pub(super) fn of_options(options: RawDocumentBuf) -> Self {
        Self { options, indexes: Vec::new() }
    }

    /// The indexes, to change them.
    pub(super) fn indexes_mut(&mut self) -> &mut Vec<RawDocumentBuf> {
        &mut self.indexes
    }

    /// The same, but nothing by which documents expire.
    pub(super) fn without_expiry(mut self) -> Self {
        for document in self.indexes.iter_mut().chain([&mut self.options]) {
            if value(document, "expireAfterSeconds").is_some() {
                *document =
                    fields(document).filter(|(name, _)| name.as_str() != "expireAfterSeconds").collect();
            }
        }
        self
    }

    /// Whether this is a view, and not one whose documents were dumped in its place.
    pub(crate) fn is_view(&self) -> bool {
        self.option("viewOn").is_some()
    }

    /// Whether this is a time series, by the prelude or by its options.
    pub(crate) fn is_timeseries(&self, kind: Kind) -> bool {
        kind == Kind::Timeseries || self.option("timeseries").is_some()
    }

    /// The `create` command with the options in the archive's order.
    pub(super) fn create(&self, name: &str, server: Server) -> RawDocumentBuf {
        let mut command = rawdoc! { "create": name };
        let id_index =
            self.indexes.iter().find(|index| index.get_str("name").is_ok_and(|name| name == "_id_"));
        let has_id_index = id_index.is_some();
        let sent = id_index.filter(|_| !self.is_clustered() && !self.is_view());
        for (name, value) in fields(&self.options) {
            match name.as_str() {
                // Old tools wrote the command itself; `recordIdsReplicated` is the server's own business.
                "create" | "recordIdsReplicated" => {}
                "idIndex" if sent.is_some() => {}
                "autoIndexId" if has_id_index || server.refuses_auto_index_id() => {}
                // Servers from 4.0 on refuse collections without an index on `_id`.
                "autoIndexId" => command.append(name, true),
                _ => command.append(name, value),
            }
        }
        if let Some(index) = sent {
            command.append(cstr!("idIndex"), portable(index));
        }
        command
    }

    /// The `createIndexes` command, `None` when there is nothing besides the index on `_id`.
    pub(super) fn create_indexes(&self, name: &str) -> Option<RawDocumentBuf> {
        let mut indexes = RawArrayBuf::new();
        for index in self.indexes.iter().filter(|index| !is_default(index)) {
            indexes.push(self.index(index));
        }
        // Options that only older servers knew (`safe`, `dropDups`) are to be ignored, not refused.
        (!indexes.is_empty())
            .then(|| rawdoc! { "createIndexes": name, "indexes": indexes, "ignoreUnknownIndexOptions": true })
    }

    /// How many indexes there are besides the one on `_id`.
    pub(super) fn indexes_to_build(&self) -> usize {
        self.indexes.iter().filter(|index| !is_default(index)).count()
    }

    fn index(&self, index: &RawDocument) -> RawDocumentBuf {
        let mut made = portable(index);
        if index.get_str("name").is_err() {
            let parts: Vec<String> =
                key(index).map(|(field, order)| format!("{}_{}", field.as_str(), plain(order))).collect();
            made.append(cstr!("name"), parts.join("_"));
        }
        if self.has_collation() && value(index, "collation").is_none() {
            // Without it the index would inherit the collection's collation, which it did not have.
            made.append(cstr!("collation"), rawdoc! { "locale": "simple" });
        }
        if kinds(index).any(|kind| kind == "2dsphere") && value(index, "2dsphereIndexVersion").is_none() {
            // Version 1 is the only one that servers do not write into the index.
            made.append(cstr!("2dsphereIndexVersion"), 1);
        }
        made
    }

    fn option(&self, name: &str) -> Option<RawBsonRef<'_>> {
        value(&self.options, name)
    }

    fn has_collation(&self) -> bool {
        let collation = self.option("collation").and_then(RawBsonRef::as_document);
        collation.is_some_and(|collation| collation.get_str("locale").is_ok_and(|locale| locale != "simple"))
    }
}

impl Metadata {
    /// Whether the documents lie in the order of their `_id`.
    pub(super) fn is_clustered(&self) -> bool {
        self.option("clusteredIndex").is_some()
    }

    /// Whether the collection keeps the order of its documents and a bounded number of them.
    pub(super) fn is_capped(&self) -> bool {
        self.option("capped").is_some_and(|capped| match capped {
            // Of old servers, which took any number for a boolean.
            RawBsonRef::Int32(number) => number != 0,
            RawBsonRef::Double(number) => number != 0.0,
            other => other.as_bool().unwrap_or(false),
        })
    }

    /// Whether the server is to look at documents before it takes them.
    pub(super) fn has_validator(&self) -> bool {
        let validator = self.option("validator").and_then(RawBsonRef::as_document);
        validator.is_some_and(|validator| !validator.is_empty())
    }

    /// The kinds of the indexes that are not plainly ascending or descending: `text`, `2dsphere`, `hashed`, `geoHaystack`.
    pub(super) fn index_kinds(&self) -> impl Iterator<Item = &str> {
        self.indexes.iter().flat_map(|index| kinds(index))
    }
}

/// The fields of a document that [`read_document`] made, all of which can be read.
fn fields(document: &RawDocument) -> impl Iterator<Item = (&CStr, RawBsonRef<'_>)> {
    document.iter().flatten()
}

fn value<'a>(document: &'a RawDocument, name: &str) -> Option<RawBsonRef<'a>> {
    document.get(name).ok().flatten()
}

/// The indexed fields, and how.
fn key(index: &RawDocument) -> impl Iterator<Item = (&CStr, RawBsonRef<'_>)> {
    index.get_document("key").into_iter().flat_map(fields)
}

fn kinds(index: &RawDocument) -> impl Iterator<Item = &str> {
    key(index).filter_map(|(_, order)| order.as_str())
}

/// The index without what the target decides: its version, and the namespace that old servers wrote into it.
fn portable(index: &RawDocument) -> RawDocumentBuf {
    let own = |(name, value): &(&CStr, RawBsonRef<'_>)| match name.as_str() {
        "v" | "ns" => false,
        "name" => value.as_str().is_some(),
        _ => true,
    };
    fields(index).filter(own).collect()
}

/// The index that every collection has by itself: `{_id: 1}`, clustered or not.
fn is_default(index: &RawDocument) -> bool {
    let mut key = key(index);
    let ascending = match key.next() {
        Some((name, order)) if name.as_str() == "_id" => match order {
            RawBsonRef::Int32(order) => order == 1,
            RawBsonRef::Int64(order) => order == 1,
            RawBsonRef::Double(order) => (order - 1.0).abs() < f64::EPSILON,
            _ => false,
        },
        _ => false,
    };
    ascending && key.next().is_none()
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

#[cfg(test)]
mod tests {
    use super::*;
    use archive_format::Namespace;

    fn read(text: &str) -> Result<Metadata> {
        Metadata::read(&CollectionMetadata {
            namespace: Namespace::new("d", "c").unwrap(),
            metadata: text.to_owned(),
            kind: Kind::Collection,
        })
    }

    #[test]
    fn metadata_of_old_and_new_tools_is_read() {
        for text in ["", "{}", r#"{"indexes":null}"#, r#"{"options":null,"unknown":1}"#] {
            assert!(read(text).unwrap().create_indexes("c").is_none(), "{text}");
        }
        for text in ["{", r#"{"options":1}"#, r#"{"indexes":{}}"#, r#"{"indexes":[1]}"#] {
            assert_eq!(read(text).unwrap_err().kind(), ErrorKind::Archive, "{text}");
        }
    }

    #[test]
    fn the_default_index_is_left_to_the_server_and_a_hashed_one_is_not() {
        let metadata = read(
            r#"{"indexes":[{"v":2,"key":{"_id":1},"name":"_id_","ns":"d.c"},{"v":2,"key":{"_id":"hashed"},"name":"_id_hashed"}]}"#,
        )
        .unwrap();
        let server = Server::for_test((6, 0, 5));
        assert_eq!(
            metadata.create("c", server),
            rawdoc! { "create": "c", "idIndex": { "key": { "_id": 1 }, "name": "_id_" } }
        );
        assert_eq!(
            metadata.create_indexes("c").unwrap(),
            rawdoc! {
                "createIndexes": "c", "indexes": [{ "key": { "_id": "hashed" }, "name": "_id_hashed" }],
                "ignoreUnknownIndexOptions": true,
            }
        );
    }

    #[test]
    fn indexes_of_a_collated_collection_keep_their_simple_collation() {
        let metadata = read(
            r#"{"options":{"collation":{"locale":"fr"}},"indexes":[{"key":{"a":1},"name":"a"},{"key":{"p":"2dsphere"}}]}"#,
        )
        .unwrap();
        assert_eq!(
            metadata.create_indexes("c").unwrap(),
            rawdoc! {
                "createIndexes": "c",
                "indexes": [
                    { "key": { "a": 1 }, "name": "a", "collation": { "locale": "simple" } },
                    {
                        "key": { "p": "2dsphere" }, "name": "p_2dsphere", "collation": { "locale": "simple" },
                        "2dsphereIndexVersion": 1,
                    },
                ],
                "ignoreUnknownIndexOptions": true,
            }
        );
    }

    #[test]
    fn what_old_tools_wrote_into_the_options_is_put_right() {
        let metadata =
            read(r#"{"options":{"create":"old","autoIndexId":false,"recordIdsReplicated":true,"capped":1}}"#)
                .unwrap();
        assert_eq!(
            metadata.create("c", Server::for_test((6, 0, 5))),
            rawdoc! { "create": "c", "autoIndexId": true, "capped": 1 }
        );
        assert!(metadata.is_capped() && !metadata.has_validator());
        assert_eq!(metadata.create("c", Server::for_test((8, 2, 0))), rawdoc! { "create": "c", "capped": 1 });
    }

    #[test]
    fn a_condition_on_a_name_that_stands_twice_reaches_the_server_as_it_was() {
        let condition = r#"{"n":{"$gt":2},"n":{"$lt":7}}"#;
        let metadata = read(&format!(
            r#"{{"options":{{"validator":{condition}}},"indexes":[{{"key":{{"n":1}},"name":"n","partialFilterExpression":{condition}}}]}}"#
        ))
        .unwrap();
        let mut twice = rawdoc! { "n": { "$gt": 2 } };
        twice.append(cstr!("n"), rawdoc! { "$lt": 7 });
        assert!(metadata.has_validator());
        assert_eq!(
            metadata.create("c", Server::for_test((6, 0, 5))),
            rawdoc! { "create": "c", "validator": twice.clone() }
        );
        let indexes = [rawdoc! { "key": { "n": 1 }, "name": "n", "partialFilterExpression": twice }];
        assert_eq!(
            metadata.create_indexes("c").unwrap(),
            rawdoc! {
                "createIndexes": "c", "indexes": RawArrayBuf::from_iter(indexes), "ignoreUnknownIndexOptions": true,
            }
        );
    }

    #[test]
    fn an_index_tells_its_kinds() {
        let metadata = read(
            r#"{"indexes":[{"key":{"_id":1}},{"key":{"a":1,"p":"geoHaystack"}},{"key":{"b":"hashed"}}]}"#,
        );
        assert_eq!(metadata.unwrap().index_kinds().collect::<Vec<_>>(), ["geoHaystack", "hashed"]);
    }
}
