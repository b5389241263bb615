//! Where archives are kept: files, standard streams, S3 objects.
//!
//! [`Location`] names a place, [`Storage`] opens it: a [`Sink`] that shows nothing until it is
//! [completed](Sink::complete), a [`Source`] that reads an archive from its start to its end.
//!
//! Memory is bounded whatever the size of the archive: a file or stream holds a few chunks, an S3 object the parts in
//! flight and the part being filled (see [`Sink::expect`] for their size) or, when read, a few ranges.

mod checked;
pub(crate) mod checksum;
mod file;
mod listed;
mod listing;
mod location;
mod memory;
mod pipe;
#[cfg(feature = "s3")]
mod s3;
#[cfg(not(feature = "s3"))]
#[path = "storage/without_s3.rs"]
mod s3;
mod s3_options;
mod sink;
mod source;
mod standard;
mod versioned;

pub use checked::Checked;
pub use listed::Listed;
pub use listing::Listing;
pub use location::Location;
pub use memory::Memory;
#[cfg(feature = "s3")]
pub use s3::MAX_OBJECT_BYTES;
pub use s3_options::{LockMode, S3Options};
pub use sink::Sink;
pub use source::Source;
pub use versioned::{Expected, Swap, Versioned};

use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use listing::Pages;
use location::Place;
use sink::SinkKind;
use source::SourceKind;
use std::sync::Arc;

/// A sink and the source of what is stored in it, for another task: whoever is ahead waits for the other.
///
/// The source ends when the sink is [completed](Sink::complete) and fails when it is given up.
pub fn pipe() -> (Sink, Source) {
    let (sink, source) = pipe::pair();
    (Sink::new(SinkKind::Pipe(sink)), Source::new(SourceKind::Pipe(source)))
}

/// Opens locations. Holds the S3 client, built once.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    s3: Option<s3::Client>,
    options: Arc<S3Options>,
}

/// How an archive is created.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// Whether a complete archive that is there already may be replaced (true unless said otherwise).
    pub overwrite: bool,
    /// Names and values kept beside an S3 object as its user metadata and returned by [`Storage::stat`].
    ///
    /// Names are lower-case letters, digits and hyphens, values visible ASCII. Files and streams have no place for
    /// them and drop them.
    pub labels: Vec<(String, String)>,
    /// About how many bytes the archive will have, rather too many than too few; see [`Sink::expect`].
    pub size_hint: Option<u64>,
    /// Bytes of each part of an S3 object but the last, 5 MiB to 5 GiB; chosen by the size unless given.
    pub part_bytes: Option<u64>,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self { overwrite: true, labels: Vec::new(), size_hint: None, part_bytes: None }
    }
}

/// What a place holds.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stored {
    /// Bytes stored.
    pub bytes: u64,
    /// The labels it was created with, sorted by name; empty for files and streams.
    pub labels: Vec<(String, String)>,
    /// The store's name of these bytes; `None` for files and streams.
    pub etag: Option<String>,
    /// The name of this version of the object in a bucket that keeps versions.
    pub version: Option<String>,
    /// CRC-64/NVME of all bytes: what a sink has computed of those it stored, or what the store tells of the whole object,
    /// where it does.
    pub crc64: Option<u64>,
    /// What it rests on that these are the bytes that were stored.
    pub checked: Checked,
    /// What its writer has to be told although the archive is complete, one sentence each: what could not be removed
    /// beside it. Nearly always empty.
    pub notes: Vec<String>,
}

impl Stored {
    /// Bytes at a place that keeps nothing else.
    fn plain(bytes: u64) -> Self {
        Self {
            bytes,
            labels: Vec::new(),
            etag: None,
            version: None,
            crc64: None,
            checked: Checked::Size,
            notes: Vec::new(),
        }
    }
}

impl Storage {
    /// Files and standard streams only.
    pub fn local() -> Self {
        Self::default()
    }

    /// With S3 through this client, best made by [`Storage::s3_client`].
    #[cfg(feature = "s3")]
    pub fn with_s3(client: aws_sdk_s3::Client) -> Self {
        Self { s3: Some(client), ..Self::default() }
    }

    /// The same places, with these options for what is in S3; files and streams know none of them.
    #[must_use]
    pub fn with_options(self, options: S3Options) -> Self {
        Self { s3: self.s3.map(|client| s3::with_options(client, &options)), options: Arc::new(options) }
    }

    /// What this location needs: for S3 a client from the environment and the AWS profile, otherwise nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] where S3 is needed and neither a region nor an endpoint is configured, or
    /// `AWS_CA_BUNDLE` names no usable certificates.
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind when the future is dropped.
    pub async fn for_location(at: &Location) -> Result<Self> {
        match at.place() {
            Place::Standard | Place::File(_) => Ok(Self::local()),
            Place::S3 { .. } => {
                let client = s3::client_of_environment().await.map_err(|error| error.at(at))?;
                Ok(Self { s3: Some(client), ..Self::default() })
            }
        }
    }

