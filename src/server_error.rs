//! What servers and the driver say when something went wrong, as errors of this crate.

use mongodb::error::{Error as DriverError, ErrorKind as DriverKind};

use crate::{Error, ErrorKind};

/// Server error codes.
const UNAUTHORIZED: i32 = 13;
const AUTHENTICATION_FAILED: i32 = 18;
pub(crate) const DUPLICATE_KEY: i32 = 11000;
/// The answer when a collection has gone, or was never there.
pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;

/// Codes after which the same command is answered once the set has a primary, or the member is back: what drivers take for
/// retryable reads (host unreachable and not found, network timeout, shut down, not primary, recovering, read concern not
/// available, time limit of a step-down).
const TRANSIENT: [i32; 14] = [6, 7, 89, 91, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436];

/// Whether the command may succeed when it is sent again: the connection broke, or an election is under way.
pub(crate) fn is_transient(error: &DriverError) -> bool {
    match error.kind.as_ref() {
        DriverKind::Io(_) | DriverKind::ConnectionPoolCleared { .. } => true,
        DriverKind::Command(command) => is_transient_code(command.code),
        _ => ["RetryableWriteError", "RetryableError"].iter().any(|label| error.contains_label(label)),
    }
}

/// Whether a server that answers with this code may answer otherwise in a while.
pub(crate) fn is_transient_code(code: i32) -> bool {
    TRANSIENT.contains(&code)
}

/// The code of a server's answer to a command.
pub(crate) fn code(error: &DriverError) -> Option<i32> {
    match error.kind.as_ref() {
        DriverKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// Whether the server refused for want of a permission or a log-in.
pub(crate) fn is_unauthorized(error: &DriverError) -> bool {
    matches!(error.kind.as_ref(), DriverKind::Authentication { .. })
        || code(error).is_some_and(|code| matches!(code, UNAUTHORIZED | AUTHENTICATION_FAILED))
}

/// Maps a driver error to ours; the message never carries what the driver may have quoted of the connection string.
pub(crate) fn driver_error(action: &str, error: &DriverError) -> Error {
    let kind = match error.kind.as_ref() {
        _ if is_unauthorized(error) => ErrorKind::Authentication,
        DriverKind::ServerSelection { .. } | DriverKind::Io(_) | DriverKind::ConnectionPoolCleared { .. } => {
            ErrorKind::Connection
        }
        _ => ErrorKind::Server,
    };
    Error::new(kind, action).with_source(answer(error))
}

/// What the server or the driver said, in one line. The driver's own `Display` adds the server's whole reply.
pub(crate) fn answer(error: &DriverError) -> String {
    match error.kind.as_ref() {
        DriverKind::Command(command) => {
            // These messages repeat the command or the key, which may be documents.
            let message = match command.code {
                UNAUTHORIZED | DUPLICATE_KEY => without_values(&command.message),
                _ => &command.message,
            };
            format!("{message} (code {}, {})", command.code, command.code_name)
        }
        DriverKind::Authentication { message, .. } => message.clone(),
        kind => kind.to_string(),
    }
}

/// A server's message up to the first brace: what follows may be a document.
pub(crate) fn without_values(message: &str) -> &str {
    message.split('{').next().unwrap_or_default().trim_end()
}
