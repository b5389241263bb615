//! MongoDB Extended JSON v2, canonical: the text mongodump puts into a collection's metadata, byte for byte.
//!
//! The general-purpose serialisers differ from the official tools in how they print doubles and which characters they
//! escape, so the writer is our own; reading is left to the `bson` crate, which takes canonical, relaxed and legacy
//! number forms.

use std::fmt::Write;

use bson::{Bson, Document, RawArray, RawBsonRef, RawDocument};

use crate::{Error, ErrorKind, Result};

/// Appends `document` as canonical Extended JSON without white space.
///
/// # Errors
/// [`ErrorKind::Server`] when the document is not valid BSON.
pub(crate) fn write_document(document: &RawDocument, out: &mut String) -> Result<()> {
    out.push('{');
    for (index, element) in document.iter().enumerate() {
        let (key, value) = element.map_err(invalid_bson)?;
        if index > 0 {
            out.push(',');
        }
        write_string(key.as_str(), out);
        out.push(':');
        write_value(value, out)?;
    }
    out.push('}');
    Ok(())
}

/// Appends `text` as a JSON string with the escapes the official tools use: `<`, `>` and `&` stay, U+2028 and U+2029
/// do not.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                push(out, format_args!("\\u{:04x}", u32::from(character)));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// Reads one document of Extended JSON, canonical or relaxed.
///
/// # Errors
/// [`ErrorKind::Archive`] when the text is no JSON object or a type wrapper in it is malformed.
pub(crate) fn read_document(text: &str) -> Result<Document> {
    let invalid =
        |error: String| Error::new(ErrorKind::Archive, format!("the metadata is not Extended JSON: {error}"));
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    Document::try_from(map).map_err(|error| invalid(error.to_string()))
}

/// Whether two documents are the same, every NaN being equal to every other.
pub(crate) fn same(left: &Document, right: &Document) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|((a, x), (b, y))| a == b && same_value(x, y))
}

fn same_value(left: &Bson, right: &Bson) -> bool {
    match (left, right) {
        (Bson::Document(left), Bson::Document(right)) => same(left, right),
        (Bson::Array(left), Bson::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(x, y)| same_value(x, y))
        }
        (Bson::Double(left), Bson::Double(right)) => {
            left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
        }
        _ => left == right,
    }
}

fn write_value(value: RawBsonRef<'_>, out: &mut String) -> Result<()> {
    match value {
        RawBsonRef::Double(number) => {
            out.push_str("{\"$numberDouble\":\"");
            write_double(number, out);
            out.push_str("\"}");
        }
        RawBsonRef::String(text) => write_string(text, out),
        RawBsonRef::Array(array) => write_array(array, out)?,
        RawBsonRef::Document(document) => write_document(document, out)?,
        RawBsonRef::Boolean(truth) => out.push_str(if truth { "true" } else { "false" }),
        RawBsonRef::Null => out.push_str("null"),
        RawBsonRef::Int32(number) => push(out, format_args!("{{\"$numberInt\":\"{number}\"}}")),
        RawBsonRef::Int64(number) => push(out, format_args!("{{\"$numberLong\":\"{number}\"}}")),
        RawBsonRef::Decimal128(number) => push(out, format_args!("{{\"$numberDecimal\":\"{number}\"}}")),
        RawBsonRef::ObjectId(id) => push(out, format_args!("{{\"$oid\":\"{}\"}}", id.to_hex())),
        RawBsonRef::DateTime(at) => {
            push(out, format_args!("{{\"$date\":{{\"$numberLong\":\"{}\"}}}}", at.timestamp_millis()));
        }
        RawBsonRef::Timestamp(at) => {
            push(out, format_args!("{{\"$timestamp\":{{\"t\":{},\"i\":{}}}}}", at.time, at.increment));
        }
        RawBsonRef::RegularExpression(regex) => {
            let mut options: Vec<char> = regex.options.as_str().chars().collect();
            options.sort_unstable();
            out.push_str("{\"$regularExpression\":{\"pattern\":");
            write_string(regex.pattern.as_str(), out);
            out.push_str(",\"options\":");
            write_string(&options.into_iter().collect::<String>(), out);
            out.push_str("}}");
        }
        RawBsonRef::JavaScriptCode(code) => {
            out.push_str("{\"$code\":");
            write_string(code, out);
            out.push('}');
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            out.push_str("{\"$code\":");
            write_string(code.code, out);
            out.push_str(",\"$scope\":");
            write_document(code.scope, out)?;
            out.push('}');
        }
        RawBsonRef::Symbol(symbol) => {
            out.push_str("{\"$symbol\":");
            write_string(symbol, out);
            out.push('}');
        }
        RawBsonRef::Undefined => out.push_str("{\"$undefined\":true}"),
        RawBsonRef::MinKey => out.push_str("{\"$minKey\":1}"),
        RawBsonRef::MaxKey => out.push_str("{\"$maxKey\":1}"),
        // Base64 and the private fields of DBPointer: the generic form has no character the two writers print differently.
        RawBsonRef::Binary(_) | RawBsonRef::DbPointer(_) => {
            let value = Bson::try_from(value).map_err(invalid_bson)?;
            push(out, format_args!("{}", value.into_canonical_extjson()));
        }
    }
    Ok(())
}

