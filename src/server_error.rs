//! What servers and the driver say when something went wrong, as errors of this crate.

use std::error::Error as _;

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
        // A server that steps down or shuts down refuses to log in, too.
        DriverKind::Authentication { .. } => refusal(error).is_some_and(is_transient_code),
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

/// The code with which a server refused to log in.
fn refusal(error: &DriverError) -> Option<i32> {
    let source = error.source()?;
    let boxed = || source.downcast_ref::<Box<DriverError>>().map(AsRef::as_ref);
    code(source.downcast_ref().or_else(boxed)?)
}

/// Whether the server refused for want of a permission or a log-in.
pub(crate) fn is_unauthorized(error: &DriverError) -> bool {
    (matches!(error.kind.as_ref(), DriverKind::Authentication { .. }) && !is_transient(error))
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
        DriverKind::ServerSelection { message, .. } => selection(message),
        DriverKind::Io(error) => error.to_string(),
        // It quotes the error that cleared the pool, with all its parts.
        DriverKind::ConnectionPoolCleared { message, .. } => {
            message.split(", labels: ").next().unwrap_or_default().replace("Kind: ", "")
        }
        kind => kind.to_string(),
    }
}

/// Why the driver found no server, without its description of the whole topology.
fn selection(message: &str) -> String {
    let reason = message.split(" Topology: ").next().unwrap_or(message);
    if reason.contains("None of the available servers") {
        let primary = reason.contains("ReadPreference(Primary)");
        let missing = if primary { "a primary" } else { "a member that the read preference asks for" };
        return format!("servers answer, but the set has not had {missing} in time");
    }
    if reason.contains("No available servers") {
        return "no server answers any more".to_owned();
    }
    reason.to_owned()
}

/// A server's message up to the first brace: what follows may be a document.
pub(crate) fn without_values(message: &str) -> &str {
    message.split('{').next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_without_a_primary_is_said_in_one_line() {
        let topology = "Topology: { Type: ReplicaSetNoPrimary, Set Name: rs0, Servers: [ { Address: a:1, Type: RsSecondary } ] }";
        let none_fits = "Server selection timeout: None of the available servers suitable for criteria";
        for (message, said) in [
            (format!("{none_fits} ReadPreference(Primary). {topology}"), "the set has not had a primary"),
            (
                format!("{none_fits} ReadPreference(Secondary {{ options: None }}). {topology}"),
                "a member that the read preference asks for",
            ),
            (format!("Server selection timeout: No available servers. {topology}"), "no server answers"),
        ] {
            let short = selection(&message);
            assert!(short.contains(said) && !short.contains("Topology"), "{short}");
        }
    }
}
