//! A collection's metadata text as the commands that make the collection and its indexes.

use archive_format::{CollectionMetadata, Kind};
use bson::{Bson, Document, doc};

use super::server::Server;
use crate::extended_json::read_document;
use crate::{Error, ErrorKind, Result};

/// Options and indexes of one collection. The default is that of an archive that holds no metadata: a plain collection.
#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    options: Document,
    indexes: Vec<Document>,
}

impl Metadata {
    /// Reads the text of the prelude: canonical or relaxed; empty text, unknown keys and missing ones are accepted.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] when it is not Extended JSON, or `options` or `indexes` have another type.
    pub(super) fn read(entry: &CollectionMetadata) -> Result<Self> {
        if entry.metadata.is_empty() {
            return Ok(Self::default());
        }
        let mut document = read_document(&entry.metadata)?;
        let malformed =
            |what: &str| Error::new(ErrorKind::Archive, format!("`{what}` in the metadata has another type"));
        let options = match document.remove("options") {
            None | Some(Bson::Null) => Document::new(),
            Some(Bson::Document(options)) => options,
            Some(_) => return Err(malformed("options")),
        };
        let indexes = match document.remove("indexes") {
            None | Some(Bson::Null) => Vec::new(),
            Some(Bson::Array(indexes)) => {
                let documents = indexes.into_iter().map(|index| match index {
                    Bson::Document(index) => Ok(index),
                    _ => Err(malformed("indexes")),
                });
                documents.collect::<Result<_>>()?
            }
            Some(_) => return Err(malformed("indexes")),
        };
        Ok(Self { options, indexes })
    }

    /// Whether this is a view, and not one whose documents were dumped in its place.
    pub(super) fn is_view(&self) -> bool {
        self.options.contains_key("viewOn")
    }

    /// Whether this is a time series, by the prelude or by its options.
    pub(super) fn is_timeseries(&self, kind: Kind) -> bool {
        kind == Kind::Timeseries || self.options.contains_key("timeseries")
    }

    /// The `create` command with the options in the archive's order.
    pub(super) fn create(&self, name: &str, server: Server) -> Document {
        let mut command = doc! { "create": name };
        let id_index =
            self.indexes.iter().find(|index| index.get_str("name").is_ok_and(|name| name == "_id_"));
        let clustered = self.options.contains_key("clusteredIndex");
        for (key, value) in &self.options {
            match key.as_str() {
                // Old tools wrote the command itself; `recordIdsReplicated` is the server's own business.
                "create" | "recordIdsReplicated" => {}
                "autoIndexId" if id_index.is_some() || server.refuses_auto_index_id() => {}
                // Servers from 4.0 on refuse collections without an index on `_id`.
                "autoIndexId" => drop(command.insert(key, true)),
                _ => drop(command.insert(key, value)),
            }
        }
        if let (Some(index), false) = (id_index, clustered || self.is_view()) {
            let mut index = index.clone();
            index.remove("v");
            index.remove("ns");
            command.insert("idIndex", index);
        }
        command
    }

    /// The `createIndexes` command, `None` when there is nothing besides the index on `_id`.
    pub(super) fn create_indexes(&self, name: &str) -> Option<Document> {
        let indexes: Vec<Document> =
            self.indexes.iter().filter(|index| !is_default(index)).map(|index| self.index(index)).collect();
        // Options that only older servers knew (`safe`, `dropDups`) are to be ignored, not refused.
        (!indexes.is_empty())
            .then(|| doc! { "createIndexes": name, "indexes": indexes, "ignoreUnknownIndexOptions": true })
    }

    fn index(&self, index: &Document) -> Document {
        let mut index = index.clone();
        index.remove("v");
        index.remove("ns");
        let key = index.get_document("key").cloned().unwrap_or_default();
        if index.get_str("name").is_err() {
            let parts: Vec<String> =
                key.iter().map(|(field, order)| format!("{field}_{}", plain(order))).collect();
            index.insert("name", parts.join("_"));
        }
        if self.has_collation() && !index.contains_key("collation") {
            // Without it the index would inherit the collection's collation, which it did not have.
            index.insert("collation", doc! { "locale": "simple" });
        }
        let spherical = key.values().any(|order| order.as_str() == Some("2dsphere"));
        if spherical && !index.contains_key("2dsphereIndexVersion") {
            // Version 1 is the only one that servers do not write into the index.
            index.insert("2dsphereIndexVersion", 1);
        }
        index
    }

    fn has_collation(&self) -> bool {
        let locale = self.options.get_document("collation").and_then(|collation| collation.get_str("locale"));
        locale.is_ok_and(|locale| locale != "simple")
    }
}

/// The index that every collection has by itself: `{_id: 1}`, clustered or not.
fn is_default(index: &Document) -> bool {
    let Ok(key) = index.get_document("key") else { return false };
    let ascending = match key.get("_id") {
        Some(Bson::Int32(order)) => *order == 1,
        Some(Bson::Int64(order)) => *order == 1,
        Some(Bson::Double(order)) => (*order - 1.0).abs() < f64::EPSILON,
        _ => false,
    };
    ascending && key.len() == 1
}

fn plain(order: &Bson) -> String {
    match order {
        Bson::String(text) => text.clone(),
        Bson::Int32(number) => number.to_string(),
        Bson::Int64(number) => number.to_string(),
        Bson::Double(number) => number.to_string(),
        other => other.to_string(),
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
            doc! { "create": "c", "idIndex": { "key": { "_id": 1 }, "name": "_id_" } }
        );
        let command = metadata.create_indexes("c").unwrap();
        assert_eq!(
            command.get_array("indexes").unwrap(),
            &vec![Bson::Document(doc! { "key": { "_id": "hashed" }, "name": "_id_hashed" })]
        );
    }

    #[test]
    fn indexes_of_a_collated_collection_keep_their_simple_collation() {
        let metadata = read(
            r#"{"options":{"collation":{"locale":"fr"}},"indexes":[{"key":{"a":1},"name":"a"},{"key":{"p":"2dsphere"}}]}"#,
        )
        .unwrap();
        let command = metadata.create_indexes("c").unwrap();
        assert_eq!(
            command.get_array("indexes").unwrap(),
            &vec![
                Bson::Document(doc! { "key": { "a": 1 }, "name": "a", "collation": { "locale": "simple" } }),
                Bson::Document(doc! {
                    "key": { "p": "2dsphere" }, "name": "p_2dsphere", "collation": { "locale": "simple" }, "2dsphereIndexVersion": 1,
                }),
            ]
        );
    }
}
