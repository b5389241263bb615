//! Archives in files: written beside their final name, renamed when they are whole.

mod partial;
mod thread;

use super::{Listed, Location, Stored};
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use partial::{Partial, Plan};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use thread::{Reader, Writer};

/// Bytes on their way into a file or stream.
#[derive(Debug)]
pub(super) struct FileSink {
    writer: Writer,
    /// The unfinished file; `None` for streams, pipes and devices, which have no name to wait for.
    partial: Option<Partial>,
    place: String,
    bytes: u64,
}

/// Bytes on their way out of a file or stream.
#[derive(Debug)]
pub(super) struct FileSource {
    reader: Reader,
    size: Option<u64>,
    place: String,
}

/// Begins a file, or opens what is there where that is no regular file.
pub(super) async fn create(path: &Path, overwrite: bool) -> Result<FileSink> {
    let target = path.to_owned();
    let place = path.display().to_string();
    let planned = blocking(move || {
        if is_stream(&target)? {
            return Ok(Planned::Stream(OpenOptions::new().write(true).open(&target)?));
        }
        Plan::new(&target, overwrite).map(Planned::File)
    });
    let opened = match planned.await {
        Ok(Planned::Stream(file)) => Ok((file, None)),
        // No wait from here on: a file that is there has an owner that removes it.
        Ok(Planned::File(plan)) => plan.create().map(|(file, partial)| (file, Some(partial))),
        Err(error) => Err(error),
    };
    let started = opened.and_then(|(file, partial)| Ok((Writer::start(file)?, partial)));
    let (writer, partial) = started.map_err(|error| failure("created", error).at(&place))?;
    Ok(FileSink { writer, partial, place, bytes: 0 })
}

/// Where bytes will go.
enum Planned {
    Stream(File),
    File(Plan),
}

/// Opens a file, pipe or device.
pub(super) async fn open(path: &Path) -> Result<FileSource> {
    let target = path.to_owned();
    let place = path.display().to_string();
    let opened = blocking(move || {
        let file = File::open(&target)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok((Reader::start(file)?, metadata.is_file().then_some(metadata.len())))
    });
    let (reader, size) = opened.await.map_err(|error| failure("opened", error).at(&place))?;
    Ok(FileSource { reader, size, place })
}

/// A regular file's size; `None` for no file and for what is not regular.
pub(super) async fn stat(path: &Path) -> Result<Option<Stored>> {
    let target = path.to_owned();
    let found = blocking(move || match fs::metadata(&target) {
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) => Ok(metadata.is_file().then(|| Stored::plain(metadata.len()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    });
    found.await.map_err(|error| failure("examined", error))
}

/// The regular files of a directory in the order of their names, hidden ones aside.
pub(super) async fn list(path: &Path) -> Result<Vec<Listed>> {
    let folder = path.to_owned();
    let listed = blocking(move || {
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let hidden = path.file_name().is_none_or(|name| name.as_bytes().starts_with(b"."));
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() && !hidden => files.push(Listed {
                    at: Location::file(path),
                    bytes: metadata.len(),
                    modified: metadata.modified().ok(),
                    etag: None,
                }),
                Ok(_) => {}
                // Removed since, or a link to nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        files.sort_by(|one, other| one.at.path().cmp(&other.at.path()));
        Ok(files)
    });
    listed.await.map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => {
            Error::new(ErrorKind::InvalidInput, "cannot be listed: it is no directory")
        }
        _ => failure("listed", error),
    })
}

/// Removes a regular file, or the link that names one; nothing there is fine.
pub(super) async fn remove(path: &Path) -> Result<()> {
    let target = path.to_owned();
    let removed = blocking(move || {
        let removed = match fs::metadata(&target) {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => Err(io::ErrorKind::InvalidInput.into()),
            Ok(_) => fs::remove_file(&target),
            Err(error) => Err(error),
        };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    });
    removed.await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => {
            Error::new(ErrorKind::InvalidInput, "cannot be removed: it is a pipe or a device")
        }
        _ => failure("removed", error),
    })
}

impl FileSink {
    /// Writes through to an open stream.
    pub(super) fn stream(file: File) -> io::Result<Self> {
        Ok(Self { writer: Writer::start(file)?, partial: None, place: "-".to_owned(), bytes: 0 })
    }

