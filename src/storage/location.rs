//! Where an archive is: a path, `-`, or an S3 object.

use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::path::{Path, PathBuf};

/// Longest key of an S3 object in bytes of UTF-8, set by S3.
const MAX_KEY_BYTES: usize = 1024;

/// A place for one archive: a path, `-` for the standard streams, or `s3://BUCKET/KEY`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Location(Place);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Place {
    Standard,
    File(PathBuf),
    S3 { bucket: String, key: String },
}

impl Location {
    /// Standard input or output.
    pub fn standard() -> Self {
        Self(Place::Standard)
    }

    /// A file, whatever its name: `-` and `s3:` mean nothing special here.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(path.into()))
    }

    /// An S3 object; an access point's ARN stands for a bucket.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] where the bucket or the key is empty, the bucket has a slash, or the key is longer
    /// than S3's 1,024 bytes.
    pub fn s3(bucket: &str, key: &str) -> Result<Self> {
        let problem = if bucket.is_empty() {
            "the bucket is missing"
        } else if bucket.contains('/') && !is_access_point(bucket) {
            "a bucket's name has no slash"
        } else if key.is_empty() {
            "the key is missing"
        } else if key.len() > MAX_KEY_BYTES {
            "the key is longer than the 1024 bytes S3 allows"
        } else {
            return Ok(Self(Place::S3 { bucket: bucket.to_owned(), key: key.to_owned() }));
        };
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!("{problem}; an S3 object is written s3://BUCKET/KEY"),
        )
        .at(format_args!("s3://{bucket}/{key}")))
    }

    /// A path, `-`, or `s3://BUCKET/KEY`, where the bucket may be an access point:
    /// `s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/KEY`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an empty text and for what [`Location::s3`] refuses.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "no location was given; give a path, s3://BUCKET/KEY, or - for the standard streams",
            ));
        }
        if text == "-" {
            return Ok(Self::standard());
        }
        match text.strip_prefix("s3://") {
            Some(object) => {
                let (bucket, key) = split(object);
                Self::s3(bucket, key)
            }
            None => Ok(Self::file(text)),
        }
    }

    /// The path where it is a file.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Place::File(path) => Some(path),
            Place::Standard | Place::S3 { .. } => None,
        }
    }

    /// Whether it is an S3 object.
    pub fn is_s3(&self) -> bool {
        matches!(self.0, Place::S3 { .. })
    }

    /// The place beside this one whose name is longer by this; standard streams have none beside them.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        Self(match &self.0 {
            Place::Standard => Place::Standard,
            Place::File(path) => {
                let mut path = path.clone().into_os_string();
                path.push(suffix);
                Place::File(path.into())
            }
            Place::S3 { bucket, key } => Place::S3 { bucket: bucket.clone(), key: format!("{key}{suffix}") },
        })
    }

    /// Whether the name of the file or object ends in this.
    pub(crate) fn ends_with(&self, suffix: &str) -> bool {
        match &self.0 {
            Place::Standard => false,
            Place::File(path) => path.as_os_str().as_encoded_bytes().ends_with(suffix.as_bytes()),
            Place::S3 { key, .. } => key.ends_with(suffix),
        }
    }

    /// Whether this is the place of a copy that an overwrite keeps until the new object is proven; see
    /// [`Storage::create`](super::Storage::create).
    pub(crate) fn is_kept_copy(&self) -> bool {
        match &self.0 {
            Place::S3 { key, .. } => is_kept_copy(key),
            Place::Standard | Place::File(_) => false,
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.0
    }
}

/// Stands between the key of an object and the token of the upload that has copied it.
pub(super) const KEPT: &str = ".replaced-";

/// Digits of a token.
const TOKEN_DIGITS: usize = 32;