fn write_array(array: &RawArray, out: &mut String) -> Result<()> {
    out.push('[');
    for (index, value) in array.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_value(value.map_err(invalid_bson)?, out)?;
    }
    out.push(']');
    Ok(())
}

/// Shortest form that reads back the same: plain notation for exponents from -4 to 5, otherwise an upper-case `E` with
/// a sign and two digits; `.0` when nothing else tells it from an integer (Go's `'G'` format with its `.0` rule).
fn write_double(number: f64, out: &mut String) {
    if number.is_nan() {
        return out.push_str("NaN");
    }
    if number.is_infinite() {
        return out.push_str(if number > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) || number == 0.0 {
        let plain = format!("{number}");
        out.push_str(&plain);
        if !plain.contains('.') {
            out.push_str(".0");
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        push(out, format_args!("{digits}E{sign}{:02}", exponent.unsigned_abs()));
    }
}

/// Formatting into a `String` cannot fail.
fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}

fn invalid_bson(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Server, "the server sent BSON that cannot be read").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawDocumentBuf, doc};

    fn written(document: &Document) -> String {
        let raw = RawDocumentBuf::try_from(document).unwrap();
        let mut out = String::new();
        write_document(&raw, &mut out).unwrap();
        out
    }

    #[test]
    fn doubles_are_printed_as_the_official_tools_print_them() {
        for (number, text) in [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (123_456.0, "123456.0"),
            (1_000_000.0, "1E+06"),
            (123_456_789.0, "1.23456789E+08"),
            (1_234_567.5, "1.2345675E+06"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25E-05"),
            (-2.5e-300, "-2.5E-300"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157E+308"),
            (5e-324, "5E-324"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(written(&doc! { "n": number }), format!(r#"{{"n":{{"$numberDouble":"{text}"}}}}"#));
        }
    }

    #[test]
    fn strings_are_escaped_as_the_official_tools_escape_them() {
        let text = "\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}<>&\u{2028}\u{2029}ü🦀/";
        assert_eq!(
            written(&doc! { "s": text }),
            "{\"s\":\"\\\"\\\\\\n\\r\\t\\b\\f\\u0001\u{7f}<>&\\u2028\\u2029ü🦀/\"}"
        );
    }

    #[test]
    fn every_type_survives_the_way_out_and_back() {
        let all = doc! {
            "double": 1.5, "string": "s", "array": [1, [2_i64], { "x": null }], "doc": { "a": { "b": {} } },
            "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] },
            "old": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![] },
            "undefined": Bson::Undefined, "oid": bson::oid::ObjectId::from_bytes([9; 12]), "bool": true,
            "date": bson::DateTime::from_millis(-1), "null": null,
            "regex": Bson::RegularExpression(bson::Regex { pattern: "a/b\"".try_into().unwrap(), options: "imx".try_into().unwrap() }),
            "code": Bson::JavaScriptCode("x()".into()), "symbol": Bson::Symbol("sym".into()),
            "scoped": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: "y".into(), scope: doc! { "z": 1 } }),
            "int": i32::MIN, "ts": Bson::Timestamp(bson::Timestamp { time: 1, increment: 2 }), "long": i64::MAX,
            "decimal": "1.50E+3".parse::<bson::Decimal128>().unwrap(), "min": Bson::MinKey, "max": Bson::MaxKey,
        };
        let text = written(&all);
        assert_eq!(read_document(&text).unwrap(), all, "{text}");
        assert!(
            text.contains(r#""binary":{"$binary":{"base64":"BwcHBwcHBwcHBwcHBwcHBw==","subType":"04"}}"#),
            "{text}"
        );
        assert!(text.contains(r#""scoped":{"$code":"y","$scope":{"z":{"$numberInt":"1"}}}"#), "{text}");
    }

    #[test]
    fn relaxed_numbers_are_read_and_other_text_is_refused() {
        let read = read_document(r#"{"v":2,"w":1.5,"x":{"$numberLong":"3"},"y":5000000000}"#).unwrap();
        assert_eq!(read, doc! { "v": 2, "w": 1.5, "x": 3_i64, "y": 5_000_000_000_i64 });
        for text in ["[]", "{", "1", r#"{"x":{"$oid":"zz"}}"#] {
            assert_eq!(read_document(text).unwrap_err().kind(), ErrorKind::Archive, "{text}");
        }
    }
}
