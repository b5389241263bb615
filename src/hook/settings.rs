//! The function's environment variables.

use crate::dump::SnapshotMode;
use crate::storage::{LockMode, S3Options};
use crate::{Error, ErrorKind, Result};

pub(super) const SECRET_ID: &str = "MONGO_URI_SECRET_ID";
const BUCKET: &str = "BUCKET_NAME";
const REGION: &str = "AWS_REGION";
const DATABASE: &str = "DATABASE";
const SNAPSHOT: &str = "SNAPSHOT";
pub(super) const DRILL_SECRET_ID: &str = "DRILL_URI_SECRET_ID";
const OWNER: &str = "EXPECTED_BUCKET_OWNER";
const KMS_KEY_ID: &str = "KMS_KEY_ID";
const LOCK_MODE: &str = "OBJECT_LOCK_MODE";
const LOCK_DAYS: &str = "OBJECT_LOCK_DAYS";
const TAGS: &str = "TAGS";
const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

/// What the environment says. A variable that is missing is an error of the invocation, not of the start: only an
/// invocation can tell CodeDeploy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Settings {
    pub(crate) secret_id: String,
    pub(crate) bucket: String,
    pub(crate) region: String,
    /// The one database to work on; set and blank is the same as not set.
    pub(crate) database: Option<String>,
    /// The secret of the deployment that drills run on, where it is another one.
    pub(crate) drill_secret_id: Option<String>,
    /// The function's memory in MB, which Lambda tells.
    pub(crate) memory: Option<u64>,
    snapshot: String,
    owner: Option<String>,
    kms_key_id: Option<String>,
    lock_mode: Option<String>,
    lock_days: Option<String>,
    tags: Option<String>,
}

