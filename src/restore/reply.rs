//! What a server answers to a write: how many documents it took, which it refused, and whether the write is as safe as was
//! asked. Documents that are quoted in it may hold text that is not UTF-8: only what is needed is read.

use bson::{Document, RawArray, RawBsonRef, RawDocument, RawDocumentBuf};
use mongodb::error::{Error as DriverError, ErrorKind as DriverKind, Result as DriverResult};

use crate::server_error::{is_transient_code, without_values};
use crate::{Error, ErrorKind, Result};

/// The answer to `insert`, `update` or `delete`.
#[derive(Debug, Default)]
pub(super) struct WriteReply {
    /// Documents inserted, updated or deleted.
    pub(super) n: usize,
    /// Those the server refused, each for itself.
    pub(super) refused: Vec<Refused>,
    /// Why the write is not as safe as was asked.
    concern: Option<Refused>,
}

/// One document that was refused, or the write concern that was not satisfied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Refused {
    /// Its position in the command.
    pub(super) position: usize,
    pub(super) code: i32,
    /// The server's words without the document.
    pub(super) message: String,
}

/// The server's answer to a command, also where the driver cannot read all of it. An answer that says that the command may
/// succeed when it is sent again is an error which [`is_transient`](crate::server_error::is_transient).
pub(super) fn answer(result: DriverResult<Document>) -> DriverResult<RawDocumentBuf> {
    let reply = match result {
        Ok(document) => RawDocumentBuf::try_from(&document)?,
        Err(error) => match unread(&error) {
            Some(reply) if is_ok(&reply) => reply,
            Some(reply) => return Err(passing(number(&reply, "code")).unwrap_or(error)),
            None => return Err(error),
        },
    };
    match WriteReply::read(&reply).passes_with() {
        Some(error) => Err(error),
        None => Ok(reply),
    }
}

impl WriteReply {
    pub(super) fn read(reply: &RawDocument) -> Self {
        let refused = reply.get_array("writeErrors").map(Refused::all).unwrap_or_default();
        let concern = reply.get_document("writeConcernError").ok().map(Refused::read);
        let n = number(reply, "n").and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
        Self { n, refused, concern }
    }

    /// The answer of a server that refused all of `sent` documents with one code.
    pub(super) fn refused(sent: usize, code: i32) -> Self {
        let refused = |position| Refused { position, code, message: String::new() };
        Self { n: 0, refused: (0..sent).map(refused).collect(), concern: None }
    }

    /// The code of what the server says of the write concern, if it was not satisfied.
    pub(super) fn unsafe_code(&self) -> Option<i32> {
        self.concern.as_ref().map(|concern| concern.code)
    }

    /// What the server says of the write concern, if it was not satisfied.
    pub(super) fn unsafe_write(&self) -> Option<Error> {
        self.concern.as_ref().map(|concern| {
            Error::new(
                ErrorKind::Server,
                format!("the write concern was not satisfied: {} (code {})", concern.message, concern.code),
            )
        })
    }

    /// Holds the answer against the number of documents that were sent: everything was taken, or refused by name. An
    /// `ordered` command ends with the first that is refused.
    ///
    /// # Errors
    /// [`ErrorKind::Server`] when documents are unaccounted for, or the write concern was not satisfied.
    pub(super) fn check(self, sent: usize, ordered: bool) -> Result<Self> {
        if let Some(error) = self.unsafe_write() {
            return Err(error);
        }
        let tried = match self.refused.first() {
            Some(first) if ordered => first.position.saturating_add(1),
            _ => sent,
        };
        if self.n + self.refused.len() != tried || self.refused.iter().any(|one| one.position >= sent) {
            let message = format!(
                "the server was sent {tried} documents and answers that it took {} and refused {}: what it holds is \
                 not known; restore again with --drop",
                self.n,
                self.refused.len()
            );
            return Err(Error::new(ErrorKind::Server, message));
        }
        Ok(self)
    }

    /// An error that [`is_transient`](crate::server_error::is_transient), if one is in the answer: members that step down or
    /// shut down answer in this way, too.
    fn passes_with(&self) -> Option<DriverError> {
        self.refused.iter().chain(&self.concern).find_map(|one| passing(Some(one.code.into())))
    }
}

impl Refused {
    fn all(errors: &RawArray) -> Vec<Self> {
        errors.into_iter().flatten().filter_map(RawBsonRef::as_document).map(Self::read).collect()
    }

