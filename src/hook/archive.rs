//! The place of an archive.

use std::fmt;

use crate::Result;
use crate::storage::Location;

use super::name::Name;

/// The object that an invocation writes or reads.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl Archive {
    pub(crate) fn new(bucket: &str, application: &Name, deployment: &Name) -> Self {
        let key = format!("backups/{}/{}.archive", application.as_str(), deployment.as_str());
        Self { bucket: bucket.to_owned(), key }
    }

    pub(crate) fn location(&self) -> Result<Location> {
        Location::s3(&self.bucket, &self.key)
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}
