//! What is in a directory or under a prefix.

use super::{Listed, s3};
use crate::Result;

/// Gives what [`Storage::list`](super::Storage::list) found, page by page.
#[derive(Debug)]
pub struct Listing(Pages);

#[derive(Debug)]
pub(super) enum Pages {
    Files(Option<Vec<Listed>>),
    S3(Box<s3::Pages>),
}

impl Listing {
    pub(super) fn new(pages: Pages) -> Self {
        Self(pages)
    }

    /// The next archives in the order of their names, possibly none of them; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a missing bucket,
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage) where the place does not tell: S3 wants the permission
    /// `s3:ListBucket`.
    ///
    /// # Cancellation
    ///
    /// A page whose future was dropped is lost: list again.
    pub async fn next(&mut self) -> Result<Option<Vec<Listed>>> {
        match &mut self.0 {
            Pages::Files(files) => Ok(files.take()),
            Pages::S3(pages) => Box::pin(pages.next()).await,
        }
    }
}
