//! Tags of an object: added to those it has.

use super::Object;
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::types::{Tag, Tagging};

/// Tags of one object at most, set by S3.
const MAX_TAGS: usize = 10;

impl Object {
    /// See [`Storage::tag`](crate::storage::Storage::tag).
    pub(in crate::storage) async fn tag(&self, tags: &[(&str, &str)]) -> Result<()> {
        let request = self.client.get_object_tagging().bucket(&self.bucket).key(&self.key);
        let there = request.send().await.map_err(|error| self.failed(&error))?;
        let mut all: Vec<(String, String)> =
            there.tag_set().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
        for (name, value) in tags {
            all.retain(|(there, _)| there != name);
            all.push(((*name).to_owned(), (*value).to_owned()));
        }
        if all.len() > MAX_TAGS {
            let message =
                format!("the object would have {} tags, and S3 allows {MAX_TAGS}; remove some", all.len());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let invalid =
            |error| Error::new(ErrorKind::InvalidInput, "a tag needs a name and a value").with_source(error);
        let set = all.iter().map(|(name, value)| Tag::builder().key(name).value(value).build());
        let set = set.collect::<Result<Vec<_>, _>>().map_err(invalid)?;
        let tagging = Tagging::builder().set_tag_set(Some(set)).build().map_err(invalid)?;
        let request = self.client.put_object_tagging().bucket(&self.bucket).key(&self.key).tagging(tagging);
        request.send().await.map(drop).map_err(|error| self.failed(&error))
    }
}
