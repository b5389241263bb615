//! The object that an overwrite replaces, kept under another key until the new one is proven.
//!
//! Where the store compares the checksum of the whole before it replaces anything, a completion that would do damage is
//! refused, and the old object stays. Every other store shows the damage only afterwards. There the old object is copied to
//! `<key>.replaced-<token>` before the completion, put back where the new one turns out wrong (other bytes, or an option
//! that was not honoured), and removed when it is proven. A bucket that keeps versions needs no copy: the version that is
//! wrong is removed, and the old one is there again.
//!
//! A run that is killed in between leaves its copy. The next one that overwrites the same key finds it and removes it once
//! its own object is proven, not before: until then it may be the only good one. So two programs that overwrite one key at
//! the same time may remove each other's copy; that the last of them wins, they have to bear anyway.
//!
//! An object that is copied back has another `ETag`, so a proof record beside it is no longer taken for its own.

use super::checksums::crc64;
use super::failure;
use super::listing::{Pages, versioned};
use super::patience::outlast;
use super::terms::CompletionTerms;
use super::uri::encoded;
use super::{HeadAnswer, Object, size};
use crate::storage::location::{KEPT, is_kept_copy};
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use futures::stream::{self, StreamExt, TryStreamExt};
use std::time::Duration;

/// Bytes that are copied by one request at most: 64 MiB, which takes a store seconds. S3 itself allows 5 GiB.
const COPY_BYTES: u64 = 64 << 20;

/// Requests for copies at once.
const COPIES_AT_ONCE: usize = 8;

/// Parts of a copy at most: S3 allows 10,000, and sizes are whole mebibytes.
const MAX_COPIED_PARTS: u64 = 9_000;

/// Time for one attempt at a copy, which the store answers when it has written all of it.
const COPY_TIMEOUT: Duration = Duration::from_mins(10);

/// What was there, and copies that killed runs have left.
#[derive(Debug)]
pub(super) struct Kept {
    original: Object,
    copy: Option<Copy>,
    left: Vec<Object>,
}

#[derive(Debug)]
struct Copy {
    at: Object,
    /// Of what was copied.
    head: Box<HeadObjectOutput>,
}

impl Object {
    /// Copies what is there, where the store would lose it; an error where that cannot be done. An object that is made by
    /// one request is compared by whatever store has kept the checksum of the old one.
    pub(super) async fn keep(&self, terms: &CompletionTerms, is_whole: bool) -> Result<Option<Kept>> {
        let head = match self.head_patiently().await? {
            HeadAnswer::There(head) => Some(head),
            HeadAnswer::Absent => None,
            // So S3 answers for what is not there, too; what is there and may not be read cannot be copied.
            HeadAnswer::Denied(_) => return Ok(None),
        };
        if let Some(head) = &head
            && is_whole
            && !self.asks()
            && crc64(head).is_some()
        {
            return Ok(None);
        }
        let mut kept = Kept { original: self.clone(), copy: None, left: self.copies_left().await };
        let Some(head) = head.filter(|head| versioned(head).is_none()) else { return Ok(Some(kept)) };
        let key = format!("{}{KEPT}{}", self.key, terms.token());
        let at = Self { key, ..self.clone() };
        let copied = self.copy_to(&at, &head).await;
        kept.copy = Some(Copy { at, head });
        match copied {
            Ok(()) => Ok(Some(kept)),
            Err(error) => {
                let error = self.not_kept(error);
                kept.left.clear();
                Err(match kept.remove().await.pop() {
                    None => error,
                    Some(left) => Error::new(error.kind(), left).with_source(error),
                })
            }
        }
    }

    fn not_kept(&self, error: Error) -> Error {
        let message = "the object that is there could not be copied before it is replaced, so nothing was replaced; allow \
                       s3:GetObject, s3:PutObject and s3:DeleteObject for this key and the same with .replaced-* after \
                       it, turn on the bucket's versioning, or choose another key";
        self.at(Error::new(error.kind(), message).with_source(error))
    }

