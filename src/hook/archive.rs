//! The place of an archive.

use std::fmt;

use crate::Result;
use crate::storage::Location;

use super::name::Name;

/// What the names of archives end with.
const EXTENSION: &str = ".archive";

/// The object that an invocation writes or reads.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// The object that says who writes it.
    pub(super) claim: String,
}

impl Archive {
    pub(crate) fn new(bucket: &str, application: &Name, deployment: &Name) -> Self {
        let name = format!("backups/{}/{}", application.as_str(), deployment.as_str());
        Self {
            bucket: bucket.to_owned(),
            key: format!("{name}{EXTENSION}"),
            claim: format!("locks/{name}.lease"),
        }
    }

    /// Where all archives of an application are.
    pub(super) fn folder(bucket: &str, application: &Name) -> Result<Location> {
        Location::s3(bucket, &format!("backups/{}/", application.as_str()))
    }

    /// The archive of an application that a listing found there; `None` where it is something else.
    pub(super) fn listed(bucket: &str, application: &Name, at: &Location) -> Option<Self> {
        let folder = Self::folder(bucket, application).ok()?.to_string();
        let deployment = at.to_string().strip_prefix(&folder)?.strip_suffix(EXTENSION)?.to_owned();
        Some(Self::new(bucket, application, &Name::new("the object's name", &deployment).ok()?))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Longest key of an S3 object in bytes.
    const LONGEST_KEY: usize = 1024;

    fn name(text: &str) -> Name {
        Name::new("a test", text).unwrap()
    }

    #[test]
    fn the_longest_names_leave_room_for_what_is_kept_beside_the_archive() {
        let longest = name(&"x".repeat(255));
        let archive = Archive::new("vault", &longest, &longest);
        for key in [format!("{}.proof.json", archive.key), archive.claim] {
            assert!(key.len() <= LONGEST_KEY, "{} bytes", key.len());
        }
    }

    #[test]
    fn no_name_makes_one_archive_of_what_is_kept_beside_another() {
        let archive = Archive::new("vault", &name("shop"), &name("d-1"));
        for deployment in ["d-1.archive", "d-1.archive.proof.json", "d-1.archive.proof", "d-1.lease"] {
            let other = Archive::new("vault", &name("shop"), &name(deployment));
            for key in [&other.key, &other.claim] {
                assert!(
                    ![&archive.key, &archive.claim, &format!("{}.proof.json", archive.key)].contains(&key),
                    "{key}"
                );
            }
        }
        let lease = Archive::new("vault", &name("locks"), &name("rs0-0123456789abcdef"));
        assert!(
            lease.claim.starts_with("locks/backups/"),
            "never the lease of a deployment: {}",
            lease.claim
        );
    }

    #[test]
    fn a_listing_gives_the_archives_and_nothing_else() {
        let listed = |key: &str| {
            Archive::listed("vault", &name("shop"), &Location::s3("vault", key).unwrap())
                .map(|archive| archive.key)
        };
        assert_eq!(listed("backups/shop/d-1.archive").as_deref(), Some("backups/shop/d-1.archive"));
        for key in [
            "backups/shop/d-1.archive.proof.json",
            "backups/shop/.archive",
            "backups/shop/a/b.archive",
            "backups/shop/x",
        ] {
            assert_eq!(listed(key), None, "{key}");
        }
    }
}
