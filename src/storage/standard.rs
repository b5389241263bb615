//! Standard input and output as places for archives.
//!
//! Both work on a duplicate of the descriptor, past the buffers of [`std::io`]: archives come in pieces of their own.

use super::file::{FileSink, FileSource};
use crate::{Error, ErrorKind, Result};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, stat};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// Writes through to standard output; nothing is taken back on abort.
pub(super) fn output() -> Result<FileSink> {
    open(&io::stdout(), "output").and_then(|file| FileSink::stream(file).map_err(unusable))
}

/// Reads standard input to its end.
pub(super) fn input() -> Result<FileSource> {
    open(&io::stdin(), "input").and_then(|file| FileSource::stream(file).map_err(unusable))
}

fn open(stream: &impl AsFd, name: &str) -> Result<File> {
    let closed = was_closed(stream).map_err(|error| unusable(error.into()))?;
    if closed {
        let message = format!("standard {name} is closed; redirect it, or give a path");
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    stream.as_fd().try_clone_to_owned().map(File::from).map_err(unusable)
}

/// Whether the stream was closed when the program began: the runtime then opens the null device in its place, for
/// reading and writing. A shell that redirects to or from that device opens it for one of the two.
fn was_closed(stream: &impl AsFd) -> rustix::io::Result<bool> {
    let found = fstat(stream)?;
    let is_device = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice;
    Ok(is_device
        && stat("/dev/null").is_ok_and(|null| null.st_rdev == found.st_rdev)
        && fcntl_getfl(stream)? & OFlags::RWMODE == OFlags::RDWR)
}

fn unusable(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "the standard stream cannot be used; give a path instead")
        .with_source(error)
}
