//! What is asked of S3 beyond storing bytes.

use crate::{Error, ErrorKind, Result};
use std::fmt;

/// Digits of an AWS account's number.
const ACCOUNT_DIGITS: usize = 12;

/// Longest retention in days, set by S3: 100 years.
const MAX_LOCK_DAYS: u32 = 36_500;

/// Tags of a new object at most: S3 allows 10, and a drill adds one.
const MAX_TAGS: usize = 9;

/// Longest name and longest value of a tag in characters, set by S3.
const MAX_TAG_CHARS: (usize, usize) = (128, 256);

/// Whose bucket it must be, and what its objects are created with: encryption, a lock, tags.
///
/// The key goes with every object, those that coordinate several writers included; lock and tags with archives and the
/// records beside them. Each is looked for when an object is complete: one that the store has not honoured is an error, and
/// the object is removed again.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct S3Options {
    pub(super) expected_bucket_owner: Option<String>,
    pub(super) kms_key_id: Option<String>,
    pub(super) object_lock: Option<ObjectLock>,
    pub(super) tags: Vec<(String, String)>,
}

/// How long nobody may remove an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ObjectLock {
    pub(super) mode: LockMode,
    pub(super) days: u32,
}

/// Who may lift the lock of an object before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LockMode {
    /// Who has the permission `s3:BypassGovernanceRetention`.
    Governance,
    /// Nobody.
    Compliance,
}

impl S3Options {
    /// Every request fails where the bucket belongs to another account than this.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for what is no account's number.
    pub fn expect_bucket_owner(mut self, account: &str) -> Result<Self> {
        if account.len() != ACCOUNT_DIGITS || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid("the owner of a bucket is the 12 digits of an AWS account"));
        }
        self.expected_bucket_owner = Some(account.to_owned());
        Ok(self)
    }

    /// Objects are encrypted with this key of KMS: its identifier, its ARN or an alias.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for what is no name of a key.
    pub fn encrypt_with(mut self, kms_key_id: &str) -> Result<Self> {
        if kms_key_id.is_empty() || !kms_key_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid("a KMS key is named by its identifier, its ARN or alias/NAME"));
        }
        self.kms_key_id = Some(kms_key_id.to_owned());
        Ok(self)
    }

    /// Nobody may remove an archive for this many days from its beginning. The bucket has to have Object Lock.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for no day and for more than 100 years.
    pub fn lock(mut self, mode: LockMode, days: u32) -> Result<Self> {
        if days == 0 || days > MAX_LOCK_DAYS {
            return Err(invalid("an Object Lock lasts from 1 to 36500 days"));
        }
        self.object_lock = Some(ObjectLock { mode, days });
        Ok(self)
    }

    /// Archives carry this tag.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a name that is there already, and for what S3 does not take.
    pub fn tag(mut self, name: &str, value: &str) -> Result<Self> {
        let (longest_name, longest_value) = MAX_TAG_CHARS;
        let problem = if name.trim().is_empty() {
            "a tag is written NAME=VALUE"
        } else if name.chars().count() > longest_name || value.chars().count() > longest_value {
            "the name of a tag has up to 128 characters, its value up to 256"
        } else if name.starts_with("aws:") {
            "names of tags that begin with aws: are Amazon's own"
        } else if !name.chars().chain(value.chars()).all(is_of_tags) {
            "a tag has letters, digits, spaces and + - = . _ : / @"
        } else if self.tags.iter().any(|(there, _)| there == name) {
            "there are two tags of one name"
        } else if self.tags.len() == MAX_TAGS {
            "an archive takes 9 tags: S3 allows 10, and a drill adds one"
        } else {
            self.tags.push((name.to_owned(), value.to_owned()));
            return Ok(self);
        };
        Err(invalid(problem))
    }

    /// Whether anything is asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl LockMode {
    /// `GOVERNANCE` or `COMPLIANCE`, in small letters too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for every other word.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_uppercase().as_str() {
            "GOVERNANCE" => Ok(Self::Governance),
            "COMPLIANCE" => Ok(Self::Compliance),
            _ => Err(invalid("an Object Lock has the mode GOVERNANCE or COMPLIANCE")),
        }
    }

    /// S3's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn is_of_tags(letter: char) -> bool {
    letter.is_alphanumeric() || " +-=._:/@".contains(letter)
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_s3_would_refuse_is_refused_here() {
        let none = S3Options::default;
        for owner in ["", "12345678901", "1234567890123", "12345678901x", "\u{661}23456789012"] {
            assert!(none().expect_bucket_owner(owner).is_err(), "{owner}");
        }
        for key in ["", "a b", "key\n"] {
            assert!(none().encrypt_with(key).is_err(), "{key:?}");
        }
        for days in [0, 36_501] {
            assert!(none().lock(LockMode::Governance, days).is_err(), "{days}");
        }
        for (name, value) in [("", "x"), (" ", "x"), ("aws:x", "x"), ("a", "b&c"), ("a", &"x".repeat(257))] {
            assert!(none().tag(name, value).is_err(), "{name:?} {value:?}");
        }
        assert!(none().tag("a", "1").unwrap().tag("a", "2").is_err());
        assert!(LockMode::parse("FOREVER").is_err());
    }

    #[test]
    fn what_s3_takes_is_taken() {
        let options = S3Options::default()
            .expect_bucket_owner("012345678901")
            .and_then(|options| options.encrypt_with("arn:aws:kms:eu-central-1:012345678901:alias/backups"))
            .and_then(|options| options.lock(LockMode::parse("compliance")?, 36_500))
            .and_then(|options| options.tag("Kosten stelle", ""))
            .and_then(|options| options.tag("\u{e4}", "a=b:c/d@e+f-g._"));
        assert!(!options.unwrap().is_empty());
        let many = (0..=MAX_TAGS)
            .try_fold(S3Options::default(), |options, number| options.tag(&number.to_string(), "x"));
        assert!(many.unwrap_err().to_string().contains("9 tags"));
    }
}
