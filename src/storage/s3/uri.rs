//! Percent-encoding of what goes into a header as a part of a URI.

use std::fmt::Write;

/// Encodes everything but the unreserved characters of RFC 3986 and these.
pub(super) fn encoded(text: &str, kept: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || kept.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn what_has_a_meaning_in_a_uri_is_encoded() {
        assert_eq!(encoded("a b&c=d/\u{e4}%~", b""), "a%20b%26c%3Dd%2F%C3%A4%25~");
        assert_eq!(encoded("a/b c", b"/"), "a/b%20c");
    }
}
