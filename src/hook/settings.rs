//! The function's environment variables.

use crate::{Error, ErrorKind, Result};

const SECRET_ID: &str = "MONGO_URI_SECRET_ID";
const BUCKET: &str = "BUCKET_NAME";
const REGION: &str = "AWS_REGION";
const DATABASE: &str = "DATABASE";

/// What the environment says. A variable that is missing is an error of the invocation, not of the start: only an
/// invocation can tell CodeDeploy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Settings {
    pub(crate) secret_id: String,
    pub(crate) bucket: String,
    pub(crate) region: String,
    /// The one database to work on; set and blank is the same as not set.
    pub(crate) database: Option<String>,
}

impl Settings {
    pub(crate) fn from_env() -> Self {
        Self::read(|variable| std::env::var(variable).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name| variable(name).map(|text| text.trim().to_owned()).unwrap_or_default();
        let database = Some(value(DATABASE)).filter(|name| !name.is_empty());
        Self { secret_id: value(SECRET_ID), bucket: value(BUCKET), region: value(REGION), database }
    }

    /// Names every variable that is missing or empty.
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
            return Ok(());
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
        let settings = Settings::read(|name| Some(format!(" {name}\n")));
        assert!(settings.check().is_ok());
        assert_eq!(settings.bucket, "BUCKET_NAME");
        assert_eq!(settings.database.as_deref(), Some("DATABASE"));
    }
}
