//! A collection's options and indexes as the text that goes into the prelude.

use archive_format::Kind;
use bson::spec::BinarySubtype;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use crate::extended_json::{read_document, write_document, write_string};
use crate::{Error, ErrorKind, Result};

/// The metadata text of one collection, with mongodump's keys in mongodump's order:
/// `options` (left out when empty), `indexes`, `uuid` (left out when there is none), `collectionName`, `type`.
///
/// # Errors
/// [`ErrorKind::Server`] when the text would not read back as what the server said, byte for byte. Extended JSON has no
/// escape for a literal that looks like one of its type wrappers (a view's `{$oid: "x"}`, say), and mongorestore would
/// create something else; mongodump refuses these as well. Nor has it one for text that is not UTF-8, which mongodump
/// replaces by other characters.
pub(super) fn metadata(
    name: &str,
    kind: Kind,
    info: &RawDocument,
    indexes: &[RawDocumentBuf],
) -> Result<String> {
    let mut text = String::from("{");
    if let Some(options) = options(info)? {
        text.push_str("\"options\":");
        faithful(options, &mut text)?;
        text.push(',');
    }
    text.push_str("\"indexes\":[");
    for (position, index) in indexes.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        faithful(index, &mut text)?;
    }
    text.push_str("],");
    if let Some(uuid) = uuid(info) {
        text.push_str("\"uuid\":\"");
        text.push_str(&uuid);
        text.push_str("\",");
    }
    text.push_str("\"collectionName\":");
    write_string(name, &mut text);
    text.push_str(",\"type\":");
    write_string(kind.as_str(), &mut text);
    text.push('}');
    Ok(text)
}

/// The options, if there are any.
fn options(info: &RawDocument) -> Result<Option<&RawDocument>> {
    match info.get("options") {
        Ok(Some(RawBsonRef::Document(options))) => Ok((!options.is_empty()).then_some(options)),
        Ok(None) => Ok(None),
        _ => Err(Error::new(ErrorKind::Server, "the server sent options that cannot be read")),
    }
}

/// Appends `document` and proves that the text reads back as the same bytes.
fn faithful(document: &RawDocument, text: &mut String) -> Result<()> {
    let start = text.len();
    write_document(document, text)?;
    match read_document(text.get(start..).unwrap_or_default()) {
        Ok(read) if same(&read, document) => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Server,
            "its options or indexes hold a literal that looks like an Extended JSON type wrapper (such as {$oid: ..}) and \
             would be restored as something else; rewrite it with $literal in another form, or drop it before dumping",
        )),
    }
}

/// Whether two documents are the same to the byte, but for the bits of a NaN, which its text does not tell.
fn same(left: &RawDocument, right: &RawDocument) -> bool {
    let equal = |(left, right)| match (left, right) {
        (Ok((a, left)), Ok((b, right))) => a == b && same_value(left, right),
        _ => false,
    };
    left.as_bytes() == right.as_bytes()
        || (left.iter().count() == right.iter().count() && left.iter().zip(right).all(equal))
}

fn same_value(left: RawBsonRef<'_>, right: RawBsonRef<'_>) -> bool {
    use RawBsonRef::{Array, Document, Double, JavaScriptCodeWithScope as Scoped};
    match (left, right) {
        (Document(left), Document(right)) => same(left, right),
        (Array(left), Array(right)) => {
            let equal = |(left, right)| match (left, right) {
                (Ok(left), Ok(right)) => same_value(left, right),
                _ => false,
            };
            left.into_iter().count() == right.into_iter().count() && left.into_iter().zip(right).all(equal)
        }
        (Double(left), Double(right)) => {
            left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
        }
        (Scoped(left), Scoped(right)) => left.code == right.code && same(left.scope, right.scope),
        _ => left == right,
    }
}

