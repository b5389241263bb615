//! How safe a write has to be before the restore goes on.

use std::str::FromStr;

use bson::raw::RawBsonRef;
use bson::{RawDocument, RawDocumentBuf, cstr, rawdoc};
use mongodb::options::{Acknowledgment, WriteConcern as UriConcern};

use crate::extended_json::read_document;
use crate::{Error, ErrorKind, Result};

mod relaxed;

/// Members that a set can have: no server takes a larger number.
const MAX_MEMBERS: i64 = 50;

/// How safe a write has to be before the restore goes on.
///
/// It is read from mongorestore's forms: a number of members, the name of a mode (`majority`), or a document that may be
/// written as in the shell: `{w: 3, j: true, wtimeout: 500}`.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteConcern {
    document: RawDocumentBuf,
    acknowledged: bool,
}

impl WriteConcern {
    /// That of the connection string, which commands do not inherit, or `majority`.
    pub(super) fn of_uri(asked: Option<&UriConcern>) -> Self {
        let Some(asked) = asked else { return Self::default() };
        if asked.w == Some(Acknowledgment::Nodes(0)) {
            return Self::number(0);
        }
        let document = bson::serialize_to_raw_document_buf(asked).ok().filter(|asked| !asked.is_empty());
        document.map_or_else(Self::default, |document| Self { document, acknowledged: true })
    }

    /// As commands take it.
    pub(super) fn document(&self) -> &RawDocumentBuf {
        &self.document
    }

    /// Whether answers were asked for. They are awaited all the same: a server that does not answer cannot say what it has
    /// refused.
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// Whether every server knows it.
    pub(super) fn is_common(&self) -> bool {
        let mode = self.document.get("w").ok().flatten();
        matches!(mode, Some(RawBsonRef::String("majority") | RawBsonRef::Int64(1)))
    }

    fn number(members: i64) -> Self {
        Self { document: rawdoc! { "w": members.max(1) }, acknowledged: members > 0 }
    }

    fn mode(text: &str) -> Result<Self> {
        match text.parse() {
            Ok(number) => Self::members(number),
            Err(_) if text.is_empty() => Ok(Self::default()),
            Err(_) => Ok(Self { document: rawdoc! { "w": text }, acknowledged: true }),
        }
    }

    fn members(number: i64) -> Result<Self> {
        if (0..=MAX_MEMBERS).contains(&number) {
            return Ok(Self::number(number));
        }
        Err(malformed("`w` is a number of members, from 0 to 50, or the name of a mode"))
    }

    fn read(document: &RawDocument) -> Result<Self> {
        let field = |name: &str| document.get(name).ok().flatten();
        let mut concern = match field("w") {
            None => Self::default(),
            Some(RawBsonRef::String(mode)) => Self::mode(mode)?,
            Some(value) => match whole(value) {
                Some(number) => Self::members(number)?,
                None => return Err(malformed("`w` is neither a number nor the name of a mode")),
            },
        };
        if field("j").is_some_and(is_true) {
            if !concern.acknowledged {
                return Err(malformed("a write cannot be in the journal (`j`) and not be answered (`w: 0`)"));
            }
            concern.document.append(cstr!("j"), true);
        }
        if let Some(value) = field("wtimeout") {
            let limit = whole(value).ok_or_else(|| malformed("`wtimeout` is no number of milliseconds"))?;
            if limit > 0 && concern.acknowledged {
                concern.document.append(cstr!("wtimeout"), limit);
            }
        }
        Ok(concern)
    }
}

/// What mongorestore asks for.
impl Default for WriteConcern {
    fn default() -> Self {
        Self { document: rawdoc! { "w": "majority" }, acknowledged: true }
    }
}

impl FromStr for WriteConcern {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::InvalidInput`] for what begins like a document and is none, and for values that no server takes.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if !text.starts_with('{') {
            return Self::mode(text);
        }
        let document = relaxed::strict(text)
            .and_then(|strict| read_document(&strict).ok())
            .ok_or_else(|| malformed("it is no document as in {w: 3, j: true, wtimeout: 500}"))?;
        Self::read(&document)
    }
}

fn malformed(why: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("the write concern cannot be used: {why}"))
}

/// As the tools read a number: without what is behind the point.
fn whole(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) => format!("{:.0}", number.trunc()).parse().ok(),
        _ => None,
    }
}

/// As the server reads a boolean.
fn is_true(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Boolean(yes) => yes,
        RawBsonRef::Double(number) => number != 0.0,
        RawBsonRef::Null | RawBsonRef::Undefined => false,
        number => whole(number) != Some(0),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parsed(text: &str) -> WriteConcern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn b60_the_write_concern_is_the_connection_strings_or_majority() {
        let majority = rawdoc! { "w": "majority" };
        assert_eq!(*WriteConcern::of_uri(None).document(), majority);
        assert_eq!(*WriteConcern::of_uri(Some(&UriConcern::builder().build())).document(), majority);
        let none = UriConcern::builder().w(Acknowledgment::Nodes(0)).build();
        assert!(!WriteConcern::of_uri(Some(&none)).is_acknowledged());
        let asked =
            UriConcern::builder().w(Acknowledgment::Nodes(2)).w_timeout(Duration::from_secs(1)).build();
        let written = WriteConcern::of_uri(Some(&asked));
        assert_eq!(whole(written.document().get("w").unwrap().unwrap()), Some(2));
        assert!(written.document().get("wtimeout").unwrap().is_some(), "{written:?}");
    }

    #[test]
    fn b60_a_write_concern_is_a_number_a_mode_or_a_document_as_in_the_shell() {
        for (text, document) in [
            ("majority", rawdoc! { "w": "majority" }),
            ("", rawdoc! { "w": "majority" }),
            ("tagset", rawdoc! { "w": "tagset" }),
            ("4", rawdoc! { "w": 4_i64 }),
            ("{w:34}", rawdoc! { "w": 34_i64 }),
            ("{w:'34'}", rawdoc! { "w": 34_i64 }),
            (r#"{"w": "majority"}"#, rawdoc! { "w": "majority" }),
            ("{ w : NumberInt(2) , 'j': true, wtimeout: 500, fsync: true }", {
                rawdoc! { "w": 2_i64, "j": true, "wtimeout": 500_i64 }
            }),
            (
                "{j: 1, wtimeout: NumberLong(\"7\")}",
                rawdoc! { "w": "majority", "j": true, "wtimeout": 7_i64 },
            ),
            ("{j: false, wtimeout: 0, w: 2.0}", rawdoc! { "w": 2_i64 }),
            ("{}", rawdoc! { "w": "majority" }),
        ] {
            assert_eq!(*parsed(text).document(), document, "{text}");
            assert!(parsed(text).is_acknowledged(), "{text}");
        }
        for text in ["0", "{w:0}", "{w: '0', wtimeout: 5}"] {
            assert_eq!(*parsed(text).document(), rawdoc! { "w": 1_i64 }, "{text}: answered all the same");
            assert!(!parsed(text).is_acknowledged(), "{text}");
        }
    }

    #[test]
    fn b60_a_malformed_write_concern_is_refused_and_not_taken_for_a_mode() {
        for text in [
            "{w: ",
            "{w: }",
            "{w 3}",
            "{w: 3",
            "{w: 3}}",
            "{w: bad}",
            "{w: true}",
            "{w: {dc: 1}}",
            "{w: null}",
            "{w: [1]}",
            "-1",
            "{w: -1}",
            "{w: 51}",
            "{w: 0, j: true}",
            "{wtimeout: 'x'}",
            "{w: 'a}",
        ] {
            let error = text.parse::<WriteConcern>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        }
    }
}
