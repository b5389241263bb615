//! A collection's options and indexes as the text that goes into the prelude.

use archive_format::Kind;
use bson::raw::CStr;
use bson::spec::BinarySubtype;
use bson::{Binary, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, cstr, rawdoc};

use crate::extended_json::{EXACT_METADATA, read_document, write_document, write_string};
use crate::{Error, ErrorKind, Result};

/// What the prelude says of one collection.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) text: String,
    /// Whether every reader of the text finds in it what the server said, byte for byte. Otherwise only ours does.
    pub(super) is_exact: bool,
}

/// The metadata text of one collection, with mongodump's keys in mongodump's order:
/// `options` (left out when empty), `indexes`, `uuid` (left out when there is none), `collectionName`, `type`.
///
/// Extended JSON has no escape for a literal that looks like one of its type wrappers (a view's `{$oid: "x"}`, say), nor one
/// for text that is not UTF-8. mongodump gives the whole dump up then. Here the options and indexes stand once more in the
/// text, as their bytes, under a name that mongorestore passes over; what is left for mongorestore is what it can read at
/// all: an option, a view's pipeline or an index that it could not read would make it refuse the whole archive.
///
/// # Errors
/// [`ErrorKind::Server`] when the server's answer cannot be read.
pub(super) fn metadata(
    name: &str,
    kind: Kind,
    info: &RawDocument,
    indexes: &[RawDocumentBuf],
) -> Result<Metadata> {
    let mut text = String::from("{");
    let mut is_exact = true;
    let options = options(info)?;
    if let Some(options) = options {
        let (written, is_faithful) = readable_fields(options)?;
        is_exact &= is_faithful;
        text.push_str("\"options\":");
        text.push_str(&written);
        text.push(',');
    }
    text.push_str("\"indexes\":[");
    let mut separator = "";
    for index in indexes {
        let written = written(index);
        is_exact &= written.as_ref().is_some_and(|written| written.is_faithful);
        if let Some(written) = written {
            text.push_str(separator);
            text.push_str(&written.text);
            separator = ",";
        }
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
    if !is_exact {
        text.push(',');
        write_string(EXACT_METADATA, &mut text);
        text.push(':');
        let mut exact = String::new();
        write_document(&rawdoc! { "b": as_bytes(options, indexes) }, &mut exact)?;
        text.push_str(
            exact.strip_prefix("{\"b\":").and_then(|exact| exact.strip_suffix('}')).unwrap_or_default(),
        );
    }
    text.push('}');
    Ok(Metadata { text, is_exact })
}

/// A view's listing as that of a collection with the documents that it shows.
pub(super) fn without_view(info: &RawDocument) -> RawDocumentBuf {
    let mut shown = RawDocumentBuf::new();
    for (name, value) in info.iter().flatten() {
        match (name.as_str(), value) {
            ("options", RawBsonRef::Document(options)) => {
                let own = |(name, _): &(&CStr, _)| !matches!(name.as_str(), "viewOn" | "pipeline");
                let options: RawDocumentBuf = options.iter().flatten().filter(own).collect();
                shown.append(name, options);
            }
            _ => shown.append(name, value),
        }
    }
    shown
}

/// The options, if there are any.
fn options(info: &RawDocument) -> Result<Option<&RawDocument>> {
    match info.get("options") {
        Ok(Some(RawBsonRef::Document(options))) => Ok((!options.is_empty()).then_some(options)),
        Ok(None) => Ok(None),
        _ => Err(Error::new(ErrorKind::Server, "the server sent options that cannot be read")),
    }
}

/// Options and indexes as the server sent them.
fn as_bytes(options: Option<&RawDocument>, indexes: &[RawDocumentBuf]) -> Binary {
    let mut all = RawArrayBuf::new();
    for index in indexes {
        all.push(index.clone());
    }
    let mut exact = RawDocumentBuf::new();
    if let Some(options) = options {
        exact.append(cstr!("options"), options);
    }
    exact.append(cstr!("indexes"), all);
    Binary { subtype: BinarySubtype::Generic, bytes: exact.into_bytes() }
}

/// A document as text.
struct Written {
    text: String,
    /// Whether it reads back as the same bytes.
    is_faithful: bool,
}

/// `None` where it cannot be read back at all.
fn written(document: &RawDocument) -> Option<Written> {
    let mut text = String::new();
    write_document(document, &mut text).ok()?;
    let read = read_document(&text).ok()?;
    Some(Written { is_faithful: same(&read, document), text })
}

/// The options as text without those that cannot be read back; whether the text is faithful. A view of which a part is
/// missing would show what nobody is to see: then it has no options, and mongorestore makes an empty collection of it.
fn readable_fields(options: &RawDocument) -> Result<(String, bool)> {
    if let Some(Written { text, is_faithful }) = written(options) {
        return Ok((text, is_faithful));
    }
    let mut readable = RawDocumentBuf::new();
    let is_view = options.get("viewOn").is_ok_and(|found| found.is_some());
    for (name, value) in options.iter().flatten().filter(|_| !is_view) {
        let mut field = RawDocumentBuf::new();
        field.append(name, value);
        if written(&field).is_some() {
            readable.append(name, value);
        }
    }
    let mut text = String::new();
    write_document(&readable, &mut text)?;
    Ok((text, false))
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

    /// The text of what every reader finds exactly in it.
    fn exact(name: &str, kind: Kind, info: &RawDocument, indexes: &[RawDocumentBuf]) -> String {
        let metadata = metadata(name, kind, info, indexes).unwrap();
        assert!(metadata.is_exact && !metadata.text.contains(EXACT_METADATA), "{}", metadata.text);
        metadata.text
    }

    /// What only ours finds exactly in the text: options and indexes.
    fn inexact(
        kind: Kind,
        info: &RawDocument,
        indexes: &[RawDocumentBuf],
    ) -> (RawDocumentBuf, RawDocumentBuf) {
        let metadata = metadata("c", kind, info, indexes).unwrap();
        assert!(!metadata.is_exact);
        let read = read_document(&metadata.text).unwrap();
        let bytes = read.get_binary(EXACT_METADATA).unwrap().bytes;
        (read.clone(), RawDocumentBuf::from_bytes(bytes.to_vec()).unwrap())
    }

    #[test]
    fn b17_b18_the_keys_come_in_mongodumps_order_and_empty_options_are_left_out() {
        let info = rawdoc! { "options": {}, "info": { "uuid": Binary { subtype: BinarySubtype::Uuid, bytes: vec![0xab; 16] } } };
        let index = rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
        assert_eq!(
            exact("c\"", Kind::Collection, &info, &[index]),
            "{\"indexes\":[{\"v\":{\"$numberInt\":\"2\"},\"key\":{\"_id\":{\"$numberInt\":\"1\"}},\"name\":\"_id_\"}],\
             \"uuid\":\"abababababababababababababababab\",\"collectionName\":\"c\\\"\",\"type\":\"collection\"}"
        );
        let view = rawdoc! { "options": { "viewOn": "c", "pipeline": [] } };
        assert_eq!(
            exact("v", Kind::View, &view, &[]),
            r#"{"options":{"viewOn":"c","pipeline":[]},"indexes":[],"collectionName":"v","type":"view"}"#
        );
        let unreadable = metadata("c", Kind::Collection, &rawdoc! { "options": 1 }, &[]).unwrap_err();
        assert_eq!(unreadable.kind(), ErrorKind::Server);
    }

    #[test]
    fn w8_a_literal_that_looks_like_a_type_wrapper_is_stored_and_read_back_by_ours() {
        let id = "507f1f77bcf86cd799439011";
        let view =
            rawdoc! { "options": { "viewOn": "c", "pipeline": [{ "$match": { "x": { "$oid": id } } }] } };
        let (text, stored) = inexact(Kind::View, &view, &[]);
        assert_eq!(stored.get_document("options").unwrap(), view.get_document("options").unwrap());
        // Others find an id where the text of one was.
        assert_ne!(text.get_document("options").unwrap(), view.get_document("options").unwrap());

        let mut literal = rawdoc! { "x": 1 };
        literal.append(cstr!("x"), rawdoc! { "$date": "1970-01-01T00:00:00Z" });
        let info = rawdoc! { "options": { "validator": literal.clone() } };
        let (_, stored) = inexact(Kind::Collection, &info, &[]);
        assert_eq!(stored.get_document("options").unwrap().get_document("validator").unwrap(), &*literal);
    }

    #[test]
    fn w8_what_no_reader_could_read_is_left_out_of_the_text_so_that_the_rest_is_restored() {
        let unreadable = rawdoc! { "x": { "$oid": "none" } };
        let info = rawdoc! { "options": { "capped": true, "validator": unreadable.clone() } };
        let fine = rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1" };
        let mut partial = rawdoc! { "v": 2, "key": { "b": 1 }, "name": "b_1", "unique": true };
        partial.append(cstr!("partialFilterExpression"), unreadable);
        let (text, stored) = inexact(Kind::Collection, &info, &[fine.clone(), partial.clone()]);
        assert_eq!(text.get_document("options").unwrap(), &*rawdoc! { "capped": true });
        assert_eq!(text.get_array("indexes").unwrap().into_iter().count(), 1, "no index without its filter");
        assert_eq!(stored.get_document("options").unwrap(), info.get_document("options").unwrap());
        let indexes: Vec<_> = stored.get_array("indexes").unwrap().into_iter().flatten().collect();
        assert_eq!(indexes[1].as_document().unwrap(), &*partial);

        let view =
            rawdoc! { "options": { "viewOn": "c", "pipeline": [{ "$match": { "x": { "$oid": "none" } } }] } };
        let (text, _) = inexact(Kind::View, &view, &[]);
        assert!(
            text.get_document("options").unwrap().is_empty(),
            "a view without its pipeline would show everything"
        );
    }

    #[test]
    fn w8_text_that_is_not_utf_8_is_stored_as_it_is() {
        let mut bytes = rawdoc! { "options": { "validator": { "x": "ab" } } }.into_bytes();
        let at = bytes.windows(2).position(|window| window == b"ab").unwrap();
        bytes[at] = 0xff;
        let info = RawDocumentBuf::from_bytes(bytes).unwrap();
        let (text, stored) = inexact(Kind::Collection, &info, &[]);
        assert!(text.get_document("options").unwrap().is_empty());
        assert_eq!(stored.get_document("options").unwrap(), info.get_document("options").unwrap());
    }

    #[test]
    fn w8_any_nan_is_stored() {
        let nan = rawdoc! { "options": { "validator": { "x": f64::NAN, "r": { "$regex": "a", "$options": "i" } } } };
        assert!(exact("c", Kind::Collection, &nan, &[]).contains("NaN"));
        let other_nan = rawdoc! { "options": { "validator": { "x": [{ "$in": [-f64::NAN, 1.0] }] } } };
        assert!(exact("c", Kind::Collection, &other_nan, &[]).contains("NaN"));
    }

    #[test]
    fn b28_a_view_dumped_as_a_collection_is_no_view() {
        let view = rawdoc! { "name": "v", "options": { "viewOn": "c", "pipeline": [], "collation": { "locale": "fr" } } };
        let text = exact("v", Kind::View, &without_view(&view), &[]);
        assert_eq!(
            text,
            r#"{"options":{"collation":{"locale":"fr"}},"indexes":[],"collectionName":"v","type":"view"}"#
        );
        let bare = rawdoc! { "options": { "viewOn": "c", "pipeline": [] } };
        assert!(!exact("v", Kind::View, &without_view(&bare), &[]).contains("options"));
    }

    #[test]
    fn b19_names_that_stand_twice_and_text_of_any_depth_are_kept() {
        let mut condition = rawdoc! { "n": { "$gt": 2 } };
        condition.append(bson::cstr!("n"), rawdoc! { "$lt": 7 });
        let info = rawdoc! { "options": { "validator": condition.clone() } };
        let index =
            rawdoc! { "v": 2, "key": { "n": 1 }, "name": "n_1", "partialFilterExpression": condition };
        let twice = r#"{"n":{"$gt":{"$numberInt":"2"}},"n":{"$lt":{"$numberInt":"7"}}}"#;
        let text = exact("c", Kind::Collection, &info, &[index]);
        assert_eq!(text.matches(twice).count(), 2, "{text}");
        let deep = (0..178)
            .fold(rawdoc! { "at": bson::DateTime::from_millis(1) }, |inner, _| rawdoc! { "a": inner });
        let info = rawdoc! { "options": { "validator": deep } };
        assert!(exact("c", Kind::Collection, &info, &[]).contains("$date"));
    }
}
