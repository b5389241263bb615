//! Transactions: their entries wait until it is known what becomes of them.

use std::collections::HashMap;
use std::io::SeekFrom;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::entry::{Entry, is_true};
use crate::restore::element::elements;
use crate::{Error, ErrorKind, Result};

/// Bytes of open transactions in memory. What is more goes into a file without a name, which is gone with the replay.
const IN_MEMORY: usize = 32 * 1024 * 1024;

/// A transaction by its session and number.
type Id = (Box<[u8]>, i64);

/// The transactions of which the end has not been read.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: HashMap<Id, Vec<Object>>,
    /// Bytes of them in memory.
    in_memory: usize,
    file: Option<File>,
    /// Where the next goes in the file.
    end: u64,
}

/// The object of an entry, which holds operations.
#[derive(Debug)]
pub(super) enum Object {
    Here(Box<[u8]>),
    /// In the file.
    Stored {
        at: u64,
        length: usize,
    },
}

/// What an entry of a transaction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// Operations, and there are more to come or it is to be decided.
    Operations,
    /// Operations, and the transaction is committed.
    Last,
    Commit,
    Abort,
}

impl Part {
    /// `None` for an entry that belongs to no transaction.
    pub(super) fn of(entry: &Entry<'_>) -> Result<Option<Self>> {
        if entry.is_vectored || entry.kind != "c" || entry.session.is_none() || entry.number.is_none() {
            return Ok(None);
        }
        let (mut part, mut goes_on) = (None, false);
        for element in elements(entry.object) {
            let element = element?;
            match element.name {
                b"applyOps" => part = part.or(Some(Self::Last)),
                b"commitTransaction" => part = Some(Self::Commit),
                b"abortTransaction" => part = Some(Self::Abort),
                b"partialTxn" | b"prepare" => goes_on |= is_true(&element),
                _ => {}
            }
        }
        Ok(part.map(|part| if part == Self::Last && goes_on { Self::Operations } else { part }))
    }
}

impl Transactions {
    /// Takes an entry, and returns the objects of all entries of its transaction when that is committed by it, to be
    /// [read](Self::read) before another entry is taken.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when there is no room for it.
    pub(super) async fn take(&mut self, entry: &Entry<'_>, part: Part) -> Result<Vec<Object>> {
        let id = (entry.session.unwrap_or_default().into(), entry.number.unwrap_or_default());
        if part == Part::Operations {
            let object = self.keep(entry.object).await?;
            self.open.entry(id).or_default().push(object);
            return Ok(Vec::new());
        }
        let mut objects = self.open.remove(&id).unwrap_or_default();
        self.in_memory -= objects.iter().map(Object::in_memory).sum::<usize>();
        match part {
            Part::Abort => objects.clear(),
            Part::Last => objects.push(Object::Here(entry.object.into())),
            Part::Operations | Part::Commit => {}
        }
        Ok(objects)
    }

    /// What [`take`](Self::take) has returned.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when it cannot be read.
    pub(super) async fn read(&mut self, object: Object) -> Result<Box<[u8]>> {
        match (object, &mut self.file) {
            (Object::Here(bytes), _) => Ok(bytes),
            (Object::Stored { at, length }, Some(file)) => {
                let mut bytes = vec![0; length];
                let reading = async {
                    file.seek(SeekFrom::Start(at)).await?;
                    file.read_exact(&mut bytes).await
                };
                reading.await.map_err(unkept)?;
                Ok(bytes.into())
            }
            (Object::Stored { .. }, None) => Err(Error::hung_up()),
        }
    }

    async fn keep(&mut self, object: &[u8]) -> Result<Object> {
        if self.in_memory + object.len() <= IN_MEMORY {
            self.in_memory += object.len();
            return Ok(Object::Here(object.into()));
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::from_std(tempfile::tempfile().map_err(unkept)?)),
        };
        if !self.open.values().flatten().any(|object| matches!(object, Object::Stored { .. })) {
            self.end = 0;
        }
        let at = self.end;
        let writing = async {
            file.seek(SeekFrom::Start(at)).await?;
            file.write_all(object).await?;
            file.flush().await
        };
        writing.await.map_err(unkept)?;
        self.end += u64::try_from(object.len()).unwrap_or(u64::MAX);
        Ok(Object::Stored { at, length: object.len() })
    }
}

impl Object {
    fn in_memory(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Stored { .. } => 0,
        }
    }
}

fn unkept(error: std::io::Error) -> Error {
    let message =
        "transactions of the oplog that are too large for memory cannot be kept in a temporary file";
    Error::new(ErrorKind::Storage, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    /// Two transactions that take turns, of which the first has no room in memory beside the second.
    #[tokio::test]
    async fn w19_transactions_that_are_too_large_for_memory_are_kept_elsewhere() {
        let entry = |session: i32, text: &str, last: bool| {
            let mut object = rawdoc! { "applyOps": [], "text": text };
            if !last {
                object.append(bson::cstr!("partialTxn"), true);
            }
            rawdoc! { "op": "c", "ns": "admin.$cmd", "o": object, "lsid": { "id": session }, "txnNumber": 1_i64 }
        };
        let large = "x".repeat(IN_MEMORY / 4);
        let mut transactions = Transactions::default();
        for round in 0..2 {
            for position in 0..6 {
                for session in [1, 2] {
                    let document = entry(session, &format!("{session} {round} {position} {large}"), false);
                    let entry = Entry::read(document.as_bytes()).unwrap();
                    assert!(
                        transactions
                            .take(&entry, Part::of(&entry).unwrap().unwrap())
                            .await
                            .unwrap()
                            .is_empty()
                    );
                    assert!(transactions.in_memory <= IN_MEMORY);
                }
            }
            for session in [1, 2] {
                let document = entry(session, "last", true);
                let entry = Entry::read(document.as_bytes()).unwrap();
                let mut texts = Vec::new();
                for object in transactions.take(&entry, Part::of(&entry).unwrap().unwrap()).await.unwrap() {
                    let bytes = transactions.read(object).await.unwrap();
                    let document = bson::RawDocument::from_bytes(&bytes).unwrap();
                    texts.push(document.get_str("text").unwrap().split(" x").next().unwrap().to_owned());
                }
                let mut expected: Vec<String> =
                    (0..6).map(|position| format!("{session} {round} {position}")).collect();
                expected.push("last".to_owned());
                assert_eq!(texts, expected);
            }
            assert_eq!((transactions.in_memory, transactions.open.len()), (0, 0));
        }
    }
}
