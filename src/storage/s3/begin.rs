//! The beginning of a multipart upload, after which no upload is open that nobody knows.
//!
//! An upload whose identifier got lost with the answer stays open, and neither its metadata nor any token can be read
//! back from it. So the request is never repeated blindly: the uploads of the key are listed before it and, after a
//! lost answer, again. What is new is ours or that of another writer of the same key, who is told apart by what it
//! does: an upload whose identifier nobody knows never gets a part. One is therefore aborted only
//!
//! - if it was not there before our request,
//! - if it has no part after a time in which every writer at work has stored its first one,
//! - and if there are no more of these than answers were lost.
//!
//! In every other case, and where the store does not let us list, it stays and is told about. Without parts it costs
//! nothing, and the lifecycle rule `AbortIncompleteMultipartUpload` removes it. What remains is a writer that begins
//! between the two lists, while our own request came to nothing, over a link of less than 1 MB/s: its upload would end
//! with an error of its own, never with an object that is not whole.

use super::Object;
use super::checksums::Algorithm;
use super::failure;
use super::patience::{Patience, first_pause};
use super::terms::CompletionTerms;
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::operation::create_multipart_upload::CreateMultipartUploadOutput;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType};
use std::collections::HashSet;
use tokio::task::JoinHandle;

/// Answers that may get lost before an upload has begun.
const MAX_LOST_ANSWERS: usize = 4;

/// The client's first pauses (30 seconds) after which a writer at work has stored a part: it asks for its upload when
/// the first part of 8 MiB is ready, and stores four at once.
const FIRST_PART_PAUSES: u32 = 30;

/// An upload that is open.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) upload_id: String,
    /// The checksums that its parts must have.
    pub(super) algorithm: Algorithm,
    /// Whether the store compares the checksum of the whole before it makes it visible.
    pub(super) compares: bool,
    /// Removes what lost answers have left; the error says what it could not.
    pub(super) lost: Option<JoinHandle<Result<(), String>>>,
}

/// Uploads that may have begun without our knowing them.
#[derive(Debug, Default)]
struct Lost {
    answers: usize,
    /// New uploads of the key after lost answers.
    suspects: HashSet<String>,
    /// Why the store does not list the uploads of the key.
    unlisted: Option<Error>,
}

impl Object {
    /// Begins an upload.
    pub(super) async fn begin(&self, terms: &CompletionTerms) -> Result<Begun> {
        let mut lost = Lost::default();
        let begun = self.begin_or_lose(terms, &mut lost).await;
        if lost.answers == 0 {
            return begun;
        }
        let object = self.clone();
        let removed = tokio::spawn(async move { Box::pin(object.remove_lost(lost)).await });
        match begun {
            Ok(begun) => Ok(Begun { lost: Some(removed), ..begun }),
            Err(error) => match removed.await {
                Ok(Err(left)) => Err(self.at(Error::new(error.kind(), left).with_source(error))),
                Ok(Ok(())) | Err(_) => Err(error),
            },
        }
    }

    async fn begin_or_lose(&self, terms: &CompletionTerms, lost: &mut Lost) -> Result<Begun> {
        let mut known = HashSet::new();
        self.look_for_new(&mut known, lost).await;
        lost.suspects.clear();
        let mut patience = Patience::with_outage(&self.client);
        let mut took_effect = 0;
        let mut algorithm = self.algorithm();
        loop {
            match self.create_upload(terms, algorithm).await {
                Ok(CreateMultipartUploadOutput {
                    upload_id: Some(upload_id),
                    server_side_encryption: encryption,
                    ssekms_key_id: key,
                    checksum_algorithm: kept,
                    checksum_type: of,
                    ..
                }) => {
                    if let Some(other) = self.contradicts(encryption.as_ref(), key.as_deref()) {
                        return Err(match self.abort(&upload_id).await {
                            Ok(()) => other,
                            Err(left) => Error::new(other.kind(), left.to_string()).with_source(other),
                        });
                    }
                    known.insert(upload_id.clone());
                    if lost.answers > 0 {
                        // A request that timed out may have taken effect since the last look.
                        self.look_for_new(&mut known, lost).await;
                    }
                    let compares = algorithm == Algorithm::Crc64Nvme
                        && kept == Some(ChecksumAlgorithm::Crc64Nvme)
                        && of == Some(ChecksumType::FullObject);
                    return Ok(Begun { upload_id, algorithm, compares, lost: None });
                }
                Ok(_) => {
                    let message = "the store began an upload without naming it";
                    return Err(self.at(Error::new(ErrorKind::Storage, message)));
                }
                // Refused, it has begun nothing.
                Err(error) if algorithm == Algorithm::Crc64Nvme && failure::may_not_know(&error) => {
                    algorithm = Algorithm::Crc32;
                }
                // An answer of success that cannot be read may have begun an upload, too.
                Err(error) if !failure::is_away(&error) && failure::status(&error) != Some(200) => {
                    return Err(self.refused(&error));
                }
                Err(error) => {
                    lost.answers += 1;
                    let goes_on = patience.lasts().await;
                    if self.look_for_new(&mut known, lost).await {
                        took_effect += 1;
                    }
                    if !goes_on || took_effect == MAX_LOST_ANSWERS {
                        return Err(self.failed(&error));
                    }
                }
            }
        }
    }

    /// Makes suspects of the uploads that were not known; whether there are any, or may be.
    async fn look_for_new(&self, known: &mut HashSet<String>, lost: &mut Lost) -> bool {
        if lost.unlisted.is_some() {
            return true;
        }
        match self.open_uploads().await {
            Ok(open) => {
                let new: Vec<String> = open.difference(known).cloned().collect();
                known.extend(new.iter().cloned());
                lost.suspects.extend(new.iter().cloned());
                !new.is_empty()
            }
            Err(error) => {
                lost.unlisted = Some(self.failed(&error));
                true
            }
        }
    }

    /// Aborts the uploads that are ours by the rules at the top of this file; the error says what may be left.
    async fn remove_lost(&self, lost: Lost) -> Result<(), String> {
        let place = format_args!("s3://{}/{}", self.bucket, self.key).to_string();
        if let Some(error) = lost.unlisted {
            return Err(format!(
                "an answer of the store was lost, and an upload without parts may be open at {place}; allow \
                 s3:ListBucketMultipartUploads so that it can be removed, or let a lifecycle rule \
                 AbortIncompleteMultipartUpload do so ({})",
                error.report()
            ));
        }
        if lost.suspects.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(first_pause(&self.client) * FIRST_PART_PAUSES).await;
        let mut without_parts = Vec::new();
        let mut unsettled = 0;
        for upload_id in lost.suspects {
            match self.parts(&upload_id).await {
                Ok(Some(false)) => without_parts.push(upload_id),
                Ok(None | Some(true)) => {}
                Err(_) => unsettled += 1,
            }
        }
        if without_parts.len() > lost.answers {
            unsettled += without_parts.len();
            without_parts.clear();
        }
        for upload_id in without_parts {
            unsettled += usize::from(self.abort(&upload_id).await.is_err());
        }
        if unsettled == 0 {
            return Ok(());
        }
        Err(format!(
            "an answer of the store was lost, and of {unsettled} open upload(s) without parts at {place} nobody can tell \
             whose they are; abort them when no other program writes there, or let a lifecycle rule \
             AbortIncompleteMultipartUpload do so"
        ))
    }
}