    /// An S3 client for this AWS configuration; a custom endpoint means path-style addresses.
    ///
    /// An endpoint may come from the configuration itself, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile.
    /// Checksums are sent unless the configuration says `when_required`, as stores want that refuse them. Timeouts and
    /// retries are this program's own: a dead endpoint fails in half a minute, a slow one does not, and a store that
    /// goes away while an archive is on its way is waited for three minutes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] where neither a region nor an endpoint is configured.
    #[cfg(feature = "s3")]
    pub fn s3_client(config: &aws_config::SdkConfig) -> Result<aws_sdk_s3::Client> {
        s3::client(config)
    }

    /// Begins an archive.
    ///
    /// An S3 bucket is asked at once, so that a wrong name, region or credential shows before any work is done.
    ///
    /// An S3 object that is overwritten is kept until the new one is proven: by a store that compares the checksum of the
    /// whole before it replaces, by the bucket's versions, or as a copy `<key>.replaced-<token>`. Unfinished uploads of the
    /// same key that were there before, and have stood still since, are removed when the archive is proven.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] where something is there and must not be overwritten, [`ErrorKind::NotFound`] for
    /// a missing directory or bucket, [`ErrorKind::InvalidInput`] for labels that cannot be kept,
    /// [`ErrorKind::Storage`] for everything the place itself refuses.
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind when the future is dropped.
    pub async fn create(&self, at: &Location, options: &CreateOptions) -> Result<Sink> {
        let sink = match at.place() {
            Place::Standard => standard::output().map(SinkKind::File),
            Place::File(path) => file::create(path, options.overwrite).await.map(SinkKind::File),
            Place::S3 { bucket, key } => {
                let object = s3::Object::new(self.client()?, &self.options, bucket, key);
                Box::pin(s3::Upload::create(object, options))
                    .await
                    .map(|upload| SinkKind::S3(Box::new(upload)))
            }
        };
        sink.map(Sink::new).map_err(|error| error.at(at))
    }

    /// Opens an archive.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] where nothing is there, [`ErrorKind::Storage`] for everything the place itself refuses.
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind when the future is dropped.
    pub async fn open(&self, at: &Location) -> Result<Source> {
        let source = match at.place() {
            Place::Standard => standard::input().map(SourceKind::File),
            Place::File(path) => file::open(path).await.map(SourceKind::File),
            Place::S3 { bucket, key } => {
                let object = s3::Object::new(self.client()?, &self.options, bucket, key);
                Box::pin(s3::Download::open(object)).await.map(|download| SourceKind::S3(Box::new(download)))
            }
        };
        source.map(Source::new).map_err(|error| error.at(at))
    }

    /// Whether a complete archive is there, and what is known about it.
    ///
    /// Standard streams, pipes and devices hold nothing that could be complete: they are `None`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] for a missing bucket, [`ErrorKind::Storage`] where the place does not tell. Without
    /// the permission `s3:ListBucket` S3 refuses to tell whether an object exists.
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind when the future is dropped.
    pub async fn stat(&self, at: &Location) -> Result<Option<Stored>> {
        let found = match at.place() {
            Place::Standard => Ok(None),
            Place::File(path) => file::stat(path).await,
            Place::S3 { bucket, key } => {
                Box::pin(s3::Object::new(self.client()?, &self.options, bucket, key).stat()).await
            }
        };
        found.map_err(|error| error.at(at))
    }

    /// What is in a directory, or is an S3 object whose key begins with this one (a key that ends in a slash is what
    /// other tools call a folder).
    ///
    /// Of a directory these are the regular files whose names do not begin with a dot, those in deeper ones aside.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] for a missing directory, [`ErrorKind::InvalidInput`] for what is none and for standard
    /// streams, [`ErrorKind::Storage`] for everything the place itself refuses.
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind when the future is dropped.
    pub async fn list(&self, under: &Location) -> Result<Listing> {
        match under.place() {
            Place::Standard => {
                Err(Error::new(ErrorKind::InvalidInput, "standard streams cannot be listed").at(under))
            }
            Place::File(path) => {
                let files = file::list(path).await.map_err(|error| error.at(under))?;
                Ok(Listing::new(Pages::Files(Some(files))))
            }
            Place::S3 { bucket, key } => Ok(Listing::new(Pages::S3(Box::new(s3::Pages::new(
                s3::Object::new(self.client()?, &self.options, bucket, key),
            ))))),
        }
    }

