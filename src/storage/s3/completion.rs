//! The request that makes an object visible, and what became of it where the answer does not tell.

use super::body::Gathered;
use super::checksums::{Algorithm, Promise};
use super::failure::{self, SdkError};
use super::patience::Patience;
use super::requests::Answer;
use super::terms::CompletionTerms;
use super::{HeadAnswer, Object};
use crate::storage::Checked;
use crate::{Error, Result};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::CompletedPart;

/// What is there after an attempt to complete an object.
#[derive(Debug)]
pub(super) enum Completed {
    /// Our object, and what it rests on that it holds our bytes.
    Ours(Box<HeadObjectOutput>, Checked),
    /// Our object, but with other bytes in it.
    Damaged(Box<HeadObjectOutput>),
    /// Another object.
    Another,
    /// No object.
    Absent,
    /// The store does not tell.
    Unknown(Error),
}

impl Object {
    /// The whole object in one request. For a store that does not know the checksum the older one is sent, and promised.
    pub(super) async fn complete_whole(
        &self,
        terms: &CompletionTerms,
        whole: &Gathered,
        promise: &mut Promise,
    ) -> Result<Answer> {
        let mut algorithm = self.algorithm();
        let mut patience = Patience::with_conflict(&self.client);
        loop {
            let error = match self.put(terms, whole, algorithm).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if algorithm == Algorithm::Crc64Nvme && failure::may_not_know(&error) {
                algorithm = Algorithm::Crc32;
                promise.crc32 = whole.sums(algorithm).await.0;
                continue;
            }
            if failure::status(&error) != Some(409) {
                return Err(self.refused(&error));
            }
            match self.completed_in_spite_of(&error, terms, promise).await? {
                Some(answer) => return Ok(answer),
                // The other writer has left nothing yet; the same request may be sent again.
                None if patience.lasts().await => {}
                None => return Err(self.failed(&error)),
            }
        }
    }

    /// The parts of an upload as one object.
    pub(super) async fn complete_upload(
        &self,
        terms: &CompletionTerms,
        upload_id: &str,
        parts: Vec<CompletedPart>,
        promise: &Promise,
        algorithm: Algorithm,
    ) -> Result<Answer> {
        let error = match self.complete(terms, upload_id, parts, promise, algorithm).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let mut patience = Patience::with_conflict(&self.client);
        loop {
            match self.completed_in_spite_of(&error, terms, promise).await? {
                Some(answer) => return Ok(answer),
                // S3 wants a new upload now, whose parts are gone: all that is left is to see who was faster.
                None if patience.lasts().await => {}
                None => return Err(self.failed(&error)),
            }
        }
    }

    /// Settles an answer that says that another writer was completing the same object at the same time (409
    /// `ConditionalRequestConflict`): our object, whose bytes are looked at later, an error where another one is there,
    /// `None` where nothing is there yet. Any other answer is an error here.
    async fn completed_in_spite_of<E: failure::Answer>(
        &self,
        error: &SdkError<E>,
        terms: &CompletionTerms,
        promise: &Promise,
    ) -> Result<Option<Answer>> {
        if failure::status(error) != Some(409) {
            return Err(self.failed(error));
        }
        match self.completed(terms, promise).await {
            Completed::Ours(..) | Completed::Damaged(_) => Ok(Some(Answer::default())),
            Completed::Another if !terms.overwrite() => Err(self.already_exists()),
            Completed::Another | Completed::Unknown(_) => Err(self.failed(error)),
            Completed::Absent => Ok(None),
        }
    }

    /// Whether the object that is there is the one of these terms, and holds what was promised.
    pub(super) async fn completed(&self, terms: &CompletionTerms, promise: &Promise) -> Completed {
        match self.head_patiently().await {
            Ok(HeadAnswer::There(head)) if terms.made(&head) => match promise.checked(&head) {
                Some(checked) => Completed::Ours(head, checked),
                None => Completed::Damaged(head),
            },
            Ok(HeadAnswer::There(_)) => Completed::Another,
            Ok(HeadAnswer::Absent) => Completed::Absent,
            Ok(HeadAnswer::Denied(error)) | Err(error) => Completed::Unknown(error),
        }
    }

    pub(super) async fn refuse_if_present(&self) -> Result<()> {
        match self.head_patiently().await? {
            HeadAnswer::There(_) => Err(self.already_exists()),
            HeadAnswer::Absent | HeadAnswer::Denied(_) => Ok(()),
        }
    }

    fn already_exists(&self) -> Error {
        self.at(failure::already_exists())
    }
}
