//! Compare-and-swap of a small object.
//!
//! The store compares: `If-None-Match: *` for an object that must be absent, `If-Match` for a version. Every swap puts
//! a token of its own into the object's metadata, so that an answer that got lost, a 412 after a repeated request or a
//! 409 is settled by reading what is there.
//!
//! Stores that ignore the conditions (Garage 2.5) are found out by a second, harmless request: the same bytes with
//! `If-None-Match: *`, which a store that minds conditions refuses. There the last of several writers wins: after a
//! pause everybody reads whose bytes stayed. That excludes writers whose look and write lie closer together than the
//! pause, and no others: one that stalls for longer in between overwrites a swap that has been answered as done.

use super::body::Gathered;
use super::checksums::Algorithm;
use super::terms::Token;
use super::{Object, failure};
use crate::storage::{Expected, Swap, Versioned};
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use bytes::{Bytes, BytesMut};
use std::time::Duration;

/// Largest object that is read and swapped as a whole: state, not data.
const MAX_SMALL_BYTES: u64 = 64 << 10;

/// Times that a body which breaks is asked for again.
const READ_ATTEMPTS: u32 = 4;

/// Times that a swap is asked for while other writers keep the store from deciding (409). With pauses that double
/// these are 6 seconds; the other write is a small one too.
const SWAP_ATTEMPTS: u32 = 6;

/// Pause before the second of those attempts.
const SWAP_PAUSE: Duration = Duration::from_millis(200);

/// Pause before a store that ignores conditions is asked whose bytes stayed: many times what a small write takes.
const LAST_WRITER_PAUSE: Duration = Duration::from_secs(2);

/// What a small object holds, and whether a swap's token is on it.
struct Found {
    versioned: Versioned,
    ours: bool,
}

/// What a conditional write was answered.
enum Answer {
    /// The store wrote.
    Written,
    /// The store compared and did not write.
    Refused,
    /// The store could not decide, because another write was going on (409): nothing was written.
    Conflict,
    /// Nobody knows whether it was written.
    Uncertain(Error),
}

impl Object {
    /// See [`Storage::read_small`](crate::storage::Storage::read_small).
    pub(in crate::storage) async fn read_small(&self) -> Result<Option<Versioned>> {
        Ok(self.find(None).await?.map(|found| found.versioned))
    }