    /// Copies of this key that killed runs have left. Where they cannot be listed, nobody knows them.
    async fn copies_left(&self) -> Vec<Self> {
        let mut pages = Pages::new(Self { key: format!("{}{KEPT}", self.key), ..self.clone() });
        let mut left = Vec::new();
        while let Ok(Some(keys)) = pages.next_keys().await {
            let copies = keys.into_iter().filter(|key| is_kept_copy(key));
            left.extend(copies.map(|key| Self { key, ..self.clone() }));
        }
        left
    }

    /// Copies the object that this HEAD found, and looks at the copy.
    async fn copy_to(&self, copy: &Self, head: &HeadObjectOutput) -> Result<()> {
        if size(head)? <= COPY_BYTES {
            self.copy_whole(copy, head).await?;
        } else {
            self.copy_in_parts(copy, head).await?;
        }
        match copy.head_patiently().await? {
            HeadAnswer::There(found) if is_same(head, &found) => Ok(()),
            HeadAnswer::Denied(error) => Err(error),
            HeadAnswer::There(_) | HeadAnswer::Absent => {
                Err(copy.at(Error::new(ErrorKind::Storage, "the store's copy is not what was copied")))
            }
        }
    }

    async fn copy_whole(&self, copy: &Self, head: &HeadObjectOutput) -> Result<()> {
        let patience = self.patience(COPY_TIMEOUT);
        let copied = outlast(&self.client, || {
            let request = self.client.copy_object().bucket(&copy.bucket).key(&copy.key);
            let request = request.copy_source(self.as_source()).set_copy_source_if_match(head.e_tag.clone());
            let request = request.set_server_side_encryption(head.server_side_encryption.clone());
            let request = request.set_ssekms_key_id(head.ssekms_key_id.clone());
            request.customize().config_override(patience.clone()).send()
        });
        copied.await.map(drop).map_err(|error| copy.failed(&error))
    }

    async fn copy_in_parts(&self, copy: &Self, head: &HeadObjectOutput) -> Result<()> {
        let request = self.client.create_multipart_upload().bucket(&copy.bucket).key(&copy.key);
        let request = request.set_metadata(head.metadata.clone()).set_content_type(head.content_type.clone());
        let request = request.set_server_side_encryption(head.server_side_encryption.clone());
        let request = request.set_ssekms_key_id(head.ssekms_key_id.clone());
        let created = request.set_tagging(self.tags_of(head).await?).send().await;
        let created = created.map_err(|error| copy.failed(&error))?;
        let Some(upload_id) = created.upload_id else {
            let message = "the store began an upload without naming it";
            return Err(copy.at(Error::new(ErrorKind::Storage, message)));
        };
        let copied = Box::pin(self.copy_parts(copy, head, &upload_id)).await;
        match copied {
            Ok(()) => Ok(()),
            Err(error) => Err(match copy.abort(&upload_id).await {
                Ok(()) => error,
                Err(left) => Error::new(error.kind(), left.to_string()).with_source(error),
            }),
        }
    }

    async fn copy_parts(&self, copy: &Self, head: &HeadObjectOutput, upload_id: &str) -> Result<()> {
        let bytes = size(head)?;
        let each = (bytes.div_ceil(MAX_COPIED_PARTS).div_ceil(1 << 20) << 20).max(COPY_BYTES);
        let ranges =
            (0..bytes.div_ceil(each)).map(|part| (part, part * each, (part * each + each).min(bytes)));
        let parts = stream::iter(ranges).map(|(part, start, end)| {
            Box::pin(async move {
                let number = i32::try_from(part + 1).unwrap_or(i32::MAX);
                let patience = self.patience(COPY_TIMEOUT);
                let copied = outlast(&self.client, || {
                    let request = self.client.upload_part_copy().bucket(&copy.bucket).key(&copy.key);
                    let request = request.upload_id(upload_id).part_number(number);
                    let request = request.copy_source(self.as_source());
                    let request = request.set_copy_source_if_match(head.e_tag.clone());
                    let request = request.copy_source_range(format!("bytes={start}-{}", end - 1));
                    request.customize().config_override(patience.clone()).send()
                });
                let copied = copied.await.map_err(|error| copy.failed(&error))?.copy_part_result;
                let etag = copied.and_then(|part| part.e_tag);
                Ok::<_, Error>(CompletedPart::builder().part_number(number).set_e_tag(etag).build())
            })
        });
        let parts: Vec<CompletedPart> = parts.buffered(COPIES_AT_ONCE).try_collect().await?;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let patience = self.patience(COPY_TIMEOUT);
        let completed = outlast(&self.client, || {
            let request = self.client.complete_multipart_upload().bucket(&copy.bucket).key(&copy.key);
            let request = request.upload_id(upload_id).multipart_upload(parts.clone());
            request.customize().config_override(patience.clone()).send()
        });
        match completed.await {
            Ok(_) => Ok(()),
            // An answer was lost, if it is there: the look at the copy tells.
            Err(error) if failure::has_code(&error, "NoSuchUpload") => Ok(()),
            Err(error) => Err(copy.failed(&error)),
        }
    }

