//! What a reply of the server's holds: documents as bytes, and the position of the scan that found them.
//!
//! Replies are read leniently: nothing in a document is looked at but its length, so text need not be UTF-8.

use std::borrow::Cow;

use bson::{RawBsonRef, RawDocument, Timestamp};
use mongodb::error::Error as DriverError;
use mongodb::raw_batch_cursor::RawBatch;

use super::moment::at_cluster_time;
use crate::server_error::driver_error;
use crate::{Error, ErrorKind, Result};

/// What `showRecordId` appends to a document, but for the number and the document's last byte: type, name.
const RECORD_ID: &[u8] = b"\x12$recordId\0";

/// Documents of one reply.
pub(super) struct Reply {
    batch: RawBatch,
    /// The record ids that count, where the documents carry theirs.
    within: Option<Stretch>,
}

/// Record ids from the one after `after` up to `until`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub(super) after: Option<i64>,
    pub(super) until: Option<i64>,
}

impl Reply {
    pub(super) fn new(batch: RawBatch, within: Option<Stretch>) -> Self {
        Self { batch, within }
    }

    /// The documents as the server's bytes, without record ids.
    pub(super) fn documents(&self) -> Result<impl Iterator<Item = Result<Cow<'_, [u8]>>>> {
        let documents = self.batch.doc_slices().map_err(|error| read_error(&error))?;
        Ok(documents.into_iter().filter_map(|element| match (raw_document(element), self.within) {
            (Err(error), _) => Some(Err(error)),
            (Ok(document), None) => Some(Ok(Cow::Borrowed(document.as_bytes()))),
            (Ok(document), Some(stretch)) => match without_record_id(document.as_bytes()) {
                Some((id, bytes)) => stretch.contains(id).then_some(Ok(Cow::Owned(bytes))),
                None => Some(Err(unreadable("the server's reply holds no record id"))),
            },
        }))
    }

    /// Record id of the last record that the scan has looked at.
    pub(super) fn position(&self) -> Option<i64> {
        let cursor = self.batch.as_raw_document().get_document("cursor").ok()?;
        cursor.get_document("postBatchResumeToken").ok()?.get_i64("$recordId").ok()
    }

    /// Whether its documents carry record ids, and only those of a stretch count.
    pub(super) fn is_cut(&self) -> bool {
        self.within.is_some_and(|stretch| stretch.until.is_some())
    }

    /// The cluster time at which the cursor reads, if the reply says one.
    pub(super) fn at_cluster_time(&self) -> Option<Timestamp> {
        at_cluster_time(self.batch.as_raw_document())
    }

    pub(super) fn is_empty(&self) -> Result<bool> {
        Ok(self.batch.doc_slices().map_err(|error| read_error(&error))?.is_empty())
    }

    /// Whether the server keeps the cursor: there may be more.
    pub(super) fn has_more(&self) -> bool {
        let cursor = self.batch.as_raw_document().get_document("cursor");
        cursor.is_ok_and(|cursor| cursor.get_i64("id").is_ok_and(|id| id != 0))
    }
}

impl Stretch {
    fn contains(self, id: i64) -> bool {
        self.after.is_none_or(|after| id > after) && self.until.is_none_or(|until| id <= until)
    }
}

/// The record id of a document that ends with it.
pub(super) fn record_id(document: &[u8]) -> Option<i64> {
    without_record_id(document).map(|(id, _)| id)
}

/// The record id of a document that ends with it, and the document as it is stored.
fn without_record_id(document: &[u8]) -> Option<(i64, Vec<u8>)> {
    let (rest, end) = document.split_last_chunk::<1>()?;
    let (rest, id) = rest.split_last_chunk::<8>()?;
    let rest = rest.strip_suffix(RECORD_ID)?;
    let body = rest.get(4..)?;
    let length = i32::try_from(rest.len() + 1).ok()?;
    Some((i64::from_le_bytes(*id), [&length.to_le_bytes(), body, end].concat()))
}

pub(super) fn read_error(error: &DriverError) -> Error {
    driver_error("reading its documents failed; the dump was given up", error)
}

fn unreadable(message: &'static str) -> Error {
    Error::new(ErrorKind::Server, message)
}

/// The document that an element of a server's reply is.
fn raw_document(element: std::result::Result<RawBsonRef<'_>, bson::error::Error>) -> Result<&RawDocument> {
    let element =
        element.map_err(|error| unreadable("the server's reply cannot be read").with_source(error))?;
    element.as_document().ok_or_else(|| unreadable("the server's reply holds something that is no document"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn a_record_id_is_taken_off_and_the_document_is_what_it_was() {
        for document in [rawdoc! {}, rawdoc! { "_id": 1, "$recordId": 5_i64, "s": "x" }] {
            let mut shown = document.clone();
            shown.append(bson::cstr!("$recordId"), 77_i64);
            assert_eq!(without_record_id(shown.as_bytes()), Some((77, document.into_bytes())));
        }
        assert_eq!(without_record_id(rawdoc! { "_id": 1 }.as_bytes()), None);
    }

    #[test]
    fn a_stretch_begins_behind_its_first_id_and_ends_with_its_last() {
        let stretch = Stretch { after: Some(3), until: Some(5) };
        assert_eq!((1..8).filter(|id| stretch.contains(*id)).collect::<Vec<_>>(), [4, 5]);
        assert!(Stretch { after: None, until: None }.contains(i64::MIN));
    }
}
