//! MongoDB Extended JSON v2: the text of a collection's metadata, written as mongodump writes it, byte for byte, and read
//! straight into BSON.
//!
//! Neither way goes through a map: a name that stands twice in a document (the server means "and"), the order of fields and
//! any nesting the server takes are kept.

mod read;
mod wrapper;
mod write;

/// The field of a collection's metadata that holds the BSON bytes of its `options` and `indexes`, where the text of those
/// cannot tell them exactly. The official tools pass over fields that they do not know.
pub(crate) const EXACT_METADATA: &str = "mongoarkExact";

pub(crate) use read::read_document;
pub(crate) use write::{write_document, write_string};

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, RawDocumentBuf, doc};

    fn written(document: &RawDocumentBuf) -> String {
        let mut out = String::new();
        write_document(document, &mut out).unwrap();
        out
    }

    #[test]
    fn every_type_survives_the_way_out_and_back() {
        let reference = doc! { "$ref": "c", "$id": 1, "$db": "d" };
        let all = doc! {
            "double": 1.5, "string": "s\0", "array": [1, [2_i64], { "x": null }], "doc": { "a": { "b": {} } },
            "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] },
            "generic": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![] },
            "old": bson::Binary { subtype: bson::spec::BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] },
            "own": bson::Binary { subtype: bson::spec::BinarySubtype::UserDefined(0x93), bytes: vec![1] },
            "undefined": Bson::Undefined, "oid": bson::oid::ObjectId::from_bytes([9; 12]), "bool": true, "no": false,
            "date": bson::DateTime::from_millis(-1), "null": null, "reference": reference,
            "regex": Bson::RegularExpression(bson::Regex { pattern: "a/b\"".try_into().unwrap(), options: "imx".try_into().unwrap() }),
            "code": Bson::JavaScriptCode("x()".into()), "symbol": Bson::Symbol("sym".into()),
            "scoped": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: "y".into(), scope: doc! { "z": 1 } }),
            "int": i32::MIN, "ts": Bson::Timestamp(bson::Timestamp { time: u32::MAX, increment: 2 }), "long": i64::MAX,
            "decimal": "1.50E+3".parse::<bson::Decimal128>().unwrap(), "min": Bson::MinKey, "max": Bson::MaxKey,
        };
        let mut bytes = RawDocumentBuf::try_from(&all).unwrap().into_bytes();
        // A DBPointer, which the crate lets nobody make.
        bytes.pop();
        bytes.extend_from_slice(
            b"\x0cpointer\0\x04\0\0\0d.c\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\0",
        );
        let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        bytes[..4].copy_from_slice(&length);
        let all = RawDocumentBuf::from_bytes(bytes).unwrap();
        let text = written(&all);
        assert_eq!(read_document(&text).unwrap(), all, "{text}");
        assert!(
            text.contains(r#""binary":{"$binary":{"base64":"BwcHBwcHBwcHBwcHBwcHBw==","subType":"04"}}"#),
            "{text}"
        );
        assert!(text.contains(r#""scoped":{"$code":"y","$scope":{"z":{"$numberInt":"1"}}}"#), "{text}");
    }

    #[test]
    fn what_stands_twice_survives_in_its_order() {
        let text = r#"{"n":{"$gt":{"$numberInt":"2"}},"m":true,"n":{"$lt":{"$numberInt":"7"}}}"#;
        let document = read_document(text).unwrap();
        assert_eq!(document.iter().count(), 3);
        assert_eq!(written(&document), text);
    }
}