    /// Removes an archive; `false` where another version than the one asked for is there and stays.
    ///
    /// A version is what [`Stored::etag`] and [`Listed::etag`] tell; without one whatever is there is removed. That
    /// nothing is there is no error: an answer may have been lost. A bucket that keeps versions keeps this one, too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a version of what is no S3 object and for standard streams, pipes and devices,
    /// [`ErrorKind::Storage`] for everything the place itself refuses.
    ///
    /// # Cancellation
    ///
    /// Whether the archive is removed is unknown when the future is dropped.
    pub async fn remove(&self, at: &Location, version: Option<&str>) -> Result<bool> {
        let removed = match (at.place(), version) {
            (Place::S3 { bucket, key }, version) => {
                Box::pin(s3::Object::new(self.client()?, &self.options, bucket, key).remove(version)).await
            }
            (Place::File(path), None) => file::remove(path).await.map(|()| true),
            (Place::File(_) | Place::Standard, _) => {
                Err(Error::new(ErrorKind::InvalidInput, "only a whole file, or an S3 object, can be removed"))
            }
        };
        removed.map_err(|error| error.at(at))
    }

    /// Removes what unfinished uploads to this S3 object have left, its parts; how many there were.
    ///
    /// Only for who knows that nobody else writes there: an upload that is still at work fails, and leaves nothing. Needs
    /// `s3:ListBucketMultipartUploads` and `s3:AbortMultipartUpload`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a location outside S3, [`ErrorKind::Storage`] where the store refuses.
    ///
    /// # Cancellation
    ///
    /// Some of them may be left when the future is dropped.
    pub async fn remove_uploads(&self, at: &Location) -> Result<usize> {
        let object = self.object(at)?;
        Box::pin(object.remove_uploads()).await.map_err(|error| error.at(at))
    }

    /// A small S3 object, whole, with the version that [`swap`](Storage::swap) asks for; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an object of more than 64 KiB and for a location outside S3,
    /// [`ErrorKind::NotFound`] for a missing bucket, [`ErrorKind::Storage`] where the place does not tell. Without the
    /// permission `s3:ListBucket` S3 refuses to tell whether an object exists.
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind when the future is dropped.
    pub async fn read_small(&self, at: &Location) -> Result<Option<Versioned>> {
        let object = self.object(at)?;
        Box::pin(object.read_small()).await.map_err(|error| error.at(at))
    }

    /// Puts a small S3 object (up to 64 KiB) in the place of what is expected there, or of nothing: of several writers
    /// that expect the same, one is done and the others lose.
    ///
    /// A lost answer is settled by reading what is there. Let no two writes have the same bytes (put a random or
    /// counted value into them): a version is the store's hash of them, and would be taken for an older one.
    ///
    /// On stores that ignore `If-Match` and `If-None-Match` (Garage 2.5) this takes two seconds, and excludes only
    /// writers that do not stall for longer than that between their look and their write.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for more than 64 KiB and for a location outside S3, [`ErrorKind::NotFound`] for a
    /// missing bucket, [`ErrorKind::Storage`] for everything the place itself refuses. After an error the bytes may
    /// have been stored or, where the store is slow, may still be: read again before relying on either.
    ///
    /// # Cancellation
    ///
    /// As after an error: whether the bytes are stored is unknown when the future is dropped.
    pub async fn swap(&self, at: &Location, expected: Expected<'_>, bytes: Bytes) -> Result<Swap> {
        let object = self.object(at)?;
        Box::pin(object.swap(expected, bytes)).await.map_err(|error| error.at(at))
    }

    /// Adds tags to an S3 object, and keeps those it has: the permissions `s3:GetObjectTagging` and `s3:PutObjectTagging`
    /// are needed. Of two that tag an object at the same time, the tags of one may be lost.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a location outside S3, and where there would be more than the 10 tags S3 allows, [`ErrorKind::Storage`] where the place refuses.
    ///
    /// # Cancellation
    ///
    /// Whether the tags are there is unknown when the future is dropped.
    pub async fn tag(&self, at: &Location, tags: &[(&str, &str)]) -> Result<()> {
        let object = self.object(at)?;
        Box::pin(object.tag(tags)).await.map_err(|error| error.at(at))
    }

    fn object(&self, at: &Location) -> Result<s3::Object> {
        match at.place() {
            Place::S3 { bucket, key } => Ok(s3::Object::new(self.client()?, &self.options, bucket, key)),
            Place::Standard | Place::File(_) => {
                Err(Error::new(ErrorKind::InvalidInput, "only S3 objects have versions").at(at))
            }
        }
    }

    fn client(&self) -> Result<s3::Client> {
        self.s3.clone().ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "no S3 client was configured for this location")
        })
    }
}
