//! The request that makes an object visible, and what became of it where the answer does not tell.

use super::body::Gathered;
use super::failure::{self, Answer, SdkError};
use super::patience::Patience;
use super::terms::CompletionTerms;
use super::{HeadAnswer, Object};
use crate::{Error, Result};
use aws_sdk_s3::types::CompletedPart;

/// What is there after an attempt to complete an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Completed {
    /// Our object, with its `ETag`.
    Ours(Option<String>),
    /// Another object.
    Another,
    /// No object.
    Absent,
    /// The store does not tell.
    Unknown,
}

impl Object {
    /// The whole object in one request; its `ETag`.
    pub(super) async fn complete_whole(
        &self,
        terms: &CompletionTerms,
        whole: &Gathered,
    ) -> Result<Option<String>> {
        let mut patience = Patience::with_conflict(&self.client);
        loop {
            let error = match self.put(terms, whole).await {
                Ok(etag) => return Ok(etag),
                Err(error) => error,
            };
            match self.completed_in_spite_of(&error, terms, whole.bytes()).await? {
                Some(etag) => return Ok(etag),
                // The other writer has left nothing yet; the same request may be sent again.
                None if patience.lasts().await => {}
                None => return Err(self.failed(&error)),
            }
        }
    }

    /// The parts of an upload as one object; its `ETag`.
    pub(super) async fn complete_upload(
        &self,
        terms: &CompletionTerms,
        upload_id: &str,
        parts: Vec<CompletedPart>,
        bytes: u64,
    ) -> Result<Option<String>> {
        let error = match self.complete(terms, upload_id, parts, bytes).await {
            Ok(etag) => return Ok(etag),
            Err(error) => error,
        };
        let mut patience = Patience::with_conflict(&self.client);
        loop {
            match self.completed_in_spite_of(&error, terms, bytes).await? {
                Some(etag) => return Ok(etag),
                // S3 wants a new upload now, whose parts are gone: all that is left is to see who was faster.
                None if patience.lasts().await => {}
                None => return Err(self.failed(&error)),
            }
        }
    }

    /// Settles an answer that says that another writer was completing the same object at the same time (409
    /// `ConditionalRequestConflict`): the `ETag` of our object, an error where another one is there, `None` where
    /// nothing is there yet. Any other answer is an error here.
    async fn completed_in_spite_of<E: Answer>(
        &self,
        error: &SdkError<E>,
        terms: &CompletionTerms,
        bytes: u64,
    ) -> Result<Option<Option<String>>> {
        if failure::status(error) != Some(409) {
            return Err(self.failed(error));
        }
        match self.completed(terms, bytes).await {
            Completed::Ours(etag) => Ok(Some(etag)),
            Completed::Another if !terms.overwrite() => Err(self.already_exists()),
            Completed::Another | Completed::Unknown => Err(self.failed(error)),
            Completed::Absent => Ok(None),
        }
    }

    /// Whether the object that is there is the one of these terms.
    pub(super) async fn completed(&self, terms: &CompletionTerms, bytes: u64) -> Completed {
        match self.head_patiently().await {
            Ok(HeadAnswer::There(head)) if terms.made(&head, bytes) => Completed::Ours(head.e_tag),
            Ok(HeadAnswer::There(_)) => Completed::Another,
            Ok(HeadAnswer::Absent) => Completed::Absent,
            Ok(HeadAnswer::Denied(_)) | Err(_) => Completed::Unknown,
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
