//! Entries that are too large for an archive.
//!
//! The server's own documents may be 16 KiB larger than a user's, and so may an entry of the oplog: its fields lie around a
//! document of 16 MiB, or around a list of operations. No archive can carry it, for no reader takes it. So what no replay
//! looks at is left out of it, and a list of operations becomes several.

use std::borrow::Cow;

use archive_format::MAX_DOCUMENT_SIZE;
use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf, cstr, rawdoc};

use super::entry::{Command, Entry, list, replaced};
use crate::{Error, ErrorKind, Result};

/// What a replay looks at.
const NEEDED: [&str; 12] =
    ["lsid", "txnNumber", "multiOpType", "op", "ns", "o", "o2", "ts", "t", "v", "b", "prevOpTime"];

/// Bytes of operations in a part of a list.
const PART_SIZE: usize = MAX_DOCUMENT_SIZE / 2;

/// The entry as one that an archive can carry, or as several that come to the same.
///
/// # Errors
/// There is none.
pub(super) fn fitting(entry: Cow<'_, RawDocument>) -> Result<Vec<Cow<'_, RawDocument>>> {
    if fits(&entry) {
        return Ok(vec![entry]);
    }
    let bare = bare(Entry::new(&entry)?)?;
    if fits(&bare) {
        return Ok(vec![Cow::Owned(bare)]);
    }
    let whole = Entry::new(&bare)?;
    let parts = match whole.command()? {
        Some(command) if command.name == "applyOps" => match command.value {
            RawBsonRef::Array(operations) => parts(whole, &command, operations)?,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    if parts.is_empty() || !parts.iter().all(|part| fits(part)) {
        let at = whole.at()?;
        return Err(Error::new(
            ErrorKind::Server,
            format!(
                "an entry of the oplog ({}.{}, at {}:{}) is larger than the 16 MiB that an archive can carry; dump again: \
                 what was written before the dump begins needs no entry",
                whole.db, whole.collection, at.time, at.increment
            ),
        ));
    }
    Ok(parts.into_iter().map(Cow::Owned).collect())
}

fn fits(document: &RawDocument) -> bool {
    document.as_bytes().len() <= MAX_DOCUMENT_SIZE
}

/// Without what no replay looks at. Who inserts or deletes needs no second document.
fn bare(entry: Entry<'_>) -> Result<RawDocumentBuf> {
    let mut bare = RawDocumentBuf::new();
    for field in entry.document {
        let (name, value) = field.map_err(|error| super::entry::unreadable(error.to_string()))?;
        let is_needed = match name.as_str() {
            "o2" => entry.kind == "u",
            "lsid" | "txnNumber" | "multiOpType" | "prevOpTime" => entry.kind == "c",
            name => NEEDED.contains(&name),
        };
        if is_needed {
            bare.append(name, value);
        }
    }
    Ok(bare)
}

/// Several lists for one. Those of a transaction become parts of it: the last ends it as the whole did.
fn parts(entry: Entry<'_>, command: &Command<'_>, operations: &RawArray) -> Result<Vec<RawDocumentBuf>> {
    let mut lists: Vec<(usize, Vec<Cow<'_, RawDocument>>)> = Vec::new();
    for operation in entry.operations(operations) {
        let operation = operation?;
        let document = if fits_beside(operation.document) {
            Cow::Borrowed(operation.document)
        } else {
            Cow::Owned(bare(operation)?)
        };
        let size = document.as_bytes().len();
        match lists.last_mut() {
            Some((sum, list)) if *sum + size <= PART_SIZE => {
                *sum += size;
                list.push(document);
            }
            _ => lists.push((size, vec![document])),
        }
    }
    let last = lists.len().saturating_sub(1);
    let is_transaction = entry.transaction()?.is_some();
    let (at, term) = (entry.at()?, entry.document.get_i64("t").unwrap_or(-1));
    let previous = rawdoc! { "ts": at, "t": term };
    let part = |(number, (_, operations)): (usize, (usize, Vec<Cow<'_, RawDocument>>))| {
        let operations = list(operations.iter().map(Cow::as_ref));
        let mut o = replaced(command.document, cstr!("applyOps"), Some(RawBsonRef::Array(&operations)))?;
        if is_transaction && number != last {
            for mark in [cstr!("prepare"), cstr!("partialTxn"), cstr!("count")] {
                o = replaced(&o, mark, None)?;
            }
            o.append(cstr!("partialTxn"), true);
        }
        let part = entry.with_command(&o)?;
        if is_transaction && number > 0 {
            return replaced(&part, cstr!("prevOpTime"), Some(RawBsonRef::Document(&previous)));
        }
        Ok(part)
    };
    lists.into_iter().enumerate().map(part).collect()
}

/// Whether there is room for the entry's own fields beside the operation.
fn fits_beside(operation: &RawDocument) -> bool {
    operation.as_bytes().len() <= MAX_DOCUMENT_SIZE - 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::spec::BinarySubtype;
    use bson::{Binary, Timestamp};

    fn insert(id: i32, size: usize) -> RawDocumentBuf {
        rawdoc! { "op": "i", "ns": "d.c", "ui": uuid(), "o": { "_id": id, "text": "x".repeat(size) }, "o2": { "_id": id } }
    }

    fn uuid() -> Binary {
        Binary { subtype: BinarySubtype::Uuid, bytes: vec![1; 16] }
    }

    fn entry(operation: &RawDocument, more: &RawDocument) -> RawDocumentBuf {
        let mut entry = RawDocumentBuf::new();
        for field in more.into_iter().chain(operation) {
            let (name, value) = field.unwrap();
            entry.append(name, value);
        }
        entry.append(cstr!("ts"), Timestamp { time: 9, increment: 1 });
        entry.append(cstr!("t"), 3_i64);
        entry.append(cstr!("v"), 2_i64);
        entry.append(cstr!("wall"), bson::DateTime::from_millis(0));
        entry.append(cstr!("prevOpTime"), rawdoc! { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 });
        entry
    }

    fn fitted(entry: &RawDocumentBuf) -> Result<Vec<RawDocumentBuf>> {
        let fitting = fitting(Cow::Borrowed(entry.as_ref()))?;
        Ok(fitting.into_iter().map(Cow::into_owned).collect())
    }

    #[test]
    fn what_fits_is_untouched() {
        let small = entry(&insert(1, 10), &rawdoc! {});
        assert_eq!(fitted(&small).unwrap(), [small]);
    }

    #[test]
    fn b14_w4_a_document_of_nearly_16_mib_comes_without_what_no_replay_looks_at() {
        let around = 100;
        let large = entry(
            &insert(1, MAX_DOCUMENT_SIZE - around),
            &rawdoc! { "lsid": { "id": uuid() }, "txnNumber": 1_i64 },
        );
        assert!(!fits(&large));
        let fitted = fitted(&large).unwrap();
        let [one] = fitted.as_slice() else { panic!("one entry") };
        assert!(fits(one));
        let names: Vec<_> = one.iter().map(|field| field.unwrap().0.as_str()).collect();
        assert_eq!(names, ["op", "ns", "o", "ts", "t", "v"]);
        assert_eq!(one.get_document("o").unwrap(), large.get_document("o").unwrap());
    }

    #[test]
    fn w4_a_document_that_no_entry_can_hold_is_an_error_that_says_where() {
        let error = fitted(&entry(&insert(1, MAX_DOCUMENT_SIZE - 40), &rawdoc! {})).unwrap_err().report();
        assert!(error.contains("d.c, at 9:1") && error.contains("dump again"), "{error}");
    }

    #[test]
    fn w4_a_list_of_operations_becomes_several_that_are_one_transaction() {
        let operations: Vec<_> = (0..17).map(|id| insert(id, 1 << 20)).collect();
        let whole = |marks: &RawDocument, more: &RawDocument| {
            let mut o = rawdoc! { "applyOps": list(operations.iter().map(AsRef::as_ref)) };
            for field in marks {
                let (name, value) = field.unwrap();
                o.append(name, value);
            }
            entry(&rawdoc! { "op": "c", "ns": "admin.$cmd", "o": o }, more)
        };
        let transaction = rawdoc! { "lsid": { "id": uuid() }, "txnNumber": 1_i64 };
        let vectored = rawdoc! { "lsid": { "id": uuid() }, "txnNumber": 1_i64, "multiOpType": 1 };
        for (marks, more, is_one) in [
            (rawdoc! {}, &transaction, true),
            (rawdoc! { "partialTxn": true }, &transaction, true),
            (rawdoc! { "prepare": true, "count": 17_i64 }, &transaction, true),
            (rawdoc! {}, &vectored, false),
            (rawdoc! {}, &rawdoc! {}, false),
        ] {
            let fitted = fitted(&whole(&marks, more)).unwrap();
            assert!(fitted.len() > 1 && fitted.iter().all(|part| fits(part)));
            let found: Vec<_> = fitted
                .iter()
                .flat_map(|part| part.get_document("o").unwrap().get_array("applyOps").unwrap())
                .map(|operation| operation.unwrap().as_document().unwrap().to_owned())
                .collect();
            assert_eq!(found, operations);
            let (last, others) = fitted.split_last().unwrap();
            for part in others {
                let marked: Vec<_> = part
                    .get_document("o")
                    .unwrap()
                    .iter()
                    .skip(1)
                    .map(|field| field.unwrap().0.to_owned())
                    .collect();
                assert_eq!(marked, if is_one { vec![cstr!("partialTxn").to_owned()] } else { Vec::new() });
            }
            let mut ends = last.get_document("o").unwrap().to_owned();
            ends = replaced(&ends, cstr!("applyOps"), None).unwrap();
            assert_eq!(ends, marks, "ends as the whole did");
            let previous = Entry::new(last).unwrap().previous();
            assert_eq!(previous, is_one.then_some(Timestamp { time: 9, increment: 1 }));
        }
    }
}
