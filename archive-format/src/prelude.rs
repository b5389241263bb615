//! The first block of an archive: where it came from and which collections it holds.

use bytes::{BufMut, BytesMut};

use crate::block::TERMINATOR;
use crate::bson::{Fields, Invalid, Value, Writer, lacking};
use crate::{Error, ErrorKind, MAX_DOCUMENT_SIZE, Namespace, ServerVersion};

/// What every mongodump writes as `version`; no reader has ever cared.
const FORMAT_VERSION: &str = "0.1";

/// A field of the archive header that mongodump does not write, and that `mongorestore` does not look at.
const REPLAY_OPLOG: &str = "replay_oplog";

/// What an archive says of itself before any data: its source, and all its collections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prelude {
    /// How many ordinary collections may be open at the same time, and so how many workers a reader needs;
    /// 0 if the archive does not say.
    pub concurrent_collections: i32,
    /// The version of the server that was dumped, as its `buildInfo` has it; empty if the archive does not say.
    pub server_version: String,
    /// The version of the tool that wrote the archive, for people; empty if the archive does not say.
    pub tool_version: String,
    /// Whether the collections are of different moments, and of one only once the archive's oplog is replayed: who restores
    /// it should do so unasked. No archive of mongodump's says so.
    pub replay_oplog: bool,
    /// The collections, in no particular order.
    pub collections: Vec<CollectionMetadata>,
}

/// What the prelude says of one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionMetadata {
    /// The name users know it by; where its data is, [`data_namespace`](Self::data_namespace) says.
    pub namespace: Namespace,
    /// Options, indexes and UUID as one JSON document (canonical Extended JSON); empty for the oplog and for
    /// the users and roles of a single database.
    pub metadata: String,
    /// What it is.
    pub kind: Kind,
}

impl CollectionMetadata {
    /// The namespace under which the archive carries the collection's documents.
    ///
    /// For a time series of a server before 8.3 these are its buckets, in `system.buckets.` and its name; for
    /// all else, the collection's own name.
    pub fn data_namespace(&self, server: &ServerVersion) -> Namespace {
        match self.kind {
            Kind::Timeseries if server.keeps_buckets_apart() => self.namespace.buckets(),
            _ => self.namespace.clone(),
        }
    }
}

/// What a collection is, in the server's words (`listCollections.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An ordinary collection.
    Collection,
    /// A view; normally without documents.
    View,
    /// A time series; its documents are buckets.
    Timeseries,
    /// The archive does not say, or says something this crate does not know: the oplog, users and roles of a
    /// single database, and everything in archives of tools before 100.
    #[default]
    Unspecified,
}

impl Kind {
    /// The word in the archive; `""` for [`Kind::Unspecified`].
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Collection => "collection",
            Kind::View => "view",
            Kind::Timeseries => "timeseries",
            Kind::Unspecified => "",
        }
    }
}

impl From<&str> for Kind {
    /// Takes the server's word; one that is not known is [`Kind::Unspecified`].
    fn from(word: &str) -> Self {
        match word {
            "collection" => Kind::Collection,
            "view" => Kind::View,
            "timeseries" => Kind::Timeseries,
            _ => Kind::Unspecified,
        }
    }
}

impl Prelude {
    /// The archive header, as a prelude that has no collections yet.
    pub(crate) fn read(document: &[u8]) -> Result<Self, Invalid> {
        let mut prelude = Self::default();
        for field in Fields::of(document) {
            match field? {
                (b"concurrent_collections", value) => prelude.concurrent_collections = whole(value)?,
                (b"server_version", value) => prelude.server_version = value.text()?.into(),
                (b"tool_version", value) => prelude.tool_version = value.text()?.into(),
                // Unknown to everybody else, so anything else in it is none of ours.
                (name, Value::Boolean(value)) if name == REPLAY_OPLOG.as_bytes() => {
                    prelude.replay_oplog = value;
                }
                _ => {}
            }
        }
        Ok(prelude)
    }

