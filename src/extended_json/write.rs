//! BSON as canonical Extended JSON.
//!
//! The general-purpose serialisers differ from the official tools in how they print doubles and which characters they
//! escape, so the writer is our own.

use std::fmt::Write;

use bson::error::ErrorKind as BsonError;
use bson::{Bson, RawArray, RawBsonRef, RawDocument};

use crate::{Error, ErrorKind, Result};

/// Appends `document` as canonical Extended JSON without white space.
///
/// # Errors
/// [`ErrorKind::Server`] when the document is not valid BSON, or holds text that is not UTF-8: BSON can, JSON cannot.
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
            out.push_str("{\"$regularExpression\":{\"pattern\":");
            write_string(regex.pattern.as_str(), out);
            out.push_str(",\"options\":");
            write_string(regex.options.as_str(), out);
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

fn invalid_bson(error: bson::error::Error) -> Error {
    let message = match error.kind {
        BsonError::Utf8Encoding { .. } => {
            "the server holds text that is not UTF-8, and an archive's metadata is JSON, which cannot hold it; write that \
             option or index anew with proper text before dumping"
        }
        _ => "the server sent BSON that cannot be read",
    };
    Error::new(ErrorKind::Server, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn written(document: &RawDocument) -> String {
        let mut out = String::new();
        write_document(document, &mut out).unwrap();
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
            assert_eq!(written(&rawdoc! { "n": number }), format!(r#"{{"n":{{"$numberDouble":"{text}"}}}}"#));
        }
    }

    #[test]
    fn strings_are_escaped_as_the_official_tools_escape_them() {
        let text = "\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}<>&\u{2028}\u{2029}ü🦀/";
        assert_eq!(
            written(&rawdoc! { "s": text }),
            "{\"s\":\"\\\"\\\\\\n\\r\\t\\b\\f\\u0001\u{7f}<>&\\u2028\\u2029ü🦀/\"}"
        );
    }

    #[test]
    fn text_that_json_cannot_hold_is_refused() {
        for document in [&b"\x0f\0\0\0\x02a\0\x03\0\0\0\xff\xff\0\0"[..], b"\x09\0\0\0\x08\xff\0\x01\0"] {
            let error =
                write_document(RawDocument::from_bytes(document).unwrap(), &mut String::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Server);
            assert!(error.to_string().contains("not UTF-8"), "{error}");
        }
    }
}
