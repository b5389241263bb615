//! What an object is created with besides its bytes, and whether the store has done so.
//!
//! A store that does not know a header ignores it, and one that knows it may not be allowed to tell. So each option is
//! looked for when the object is complete, in what a HEAD tells and, for tags, in what the store answers about them; a key
//! also in the answer that begins an upload, before anything of the archive has gone there. An object that lacks one is
//! removed: an archive that is thought to be encrypted or locked, and is not, is worse than an error.

use super::Object;
use super::failure::{self, SdkError};
use super::terms::CompletionTerms;
use super::uri::encoded;
use crate::{Error, ErrorKind};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ObjectLockMode, ServerSideEncryption};

const KEY: &str = "--s3KmsKeyId (KMS_KEY_ID)";
const LOCK: &str = "--s3ObjectLockMode and --s3ObjectLockDays (OBJECT_LOCK_MODE, OBJECT_LOCK_DAYS)";
const TAGS: &str = "--s3Tag (TAGS)";
const OWNER: &str = "--s3ExpectedBucketOwner (EXPECTED_BUCKET_OWNER)";

/// What a look at a complete object has found.
pub(super) enum Honoured {
    Yes,
    /// The store has done something else.
    No(Error),
    /// It does not tell.
    Unknown(Error),
}

impl Object {
    pub(super) fn encryption(&self) -> Option<ServerSideEncryption> {
        self.options.kms_key_id.as_ref().map(|_| ServerSideEncryption::AwsKms)
    }

    pub(super) fn kms_key_id(&self) -> Option<String> {
        self.options.kms_key_id.clone()
    }

    pub(super) fn lock_mode(&self) -> Option<ObjectLockMode> {
        self.options.object_lock.map(|lock| ObjectLockMode::from(lock.mode.name()))
    }

    /// The tags as a header has them.
    pub(super) fn tagging(&self) -> Option<String> {
        let pair =
            |(name, value): &(String, String)| format!("{}={}", encoded(name, b""), encoded(value, b""));
        let pairs: Vec<String> = self.options.tags.iter().map(pair).collect();
        (!pairs.is_empty()).then(|| pairs.join("&"))
    }

    /// Whether an object is to be more than its bytes.
    pub(super) fn asks(&self) -> bool {
        self.options.kms_key_id.is_some()
            || self.options.object_lock.is_some()
            || !self.options.tags.is_empty()
    }

    /// What creates an object was refused.
    pub(super) fn refused<E: failure::Answer>(&self, error: &SdkError<E>) -> Error {
        if !self.asks() || !failure::may_be_about_options(error) {
            return self.failed(error);
        }
        let options = &self.options;
        let asked = [
            (options.kms_key_id.is_some(), KEY),
            (options.object_lock.is_some(), LOCK),
            (!options.tags.is_empty(), TAGS),
        ];
        let asked: Vec<&str> = asked.into_iter().filter_map(|(asked, name)| asked.then_some(name)).collect();
        let message = format!(
            "the store does not create the object, perhaps because of {}: look whether store, bucket and permissions allow it",
            asked.join(", ")
        );
        self.at(Error::new(ErrorKind::Storage, message).with_source(failure::describe(error)))
    }

    /// The error of a request, and the expected owner where that may be the reason.
    pub(super) fn failed<E: failure::Answer>(&self, error: &SdkError<E>) -> Error {
        let described = failure::describe(error);
        if self.options.expected_bucket_owner.is_none() || failure::status(error) != Some(403) {
            return self.at(described);
        }
        let message = format!(
            "access was denied; look whether the bucket belongs to the account of {OWNER}, and the permissions are there"
        );
        self.at(Error::new(described.kind(), message).with_source(described))
    }

    /// Whether these, told by the store, are what was asked for; it may tell nothing.
    pub(super) fn contradicts(
        &self,
        encryption: Option<&ServerSideEncryption>,
        kms_key_id: Option<&str>,
    ) -> Option<Error> {
        let asked = self.options.kms_key_id.as_deref()?;
        let other = encryption.is_some_and(|told| *told != ServerSideEncryption::AwsKms)
            || kms_key_id.is_some_and(|told| !is_key(asked, told));
        other.then(|| self.ignored(KEY))
    }

