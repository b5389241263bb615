//! A collection's metadata text as the commands that make the collection and its indexes.

use archive_format::{CollectionMetadata, Kind};
use bson::raw::CStr;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, Uuid, cstr, rawdoc};

use super::server::Server;
use super::{IndexOptions, RestoreOptions};
use crate::extended_json::read_document;
use crate::{Error, ErrorKind, Result};

mod index;
mod legacy;

use index::{Built, Indexes, kinds, portable};

/// Options and indexes of one collection, as the server sent them to the dump. The default is that of an archive that holds
/// no metadata: a plain collection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    options: RawDocumentBuf,
    indexes: Vec<RawDocumentBuf>,
    uuid: Option<String>,
    /// Whether indexes without a collation have to say so, or they would inherit the collection's.
    collated: bool,
    making: Making,
}

/// What is made of it otherwise than it was at the source.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Making {
    /// Nothing in it expires.
    keep_expired: bool,
    /// The collection has none of its options.
    bare: bool,
    /// The index on `_id` keeps its version in any case: `applyOps` asks for one.
    keeps_id_version: bool,
    indexes: IndexOptions,
}

impl Making {
    pub(super) fn of(options: &RestoreOptions) -> Self {
        Self {
            keep_expired: options.keep_expired,
            bare: options.writes.without_options,
            keeps_id_version: options.writes.preserve_uuid,
            indexes: options.indexes,
        }
    }
}

impl Metadata {
    /// Reads the text of the prelude: canonical or relaxed; empty text, unknown keys and missing ones are accepted.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] when it is not Extended JSON, or `options`, `indexes` or `uuid` have another type.
    pub(crate) fn read(entry: &CollectionMetadata) -> Result<Self> {
        let mut metadata = Self::default();
        if entry.metadata.is_empty() {
            return Ok(metadata);
        }
        let malformed =
            |what: &str| Error::new(ErrorKind::Archive, format!("`{what}` in the metadata has another type"));
        for (name, value) in fields(&read_document(&entry.metadata)?) {
            match (name.as_str(), value) {
                ("options" | "indexes" | "uuid", RawBsonRef::Null) => {}
                ("options", RawBsonRef::Document(options)) => metadata.options = options.to_owned(),
                ("indexes", RawBsonRef::Array(indexes)) => {
                    let documents = indexes.into_iter().map(|index| match index {
                        Ok(RawBsonRef::Document(index)) => Ok(index.to_owned()),
                        _ => Err(malformed("indexes")),
                    });
                    metadata.indexes = documents.collect::<Result<_>>()?;
                }
                ("uuid", RawBsonRef::String(uuid)) => metadata.uuid = Some(uuid.to_owned()),
                (name @ ("options" | "indexes" | "uuid"), _) => return Err(malformed(name)),
                _ => {}
            }
        }
        let collation = metadata.option("collation").and_then(RawBsonRef::as_document);
        metadata.collated = collation
            .is_some_and(|collation| collation.get_str("locale").is_ok_and(|locale| locale != "simple"));
        Ok(metadata)
    }

    /// The same, but to be made in this way.
    pub(super) fn made(mut self, making: Making) -> Self {
        if making.keep_expired {
            self = self.without_expiry();
        }
        if making.bare {
            self.options = RawDocumentBuf::new();
        }
        self.making = making;
        self
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

    /// The collection's UUID at the source, where the archive has it.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] when it is none.
    pub(super) fn uuid(&self) -> Result<Option<Uuid>> {
        let Some(text) = self.uuid.as_ref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let uuid = Uuid::parse_str(text).map_err(|_| {
            let message = "its UUID in the archive is none: restore without --preserveUUID, or repair the archive";
            Error::new(ErrorKind::Archive, message)
        })?;
        Ok(Some(uuid))
    }

    /// The `create` command of a collection in `db` with the options in the archive's order.
    pub(super) fn create(&self, db: &str, name: &str, server: Server) -> RawDocumentBuf {
        let mut command = rawdoc! { "create": name };
        if self.making.bare {
            return command;
        }
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
                // Servers from 4.0 on refuse collections without an index on `_id`, but in `local`.
                "autoIndexId" if db != "local" => command.append(name, true),
                _ => command.append(name, value),
            }
        }
        if let Some(index) = sent {
            let keeps_version = self.making.indexes.keep_version || self.making.keeps_id_version;
            command.append(cstr!("idIndex"), portable(index, keeps_version));
        }
        command
    }

    /// The `createIndexes` command, `None` when there is nothing besides the index on `_id`.
    pub(super) fn create_indexes(&self, name: &str) -> Option<RawDocumentBuf> {
        let indexes: RawArrayBuf = self.built().specifications.into_iter().collect();
        // Options that only older servers knew (`safe`, `dropDups`) are to be ignored, not refused.
        (!indexes.is_empty())
            .then(|| rawdoc! { "createIndexes": name, "indexes": indexes, "ignoreUnknownIndexOptions": true })
    }

    /// What becomes of the indexes besides the one on `_id`.
    pub(super) fn built(&self) -> Built {
        let rules = self.making.indexes;
        if rules.none {
            return Built::default();
        }
        Indexes { rules, collated: self.collated }.build(&self.indexes)
    }

    fn option(&self, name: &str) -> Option<RawBsonRef<'_>> {
        value(&self.options, name)
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
            metadata.create("d", "c", server),
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
            metadata.create("d", "c", Server::for_test((6, 0, 5))),
            rawdoc! { "create": "c", "autoIndexId": true, "capped": 1 }
        );
        assert!(metadata.is_capped() && !metadata.has_validator());
        assert_eq!(metadata.create("d", "c", Server::for_test((8, 2, 0))), rawdoc! { "create": "c", "capped": 1 });
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
            metadata.create("d", "c", Server::for_test((6, 0, 5))),
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
