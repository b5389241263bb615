//! Answers that are no store's own.

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use s3s::Body;
use std::io;
use std::time::Duration;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn refusal(status: u16, code: &str) -> Response<Body> {
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>by script</Message></Error>"
    );
    Response::builder()
        .status(StatusCode::from_u16(status).expect("a status"))
        .header("content-type", "application/xml")
        .header("x-amz-bucket-region", "eu-central-1")
        .body(Body::from(document))
        .expect("an answer")
}

/// The same head, then some bytes, then a broken connection.
pub(super) async fn cut(answer: Response<Body>, bytes: usize) -> Result<Response<Body>, BoxError> {
    let (head, body) = answer.into_parts();
    let mut body = body.collect().await?.to_bytes();
    body.truncate(bytes);
    let breaking = stream::once(async {
        // The server writes out what it has whenever a body has to be waited for.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let frames = stream::StreamExt::chain(stream::iter([Ok(Frame::data(body))]), breaking);
    Ok(Response::from_parts(head, Body::http_body_unsync(StreamBody::new(frames))))
}

/// The same head, then the body in pieces with a pause before each.
pub(super) async fn drip(
    answer: Response<Body>,
    bytes: usize,
    pause: Duration,
) -> Result<Response<Body>, BoxError> {
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    let pieces: Vec<Bytes> = body.chunks(bytes).map(Bytes::copy_from_slice).collect();
    let frames = stream::StreamExt::then(stream::iter(pieces), move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, io::Error>(Frame::data(piece))
    });
    Ok(Response::from_parts(head, Body::http_body_unsync(StreamBody::new(frames))))
}

/// The same bytes but for one bit.
pub(super) fn flipped(bytes: &[u8], at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(last) = bytes.len().checked_sub(1) {
        bytes[if at > last { last / 2 } else { at }] ^= 4;
    }
    Bytes::from(bytes)
}

/// A store that loses bytes and does not know it.
pub(super) async fn shorten(answer: Response<Body>, bytes: usize) -> Result<Response<Body>, BoxError> {
    let (mut head, body) = answer.into_parts();
    let mut body: Bytes = body.collect().await?.to_bytes();
    body.truncate(bytes);
    head.headers.insert("content-length", body.len().into());
    Ok(Response::from_parts(head, Body::from(body)))
}