    /// The same where a store that has done so tells it.
    pub(super) fn unencrypted(
        &self,
        encryption: Option<&ServerSideEncryption>,
        kms_key_id: Option<&str>,
    ) -> Option<Error> {
        let asked = self.options.kms_key_id.as_deref()?;
        let done = encryption == Some(&ServerSideEncryption::AwsKms)
            && kms_key_id.is_some_and(|told| is_key(asked, told));
        (!done).then(|| self.ignored(KEY))
    }

    /// Looks whether the object that a HEAD found is what was asked for.
    pub(super) async fn honoured(&self, terms: &CompletionTerms, head: &HeadObjectOutput) -> Honoured {
        if let Some(error) = self.unencrypted(head.server_side_encryption(), head.ssekms_key_id()) {
            return Honoured::No(error);
        }
        if let (Some(mode), Some(until)) = (self.lock_mode(), terms.retain_until()) {
            let is_until =
                head.object_lock_retain_until_date().is_some_and(|date| date.secs() >= until.secs());
            if head.object_lock_mode() != Some(&mode) || !is_until {
                return Honoured::No(self.ignored_or_hidden(LOCK, "s3:GetObjectRetention"));
            }
        }
        if self.options.tags.is_empty() {
            return Honoured::Yes;
        }
        // A store that knows no tags might answer the question for them with the whole object.
        if head.tag_count().is_none_or(|count| usize::try_from(count) != Ok(self.options.tags.len())) {
            return Honoured::No(self.ignored_or_hidden(TAGS, "s3:GetObjectTagging"));
        }
        let request = self.client.get_object_tagging().bucket(&self.bucket).key(&self.key);
        match request.send().await {
            Ok(told) => {
                let mut asked = self.options.tags.iter();
                let all = asked.all(|(name, value)| {
                    told.tag_set().iter().any(|tag| tag.key() == name && tag.value() == value)
                });
                if all { Honoured::Yes } else { Honoured::No(self.ignored(TAGS)) }
            }
            Err(error) => Honoured::Unknown(self.unseen(TAGS, self.failed(&error))),
        }
    }

    fn ignored(&self, option: &str) -> Error {
        let message = format!(
            "the store has not done what {option} asks for, so the archive is not stored; use a store and a bucket that do, \
             or leave it out"
        );
        self.at(Error::new(ErrorKind::Storage, message))
    }

    /// A HEAD tells of a lock and of tags only those who may ask for them.
    fn ignored_or_hidden(&self, option: &str, permission: &str) -> Error {
        let why =
            format!("a HEAD does not show it; where the store has done it, it shows it with {permission}");
        self.ignored(option).with_source(why)
    }

    fn unseen(&self, option: &str, error: Error) -> Error {
        let message = format!("the object is there, and whether it is what {option} asks for cannot be seen");
        self.at(Error::new(ErrorKind::Storage, message).with_source(error))
    }
}

/// Whether the store means the key that was asked for. It tells the ARN of the key, from which an alias cannot be known.
fn is_key(asked: &str, told: &str) -> bool {
    let is_alias = asked.starts_with("alias/") || asked.contains(":alias/");
    let same = |before: &str| told.strip_suffix(asked).is_some_and(|start| start.ends_with(before));
    is_alias || told == asked || same("/") || same(":")
}

#[cfg(test)]
mod tests {
    use super::is_key;

    #[test]
    fn a_key_is_known_by_its_identifier_its_arn_or_an_alias() {
        let told = "arn:aws:kms:eu-central-1:012345678901:key/1234abcd-12ab";
        for asked in
            ["1234abcd-12ab", told, "alias/backups", "arn:aws:kms:eu-central-1:012345678901:alias/backups"]
        {
            assert!(is_key(asked, told), "{asked}");
        }
        for asked in ["12ab", "1234abcd", "arn:aws:kms:eu-central-1:012345678901:key/1234abcd-12ac"] {
            assert!(!is_key(asked, told), "{asked}");
        }
        assert!(is_key("backups", "arn:aws:kms:backups"), "as MinIO names them");
    }
}
