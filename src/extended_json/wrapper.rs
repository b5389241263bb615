//! Objects of Extended JSON that stand for a value of another type, such as `{"$oid": ".."}`.

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, DateTime, Decimal128, RawBsonRef, RawDocument, Uuid};

/// The names by which the official tools recognise a wrapper, when it is the first of an object.
const NAMES: [&str; 17] = [
    "$binary",
    "$code",
    "$date",
    "$dbPointer",
    "$maxKey",
    "$minKey",
    "$numberDecimal",
    "$numberDouble",
    "$numberInt",
    "$numberLong",
    "$oid",
    "$regularExpression",
    "$scope",
    "$symbol",
    "$timestamp",
    "$undefined",
    "$uuid",
];

/// The type and the bytes of the value that `document` stands for, the wrappers inside it having been taken off; `None` if
/// it stands for itself.
///
/// # Errors
/// What is wrong, when it begins as a wrapper and does not go on as one.
pub(super) fn unwrapped(document: &[u8]) -> Result<Option<(u8, Vec<u8>)>, String> {
    let unreadable = |error: bson::error::Error| error.to_string();
    let document = RawDocument::from_bytes(document).map_err(unreadable)?;
    let mut fields = document.iter();
    let Some(first) = fields.next() else { return Ok(None) };
    let (name, value) = first.map_err(unreadable)?;
    let name = name.as_str();
    if !NAMES.contains(&name) {
        return Ok(None);
    }
    let second = fields.next().transpose().map_err(unreadable)?.map(|(name, value)| (name.as_str(), value));
    let value = match second {
        None => single(name, value),
        Some(second) if fields.next().is_none() => double((name, value), second),
        Some(_) => None,
    };
    value.map(Some).ok_or_else(|| format!("an object begins with {name} and is not what that stands for"))
}

/// A wrapper of one name.
fn single(name: &str, value: RawBsonRef<'_>) -> Option<(u8, Vec<u8>)> {
    use RawBsonRef::{Boolean, Document, Int32, Int64, ObjectId as Id, String as Text};
    Some(match (name, value) {
        ("$numberInt", Text(text)) => (0x10, text.parse::<i32>().ok()?.to_le_bytes().into()),
        ("$numberLong", Text(text)) => (0x12, text.parse::<i64>().ok()?.to_le_bytes().into()),
        ("$numberDouble", Text(text)) => (0x01, text.parse::<f64>().ok()?.to_le_bytes().into()),
        ("$numberDecimal", Text(text)) => (0x13, text.parse::<Decimal128>().ok()?.bytes().into()),
        ("$oid", Text(text)) => (0x07, ObjectId::parse_str(text).ok()?.bytes().into()),
        ("$symbol", Text(text)) => (0x0E, string(text)?),
        ("$code", Text(text)) => (0x0D, string(text)?),
        ("$uuid", Text(text)) => (0x05, binary(&Uuid::parse_str(text).ok()?.bytes(), 4)?),
        ("$binary", Document(body)) => match pair(body, "base64", "subType")? {
            (Text(base64), Text(subtype)) => (0x05, base64_binary(base64, subtype)?),
            _ => return None,
        },
        ("$date", Int64(millis)) => (0x09, millis.to_le_bytes().into()),
        // As older tools wrote it, and as the relaxed form has it.
        ("$date", Int32(millis)) => (0x09, i64::from(millis).to_le_bytes().into()),
        ("$date", Text(text)) => {
            (0x09, DateTime::parse_rfc3339_str(text).ok()?.timestamp_millis().to_le_bytes().into())
        }
        ("$timestamp", Document(body)) => {
            let (time, increment) = pair(body, "t", "i")?;
            (0x11, [unsigned(increment)?.to_le_bytes(), unsigned(time)?.to_le_bytes()].concat())
        }
        ("$regularExpression", Document(body)) => match pair(body, "pattern", "options")? {
            (Text(pattern), Text(options)) if !pattern.contains('\0') && !options.contains('\0') => {
                (0x0B, [pattern.as_bytes(), &[0], options.as_bytes(), &[0]].concat())
            }
            _ => return None,
        },
        ("$dbPointer", Document(body)) => match pair(body, "$ref", "$id")? {
            (Text(namespace), Id(id)) => (0x0C, [string(namespace)?, id.bytes().into()].concat()),
            _ => return None,
        },
        ("$minKey", Int32(1)) => (0xFF, Vec::new()),
        ("$maxKey", Int32(1)) => (0x7F, Vec::new()),
        ("$undefined", Boolean(true)) => (0x06, Vec::new()),
        _ => return None,
    })
}

/// A wrapper of two names.
fn double(first: (&str, RawBsonRef<'_>), second: (&str, RawBsonRef<'_>)) -> Option<(u8, Vec<u8>)> {
    use RawBsonRef::{Document, String as Text};
    match (first, second) {
        (("$code", Text(code)), ("$scope", Document(scope)))
        | (("$scope", Document(scope)), ("$code", Text(code))) => {
            let rest = [string(code)?.as_slice(), scope.as_bytes()].concat();
            Some((0x0F, [length(rest.len() + 4)?.as_slice(), &rest].concat()))
        }
        // As older tools wrote it.
        (("$binary", Text(base64)), ("$type", Text(subtype))) => {
            Some((0x05, base64_binary(base64, subtype)?))
        }
        _ => None,
    }
}