    /// See [`Storage::swap`](crate::storage::Storage::swap).
    pub(in crate::storage) async fn swap(&self, expected: Expected<'_>, bytes: Bytes) -> Result<Swap> {
        if super::body::length(&bytes) > MAX_SMALL_BYTES {
            return Err(Error::new(ErrorKind::InvalidInput, too_large()));
        }
        let token = Token::new();
        for attempt in 0..SWAP_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(SWAP_PAUSE * (1 << (attempt - 1))).await;
            }
            // For stores that ignore conditions: what they would overwrite could never be read again.
            let before = self.find(None).await?.map(|found| found.versioned);
            if !is_as_expected(expected, before.as_ref()) {
                return Ok(Swap::Lost(before));
            }
            let answer = self.write(expected, &bytes, &token).await?;
            let found = match (self.stays(&bytes, &token).await, &answer) {
                (Ok(Some(Found { versioned, ours: true })), _) => return Ok(Swap::Done(versioned)),
                (Ok(found), _) => found.map(|found| found.versioned),
                // The reason of the write tells more than that of the look after it.
                (Err(error), _) => {
                    return Err(if let Answer::Uncertain(reason) = answer { reason } else { error });
                }
            };
            match answer {
                Answer::Conflict if is_as_expected(expected, found.as_ref()) => {}
                Answer::Uncertain(reason) if is_as_expected(expected, found.as_ref()) => return Err(reason),
                _ => return Ok(Swap::Lost(found)),
            }
        }
        let message = "other writers keep the store from deciding about this object (409); try again later";
        Err(self.at(Error::new(ErrorKind::Storage, message)))
    }

    async fn write(&self, expected: Expected<'_>, bytes: &Bytes, token: &Token) -> Result<Answer> {
        let error = match self.put_small(expected, bytes, token).await {
            Ok(written) => {
                let (encryption, key) = (written.server_side_encryption(), written.ssekms_key_id());
                return self.unencrypted(encryption, key).map_or(Ok(Answer::Written), Err);
            }
            Err(error) => error,
        };
        Ok(match (failure::status(&error), expected) {
            // 404: the version that was expected is gone; a missing bucket is found when the object is read.
            (Some(412), _) | (Some(404), Expected::Version(_)) => Answer::Refused,
            (Some(409), _) => Answer::Conflict,
            _ => Answer::Uncertain(self.refused(&error)),
        })
    }

    /// What is there after a write, and is going to stay: see the top of this file.
    async fn stays(&self, bytes: &Bytes, token: &Token) -> Result<Option<Found>> {
        match self.find(Some(token)).await? {
            Some(found) if found.ours && self.ignores_conditions(bytes, token).await => {
                tokio::time::sleep(LAST_WRITER_PAUSE).await;
                self.find(Some(token)).await
            }
            found => Ok(found),
        }
    }

    /// Whether the store writes in spite of a condition that does not hold: our bytes are there.
    async fn ignores_conditions(&self, bytes: &Bytes, token: &Token) -> bool {
        match self.put_small(Expected::Absent, bytes, token).await {
            Ok(_) => true,
            Err(error) => !matches!(failure::status(&error), Some(409 | 412)),
        }
    }

    async fn put_small(
        &self,
        expected: Expected<'_>,
        bytes: &Bytes,
        token: &Token,
    ) -> Result<PutObjectOutput, failure::SdkError<PutObjectError>> {
        let mut body = Gathered::default();
        body.push(bytes.clone());
        let (name, value) = token.label();
        let request = self.client.put_object().bucket(&self.bucket).key(&self.key).metadata(name, value);
        let request = match expected {
            Expected::Absent => request.if_none_match("*"),
            Expected::Version(etag) => request.if_match(etag),
        };
        // The older of the two, which every store knows: what is this small is read back.
        let algorithm = match self.algorithm() {
            Algorithm::Crc64Nvme => Algorithm::Crc32,
            other => other,
        };
        let (crc32, _) = body.sums(algorithm).await;
        let request =
            request.set_server_side_encryption(self.encryption()).set_ssekms_key_id(self.kms_key_id());
        request.set_checksum_crc32(crc32).body(body.to_body()).send().await
    }

    /// The whole object, `None` where there is none in an existing bucket.
    async fn find(&self, token: Option<&Token>) -> Result<Option<Found>> {
        let mut attempt = 1;
        loop {
            let request = self.client.get_object().bucket(&self.bucket).key(&self.key);
            let answer = match request.send().await {
                Ok(answer) => answer,
                Err(error) if failure::status(&error) == Some(404) => {
                    return self.bucket_exists().await.map(|()| None);
                }
                Err(error) => return Err(self.failed(&error)),
            };
            let ours = token.is_some_and(|token| token.is_in(answer.metadata()));
            let Some(etag) = answer.e_tag.clone() else {
                let message = "the store does not tell the version (ETag) of the object";
                return Err(self.at(Error::new(ErrorKind::Storage, message)));
            };
            match read_whole(answer).await {
                Ok(bytes) => return Ok(Some(Found { versioned: Versioned { bytes, etag }, ours })),
                Err(error) if attempt == READ_ATTEMPTS || error.kind() == ErrorKind::InvalidInput => {
                    return Err(self.at(error));
                }
                Err(_) => attempt += 1,
            }
        }
    }
}

async fn read_whole(mut answer: GetObjectOutput) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = answer.body.next().await {
        let piece = piece.map_err(|error| {
            Error::new(ErrorKind::Storage, "the connection broke while the object was read")
                .with_source(error)
        })?;
        bytes.extend_from_slice(&piece);
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_SMALL_BYTES {
            return Err(Error::new(ErrorKind::InvalidInput, too_large()));
        }
    }
    let promised = answer.content_length.and_then(|length| usize::try_from(length).ok());
    if promised.is_some_and(|length| length != bytes.len()) {
        return Err(Error::new(ErrorKind::Storage, "the object's body ended early"));
    }
    Ok(bytes.freeze())
}

fn is_as_expected(expected: Expected<'_>, found: Option<&Versioned>) -> bool {
    match (expected, found) {
        (Expected::Absent, None) => true,
        (Expected::Version(etag), Some(found)) => found.etag == etag,
        (Expected::Absent, Some(_)) | (Expected::Version(_), None) => false,
    }
}

fn too_large() -> String {
    format!("the object is larger than {} KiB, so it is none of mongoark's small ones", MAX_SMALL_BYTES >> 10)
}