    /// The tags, which a copy in parts does not take along.
    async fn tags_of(&self, head: &HeadObjectOutput) -> Result<Option<String>> {
        if head.tag_count().is_none_or(|count| count == 0) {
            return Ok(None);
        }
        let told = self.client.get_object_tagging().bucket(&self.bucket).key(&self.key).send().await;
        let told = told.map_err(|error| self.failed(&error))?;
        let pairs = told.tag_set().iter();
        let pairs = pairs.map(|tag| format!("{}={}", encoded(tag.key(), b""), encoded(tag.value(), b"")));
        Ok(Some(pairs.collect::<Vec<_>>().join("&")))
    }

    fn as_source(&self) -> String {
        let between = if self.bucket.starts_with("arn:") { "/object/" } else { "/" };
        encoded(&format!("{}{between}{}", self.bucket, self.key), b"/")
    }

    async fn remove_copy(&self) -> Result<(), String> {
        let removed =
            outlast(&self.client, || self.client.delete_object().bucket(&self.bucket).key(&self.key).send());
        removed.await.map(drop).map_err(|error| {
            let why = failure::describe(&error).report();
            format!(
                "a copy of the object that was there before may be left at s3://{}/{}; remove it ({why})",
                self.bucket, self.key
            )
        })
    }
}

impl Kept {
    /// Removes the copies; sentences about those that are left.
    pub(super) async fn remove(self) -> Vec<String> {
        let mut notes = Vec::new();
        for copy in self.copy.into_iter().map(|copy| copy.at).chain(self.left) {
            notes.extend(copy.remove_copy().await.err());
        }
        notes
    }

    /// Sees to it that what was there is there again, or says where it is. What earlier runs have left stays.
    pub(super) async fn put_back(self, terms: &CompletionTerms, error: Error) -> Error {
        let Some(copy) = &self.copy else { return error };
        let there = match self.original.head_patiently().await {
            Ok(HeadAnswer::There(found)) => !terms.made(&found) && is_same(&copy.head, &found),
            Ok(HeadAnswer::Absent) => copy.back_to(&self.original).await.is_ok(),
            Ok(HeadAnswer::Denied(_)) | Err(_) => false,
        };
        if !there {
            let message = format!(
                "the archive is not proven; the object that was there before is kept at s3://{}/{}: copy it back when you \
                 have looked at what is under its key",
                copy.at.bucket, copy.at.key
            );
            return Error::new(error.kind(), message).with_source(error);
        }
        match copy.at.remove_copy().await {
            Ok(()) => error,
            Err(left) => Error::new(error.kind(), left).with_source(error),
        }
    }
}

impl Copy {
    async fn back_to(&self, original: &Object) -> Result<()> {
        match self.at.head_patiently().await? {
            HeadAnswer::There(head) => self.at.copy_to(original, &head).await,
            HeadAnswer::Denied(error) => Err(error),
            HeadAnswer::Absent => Err(self.at.at(Error::new(ErrorKind::NotFound, "the copy is gone"))),
        }
    }
}

/// Whether two objects are the same as far as the store tells; an `ETag` of parts does not survive a copy.
fn is_same(one: &HeadObjectOutput, other: &HeadObjectOutput) -> bool {
    let sums_differ = matches!((crc64(one), crc64(other)), (Some(one), Some(other)) if one != other);
    one.content_length == other.content_length && one.metadata == other.metadata && !sums_differ
}