/// The values of a document that has these two names, in any order, and no other.
fn pair<'a>(body: &'a RawDocument, first: &str, second: &str) -> Option<(RawBsonRef<'a>, RawBsonRef<'a>)> {
    let mut fields = body.iter();
    let (a, b) = (fields.next()?.ok()?, fields.next()?.ok()?);
    match (a.0.as_str(), b.0.as_str()) {
        _ if fields.next().is_some() => None,
        names if names == (first, second) => Some((a.1, b.1)),
        names if names == (second, first) => Some((b.1, a.1)),
        _ => None,
    }
}

fn unsigned(value: RawBsonRef<'_>) -> Option<u32> {
    match value {
        RawBsonRef::Int32(number) => number.try_into().ok(),
        RawBsonRef::Int64(number) => number.try_into().ok(),
        _ => None,
    }
}

fn base64_binary(base64: &str, subtype: &str) -> Option<Vec<u8>> {
    let bytes = Binary::from_base64(base64, BinarySubtype::Generic).ok()?.bytes;
    let subtype = u8::from_str_radix(subtype, 16).ok()?;
    binary(&bytes, subtype)
}

fn binary(bytes: &[u8], subtype: u8) -> Option<Vec<u8>> {
    // The old binary has its length once more inside.
    let inside = if subtype == 2 { length(bytes.len())?.to_vec() } else { Vec::new() };
    Some([&length(inside.len() + bytes.len())?[..], &[subtype], &inside, bytes].concat())
}

fn string(text: &str) -> Option<Vec<u8>> {
    Some([&length(text.len() + 1)?[..], text.as_bytes(), &[0]].concat())
}

fn length(size: usize) -> Option<[u8; 4]> {
    Some(u32::try_from(size).ok()?.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::read_document;
    use bson::raw::RawJavaScriptCodeWithScope;
    use bson::spec::BinarySubtype;
    use bson::{Binary, DateTime, RawDocumentBuf, Timestamp, rawdoc};

    fn read(value: &str) -> RawDocumentBuf {
        read_document(&format!("{{\"x\":{value}}}")).unwrap()
    }

    #[test]
    fn the_forms_of_older_and_other_tools_are_read() {
        let uuid = Binary { subtype: BinarySubtype::Uuid, bytes: (0..16).collect() };
        let old = Binary { subtype: BinarySubtype::BinaryOld, bytes: vec![1] };
        let scoped = RawJavaScriptCodeWithScope { code: "f".into(), scope: rawdoc! { "a": 1 } };
        for (text, expected) in [
            (r#"{"$date":"1970-01-01T00:00:01.5Z"}"#, rawdoc! { "x": DateTime::from_millis(1500) }),
            (r#"{"$date":1500}"#, rawdoc! { "x": DateTime::from_millis(1500) }),
            (r#"{"$date":5000000000}"#, rawdoc! { "x": DateTime::from_millis(5_000_000_000) }),
            (r#"{"$uuid":"00010203-0405-0607-0809-0a0b0c0d0e0f"}"#, rawdoc! { "x": uuid.clone() }),
            (r#"{"$binary":{"subType":"4","base64":"AAECAwQFBgcICQoLDA0ODw=="}}"#, rawdoc! { "x": uuid }),
            (r#"{"$binary":"AQ==","$type":"02"}"#, rawdoc! { "x": old }),
            (
                r#"{"$timestamp":{"i":2,"t":4294967295}}"#,
                rawdoc! { "x": Timestamp { time: u32::MAX, increment: 2 } },
            ),
            (r#"{"$scope":{"a":1},"$code":"f"}"#, rawdoc! { "x": scoped }),
            (r#"{"$numberDouble":"-0"}"#, rawdoc! { "x": -0.0 }),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_of_a_wrapper_that_is_not_the_first_is_a_field() {
        for text in
            [r#"{"a":1,"$oid":"x"}"#, r#"{"$regex":"a","$options":"i"}"#, r#"{"$type":"00","$binary":""}"#]
        {
            let document = read(text);
            assert_eq!(document.get_document("x").unwrap().iter().count(), 2, "{text}");
        }
        assert_eq!(read(r#"{"$ref":"c","$id":1}"#), rawdoc! { "x": { "$ref": "c", "$id": 1 } });
        assert_eq!(read_document(r#"{"$date":"no date"}"#).unwrap(), rawdoc! { "$date": "no date" });
    }

    #[test]
    fn what_begins_as_a_wrapper_goes_on_as_one() {
        for text in [
            r#"{"$oid":"507f1f77bcf86cd799439011","more":1}"#,
            r#"{"$numberInt":"2147483648"}"#,
            r#"{"$numberInt":1}"#,
            r#"{"$numberLong":"1.5"}"#,
            r#"{"$numberDecimal":"x"}"#,
            r#"{"$binary":{"base64":"A","subType":"00"}}"#,
            r#"{"$binary":{"base64":"","subType":"100"}}"#,
            r#"{"$binary":{"base64":""}}"#,
            r#"{"$uuid":"00"}"#,
            r#"{"$date":"yesterday"}"#,
            r#"{"$timestamp":{"t":-1,"i":0}}"#,
            r#"{"$timestamp":{"t":1,"i":0,"x":0}}"#,
            r#"{"$regularExpression":{"pattern":"a\u0000","options":""}}"#,
            r#"{"$code":"f","more":1}"#,
            r#"{"$scope":{}}"#,
            r#"{"$minKey":2}"#,
            r#"{"$undefined":false}"#,
            r#"{"$oid":"507f1f77bcf86cd799439011","$oid":"507f1f77bcf86cd799439011"}"#,
        ] {
            let error = read_document(&format!("{{\"x\":[{text}]}}")).unwrap_err();
            assert!(error.to_string().contains("is not what that stands for"), "{text}: {error}");
        }
    }
}