    fn read(error: &RawDocument) -> Self {
        let position = number(error, "index").and_then(|index| usize::try_from(index).ok());
        Self {
            position: position.unwrap_or_default(),
            code: number(error, "code").and_then(|code| i32::try_from(code).ok()).unwrap_or_default(),
            message: text(error, "errmsg"),
        }
    }
}

/// The answer that the driver could not read, because it quotes what is not UTF-8.
fn unread(error: &DriverError) -> Option<RawDocumentBuf> {
    match error.kind.as_ref() {
        DriverKind::Command(_) => None,
        _ => error.server_response().cloned(),
    }
}

fn is_ok(reply: &RawDocument) -> bool {
    number(reply, "ok") == Some(1)
}

/// An error that the command may be repeated after, if the code is one of those.
fn passing(code: Option<i64>) -> Option<DriverError> {
    let code = code.and_then(|code| i32::try_from(code).ok()).filter(|code| is_transient_code(*code))?;
    let message = format!("no member of the set finished the command in time (code {code})");
    Some(std::io::Error::other(message).into())
}

fn number(document: &RawDocument, name: &str) -> Option<i64> {
    match document.get(name).ok().flatten()? {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        // Some servers count in doubles; `ok` is one everywhere.
        RawBsonRef::Double(number) => format!("{number:.0}").parse().ok(),
        RawBsonRef::Boolean(ok) => Some(ok.into()),
        _ => None,
    }
}

fn text(document: &RawDocument, name: &str) -> String {
    let element = document.iter_elements().flatten().find(|element| element.key().as_str() == name);
    let text = element.and_then(|element| element.value_utf8_lossy().ok());
    text.as_ref()
        .and_then(|text| text.as_str())
        .map(|text| without_values(text).to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;
    use crate::server_error::is_transient;

    #[test]
    fn every_document_is_accounted_for() {
        let reply = rawdoc! {
            "ok": 1.0, "n": 2,
            "writeErrors": [{ "index": 1, "code": 11000, "errmsg": "E11000 duplicate key: { _id: 7 }" }],
        };
        let read = || WriteReply::read(&reply);
        let refused = read().check(3, false).unwrap().refused;
        let one = Refused { position: 1, code: 11000, message: "E11000 duplicate key:".to_owned() };
        assert_eq!(refused, [one]);
        for (sent, ordered) in [(4, false), (2, false), (3, true), (1, false)] {
            assert_eq!(
                read().check(sent, ordered).unwrap_err().kind(),
                ErrorKind::Server,
                "{sent} {ordered}"
            );
        }
        let empty = WriteReply::read(&rawdoc! { "ok": 1 });
        assert!(empty.check(1, false).unwrap_err().to_string().contains("took 0"));
    }

    #[test]
    fn a_write_concern_that_is_not_satisfied_is_an_error() {
        let reply =
            rawdoc! { "ok": 1.0, "n": 1, "writeConcernError": { "code": 64, "errmsg": "waiting timed out" } };
        let error = WriteReply::read(&reply).check(1, false).unwrap_err();
        assert!(error.to_string().contains("write concern was not satisfied: waiting timed out"), "{error}");
    }

    #[test]
    fn an_answer_of_a_member_that_steps_down_is_asked_for_again() {
        for reply in [
            rawdoc! { "ok": 1.0, "n": 1, "writeConcernError": { "code": 11602, "errmsg": "interrupted" } },
            rawdoc! { "ok": 1.0, "n": 0, "writeErrors": [{ "index": 0, "code": 10107, "errmsg": "not primary" }] },
        ] {
            let error = answer(Document::try_from(&reply).map_err(DriverError::from)).unwrap_err();
            assert!(is_transient(&error), "{error:?}");
        }
        let final_answer =
            rawdoc! { "ok": 1.0, "n": 0, "writeErrors": [{ "index": 0, "code": 11000, "errmsg": "" }] };
        assert!(answer(Document::try_from(&final_answer).map_err(DriverError::from)).is_ok());
    }

    #[test]
    fn text_that_is_not_utf_8_does_not_hide_the_answer() {
        let mut bytes = rawdoc! { "index": 3, "code": 11000, "errmsg": "E11000 abc" }.into_bytes();
        let place = bytes.windows(3).position(|window| window == b"abc").unwrap();
        *bytes.get_mut(place).unwrap() = 0xff;
        let refused = Refused::read(RawDocument::from_bytes(&bytes).unwrap());
        assert_eq!((refused.position, refused.code), (3, 11000));
        assert!(refused.message.starts_with("E11000 "), "{}", refused.message);
    }
}
