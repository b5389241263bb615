//! The one error of this crate: what went wrong, where, and what to do now.

use std::error::Error as StdError;
use std::fmt;

/// A specialised [`Result`](std::result::Result) for this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, at which place, and why.
///
/// [`Display`](fmt::Display) prints this level only, in lower case; the cause is [`source`](StdError::source).
/// [`Error::report`] prints the whole chain, once, at the boundary. No error holds a password, a connection string or
/// a document.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    place: Option<String>,
    /// Whether another stage's error is the cause.
    hung_up: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The class of an [`Error`]: which side has to change something.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument, event, variable or secret that cannot be used as it stands.
    InvalidInput,
    /// The MongoDB deployment cannot be reached.
    Connection,
    /// The MongoDB deployment refused the user name, password or permission.
    Authentication,
    /// The MongoDB deployment answered a command with an error.
    Server,
    /// The archive is damaged, truncated, or no archive at all.
    Archive,
    /// A file, object or bucket that should be there is not.
    NotFound,
    /// The one collection that was asked for does not exist; nothing was dumped.
    NoSuchCollection,
    /// A file or object that must not be overwritten is already there.
    AlreadyExists,
    /// Reading or writing a file, an object or a pipe failed.
    Storage,
    /// An AWS service other than S3 answered with an error.
    Service,
    /// The caller cancelled the operation.
    Cancelled,
    /// A defect of this program: a task ended without a result.
    Internal,
}

impl Error {
    /// An error of this kind with a lower-case sentence that says what happened and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), place: None, hung_up: false, source: None }))
    }

    /// The operation was cancelled.
    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled before it was complete; nothing was kept")
    }

    /// An archive that is being read is damaged, truncated or none.
    pub(crate) fn archive(error: archive_format::Error) -> Self {
        Self::new(ErrorKind::Archive, "the archive cannot be read").with_source(error)
    }

    /// What a server holds has no place in an archive.
    pub(crate) fn not_archivable(error: archive_format::Error) -> Self {
        Self::new(ErrorKind::Server, "it cannot be written into an archive").with_source(error)
    }

    /// A name that was asked for, which no server accepts.
    pub(crate) fn invalid_name(error: archive_format::Error) -> Self {
        Self::new(ErrorKind::InvalidInput, "no server accepts this name").with_source(error)
    }

    /// A stage of this program ended because another one did. Never the cause: the other one's error is.
    pub(crate) fn hung_up() -> Self {
        let mut error = Self::new(ErrorKind::Internal, "a stage of the work ended without saying why");
        error.0.hung_up = true;
        error
    }

    /// Whether this only says that another stage has failed.
    pub(crate) fn is_hung_up(&self) -> bool {
        self.0.hung_up
    }

    /// Names the place: a namespace, a location or a setting. The innermost name wins.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        if self.0.place.is_none() {
            self.0.place = Some(place.to_string());
        }
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the caller's cancellation ended the operation.
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// The whole chain in one line, for the one place that prints it.
    pub fn report(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries print several lines, and some repeat their cause.
            let text =
                text.lines().map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.place {
            Some(place) => write!(f, "{place}: {}", self.0.message),
            None => f.write_str(&self.0.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.0.kind).field("report", &self.report()).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
