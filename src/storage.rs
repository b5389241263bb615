//! Where archives are kept: files, standard streams, S3 objects.
//!
//! [`Location`] names a place, [`Storage`] opens it: a [`Sink`] that shows nothing until it is
//! [completed](Sink::complete), a [`Source`] that reads an archive from its start to its end.
//!
//! Memory is bounded whatever the size of the archive: a file or stream holds a few chunks, an S3 object the parts in
//! flight and the part being filled (see [`MAX_OBJECT_BYTES`] for how parts grow) or, when read, a few ranges.

mod file;
mod location;
mod memory;
mod s3;
mod standard;
mod versioned;

pub use location::Location;
pub use memory::Memory;
pub use s3::MAX_OBJECT_BYTES;
pub use versioned::{Expected, Swap, Versioned};

use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use location::Place;

/// Opens locations. Holds the S3 client, built once.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    s3: Option<aws_sdk_s3::Client>,
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
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self { overwrite: true, labels: Vec::new() }
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
}

/// Takes an archive's bytes; nothing is visible before [`complete`](Sink::complete).
///
/// An unfinished sink that is dropped removes what it has stored: a file at once, the parts of an S3 object in a task
/// of its own as far as the runtime lives on. [`abort`](Sink::abort) waits for that and tells the outcome. Standard
/// output, pipes and devices show bytes as they come; there nothing can be taken back.
#[derive(Debug)]
pub struct Sink(Output);

#[derive(Debug)]
enum Output {
    Memory(memory::Gathering),
    File(file::Output),
    S3(Box<s3::Upload>),
}

/// Gives an archive's bytes from its start to its end.
#[derive(Debug)]
pub struct Source(Input);

#[derive(Debug)]
enum Input {
    Memory(memory::Remaining),
    File(file::Input),
    S3(Box<s3::Download>),
}

impl Storage {
    /// Files and standard streams only.
    pub fn local() -> Self {
        Self { s3: None }
    }

    /// With S3 through this client, best made by [`Storage::s3_client`].
    pub fn with_s3(client: aws_sdk_s3::Client) -> Self {
        Self { s3: Some(client) }
    }

    /// What this location needs: for S3 a client from the environment and the AWS profile, otherwise nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] where S3 is needed and neither a region nor an endpoint is configured.
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind when the future is dropped.
    pub async fn for_location(at: &Location) -> Result<Self> {
        match at.place() {
            Place::Standard | Place::File(_) => Ok(Self::local()),
            Place::S3 { .. } => {
                let config = Box::pin(aws_config::load_defaults(aws_config::BehaviorVersion::latest())).await;
                Ok(Self::with_s3(Self::s3_client(&config).map_err(|error| error.at(at))?))
            }
        }
    }

    /// An S3 client for this AWS configuration; a custom endpoint means path-style addresses.
    ///
    /// An endpoint may come from the configuration itself, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile.
    /// Timeouts and retries are this program's own: a dead endpoint fails in half a minute, a slow one does not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] where neither a region nor an endpoint is configured.
    pub fn s3_client(config: &aws_config::SdkConfig) -> Result<aws_sdk_s3::Client> {
        s3::client(config)
    }

    /// Begins an archive.
    ///
    /// An S3 bucket is asked at once, so that a wrong name, region or credential shows before any work is done.
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
        let output = match at.place() {
            Place::Standard => standard::output().map(Output::File),
            Place::File(path) => file::create(path, options.overwrite).await.map(Output::File),
            Place::S3 { bucket, key } => {
                let object = s3::Object::new(self.client()?, bucket, key);
                Box::pin(s3::Upload::create(object, options)).await.map(|upload| Output::S3(Box::new(upload)))
            }
        };
        output.map(Sink).map_err(|error| error.at(at))
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
        let input = match at.place() {
            Place::Standard => standard::input().map(Input::File),
            Place::File(path) => file::open(path).await.map(Input::File),
            Place::S3 { bucket, key } => {
                let object = s3::Object::new(self.client()?, bucket, key);
                Box::pin(s3::Download::open(object)).await.map(|download| Input::S3(Box::new(download)))
            }
        };
        input.map(Source).map_err(|error| error.at(at))
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
            Place::S3 { bucket, key } => Box::pin(s3::Object::new(self.client()?, bucket, key).stat()).await,
        };
        found.map_err(|error| error.at(at))
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

    fn object(&self, at: &Location) -> Result<s3::Object> {
        match at.place() {
            Place::S3 { bucket, key } => Ok(s3::Object::new(self.client()?, bucket, key)),
            Place::Standard | Place::File(_) => {
                Err(Error::new(ErrorKind::InvalidInput, "only S3 objects have versions").at(at))
            }
        }
    }

    fn client(&self) -> Result<aws_sdk_s3::Client> {
        self.s3.clone().ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "no S3 client was configured for this location")
        })
    }
}

