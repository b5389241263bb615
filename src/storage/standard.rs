//! Standard input and output as places for archives.
//!
//! Both work on a duplicate of the descriptor, past the buffers of [`std::io`]: archives come in pieces of their own.

use super::file::{Input, Output};
use crate::{Error, ErrorKind, Result};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// Writes through to standard output; nothing is taken back on abort.
pub(super) fn output() -> Result<Output> {
    duplicate(&io::stdout()).and_then(Output::stream).map_err(closed)
}

/// Reads standard input to its end.
pub(super) fn input() -> Result<Input> {
    duplicate(&io::stdin()).and_then(Input::stream).map_err(closed)
}

fn duplicate(stream: &impl AsFd) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

fn closed(error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "the standard stream cannot be used; give a path instead")
        .with_source(error)
}
