//! The function's environment variables.

use crate::dump::SnapshotMode;
use crate::{Error, ErrorKind, Result};

pub(super) const SECRET_ID: &str = "MONGO_URI_SECRET_ID";
const BUCKET: &str = "BUCKET_NAME";
const REGION: &str = "AWS_REGION";
const DATABASE: &str = "DATABASE";
const SNAPSHOT: &str = "SNAPSHOT";
pub(super) const DRILL_SECRET_ID: &str = "DRILL_URI_SECRET_ID";
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
        let settings = Settings::read(|name| (name != SNAPSHOT).then(|| format!(" {name}\n")));
        assert!(settings.check().is_ok());
        assert_eq!(settings.bucket, "BUCKET_NAME");
        assert_eq!(settings.database.as_deref(), Some("DATABASE"));
    }

    #[test]
    fn the_moment_of_a_backup_is_one_of_three_words() {
        let with =
            |word: &str| Settings::read(|name| Some(if name == SNAPSHOT { word } else { "x" }.to_owned()));
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
}
