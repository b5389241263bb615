//! On what terms an object is made, and what tells ours from anybody else's.

use crate::storage::s3_options::ObjectLock;
use crate::storage::{CreateOptions, S3Options};
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_hours(24);

/// User metadata of an object that says which upload made it.
const TOKEN: &str = "mongoark-upload";

/// On what terms an object is made.
#[derive(Clone, Debug)]
pub(super) struct CompletionTerms {
    overwrite: bool,
    labels: Vec<(String, String)>,
    token: Token,
    retain_until: Option<DateTime>,
}

/// Tells our object from anybody else's when the answer to the request that made it is lost.
#[derive(Clone, Debug)]
pub(super) struct Token(String);

impl CompletionTerms {
    pub(super) fn new(options: &CreateOptions, asked: &S3Options) -> Result<Self> {
        let (overwrite, token) = (options.overwrite, Token::new());
        let retain_until = retain_until(asked);
        let mut terms = Self { overwrite, labels: Vec::new(), token, retain_until };
        options.labels.iter().try_for_each(|(name, value)| terms.add_label(name, value))?;
        Ok(terms)
    }

    pub(super) fn add_label(&mut self, name: &str, value: &str) -> Result<()> {
        if !is_label(name, value) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the label {name:?} cannot be kept; names are a-z, 0-9 and hyphens, values visible ASCII"
                ),
            ));
        }
        self.labels.retain(|(there, _)| there != name);
        self.labels.push((name.to_owned(), value.to_owned()));
        self.labels.sort();
        Ok(())
    }

    /// The same terms for another upload.
    pub(super) fn anew(&self) -> Self {
        Self { token: Token::new(), ..self.clone() }
    }

    pub(super) fn overwrite(&self) -> bool {
        self.overwrite
    }

    /// Unlike that of any other upload.
    pub(super) fn token(&self) -> &str {
        &self.token.0
    }

    /// Until when the object is locked, where that is asked.
    pub(super) fn retain_until(&self) -> Option<DateTime> {
        self.retain_until
    }

    pub(super) fn labels(&self) -> &[(String, String)] {
        &self.labels
    }

    /// Whether the object that a HEAD found was made on these terms.
    pub(super) fn made(&self, head: &HeadObjectOutput) -> bool {
        self.token.is_in(head.metadata())
    }

    pub(super) fn metadata(&self) -> HashMap<String, String> {
        self.labels.iter().cloned().chain([self.token.label()]).collect()
    }

    pub(super) fn if_none_match(&self) -> Option<String> {
        (!self.overwrite).then(|| "*".to_owned())
    }
}

impl Token {
    pub(super) fn new() -> Self {
        let process = std::process::id();
        let half = || RandomState::new().hash_one(process);
        Self(format!("{:016x}{:016x}", half(), half()))
    }

    pub(super) fn label(&self) -> (String, String) {
        (TOKEN.to_owned(), self.0.clone())
    }

    pub(super) fn is_in(&self, metadata: Option<&HashMap<String, String>>) -> bool {
        metadata.and_then(|metadata| metadata.get(TOKEN)) == Some(&self.0)
    }
}

/// Until when an archive that begins now is locked.
fn retain_until(options: &S3Options) -> Option<DateTime> {
    let ObjectLock { days, .. } = options.object_lock?;
    let until = SystemTime::now().checked_add(DAY * days)?;
    // Whole seconds: that is how it comes back.
    Some(DateTime::from_secs(DateTime::from(until).secs()))
}

/// The labels among an object's metadata, sorted.
pub(super) fn labels(metadata: Option<HashMap<String, String>>) -> Vec<(String, String)> {
    let mut labels: Vec<_> = metadata.unwrap_or_default().into_iter().collect();
    labels.retain(|(name, _)| name != TOKEN);
    labels.sort();
    labels
}

fn is_label(name: &str, value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    !name.is_empty()
        && name != TOKEN
        && name.bytes().all(plain)
        && value.trim() == value
        && value.bytes().all(visible)
}
