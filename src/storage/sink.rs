//! The way of an archive into its place.

use super::checksum::Crc64;
use super::{Memory, Stored, file, memory, pipe, s3};
use crate::Result;
use bytes::Bytes;

/// Takes an archive's bytes; nothing is visible before [`complete`](Sink::complete).
///
/// An unfinished sink that is dropped removes what it has stored: a file at once, the parts of an S3 object in a task
/// of its own as far as the runtime lives on. [`abort`](Sink::abort) waits for that and tells the outcome. Standard
/// output, pipes and devices show bytes as they come; there nothing can be taken back.
#[derive(Debug)]
pub struct Sink {
    kind: SinkKind,
    /// Of all bytes that were taken.
    crc64: Crc64,
}

#[derive(Debug)]
pub(super) enum SinkKind {
    Memory(memory::MemorySink),
    File(file::FileSink),
    Pipe(pipe::PipeSink),
    S3(Box<s3::Upload>),
}

impl Sink {
    pub(super) fn new(kind: SinkKind) -> Self {
        Self { kind, crc64: Crc64::new() }
    }

    /// A sink that gathers in memory, and the handle that reads it once it is complete.
    pub fn memory() -> (Self, Memory) {
        let (sink, memory) = memory::pair();
        (Self::new(SinkKind::Memory(sink)), memory)
    }

    /// About how many bytes will be stored, rather too many than too few: the size of the parts of an S3 object follows
    /// from it, so that all of them are equal and 10,000 suffice. The uncompressed size will do.
    ///
    /// It counts before the first part is full, and where
    /// [`CreateOptions::part_bytes`](super::CreateOptions::part_bytes) has not fixed the size. Up to 70 GiB parts have
    /// 8 MiB; beyond, a part holds a 9,000th, and an upload up to 64 MiB of parts in flight (at least one) and the part
    /// being filled: about 240 MiB for 1 TiB. Files, streams and memory need no size.
    pub fn expect(&mut self, bytes: u64) {
        match &mut self.kind {
            SinkKind::Memory(_) | SinkKind::File(_) | SinkKind::Pipe(_) => {}
            SinkKind::S3(upload) => upload.expect(bytes),
        }
    }

    /// Adds a name and a value to what is kept beside an S3 object; see [`CreateOptions::labels`](super::CreateOptions::labels).
    /// Where there is no place for it, it is dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a label that cannot be kept, or once the first bytes
    /// have been stored.
    pub fn label(&mut self, name: &str, value: &str) -> Result<()> {
        match &mut self.kind {
            SinkKind::Memory(_) | SinkKind::File(_) | SinkKind::Pipe(_) => Ok(()),
            SinkKind::S3(upload) => upload.label(name, value),
        }
    }

    /// Takes the next bytes; waits while enough is in flight.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage) where this or an earlier piece could not be stored. The sink
    /// is of no use then: [`abort`](Sink::abort) it.
    ///
    /// # Cancellation
    ///
    /// Whether a piece whose future was dropped has been taken is unknown: abort the sink.
    pub async fn store(&mut self, bytes: Bytes) -> Result<()> {
        self.crc64.add(&bytes).await;
        match &mut self.kind {
            SinkKind::Memory(sink) => {
                sink.store(bytes);
                Ok(())
            }
            SinkKind::File(file) => file.store(bytes).await,
            SinkKind::Pipe(pipe) => pipe.store(bytes).await,
            SinkKind::S3(upload) => upload.store(bytes).await,
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
        match &mut self.kind {
            SinkKind::Memory(_) | SinkKind::File(_) | SinkKind::Pipe(_) => Ok(()),
            SinkKind::S3(upload) => upload.drain().await,
        }
    }

    /// Makes the archive visible, whole.
    ///
    /// A file is on the disk when this returns, with its directory entry if the directory may be read. An S3 completion
    /// whose answer was lost, or that met another writer's (409, 412), is settled by asking for the object: success
    /// means that it is there, an error that this archive is not. A store that is away meanwhile is waited for, as long
    /// as [`Storage::s3_client`](super::Storage::s3_client) says.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`](crate::ErrorKind::AlreadyExists) where something else was completed there in the
    /// meantime and must not be overwritten, [`ErrorKind::Storage`](crate::ErrorKind::Storage) for everything the place
    /// itself refuses. Nothing stored is left then.
    ///
    /// # Cancellation
    ///
    /// A dropped future leaves a complete archive or none. Which of them is open for as long as the store takes, up to
    /// minutes: whoever drops it says so instead of "nothing was kept", and looks with
    /// [`Storage::stat`](super::Storage::stat).
    pub async fn complete(self) -> Result<Stored> {
        let crc64 = self.crc64.value();
        let stored = match self.kind {
            SinkKind::Memory(sink) => sink.complete(),
            SinkKind::File(file) => file.complete().await?,
            SinkKind::Pipe(pipe) => pipe.complete().await?,
            SinkKind::S3(upload) => Box::pin(upload.complete(crc64)).await?,
        };
        Ok(Stored { crc64: Some(crc64), ..stored })
    }

    /// Removes everything that was stored, and begins anew at the same place, on the same terms and with the same labels.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage) where something unfinished stays behind, or bytes have gone where
    /// nothing can be taken back: standard output, pipes and devices begin anew only before the first byte. Otherwise what
    /// [`Storage::create`](super::Storage::create) refuses.
    ///
    /// # Cancellation
    ///
    /// As [`abort`](Sink::abort).
    pub async fn restart(self) -> Result<Self> {
        Ok(Self::new(match self.kind {
            SinkKind::Memory(sink) => SinkKind::Memory(sink.restart()),
            SinkKind::File(file) => SinkKind::File(file.restart().await?),
            SinkKind::Pipe(_) => return Err(pipe::cannot_begin_anew()),
            SinkKind::S3(upload) => SinkKind::S3(Box::new(Box::pin(upload.restart()).await?)),
        }))
    }

    /// Removes everything that was stored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage) where something unfinished stays behind; the error says what.
    ///
    /// # Cancellation
    ///
    /// A dropped future does what dropping the sink does.
    pub async fn abort(self) -> Result<()> {
        match self.kind {
            SinkKind::Memory(_) | SinkKind::Pipe(_) => Ok(()),
            SinkKind::File(file) => file.abort().await,
            SinkKind::S3(upload) => Box::pin(upload.abort()).await,
        }
    }
}
