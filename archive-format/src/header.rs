//! The header of a namespace's blocks.

use bytes::BytesMut;

use crate::Namespace;
use crate::bson::{Fields, Invalid, Value, Writer};

/// The first document of a namespace's blocks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamespaceHeader<'a> {
    pub(crate) db: &'a str,
    pub(crate) collection: &'a str,
    /// Whether this block ends the namespace.
    pub(crate) eof: bool,
    /// The checksum of all its documents, if it does.
    pub(crate) checksum: u64,
}

impl<'a> NamespaceHeader<'a> {
    pub(crate) fn read(document: &'a [u8]) -> Result<Self, Invalid> {
        let (mut db, mut collection, mut eof, mut checksum) = (None, None, None, None);
        for field in Fields::of(document) {
            let again = match field? {
                (b"db", value) => db.replace(value.text()?).is_some(),
                (b"collection", value) => collection.replace(value.text()?).is_some(),
                (b"EOF", Value::Boolean(value)) => eof.replace(value).is_some(),
                (b"CRC", Value::Int64(value)) => checksum.replace(value.cast_unsigned()).is_some(),
                (b"EOF", _) => return Err("EOF is not a boolean"),
                (b"CRC", _) => return Err("CRC is not an int64"),
                _ => return Err("it has a field other than db, collection, EOF and CRC"),
            };
            if again {
                return Err("it has a field twice");
            }
        }
        let collection = collection.filter(|name| !name.is_empty()).ok_or("it names no collection")?;
        Ok(Self {
            db: db.unwrap_or_default(),
            collection,
            eof: eof.unwrap_or_default(),
            checksum: checksum.unwrap_or_default(),
        })
    }
}

/// Writes the header of a block. Its length is bounded by the limits on names.
pub(crate) fn write_header(out: &mut BytesMut, namespace: &Namespace, eof: bool, checksum: u64) {
    Writer::begin(out)
        .string("db", namespace.db())
        .string("collection", namespace.collection())
        .boolean("EOF", eof)
        .int64("CRC", checksum.cast_signed())
        .end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_and_tolerates_absence() {
        let namespace = Namespace::new("d", "c").unwrap();
        let mut out = BytesMut::new();
        write_header(&mut out, &namespace, true, u64::MAX);
        let header = NamespaceHeader { db: "d", collection: "c", eof: true, checksum: u64::MAX };
        assert_eq!(NamespaceHeader::read(&out).unwrap(), header);

        let mut out = BytesMut::new();
        Writer::begin(&mut out).string("collection", "oplog").end();
        let header = NamespaceHeader { db: "", collection: "oplog", eof: false, checksum: 0 };
        assert_eq!(NamespaceHeader::read(&out).unwrap(), header);
    }

    #[test]
    fn a_header_is_refused_if_it_says_anything_else() {
        let refused = |fill: fn(Writer<'_>) -> Writer<'_>| {
            let mut out = BytesMut::new();
            fill(Writer::begin(&mut out)).end();
            NamespaceHeader::read(&out).unwrap_err()
        };
        let unknown = refused(|w| w.string("db", "d").string("collection", "c").int32("size", 0));
        assert!(unknown.contains("other than"), "{unknown}");
        assert!(refused(|w| w.string("collection", "c").int32("EOF", 0)).contains("EOF"));
        assert!(refused(|w| w.string("collection", "c").int32("CRC", 0)).contains("CRC"));
        assert!(refused(|w| w.string("collection", "")).contains("no collection"));
        assert!(refused(|w| w.string("db", "d")).contains("no collection"));
        assert!(refused(|w| w.string("collection", "c").string("collection", "e")).contains("twice"));
    }
}
