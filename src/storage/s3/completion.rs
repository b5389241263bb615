//! What became of a completion whose answer does not tell.

use super::terms::CompletionTerms;
use super::{HeadAnswer, Object, failure};
use crate::Result;

/// What is there after an attempt to complete an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Completed {
    Ours,
    NotOurs,
    Unknown,
}

impl Object {
    /// Whether the object that is there is the one of these terms.
    pub(super) async fn completed(&self, terms: &CompletionTerms, bytes: u64) -> Completed {
        match self.head().await {
            Ok(HeadAnswer::There(head)) if terms.made(&head, bytes) => Completed::Ours,
            Ok(HeadAnswer::There(_) | HeadAnswer::Absent) => Completed::NotOurs,
            Ok(HeadAnswer::Denied(_)) | Err(_) => Completed::Unknown,
        }
    }

    pub(super) async fn refuse_if_present(&self) -> Result<()> {
        match self.head().await? {
            HeadAnswer::There(_) => Err(self.at(failure::already_exists())),
            HeadAnswer::Absent | HeadAnswer::Denied(_) => Ok(()),
        }
    }
}
