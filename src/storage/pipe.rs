//! An archive that goes from one task to another and is kept nowhere.

use super::Stored;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use tokio::sync::mpsc;

/// Pieces between the two ends: while one is read the next is at hand. A piece has about 2 MiB.
const PIECES_QUEUED: usize = 2;

/// What goes through. An end that does not come is an archive that was given up.
#[derive(Debug)]
enum Message {
    Piece(Bytes),
    End,
}

#[derive(Debug)]
pub(super) struct PipeSink {
    pieces: mpsc::Sender<Message>,
    bytes: u64,
}

#[derive(Debug)]
pub(super) struct PipeSource {
    pieces: mpsc::Receiver<Message>,
    ended: bool,
}

pub(super) fn pair() -> (PipeSink, PipeSource) {
    let (sender, receiver) = mpsc::channel(PIECES_QUEUED);
    (PipeSink { pieces: sender, bytes: 0 }, PipeSource { pieces: receiver, ended: false })
}

/// What is at the other end already cannot be taken back.
pub(super) fn cannot_begin_anew() -> Error {
    Error::new(ErrorKind::Storage, "a pipe cannot begin anew: its bytes have been read")
}

impl PipeSink {
    pub(super) async fn store(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if bytes.is_empty() {
            return Ok(());
        }
        self.send(Message::Piece(bytes)).await
    }

    pub(super) async fn complete(self) -> Result<Stored> {
        self.send(Message::End).await?;
        Ok(Stored::plain(self.bytes))
    }

    async fn send(&self, message: Message) -> Result<()> {
        let closed = |_| Error::new(ErrorKind::Storage, "nobody reads the other end of the pipe any more");
        self.pieces.send(message).await.map_err(closed)
    }
}

impl PipeSource {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        match self.pieces.recv().await {
            Some(Message::Piece(piece)) => Ok(Some(piece)),
            Some(Message::End) => {
                self.ended = true;
                Ok(None)
            }
            None => Err(Error::new(ErrorKind::Storage, "the archive was given up before it was complete")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pipe;
    use super::*;

    #[tokio::test]
    async fn pieces_come_out_in_order_and_the_end_is_said() {
        let (mut sink, mut source) = pipe();
        let write = async {
            for piece in [&b"a"[..], b"", b"bc", b"d"] {
                sink.store(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            sink.complete().await.unwrap().bytes
        };
        let read = async {
            let mut read = Vec::new();
            while let Some(piece) = source.next().await.unwrap() {
                read.extend_from_slice(&piece);
            }
            read
        };
        assert_eq!(tokio::join!(write, read), (4, b"abcd".to_vec()));
        assert_eq!((source.next().await.unwrap(), source.size()), (None, None));
    }

    #[tokio::test]
    async fn an_archive_that_is_given_up_never_looks_complete_and_a_reader_that_goes_is_told() {
        let (mut sink, mut source) = pipe();
        sink.store(Bytes::from_static(b"a")).await.unwrap();
        sink.abort().await.unwrap();
        assert_eq!(source.next().await.unwrap().as_deref(), Some(&b"a"[..]));
        assert_eq!(source.next().await.unwrap_err().kind(), ErrorKind::Storage);
        let (mut sink, source) = pipe();
        drop(source);
        assert_eq!(sink.store(Bytes::from_static(b"a")).await.unwrap_err().kind(), ErrorKind::Storage);
        assert!(sink.complete().await.is_err());
    }
}