/// 32 lower-case hexadecimal digits; only binary subtype 4 counts.
fn uuid(info: &RawDocument) -> Option<String> {
    let binary = info.get_document("info").ok()?.get_binary("uuid").ok()?;
    let bytes: [u8; 16] = binary.bytes.try_into().ok()?;
    (binary.subtype == BinarySubtype::Uuid).then(|| format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{doc, rawdoc};

    #[test]
    fn the_keys_come_in_mongodumps_order_and_empty_options_are_left_out() {
        let info = rawdoc! { "options": {}, "info": { "uuid": bson::Binary { subtype: BinarySubtype::Uuid, bytes: vec![0xab; 16] } } };
        let index = rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
        assert_eq!(
            metadata("c\"", Kind::Collection, &info, &[index]).unwrap(),
            "{\"indexes\":[{\"v\":{\"$numberInt\":\"2\"},\"key\":{\"_id\":{\"$numberInt\":\"1\"}},\"name\":\"_id_\"}],\
             \"uuid\":\"abababababababababababababababab\",\"collectionName\":\"c\\\"\",\"type\":\"collection\"}"
        );
        let view = rawdoc! { "options": { "viewOn": "c", "pipeline": [] } };
        assert_eq!(
            metadata("v", Kind::View, &view, &[]).unwrap(),
            r#"{"options":{"viewOn":"c","pipeline":[]},"indexes":[],"collectionName":"v","type":"view"}"#
        );
        let unreadable = metadata("c", Kind::Collection, &rawdoc! { "options": 1 }, &[]).unwrap_err();
        assert_eq!(unreadable.kind(), ErrorKind::Server);
    }

    #[test]
    fn a_literal_that_looks_like_a_type_wrapper_is_refused_and_nan_is_not() {
        let wrapper = RawDocumentBuf::try_from(&doc! { "options": { "pipeline": [{ "$match": { "x": { "$oid": "507f1f77bcf86cd799439011" } } }] } }).unwrap();
        let error = metadata("v", Kind::View, &wrapper, &[]).unwrap_err();
        assert!(error.to_string().contains("looks like an Extended JSON type wrapper"), "{error}");
        let nan = rawdoc! { "options": { "validator": { "x": f64::NAN, "r": { "$regex": "a", "$options": "i" } } } };
        assert!(metadata("c", Kind::Collection, &nan, &[]).unwrap().contains("NaN"));
        let other_nan = rawdoc! { "options": { "validator": { "x": [{ "$in": [-f64::NAN, 1.0] }] } } };
        assert!(metadata("c", Kind::Collection, &other_nan, &[]).unwrap().contains("NaN"));
    }

    #[test]
    fn a_wrapper_that_is_hidden_behind_a_name_that_stands_twice_is_refused_too() {
        let mut literal = rawdoc! { "x": 1 };
        literal.append(bson::cstr!("x"), rawdoc! { "$date": "1970-01-01T00:00:00Z" });
        let info = rawdoc! { "options": { "validator": literal } };
        let error = metadata("c", Kind::Collection, &info, &[]).unwrap_err();
        assert!(error.to_string().contains("looks like an Extended JSON type wrapper"), "{error}");
    }

    #[test]
    fn names_that_stand_twice_and_text_of_any_depth_are_kept() {
        let mut condition = rawdoc! { "n": { "$gt": 2 } };
        condition.append(bson::cstr!("n"), rawdoc! { "$lt": 7 });
        let info = rawdoc! { "options": { "validator": condition.clone() } };
        let index =
            rawdoc! { "v": 2, "key": { "n": 1 }, "name": "n_1", "partialFilterExpression": condition };
        let twice = r#"{"n":{"$gt":{"$numberInt":"2"}},"n":{"$lt":{"$numberInt":"7"}}}"#;
        let text = metadata("c", Kind::Collection, &info, &[index]).unwrap();
        assert_eq!(text.matches(twice).count(), 2, "{text}");
        let deep = (0..178)
            .fold(rawdoc! { "at": bson::DateTime::from_millis(1) }, |inner, _| rawdoc! { "a": inner });
        let info = rawdoc! { "options": { "validator": deep } };
        assert!(metadata("c", Kind::Collection, &info, &[]).unwrap().contains("$date"));
    }

    #[test]
    fn text_that_is_not_utf_8_is_refused_and_not_replaced() {
        let mut bytes = rawdoc! { "options": { "validator": { "x": "ab" } } }.into_bytes();
        let at = bytes.windows(2).position(|window| window == b"ab").unwrap();
        bytes[at] = 0xff;
        let info = RawDocumentBuf::from_bytes(bytes).unwrap();
        let error = metadata("c", Kind::Collection, &info, &[]).unwrap_err();
        assert!(error.to_string().contains("not UTF-8"), "{error}");
    }
}
