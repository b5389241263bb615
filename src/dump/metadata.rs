//! A collection's options and indexes as the text that goes into the prelude.

use archive_format::Kind;
use bson::spec::BinarySubtype;
use bson::{RawDocument, RawDocumentBuf};

use crate::extended_json::{read_document, same, write_document, write_string};
use crate::{Error, ErrorKind, Result};

/// The metadata text of one collection, with mongodump's keys in mongodump's order:
/// `options` (left out when empty), `indexes`, `uuid` (left out when there is none), `collectionName`, `type`.
///
/// # Errors
/// [`ErrorKind::Server`] when the text would not read back as what the server said. Extended JSON has no escape for
/// a literal that looks like one of its type wrappers (a view's `{$oid: "x"}`, say), and mongorestore would create
/// something else; mongodump refuses these as well.
pub(super) fn metadata(
    name: &str,
    kind: Kind,
    info: &RawDocument,
    indexes: &[RawDocumentBuf],
) -> Result<String> {
    let mut text = String::from("{");
    if let Ok(options) = info.get_document("options")
        && options.iter().next().is_some()
    {
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

/// Appends `document` and proves that the text reads back as the same document.
fn faithful(document: &RawDocument, text: &mut String) -> Result<()> {
    let start = text.len();
    write_document(document, text)?;
    let written = text.get(start..).unwrap_or_default();
    let original = bson::Document::try_from(document).map_err(|error| {
        Error::new(ErrorKind::Server, "the server sent options that are not valid BSON").with_source(error)
    })?;
    match read_document(written) {
        Ok(read) if same(&read, &original) => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Server,
            "its options or indexes hold a literal that looks like an Extended JSON type wrapper (such as {$oid: ..}) and \
             would be restored as something else; rewrite it with $literal in another form, or drop it before dumping",
        )),
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
    }

    #[test]
    fn a_literal_that_looks_like_a_type_wrapper_is_refused_and_nan_is_not() {
        let wrapper = RawDocumentBuf::try_from(&doc! { "options": { "pipeline": [{ "$match": { "x": { "$oid": "507f1f77bcf86cd799439011" } } }] } }).unwrap();
        let error = metadata("v", Kind::View, &wrapper, &[]).unwrap_err();
        assert!(error.to_string().contains("looks like an Extended JSON type wrapper"), "{error}");
        let nan = rawdoc! { "options": { "validator": { "x": f64::NAN, "r": { "$regex": "a", "$options": "i" } } } };
        assert!(metadata("c", Kind::Collection, &nan, &[]).unwrap().contains("NaN"));
    }
}