pub(super) fn is_kept_copy(key: &str) -> bool {
    key.rsplit_once(KEPT).is_some_and(|(_, token)| {
        token.len() == TOKEN_DIGITS && token.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The bucket, or the access point with its slashes, and the key.
fn split(object: &str) -> (&str, &str) {
    if is_access_point(object) {
        return (object, "");
    }
    let slashes = object.match_indices('/').map(|(at, _)| at);
    let ends = slashes.clone().find(|end| object.get(..*end).is_some_and(is_access_point));
    match ends.or_else(|| slashes.clone().next()) {
        Some(end) => (object.get(..end).unwrap_or(object), object.get(end + 1..).unwrap_or_default()),
        None => (object, ""),
    }
}

/// Whether this is the whole name of an access point: of a region, of many (`NAME.mrap`), on an Outpost.
fn is_access_point(name: &str) -> bool {
    let mut fields = name.splitn(6, ':');
    let (arn, _partition, service) = (fields.next(), fields.next(), fields.next());
    let (_region, _account, resource) = (fields.next(), fields.next(), fields.next().unwrap_or_default());
    let words: Vec<&str> = resource.split(['/', ':']).collect();
    arn == Some("arn")
        && match (service, words.as_slice()) {
            (Some("s3" | "s3-object-lambda"), ["accesspoint", point]) => !point.is_empty(),
            (Some("s3-outposts"), ["outpost", outpost, "accesspoint", point]) => {
                !outpost.is_empty() && !point.is_empty()
            }
            _ => false,
        }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Standard => f.write_str("-"),
            Place::File(path) => write!(f, "{}", path.display()),
            Place::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Location, Place};
    use crate::ErrorKind;

    #[test]
    fn every_kind_of_location_prints_as_it_was_written() {
        for text in
            ["-", "backup.archive.gz", "/var/backups/a b", "./-", "s3://bucket/key", "s3://bucket/a/b//c d"]
        {
            assert_eq!(Location::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_path_that_only_resembles_s3_is_a_path() {
        for text in ["s3:/bucket/key", "S3://bucket/key", "s3", "bucket/s3://key"] {
            assert!(matches!(Location::parse(text).unwrap().place(), Place::File(_)), "{text}");
        }
    }

    #[test]
    fn an_access_point_stands_for_a_bucket() {
        for bucket in [
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/backups",
            "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:backups",
            "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
            "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/backups",
            "arn:aws:s3-outposts:us-west-2:123456789012:outpost:op-01ac5d28a6a232904:accesspoint:backups",
        ] {
            let text = format!("s3://{bucket}/a/b.archive");
            let location = Location::parse(&text).unwrap();
            let expected = Place::S3 { bucket: bucket.to_owned(), key: "a/b.archive".to_owned() };
            assert_eq!(location.place(), &expected);
            assert_eq!(location.to_string(), text);
            let error = Location::parse(&format!("s3://{bucket}")).unwrap_err();
            assert!(error.to_string().contains("s3://BUCKET/KEY"), "{error}");
        }
    }

    #[test]
    fn an_incomplete_s3_location_is_refused_with_the_right_form() {
        for text in ["s3://", "s3://bucket", "s3://bucket/", "s3:///key"] {
            let error = Location::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("s3://BUCKET/KEY"), "{error}");
        }
        assert_eq!(Location::parse("").unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_copy_of_a_replaced_object_is_known_by_its_key() {
        let token = "0123456789abcdef".repeat(2);
        let is_copy = |key: &str| Location::s3("bucket", key).unwrap().is_kept_copy();
        assert!(is_copy(&format!("a.archive.replaced-{token}")));
        for key in
            ["a.replaced-", "a.replaced-today", &format!("a-{token}"), &format!("a.replaced-{token}.archive")]
        {
            assert!(!is_copy(key), "{key}");
        }
    }

    #[test]
    fn a_key_has_at_most_1024_bytes() {
        assert!(Location::s3("bucket", &"k".repeat(1024)).is_ok());
        assert!(Location::s3("bucket", &"ü".repeat(513)).is_err());
    }
}