    pub(super) async fn store(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let written = self.writer.write(bytes).await;
        written.map_err(|error| failure("written", error).at(&self.place))
    }

    pub(super) async fn complete(self) -> Result<Stored> {
        let Self { writer, partial, place, bytes } = self;
        let completed = async {
            let file = writer.finish().await?;
            match partial {
                Some(partial) => blocking(move || partial.complete(&file)).await,
                None => Ok(None),
            }
        };
        let note = completed.await.map_err(|error| failure("completed", error).at(&place))?;
        let notes = note.map(|note| format!("{place}: {note}")).into_iter().collect();
        Ok(Stored { notes, ..Stored::plain(bytes) })
    }

    /// The same file anew.
    pub(super) async fn restart(self) -> Result<Self> {
        match self.partial.as_ref().map(Partial::destination) {
            Some((target, overwrite)) => {
                let place = self.place.clone();
                self.abort().await?;
                create(&target, overwrite).await.map(|sink| Self { place, ..sink })
            }
            None if self.bytes == 0 => Ok(self),
            None => {
                let message = "bytes have gone to a stream, where nothing can be taken back; begin again with a new one";
                Err(Error::new(ErrorKind::Storage, message).at(&self.place))
            }
        }
    }

    pub(super) async fn abort(self) -> Result<()> {
        let Self { writer, partial, place, .. } = self;
        drop(writer);
        match partial {
            Some(partial) => {
                blocking(move || partial.remove()).await.map_err(|error| failure("removed", error).at(&place))
            }
            None => Ok(()),
        }
    }
}

impl FileSource {
    /// Reads an open stream to its end.
    pub(super) fn stream(file: File) -> io::Result<Self> {
        Ok(Self { reader: Reader::start(file)?, size: None, place: "-".to_owned() })
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        self.reader.next().await.map_err(|error| failure("read", error).at(&self.place))
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }
}

/// Whether bytes go straight there: pipes, devices, and every name under which the system hands out open descriptors
/// (`/dev/stdout`, `/proc/self/fd/1`), because renaming over those would miss the descriptor.
fn is_stream(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if metadata.is_file() => {
            Ok(["/dev/std", "/dev/fd/", "/proc/"].iter().any(|lent| path.to_string_lossy().starts_with(lent)))
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Runs a call that may wait for a disk, or for the other end of a pipe, in a thread of its own: one that never ends
/// must not keep the runtime from ending.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("mongoark-file".to_owned()).spawn(move || done.send(call()).ok())?;
    result.await.map_err(|_| io::Error::other("the thread that works on the file has ended"))?
}

fn failure(what: &str, error: io::Error) -> Error {
    use io::ErrorKind as Io;
    let (kind, advice) = match error.kind() {
        Io::NotFound => (ErrorKind::NotFound, "no such file or directory"),
        Io::AlreadyExists => (
            ErrorKind::AlreadyExists,
            "something is already there and must not be overwritten; choose another name",
        ),
        Io::PermissionDenied => (ErrorKind::Storage, "permission denied"),
        Io::IsADirectory => (ErrorKind::InvalidInput, "it is a directory; name a file in it"),
        Io::NotADirectory => (ErrorKind::InvalidInput, "a part of the path is not a directory"),
        Io::StorageFull | Io::QuotaExceeded => (ErrorKind::Storage, "the disk is full or the quota exceeded"),
        Io::ReadOnlyFilesystem => (ErrorKind::Storage, "the file system is read-only"),
        Io::BrokenPipe => (ErrorKind::Storage, "the reading side has closed the pipe"),
        Io::Unsupported => (
            ErrorKind::Storage,
            "the file system has no hard links, so a file cannot be kept from being overwritten; allow overwriting",
        ),
        _ => (ErrorKind::Storage, "the system refused"),
    };
    let failed = Error::new(kind, format!("cannot be {what}: {advice}"));
    // The system may say it in the same words.
    let text = error.to_string().to_lowercase();
    let words = text.split(" (os error").next().unwrap_or_default();
    if advice.contains(words) { failed } else { failed.with_source(error) }
}