impl Settings {
    pub(crate) fn from_env() -> Self {
        Self::read(|variable| std::env::var(variable).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name| variable(name).map(|text| text.trim().to_owned()).unwrap_or_default();
        let given = |name| Some(value(name)).filter(|text| !text.is_empty());
        Self {
            secret_id: value(SECRET_ID),
            bucket: value(BUCKET),
            region: value(REGION),
            database: given(DATABASE),
            drill_secret_id: given(DRILL_SECRET_ID),
            memory: value(MEMORY).parse().ok(),
            snapshot: value(SNAPSHOT),
            owner: given(OWNER),
            kms_key_id: given(KMS_KEY_ID),
            lock_mode: given(LOCK_MODE),
            lock_days: given(LOCK_DAYS),
            tags: given(TAGS),
        }
    }

    /// Whether a backup reads everything at one moment.
    pub(crate) fn snapshot(&self) -> Result<SnapshotMode> {
        match self.snapshot.to_lowercase().as_str() {
            "" | "auto" => Ok(SnapshotMode::Auto),
            "required" => Ok(SnapshotMode::Required),
            "off" => Ok(SnapshotMode::Off),
            _ => {
                let message = format!(
                    "{SNAPSHOT} in the function's environment is {:?}; set auto, required or off",
                    self.snapshot
                );
                Err(Error::new(ErrorKind::InvalidInput, message))
            }
        }
    }

    /// What is asked of the bucket and of the objects in it.
    pub(crate) fn s3_options(&self) -> Result<S3Options> {
        let of = |name| move |error: Error| error.at(format_args!("{name} in the function's environment"));
        let mut options = S3Options::default();
        if let Some(owner) = &self.owner {
            options = options.expect_bucket_owner(owner).map_err(of(OWNER))?;
        }
        if let Some(key) = &self.kms_key_id {
            options = options.encrypt_with(key).map_err(of(KMS_KEY_ID))?;
        }
        match (&self.lock_mode, &self.lock_days) {
            (None, None) => {}
            (Some(mode), Some(days)) => {
                let mode = LockMode::parse(mode).map_err(of(LOCK_MODE))?;
                // What is no number is no number of days.
                let days = days.parse().unwrap_or_default();
                options = options.lock(mode, days).map_err(of(LOCK_DAYS))?;
            }
            _ => {
                let message = format!(
                    "an Object Lock needs both {LOCK_MODE} and {LOCK_DAYS} in the function's environment"
                );
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        }
        for tag in self.tags.iter().flat_map(|tags| tags.split(',')) {
            let (name, value) = tag.split_once('=').unwrap_or_default();
            options = options.tag(name.trim(), value.trim()).map_err(of(TAGS))?;
        }
        Ok(options)
    }

    /// Names every variable that is missing or empty, or the one that cannot be used.
    pub(crate) fn check(&self) -> Result<()> {
        let all = [
            (&self.bucket, BUCKET, "the bucket that keeps the archives"),
            (&self.secret_id, SECRET_ID, "the name or ARN of the secret with mongo_uri"),
            (&self.region, REGION, "the region, which Lambda sets by itself"),
        ];
        let missing: Vec<_> = all
            .iter()
            .filter(|(value, ..)| value.is_empty())
            .map(|(_, name, meaning)| format!("{name} ({meaning})"))
            .collect();
        if missing.is_empty() {
            self.s3_options()?;
            return self.snapshot().map(drop);
        }
        let message = format!("not set in the function's environment: {}; set it there", missing.join(", "));
        Err(Error::new(ErrorKind::InvalidInput, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_variable_is_named() {
        let error =
            Settings::read(|name| (name == REGION).then(|| "eu-central-1".to_owned())).check().unwrap_err();
        let message = error.to_string();
        assert!(message.contains("BUCKET_NAME") && message.contains("MONGO_URI_SECRET_ID"), "{message}");
        assert!(!message.contains("AWS_REGION"), "{message}");
    }

    #[test]
    fn an_empty_variable_is_a_missing_one() {
        let settings = Settings::read(|name| Some(if name == BUCKET { " " } else { "x" }.to_owned()));
        assert!(settings.check().unwrap_err().to_string().contains("BUCKET_NAME"));
    }

    #[test]
    fn a_complete_environment_is_accepted() {
        let needed = [SECRET_ID, BUCKET, REGION, DATABASE];
        let settings = Settings::read(|name| needed.contains(&name).then(|| format!(" {name}\n")));
        assert!(settings.check().is_ok());
        assert_eq!(settings.bucket, "BUCKET_NAME");
        assert_eq!(settings.database.as_deref(), Some("DATABASE"));
    }

    #[test]
    fn the_moment_of_a_backup_is_one_of_three_words() {
        let with = |word: &str| Settings::read(|name| word_of(name, &[(SNAPSHOT, word)]));
        for (word, mode) in [
            ("", SnapshotMode::Auto),
            ("auto", SnapshotMode::Auto),
            (" Required ", SnapshotMode::Required),
            ("off", SnapshotMode::Off),
        ] {
            assert_eq!(with(word).snapshot().unwrap(), mode, "{word:?}");
        }
        let message = with("of").check().unwrap_err().to_string();
        assert!(message.contains("SNAPSHOT") && message.contains("auto, required or off"), "{message}");
    }

    /// Each variable that is needed, and these.
    fn word_of(name: &str, others: &[(&str, &str)]) -> Option<String> {
        let other = others.iter().find(|(other, _)| *other == name).map(|(_, word)| *word);
        let needed = [SECRET_ID, BUCKET, REGION].contains(&name).then_some("x");
        other.or(needed).map(ToOwned::to_owned)
    }

    #[test]
    fn what_is_asked_of_the_bucket_is_checked_before_anything_is_done() {
        let with = |others: &[(&str, &str)]| Settings::read(|name| word_of(name, others));
        assert!(with(&[]).s3_options().unwrap().is_empty());
        let all = [
            (OWNER, " 012345678901 "),
            (KMS_KEY_ID, "alias/backups"),
            (LOCK_MODE, "Compliance"),
            (LOCK_DAYS, "30"),
            (TAGS, "team=shop, cost centre = 7"),
        ];
        let expected = S3Options::default()
            .expect_bucket_owner("012345678901")
            .and_then(|options| options.encrypt_with("alias/backups"))
            .and_then(|options| options.lock(LockMode::Compliance, 30))
            .and_then(|options| options.tag("team", "shop")?.tag("cost centre", "7"));
        assert_eq!(with(&all).s3_options().unwrap(), expected.unwrap());
        assert!(with(&all).check().is_ok());
        for (wrong, named) in [
            (&[(OWNER, "me")][..], OWNER),
            (&[(KMS_KEY_ID, "a key")], KMS_KEY_ID),
            (&[(LOCK_MODE, "GOVERNANCE")], LOCK_DAYS),
            (&[(LOCK_DAYS, "30")], LOCK_MODE),
            (&[(LOCK_MODE, "FOREVER"), (LOCK_DAYS, "30")], LOCK_MODE),
            (&[(LOCK_MODE, "GOVERNANCE"), (LOCK_DAYS, "a month")], LOCK_DAYS),
            (&[(TAGS, "team")], TAGS),
            (&[(TAGS, "team=shop,")], TAGS),
        ] {
            let message = with(wrong).check().unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}