    /// A field that the archive header has of every writer and not here.
    pub(crate) fn lacks(document: &[u8]) -> Option<&'static str> {
        lacking(document, &["concurrent_collections", "version", "server_version", "tool_version"])
    }

    /// Writes the whole block.
    pub(crate) fn write(&self, out: &mut BytesMut) -> Result<(), Error> {
        let mut header = Writer::begin(out)
            .int32("concurrent_collections", self.concurrent_collections)
            .string("version", FORMAT_VERSION)
            .string("server_version", &self.server_version)
            .string("tool_version", &self.tool_version);
        if self.replay_oplog {
            header = header.boolean(REPLAY_OPLOG, true);
        }
        let length = header.end();
        if length > MAX_DOCUMENT_SIZE {
            return Err(Error::new(ErrorKind::LimitExceeded, "the archive header is larger than 16 MiB"));
        }
        for entry in &self.collections {
            let length = Writer::begin(out)
                .string("db", entry.namespace.db())
                .string("collection", entry.namespace.collection())
                .string("metadata", &entry.metadata)
                .int32("size", 0)
                .string("type", entry.kind.as_str())
                .end();
            if length > MAX_DOCUMENT_SIZE {
                let what = "the metadata of a collection is larger than 16 MiB";
                return Err(Error::new(ErrorKind::LimitExceeded, what).of(&entry.namespace));
            }
        }
        out.put_slice(&TERMINATOR);
        Ok(())
    }
}

impl CollectionMetadata {
    /// One collection metadata document; the error lacks the offset.
    pub(crate) fn read(document: &[u8]) -> Result<Self, Error> {
        let (mut db, mut collection, mut metadata, mut kind) = ("", "", "", Kind::Unspecified);
        for field in Fields::of(document) {
            let result = field.and_then(|(name, value)| {
                match name {
                    b"db" => db = value.text()?,
                    b"collection" => collection = value.text()?,
                    b"metadata" => metadata = value.text()?,
                    b"type" => kind = value.text()?.into(),
                    _ => {}
                }
                Ok(())
            });
            result.map_err(|why| Error::new(ErrorKind::Malformed, format!("in the prelude, {why}")))?;
        }
        let namespace = Namespace::archived(db, collection)?;
        Ok(Self { namespace, metadata: metadata.into(), kind })
    }

    /// A field that the document has of every writer and not here; `type` is younger than others.
    pub(crate) fn lacks(document: &[u8]) -> Option<&'static str> {
        lacking(document, &["db", "collection", "metadata", "size"])
    }
}

/// An integer of any type, which must be whole and small.
fn whole(value: Value<'_>) -> Result<i32, Invalid> {
    const INVALID: Invalid = "concurrent_collections is not a whole number of 32 bits";
    match value {
        Value::Int32(number) => Ok(number),
        Value::Int64(number) => number.try_into().map_err(|_| INVALID),
        // Through text, because there is no other checked way from a double to an integer.
        Value::Double(number) => number.to_string().parse().map_err(|_| INVALID),
        _ => Err(INVALID),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_have_any_type_but_must_be_whole() {
        assert_eq!(whole(Value::Int32(4)), Ok(4));
        assert_eq!(whole(Value::Int64(4)), Ok(4));
        assert_eq!(whole(Value::Double(4.0)), Ok(4));
        for value in [Value::Int64(1 << 40), Value::Double(4.5), Value::Double(f64::NAN), Value::Other] {
            assert!(whole(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn an_archive_that_wants_its_oplog_replayed_says_so_and_others_are_as_mongodump_writes_them() {
        let bytes = |replay_oplog| {
            let mut out = BytesMut::new();
            Prelude { replay_oplog, ..Prelude::default() }.write(&mut out).unwrap();
            out.split_to(out.len() - TERMINATOR.len())
        };
        let (with, without) = (bytes(true), bytes(false));
        assert!(Prelude::read(&with).unwrap().replay_oplog);
        assert!(!Prelude::read(&without).unwrap().replay_oplog);
        assert_eq!(with.len(), without.len() + "\x08replay_oplog\0\x01".len());
        let mut other = BytesMut::new();
        Writer::begin(&mut other).string(REPLAY_OPLOG, "of another tool").end();
        assert_eq!(Prelude::read(&other).unwrap(), Prelude::default());
    }

    #[test]
    fn the_data_of_a_time_series_moved_in_8_3() {
        let namespace = Namespace::new("d", "x").unwrap();
        let entry = |kind| CollectionMetadata { namespace: namespace.clone(), metadata: String::new(), kind };
        let data = |kind, server: &str| entry(kind).data_namespace(&server.parse().unwrap()).to_string();
        assert_eq!(data(Kind::Timeseries, "8.2.99"), "d.system.buckets.x");
        assert_eq!(data(Kind::Timeseries, "8.3.0"), "d.x");
        assert_eq!(data(Kind::Timeseries, "8.3.0-rc1"), "d.x");
        assert_eq!(data(Kind::Timeseries, "10.0.0"), "d.x");
        assert_eq!(data(Kind::Collection, "6.0.5"), "d.x");
        assert_eq!(data(Kind::Unspecified, "6.0.5"), "d.x");
    }
}
