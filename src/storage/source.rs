//! The way of an archive out of its place.

use super::{file, memory, pipe, s3};
use crate::Result;
use bytes::Bytes;

/// Gives an archive's bytes from its start to its end.
#[derive(Debug)]
pub struct Source(SourceKind);

#[derive(Debug)]
pub(super) enum SourceKind {
    Memory(memory::MemorySource),
    File(file::FileSource),
    Pipe(pipe::PipeSource),
    S3(Box<s3::Download>),
}

impl Source {
    pub(super) fn new(kind: SourceKind) -> Self {
        Self(kind)
    }

    /// A source that gives these pieces in turn.
    pub fn memory(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self(SourceKind::Memory(memory::MemorySource::new(pieces)))
    }

    /// The next bytes, never empty; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage) where the rest cannot be read or is no longer the same object.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost when the future is dropped: the next call continues where this one was.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        match &mut self.0 {
            SourceKind::Memory(source) => Ok(source.next()),
            SourceKind::File(file) => file.next().await,
            SourceKind::Pipe(pipe) => pipe.next().await,
            SourceKind::S3(download) => download.next().await,
        }
    }

    /// The store's name of the bytes that are read, as [`Stored::etag`](super::Stored::etag); `None` for all but S3 objects.
    pub fn etag(&self) -> Option<&str> {
        match &self.0 {
            SourceKind::Memory(_) | SourceKind::File(_) | SourceKind::Pipe(_) => None,
            SourceKind::S3(download) => download.etag(),
        }
    }

    /// Size in bytes of the stored archive where it is known: of files, objects and memory, not of streams.
    pub fn size(&self) -> Option<u64> {
        match &self.0 {
            SourceKind::Memory(source) => Some(source.size()),
            SourceKind::File(file) => file.size(),
            SourceKind::Pipe(_) => None,
            SourceKind::S3(download) => Some(download.size()),
        }
    }
}
