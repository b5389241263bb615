//! What is asked of S3 and of the objects there.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use super::invalid;
use crate::Result;
use crate::storage::{LockMode, S3Options};

/// Whose bucket an archive may come from or go to.
#[derive(clap::Args, Debug)]
pub(super) struct Bucket {
    /// Fail where the bucket does not belong to this AWS account.
    #[arg(long = "s3ExpectedBucketOwner", value_name = "ACCOUNT")]
    expected_bucket_owner: Option<String>,
}

/// What a new object in S3 is besides its bytes. What the store does not do is an error, and nothing is stored.
#[derive(clap::Args, Debug)]
pub(super) struct NewObject {
    /// Encrypt the archive and its proof record in S3 with this KMS key: its ID, its ARN or alias/NAME.
    #[arg(long = "s3KmsKeyId", value_name = "KEY")]
    kms_key_id: Option<String>,

    /// Lock the archive and its proof record in S3: GOVERNANCE, or COMPLIANCE, which nobody can undo.
    #[arg(long = "s3ObjectLockMode", value_name = "MODE", requires = "object_lock_days")]
    object_lock_mode: Option<String>,

    /// How many days they are locked, from the beginning of the dump.
    #[arg(long = "s3ObjectLockDays", value_name = "N", requires = "object_lock_mode")]
    object_lock_days: Option<u32>,

    /// Tag the archive and its proof record in S3; may be repeated.
    #[arg(long = "s3Tag", value_name = "NAME=VALUE")]
    tags: Vec<String>,
}

impl Bucket {
    pub(super) fn options(&self, is_s3: bool) -> Result<S3Options> {
        let options = S3Options::default();
        let Some(owner) = &self.expected_bucket_owner else { return Ok(options) };
        only_s3("--s3ExpectedBucketOwner", is_s3)?;
        options.expect_bucket_owner(owner).map_err(|error| error.at("--s3ExpectedBucketOwner"))
    }
}

impl NewObject {
    /// Adds these to what is asked already.
    pub(super) fn add_to(&self, mut options: S3Options, is_s3: bool) -> Result<S3Options> {
        if let Some(key) = &self.kms_key_id {
            only_s3("--s3KmsKeyId", is_s3)?;
            options = options.encrypt_with(key).map_err(|error| error.at("--s3KmsKeyId"))?;
        }
        if let (Some(mode), Some(days)) = (&self.object_lock_mode, self.object_lock_days) {
            only_s3("--s3ObjectLockMode", is_s3)?;
            let mode = LockMode::parse(mode).map_err(|error| error.at("--s3ObjectLockMode"))?;
            options = options.lock(mode, days).map_err(|error| error.at("--s3ObjectLockDays"))?;
        }
        for tag in &self.tags {
            only_s3("--s3Tag", is_s3)?;
            let (name, value) = tag.split_once('=').unwrap_or_default();
            options = options.tag(name, value).map_err(|error| error.at("--s3Tag"))?;
        }
        Ok(options)
    }
}

fn only_s3(flag: &str, is_s3: bool) -> Result<()> {
    if is_s3 {
        return Ok(());
    }
    Err(invalid("this is for archives in S3: give --archive=s3://BUCKET/KEY, or leave it out").at(flag))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Args, Command};
    use super::*;

    fn options(arguments: &[&str]) -> Result<S3Options> {
        match Args::try_parse_from(["mongoark"].iter().chain(arguments)).unwrap().command {
            Command::Dump(dump) => dump.s3_options(),
            Command::Restore(restore) => restore.s3_options(),
            Command::Verify(verify) => verify.s3_options(),
            Command::Drill(drill) => drill.s3_options(),
        }
    }

    #[test]
    fn an_option_of_s3_is_refused_for_what_is_not_in_s3() {
        let flags = [
            &["--s3ExpectedBucketOwner=012345678901"][..],
            &["--s3KmsKeyId=key"],
            &["--s3ObjectLockMode=GOVERNANCE", "--s3ObjectLockDays=1"],
            &["--s3Tag=a=b"],
        ];
        for archive in ["--archive", "--archive=file", "--archive=s3:/bucket/key"] {
            for flags in flags {
                let error = options(&[&["dump", archive], flags].concat()).unwrap_err();
                assert!(error.to_string().contains("--s3"), "{error}");
                assert!(error.to_string().contains("s3://BUCKET/KEY"), "{error}");
                options(&[&["dump", "--archive=s3://bucket/key"], flags].concat()).unwrap();
            }
        }
        for verb in ["restore", "verify", "drill"] {
            let owner = "--s3ExpectedBucketOwner=012345678901";
            assert!(options(&[verb, "--archive=file", owner]).is_err(), "{verb}");
            assert!(!options(&[verb, "--archive=s3://bucket/key", owner]).unwrap().is_empty(), "{verb}");
            assert!(options(&[verb, "--archive=s3://bucket/key"]).unwrap().is_empty(), "{verb}");
        }
    }

    #[test]
    fn a_value_that_s3_would_refuse_is_refused_with_the_name_of_its_flag() {
        for flags in [
            &["--s3ExpectedBucketOwner=me"][..],
            &["--s3KmsKeyId="],
            &["--s3ObjectLockMode=FOREVER", "--s3ObjectLockDays=1"],
            &["--s3ObjectLockMode=compliance", "--s3ObjectLockDays=0"],
            &["--s3Tag=alone"],
            &["--s3Tag=a=1", "--s3Tag=a=2"],
        ] {
            let error = options(&[&["dump", "--archive=s3://bucket/key"], flags].concat()).unwrap_err();
            assert!(error.to_string().contains("--s3"), "{error}");
        }
    }

    #[test]
    fn a_lock_has_a_mode_and_a_time() {
        for flag in ["--s3ObjectLockMode=GOVERNANCE", "--s3ObjectLockDays=1"] {
            assert!(
                Args::try_parse_from(["mongoark", "dump", "--archive=s3://b/k", flag]).is_err(),
                "{flag}"
            );
        }
    }
}
