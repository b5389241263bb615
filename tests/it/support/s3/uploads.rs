//! Multipart uploads, of which `s3s-fs` keeps records and parts in files and no list.

use super::request::query;
use hyper::{Request, Response};
use s3s::Body;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The uploads that have begun.
#[derive(Debug)]
pub struct Uploads {
    root: PathBuf,
    begun: Mutex<Vec<Begun>>,
}

/// A multipart upload as the listing tells it.
#[derive(Debug)]
struct Begun {
    bucket: String,
    key: String,
    id: String,
}

impl Uploads {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), begun: Mutex::default() }
    }

    pub(super) fn add(&self, bucket: String, key: String, id: String) {
        self.begun.lock().unwrap().push(Begun { bucket, key, id });
    }

    /// Whether it has not ended.
    pub(super) fn is_open(&self, id: &str) -> bool {
        self.root.join(format!(".upload-{id}.json")).exists()
    }

    /// What `s3s-fs` leaves out: the uploads under a prefix, in one page.
    pub(super) fn list(&self, bucket: &str, request: &Request<Body>) -> Response<Body> {
        let prefix = query(request, "prefix").map(|prefix| prefix.replace("%2F", "/")).unwrap_or_default();
        let uploads = self.begun.lock().unwrap();
        let open = uploads.iter().filter(|upload| {
            upload.bucket == bucket && upload.key.starts_with(&prefix) && self.is_open(&upload.id)
        });
        let entries: Vec<String> = open
            .map(|Begun { key, id, .. }| {
                format!(
                    "<Upload><Key>{key}</Key><UploadId>{id}</UploadId>\
                     <Initiated>2026-11-25T00:00:00.000Z</Initiated></Upload>"
                )
            })
            .collect();
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListMultipartUploadsResult>\
             <Bucket>{bucket}</Bucket><IsTruncated>false</IsTruncated>{}</ListMultipartUploadsResult>",
            entries.concat()
        );
        Response::builder()
            .header("content-type", "application/xml")
            .body(Body::from(document))
            .expect("an answer")
    }

    pub(super) fn bytes_of_parts(&self, upload: &str) -> u64 {
        self.parts(upload).iter().map(|part| part.len() as u64).sum()
    }

    /// The parts of an upload in their order.
    pub(super) fn parts(&self, upload: &str) -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(&self.root).expect("the root").map(|entry| entry.expect("an entry"));
        let prefix = format!(".upload_id-{upload}.part-");
        let number = |name: &str| name.strip_prefix(&prefix).and_then(|number| number.parse::<u32>().ok());
        let mut parts: Vec<_> = entries
            .filter_map(|entry| Some((number(&entry.file_name().to_string_lossy())?, entry.path())))
            .collect();
        parts.sort();
        parts.into_iter().map(|(_, path)| std::fs::read(path).expect("a part")).collect()
    }
}
