//! A collection's metadata text as the commands that make the collection and its indexes.

use archive_format::{CollectionMetadata, Kind};
use bson::raw::CStr;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, Uuid, cstr, rawdoc};

use super::server::Server;
use super::{IndexOptions, RestoreOptions};
use crate::extended_json::{EXACT_METADATA, read_document};
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
                // It stands behind what the text could not tell exactly, and goes before it.
                (EXACT_METADATA, RawBsonRef::Binary(exact)) => {
                    let exact =
                        RawDocument::from_bytes(exact.bytes).map_err(|_| malformed(EXACT_METADATA))?;
                    let options = exact.get_document("options").map(ToOwned::to_owned);
                    let indexes = exact.get_array("indexes").map_err(|_| malformed(EXACT_METADATA))?;
                    let indexes = indexes.into_iter().flatten().filter_map(RawBsonRef::as_document);
                    metadata.indexes = indexes.map(ToOwned::to_owned).collect();
                    metadata.options = options.unwrap_or_default();
                }
                _ => {}
            }
        }
        metadata.collated = metadata.is_collated();
        Ok(metadata)
    }

    fn is_collated(&self) -> bool {
        let collation = self.option("collation").and_then(RawBsonRef::as_document);
        collation.is_some_and(|collation| collation.get_str("locale").is_ok_and(|locale| locale != "simple"))
    }

    /// Of a collection with these options and no indexes yet.
    pub(super) fn of_options(options: RawDocumentBuf, making: Making) -> Self {
        let mut metadata = Self { options, making, ..Self::default() };
        metadata.collated = metadata.is_collated();
        metadata
    }

    /// The indexes, to change them.
    pub(super) fn indexes_mut(&mut self) -> &mut Vec<RawDocumentBuf> {
        &mut self.indexes
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
            let message =
                "its UUID in the archive is none: restore without --preserveUUID, or repair the archive";
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

    /// Whether it is made with options that a server may refuse.
    pub(super) fn has_options(&self) -> bool {
        !self.options.is_empty()
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
                        "key": { "p": "2dsphere" }, "collation": { "locale": "simple" }, "2dsphereIndexVersion": 1,
                        "name": "p_2dsphere",
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
        assert_eq!(
            metadata.create("d", "c", Server::for_test((8, 2, 0))),
            rawdoc! { "create": "c", "capped": 1 }
        );
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

    fn made(text: &str, options: &RestoreOptions) -> Metadata {
        read(text).unwrap().made(Making::of(options))
    }

    fn with(indexes: IndexOptions) -> RestoreOptions {
        RestoreOptions { indexes, ..RestoreOptions::default() }
    }

    fn indexes(metadata: &Metadata) -> Vec<RawDocumentBuf> {
        metadata.built().specifications
    }

    #[test]
    fn b51_the_version_of_an_index_is_the_servers_own_unless_it_is_to_be_kept() {
        let text = r#"{"indexes":[{"v":1,"key":{"_id":1},"name":"_id_","ns":"d.c"},{"v":1,"key":{"a":1},"name":"a","ns":"d.c"}]}"#;
        let keep = with(IndexOptions { keep_version: true, ..IndexOptions::default() });
        let server = Server::for_test((6, 0, 5));
        let id = |metadata: &Metadata| {
            metadata.create("d", "c", server).get_document("idIndex").unwrap().to_owned()
        };
        let plain = made(text, &RestoreOptions::default());
        assert_eq!(id(&plain), rawdoc! { "key": { "_id": 1 }, "name": "_id_" });
        assert_eq!(indexes(&plain), [rawdoc! { "key": { "a": 1 }, "name": "a" }]);
        let kept = made(text, &keep);
        assert_eq!(id(&kept), rawdoc! { "v": 1, "key": { "_id": 1 }, "name": "_id_" });
        assert_eq!(indexes(&kept), [rawdoc! { "v": 1, "key": { "a": 1 }, "name": "a" }]);
        // `applyOps`, by which a collection gets its UUID, asks for a version of the one and knows those of the others.
        let writes = crate::restore::WriteOptions { preserve_uuid: true, ..Default::default() };
        let uuid = made(text, &RestoreOptions { writes, ..RestoreOptions::default() });
        assert!(id(&uuid).get("v").unwrap().is_some() && indexes(&uuid)[0].get("v").unwrap().is_none());
    }

    #[test]
    fn b51_a_clustered_collection_and_one_without_options_get_no_id_index() {
        let text = r#"{"options":{"clusteredIndex":{"key":{"_id":1},"unique":true}},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_","clustered":true}]}"#;
        let server = Server::for_test((6, 0, 5));
        let clustered = made(text, &RestoreOptions::default()).create("d", "c", server);
        assert!(
            clustered.get("idIndex").unwrap().is_none() && clustered.get("clusteredIndex").unwrap().is_some()
        );
        let writes = crate::restore::WriteOptions { without_options: true, ..Default::default() };
        let bare = made(text, &RestoreOptions { writes, ..RestoreOptions::default() });
        assert_eq!(bare.create("d", "c", server), rawdoc! { "create": "c" });
        assert!(bare.create_indexes("c").is_none() && !bare.is_clustered());
    }

    #[test]
    fn b55_an_id_index_is_left_to_the_server_but_in_local_and_record_ids_are_its_own_business() {
        let text = r#"{"options":{"autoIndexId":false,"recordIdsReplicated":true},"indexes":[]}"#;
        let metadata = made(text, &RestoreOptions::default());
        for (db, version, command) in [
            ("d", (6, 0, 5), rawdoc! { "create": "c", "autoIndexId": true }),
            ("local", (6, 0, 5), rawdoc! { "create": "c", "autoIndexId": false }),
            ("d", (8, 2, 0), rawdoc! { "create": "c" }),
            ("local", (9, 0, 0), rawdoc! { "create": "c" }),
        ] {
            assert_eq!(metadata.create(db, "c", Server::for_test(version)), command, "{db} {version:?}");
        }
    }

    #[test]
    fn b62_an_index_of_the_first_version_has_no_collation_where_it_keeps_its_version() {
        let simple = r#"{"v":1,"key":{"a":1},"name":"a","collation":{"locale":"simple"}}"#;
        let text = format!(
            r#"{{"indexes":[{{"v":1,"key":{{"_id":1}},"name":"_id_","collation":{{"locale":"simple"}}}},{simple}]}}"#
        );
        let kept = made(&text, &with(IndexOptions { keep_version: true, ..IndexOptions::default() }));
        assert_eq!(indexes(&kept), [rawdoc! { "v": 1, "key": { "a": 1 }, "name": "a" }]);
        let create = kept.create("d", "c", Server::for_test((6, 0, 5)));
        assert_eq!(
            create.get_document("idIndex").unwrap(),
            &*rawdoc! { "v": 1, "key": { "_id": 1 }, "name": "_id_" }
        );
        // A newer one may need it: in a collection with a collation it would have that otherwise.
        let text = format!(r#"{{"options":{{"collation":{{"locale":"fr"}}}},"indexes":[{simple}]}}"#);
        let newer = made(&text, &RestoreOptions::default());
        assert_eq!(
            indexes(&newer),
            [rawdoc! { "key": { "a": 1 }, "name": "a", "collation": { "locale": "simple" } }]
        );
    }

    #[test]
    fn b64_what_old_servers_took_for_the_default_index_is_not_built_again() {
        for order in ["1", "1.0", "true", "\"\"", "0", "null", r#"{"$numberLong":"1"}"#] {
            let text = format!(r#"{{"indexes":[{{"key":{{"_id":{order}}},"name":"_id_"}}]}}"#);
            assert!(indexes(&made(&text, &RestoreOptions::default())).is_empty(), "{order}");
        }
        for index in [
            r#"{"key":{"_id":"hashed"},"name":"h"}"#,
            r#"{"key":{"_id":-1},"name":"down"}"#,
            r#"{"key":{"_id":1,"a":1},"name":"both"}"#,
            r#"{"key":{"a":1},"name":"_id_"}"#,
        ] {
            let text = format!(r#"{{"indexes":[{index}]}}"#);
            assert_eq!(indexes(&made(&text, &RestoreOptions::default())).len(), 1, "{index}");
        }
    }

    #[test]
    fn b66_of_indexes_that_become_equal_the_one_that_was_right_stays() {
        let convert = with(IndexOptions { convert_legacy: true, ..IndexOptions::default() });
        let text = r#"{"indexes":[
            {"key":{"foo":""},"name":"foo_"},{"key":{"foo":1},"name":"foo_1"},{"key":{"foo":2},"name":"foo_2"},
            {"key":{"bar":true},"name":"bar_true"},{"key":{"bar":0},"name":"bar_0"},
            {"key":{"n":-1e-10},"name":"tiny"},{"key":{"g":1},"name":"g"},
            {"key":{"g":1},"name":"g_partial","partialFilterExpression":{"x":1}}]}"#;
        let metadata = made(text, &convert);
        let found = indexes(&metadata);
        let names: Vec<_> = found.iter().map(|index| index.get_str("name").unwrap()).collect();
        assert_eq!(names, ["foo_1", "foo_2", "bar_true", "tiny", "g", "g_partial"]);
        assert_eq!(found[2].get_document("key").unwrap(), &*rawdoc! { "bar": 1 });
        assert_eq!(found[3].get_document("key").unwrap(), &*rawdoc! { "n": -1 });
        assert_eq!(metadata.built().notes.len(), 2);
        let fix = with(IndexOptions { fix_dotted_hash: true, ..IndexOptions::default() });
        let text = r#"{"indexes":[{"key":{"a.b":"hashed"},"name":"h"},{"key":{"b":"hashed"},"name":"b"}]}"#;
        assert_eq!(
            indexes(&made(text, &fix)),
            [rawdoc! { "key": { "a.b": 1 }, "name": "h" }, rawdoc! { "key": { "b": "hashed" }, "name": "b" }]
        );
    }

    #[test]
    fn w21_indexes_without_a_name_of_their_own_get_one() {
        let text = r#"{"indexes":[
            {"key":{"a":1},"name":"same"},{"key":{"b":1},"name":"same"},{"key":{"c":1,"d":-1},"name":5},
            {"key":{"e":1}},{"key":{"e":1},"unique":true},{"key":{"a":1},"name":"same"},{"key":{"f":1},"name":""}]}"#;
        let metadata = made(text, &RestoreOptions::default());
        let found = indexes(&metadata);
        let names: Vec<_> = found.iter().map(|index| index.get_str("name").unwrap()).collect();
        assert_eq!(names, ["same", "b_1", "c_1_d_-1", "e_1", "e_1_2", "f_1"]);
        assert_eq!(metadata.built().notes.len(), 5);
    }

    #[test]
    fn w43_an_empty_partial_filter_and_names_that_are_empty_are_kept() {
        let text = r#"{"indexes":[{"key":{"":1},"name":"empty","partialFilterExpression":{}}]}"#;
        let kept = rawdoc! { "key": { "": 1 }, "name": "empty", "partialFilterExpression": {} };
        assert_eq!(indexes(&made(text, &RestoreOptions::default())), [kept]);
    }

    #[test]
    fn b68_a_uuid_is_32_digits_or_missing() {
        let uuid = |text: &str| made(text, &RestoreOptions::default()).uuid();
        assert!(uuid("{}").unwrap().is_none() && uuid(r#"{"uuid":""}"#).unwrap().is_none());
        let known = uuid(r#"{"uuid":"699f503df64b4aa8a484a8052046fa3a"}"#).unwrap().unwrap();
        assert_eq!(known.to_string().replace('-', ""), "699f503df64b4aa8a484a8052046fa3a");
        for wrong in
            ["x", "699f503d", "699f503df64b4aa8a484a8052046fa3z", "699f503df64b4aa8a484a8052046fa3a00"]
        {
            assert_eq!(
                uuid(&format!(r#"{{"uuid":"{wrong}"}}"#)).unwrap_err().kind(),
                ErrorKind::Archive,
                "{wrong}"
            );
        }
    }
}
