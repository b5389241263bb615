//! Gzip by other tools: one stream, inflated in order, on a task of its own.

use std::io;

use async_compression::tokio::bufread::GzipDecoder;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use super::Input;
use crate::{Error, ErrorKind, Result};

/// Bytes inflated before they are handed on: large enough that the decoder sees many documents at once.
const CHUNK: usize = 1024 * 1024;

/// Inflates any number of members.
pub(super) async fn inflate(input: Input, output: &mpsc::Sender<Result<bytes::Bytes>>) -> Result<()> {
    let chunks = futures::stream::try_unfold(input, |mut input| async move {
        let chunk = input.next().await.map_err(io::Error::other)?;
        Ok::<_, io::Error>(chunk.map(|chunk| (chunk, input)))
    });
    let mut decoder = GzipDecoder::new(StreamReader::new(Box::pin(chunks)));
    decoder.multiple_members(true);
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        while chunk.len() < CHUNK {
            if decoder.read_buf(&mut chunk).await.map_err(damaged)? == 0 {
                break;
            }
        }
        if chunk.is_empty() {
            return Ok(());
        }
        if output.send(Ok(chunk.freeze())).await.is_err() {
            return Ok(());
        }
    }
}

/// An error of the source as it is; anything else is the gzip stream's.
fn damaged(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => {
            let message = if error.kind() == io::ErrorKind::UnexpectedEof {
                "the gzip stream ends too early: the archive is truncated; take a complete copy of it"
            } else {
                "the gzip stream is damaged; take another copy of the archive"
            };
            Error::new(ErrorKind::Archive, message).with_source(error)
        }
    }
}