impl Sink {
    /// A sink that gathers in memory, and the handle that reads it once it is complete.
    pub fn memory() -> (Self, Memory) {
        let (gathering, memory) = memory::pair();
        (Self(Output::Memory(gathering)), memory)
    }

    /// Takes the next bytes; waits while enough is in flight.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`] where this or an earlier piece could not be stored. The sink is of no use then:
    /// [`abort`](Sink::abort) it.
    ///
    /// # Cancellation
    ///
    /// Whether a piece whose future was dropped has been taken is unknown: abort the sink.
    pub async fn store(&mut self, bytes: Bytes) -> Result<()> {
        match &mut self.0 {
            Output::Memory(gathering) => {
                gathering.store(bytes);
                Ok(())
            }
            Output::File(output) => output.store(bytes).await,
            Output::S3(upload) => upload.store(bytes).await,
        }
    }

    /// Waits until what has been taken is stored, as far as that can be before the completion: the long part of an
    /// upload's end, and the one that may be given up. Nothing more may be stored afterwards.
    ///
    /// # Errors
    ///
    /// As [`store`](Sink::store).
    ///
    /// # Cancellation
    ///
    /// As [`store`](Sink::store): abort the sink.
    pub async fn drain(&mut self) -> Result<()> {
        match &mut self.0 {
            Output::Memory(_) | Output::File(_) => Ok(()),
            Output::S3(upload) => upload.drain().await,
        }
    }

    /// Makes the archive visible, whole.
    ///
    /// A file is on the disk, with its directory entry, when this returns. An S3 completion whose answer was lost is
    /// settled by asking for the object: success means that it is there, an error that this archive is not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] where something else was completed there in the meantime and must not be
    /// overwritten, [`ErrorKind::Storage`] for everything the place itself refuses. Nothing stored is left then.
    ///
    /// # Cancellation
    ///
    /// A dropped future leaves a complete archive or none.
    pub async fn complete(self) -> Result<Stored> {
        match self.0 {
            Output::Memory(gathering) => Ok(gathering.complete()),
            Output::File(output) => output.complete().await,
            Output::S3(upload) => Box::pin(upload.complete()).await,
        }
    }

    /// Removes everything that was stored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`] where something unfinished stays behind; the error says what.
    ///
    /// # Cancellation
    ///
    /// A dropped future does what dropping the sink does.
    pub async fn abort(self) -> Result<()> {
        match self.0 {
            Output::Memory(_) => Ok(()),
            Output::File(output) => output.abort().await,
            Output::S3(upload) => Box::pin(upload.abort()).await,
        }
    }
}

impl Source {
    /// A source that gives these pieces in turn.
    pub fn memory(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self(Input::Memory(memory::Remaining::new(pieces)))
    }

    /// The next bytes, never empty; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`] where the rest cannot be read or is no longer the same object.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost when the future is dropped: the next call continues where this one was.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        match &mut self.0 {
            Input::Memory(remaining) => Ok(remaining.next()),
            Input::File(input) => input.next().await,
            Input::S3(download) => download.next().await,
        }
    }

    /// Size in bytes of the stored archive where it is known: of files, objects and memory, not of streams.
    pub fn size(&self) -> Option<u64> {
        match &self.0 {
            Input::Memory(remaining) => Some(remaining.size()),
            Input::File(input) => input.size(),
            Input::S3(download) => Some(download.size()),
        }
    }
}
