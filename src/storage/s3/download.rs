//! An S3 object read in ranges: several in flight, handed out in order, each resumed where it broke.

use super::patience::outlast;
use super::{HeadAnswer, Object, failure, size};
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// Bytes of one range: 8 MiB, the size of an archive's first parts; AWS advises 8 to 16 MiB.
const RANGE_BYTES: u64 = 8 << 20;

/// Ranges in flight or waiting for their turn. With the range being handed out a download holds at most 40 MiB.
const RANGES_IN_FLIGHT: usize = 4;

/// Broken connections survived within one range.
const MAX_RESUMES: u32 = 8;

/// Pause before the first resumption of a range; doubles with every further one, 12.7 seconds in all.
const RESUME_PAUSE: Duration = Duration::from_millis(50);

const REPLACED: &str = "the object was replaced while it was being read; read it again";

/// A complete object being read. It is the same object to the end, or an error.
#[derive(Debug)]
pub(in crate::storage) struct Download {
    version: Arc<Version>,
    asked: u64,
    ranges: VecDeque<AbortOnDropHandle<Result<VecDeque<Bytes>>>>,
    current: VecDeque<Bytes>,
    broken: bool,
}

/// An object as it was when the download began.
#[derive(Debug)]
struct Version {
    object: Object,
    etag: Option<String>,
    size: u64,
}

impl Download {
    /// Asks for the object; reads nothing yet.
    pub(in crate::storage) async fn open(object: Object) -> Result<Self> {
        let head = match object.head().await? {
            HeadAnswer::There(head) => head,
            HeadAnswer::Absent => return Err(Error::new(ErrorKind::NotFound, "there is no such object")),
            HeadAnswer::Denied(error) => return Err(error),
        };
        let version = Arc::new(Version { object, size: size(&head)?, etag: head.e_tag });
        Ok(Self { version, asked: 0, ranges: VecDeque::new(), current: VecDeque::new(), broken: false })
    }

    pub(in crate::storage) fn size(&self) -> u64 {
        self.version.size
    }

    pub(in crate::storage) fn etag(&self) -> Option<&str> {
        self.version.etag.as_deref()
    }

    pub(in crate::storage) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.broken {
            let message = "the rest cannot be read after an earlier error; open the archive again";
            return Err(self.version.object.at(Error::new(ErrorKind::Storage, message)));
        }
        loop {
            self.ask_ahead();
            if let Some(piece) = self.current.pop_front() {
                return Ok(Some(piece));
            }
            let Some(range) = self.ranges.front_mut() else { return Ok(None) };
            let fetched = range.await;
            self.ranges.pop_front();
            self.broken = !matches!(fetched, Ok(Ok(_)));
            self.current = fetched.map_err(|error| {
                Error::new(ErrorKind::Internal, "a task of the download ended without a result")
                    .with_source(error)
            })??;
        }
    }

    fn ask_ahead(&mut self) {
        while self.ranges.len() < RANGES_IN_FLIGHT && self.asked < self.version.size {
            let start = self.asked;
            self.asked = start.saturating_add(RANGE_BYTES).min(self.version.size);
            let (version, end) = (Arc::clone(&self.version), self.asked);
            let task = async move { Box::pin(version.fetch(start, end)).await };
            self.ranges.push_back(AbortOnDropHandle::new(tokio::spawn(task)));
        }
    }
}

impl Version {
    /// Bytes from `start` to before `end`.
    async fn fetch(&self, start: u64, end: u64) -> Result<VecDeque<Bytes>> {
        let mut pieces = VecDeque::new();
        let mut at = start;
        for resumed in 0..=MAX_RESUMES {
            let answer = self.get(at, end).await?;
            let before = pieces.len();
            let cause = match read(answer, end - at, &mut pieces).await {
                Read::Whole => return Ok(pieces),
                Read::Excess => return Err(self.failed("the store sent more than it was asked for")),
                Read::Broken { after, cause } if at + after < end => {
                    at += after;
                    cause
                }
                // All bytes came, and they are not those that the store's checksum was made of: perhaps only on their way.
                Read::Broken { cause, .. } if resumed == 0 => {
                    pieces.truncate(before);
                    cause
                }
                Read::Broken { cause, .. } => {
                    let message = "the bytes in the store are not those that were stored there, by their checksum: the object is \
                                   damaged; use another copy";
                    return Err(self.object.at(Error::new(ErrorKind::Archive, message)).with_source(cause));
                }
            };
            if resumed == MAX_RESUMES {
                let message = "the connection broke again and again within one range; check the network";
                return Err(self.failed(message).with_source(cause));
            }
            tokio::time::sleep(RESUME_PAUSE * (1 << resumed)).await;
        }
        Err(self.failed("the range could not be read"))
    }

    async fn get(&self, start: u64, end: u64) -> Result<GetObjectOutput> {
        let Object { client, bucket, key, .. } = &self.object;
        let range = format!("bytes={start}-{}", end - 1);
        let answer = outlast(client, || {
            let request = client.get_object().bucket(bucket).key(key).range(&range);
            request.set_if_match(self.etag.clone()).send()
        });
        let answer = answer.await.map_err(|error| {
            match failure::status(&error) {
                // 416: the object has become shorter.
                Some(412 | 416) => self.failed(REPLACED),
                Some(404) => self
                    .object
                    .at(Error::new(ErrorKind::NotFound, "the object was removed while it was being read")),
                _ => self.object.failed(&error),
            }
        })?;
        // For stores that ignore the condition.
        if answer.e_tag.is_some() && self.etag.is_some() && answer.e_tag != self.etag {
            return Err(self.failed(REPLACED));
        }
        let expected = format!("bytes {start}-{}/{}", end - 1, self.size);
        match answer.content_range() {
            Some(range) if range == expected => Ok(answer),
            _ => Err(self.failed("the store did not send the range it was asked for")),
        }
    }

    fn failed(&self, message: &str) -> Error {
        self.object.at(Error::new(ErrorKind::Storage, message))
    }
}

enum Read {
    Whole,
    Excess,
    Broken { after: u64, cause: Box<dyn std::error::Error + Send + Sync> },
}

async fn read(mut answer: GetObjectOutput, expected: u64, pieces: &mut VecDeque<Bytes>) -> Read {
    let mut received = 0;
    loop {
        match answer.body.next().await {
            Some(Ok(piece)) => {
                received += super::body::length(&piece);
                if received > expected {
                    return Read::Excess;
                }
                if !piece.is_empty() {
                    pieces.push_back(piece);
                }
            }
            Some(Err(error)) => return Read::Broken { after: received, cause: error.into() },
            None if received == expected => return Read::Whole,
            None => return Read::Broken { after: received, cause: "the body ended early".into() },
        }
    }
}
