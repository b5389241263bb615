//! What a request asks for.

use super::Operation;
use hyper::body::Incoming;
use hyper::{Method, Request};

pub(super) fn classify(request: &Request<Incoming>) -> Operation {
    let has = |name| query(request, name).is_some();
    let key = !object_key(request).is_empty();
    let method = request.method();
    if *method == Method::HEAD {
        if key { Operation::HeadObject } else { Operation::HeadBucket }
    } else if *method == Method::GET && key {
        if has("uploadId") { Operation::ListParts } else { Operation::GetObject }
    } else if *method == Method::GET {
        if has("uploads") { Operation::ListUploads } else { Operation::ListObjects }
    } else if *method == Method::PUT && key {
        match (has("uploadId"), header(request, "x-amz-copy-source").is_some()) {
            (true, true) => Operation::CopyPart,
            (true, false) => Operation::UploadPart,
            (false, true) => Operation::CopyObject,
            (false, false) => Operation::PutObject,
        }
    } else if *method == Method::POST && has("uploads") {
        Operation::CreateUpload
    } else if *method == Method::POST && has("uploadId") {
        Operation::CompleteUpload
    } else if *method == Method::DELETE && has("uploadId") {
        Operation::AbortUpload
    } else if *method == Method::DELETE && key {
        Operation::DeleteObject
    } else {
        Operation::Other
    }
}

/// The key of an object addressed by path.
pub(super) fn object_key<B>(request: &Request<B>) -> String {
    let path = request.uri().path().trim_start_matches('/');
    path.split_once('/').map_or_else(String::new, |(_, key)| key.to_owned())
}

pub(super) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map_or("", |(found, _)| found)
}

pub(super) fn query<B>(request: &Request<B>, name: &str) -> Option<String> {
    let pairs = request.uri().query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

pub(super) fn header<B>(request: &Request<B>, name: &str) -> Option<String> {
    request.headers().get(name).map(|value| value.to_str().expect("an ASCII header").to_owned())
}
