//! An error that is written down, to be given as the answer once more.

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// Letters of an error that are remembered.
const MAX_MESSAGE: usize = 250;

/// What an invocation failed with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Failure {
    kind: String,
    message: String,
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        Self {
            kind: format!("{:?}", error.kind()),
            message: error.report().chars().take(MAX_MESSAGE).collect(),
        }
    }

    /// The error once more, with what is to be said about that.
    pub(super) fn again(&self, about: &str) -> Error {
        Error::new(kind_of(&self.kind), format!("{} ({about})", self.message))
    }
}

/// The kind of an error that was written down by its name.
fn kind_of(name: &str) -> ErrorKind {
    use ErrorKind::{
        AlreadyExists, Archive, Authentication, Cancelled, Connection, InvalidInput, NoSuchCollection,
        NotFound, Server, Service, Storage,
    };
    let kinds = [
        AlreadyExists,
        Archive,
        Authentication,
        Cancelled,
        Connection,
        InvalidInput,
        NoSuchCollection,
        NotFound,
        Server,
        Service,
        Storage,
    ];
    kinds.into_iter().find(|kind| format!("{kind:?}") == name).unwrap_or(ErrorKind::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_is_told_again_as_the_same() {
        for kind in [
            ErrorKind::InvalidInput,
            ErrorKind::Connection,
            ErrorKind::Authentication,
            ErrorKind::Server,
            ErrorKind::Archive,
            ErrorKind::NotFound,
            ErrorKind::NoSuchCollection,
            ErrorKind::AlreadyExists,
            ErrorKind::Storage,
            ErrorKind::Service,
            ErrorKind::Cancelled,
            ErrorKind::Internal,
        ] {
            let again = Failure::of(&Error::new(kind, "a problem")).again("once more");
            assert_eq!((again.kind(), again.report().as_str()), (kind, "a problem (once more)"));
        }
    }

    #[test]
    fn a_long_error_is_cut() {
        let failure = Failure::of(&Error::new(ErrorKind::Server, "ü".repeat(10_000)));
        assert_eq!(failure.message.chars().count(), MAX_MESSAGE);
    }
}
