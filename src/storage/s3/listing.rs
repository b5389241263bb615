//! What is under a prefix, and how one of it is removed.

use super::{HeadAnswer, Object, failure};
use crate::storage::{Listed, Location};
use crate::{Error, Result};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::Object as Entry;
use std::time::SystemTime;

/// The objects whose keys begin with one key, page by page.
#[derive(Debug)]
pub(in crate::storage) struct Pages {
    prefix: Object,
    token: Option<String>,
    ended: bool,
}

impl Pages {
    pub(in crate::storage) fn new(prefix: Object) -> Self {
        Self { prefix, token: None, ended: false }
    }

    /// Up to 1,000 objects in the order of their keys; `None` at the end.
    pub(in crate::storage) async fn next(&mut self) -> Result<Option<Vec<Listed>>> {
        let bucket = self.prefix.bucket.clone();
        let Some(page) = self.next_page().await? else { return Ok(None) };
        page.into_iter().map(|entry| listed(&bucket, entry)).collect::<Result<_>>().map(Some)
    }

    /// The same, only their keys.
    pub(super) async fn next_keys(&mut self) -> Result<Option<Vec<String>>> {
        let page = self.next_page().await?;
        Ok(page.map(|page| page.into_iter().filter_map(|entry| entry.key).collect()))
    }

    async fn next_page(&mut self) -> Result<Option<Vec<Entry>>> {
        if self.ended {
            return Ok(None);
        }
        let Object { client, bucket, key, .. } = &self.prefix;
        let request = client.list_objects_v2().bucket(bucket).prefix(key);
        let page = request.set_continuation_token(self.token.take()).send().await;
        let page = page.map_err(|error| self.prefix.failed(&error))?;
        self.token = page.next_continuation_token;
        self.ended = self.token.is_none();
        Ok(Some(page.contents.unwrap_or_default()))
    }
}

fn listed(bucket: &str, entry: Entry) -> Result<Listed> {
    Ok(Listed {
        at: Location::s3(bucket, entry.key().unwrap_or_default())?,
        bytes: entry.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        modified: entry.last_modified().and_then(|time| SystemTime::try_from(*time).ok()),
        etag: entry.e_tag,
    })
}

/// The version of an object in a bucket that keeps versions.
pub(super) fn versioned(head: &HeadObjectOutput) -> Option<&str> {
    head.version_id().filter(|version| *version != "null")
}

impl Object {
    /// See [`Storage::remove`](crate::storage::Storage::remove).
    pub(in crate::storage) async fn remove(&self, version: Option<&str>) -> Result<bool> {
        if let Some(etag) = version {
            // For stores that ignore the condition.
            match self.head().await? {
                HeadAnswer::There(head) if head.e_tag() != Some(etag) => return Ok(false),
                HeadAnswer::There(_) | HeadAnswer::Denied(_) => {}
                HeadAnswer::Absent => return Ok(true),
            }
        }
        let request = self.client.delete_object().bucket(&self.bucket).key(&self.key);
        match request.set_if_match(version.map(ToOwned::to_owned)).send().await {
            Ok(_) => Ok(true),
            Err(error) if failure::has_code(&error, "NoSuchBucket") => Err(self.failed(&error)),
            Err(error) => match failure::status(&error) {
                Some(404) => Ok(true),
                // 409: another write was faster.
                Some(409 | 412) => Ok(false),
                Some(403) => Err(self.may_not_remove(&error)),
                _ => Err(self.failed(&error)),
            },
        }
    }

    /// Removes the very object that a HEAD has found; where versions are kept, this version and no other.
    pub(super) async fn remove_made(&self, head: &HeadObjectOutput) -> Result<()> {
        let request = self.client.delete_object().bucket(&self.bucket).key(&self.key);
        let request = match head.version_id() {
            // Also "null", which a bucket writes that keeps no versions any more: without its name the versions from
            // before would be hidden too.
            Some(version) => request.version_id(version),
            None => request.set_if_match(head.e_tag.clone()),
        };
        request.send().await.map(drop).map_err(|error| self.may_not_remove(&error))
    }

    fn may_not_remove<E: failure::Answer>(&self, error: &failure::SdkError<E>) -> Error {
        let message =
            "the object may not be removed; allow s3:DeleteObject there, and look for an Object Lock";
        self.at(Error::new(crate::ErrorKind::Storage, message).with_source(failure::describe(error)))
    }
}
