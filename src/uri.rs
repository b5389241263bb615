//! Connection strings and the connections made with them.

use std::fmt;
use std::time::Duration;

use bson::doc;
use mongodb::Client;
use mongodb::error::{Error as DriverError, ErrorKind as DriverKind};
use mongodb::options::{ClientOptions, ConnectionString, HostInfo};

use crate::{Error, ErrorKind, Result};

/// How long to look for a server before giving up, unless the connection string says otherwise
/// (`serverSelectionTimeoutMS`). The driver's own 30 s are too long for a hook that must answer.
pub const SERVER_SELECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the driver's monitor waits for an answer before it gives the server up, and all work with it, unless the
/// connection string says otherwise. The driver's own 10 seconds are too short for a server that creates or drops thousands
/// of collections on a busy disk. A host that does not answer at first is noticed by [`SERVER_SELECTION_TIMEOUT`].
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the connections may take to close.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Server error codes.
const UNAUTHORIZED: i32 = 13;
const AUTHENTICATION_FAILED: i32 = 18;
const DUPLICATE_KEY: i32 = 11000;
/// The answer when a collection has gone, or was never there.
pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;

/// A MongoDB connection string. Its `Display` and `Debug` show the hosts and never the credentials.
#[derive(Clone)]
pub struct MongoUri {
    text: String,
    hosts: String,
}

impl MongoUri {
    /// Checks the syntax of a connection string (`mongodb://` or `mongodb+srv://`).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when the text is no connection string; the message does not repeat the text.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let parsed = ConnectionString::parse(text).map_err(|error| invalid(text, &error))?;
        let hosts = match &parsed.host_info {
            HostInfo::HostIdentifiers(addresses) => {
                addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            }
            HostInfo::DnsRecord(host) => host.clone(),
            _ => "the deployment".to_owned(),
        };
        Ok(Self { text: text.to_owned(), hosts })
    }

    /// The host names and ports, separated by commas.
    pub fn hosts(&self) -> &str {
        &self.hosts
    }

    /// The database named in the connection string's path, if there is one.
    pub fn database(&self) -> Option<String> {
        ConnectionString::parse(&self.text).ok().and_then(|parsed| parsed.default_database)
    }
}

impl fmt::Display for MongoUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hosts)
    }
}

impl fmt::Debug for MongoUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MongoUri({})", self.hosts)
    }
}

/// A client that has answered a ping. One host without a replica-set name is connected to directly, as mongodump does.
///
/// # Errors
/// [`ErrorKind::Connection`] when no server answers within [`SERVER_SELECTION_TIMEOUT`], or TLS does not come about;
/// [`ErrorKind::Authentication`] when the server refuses the credentials.
///
/// # Cancellation
/// Dropping the future gives the attempt up; nothing is left behind.
pub async fn connect(uri: &MongoUri) -> Result<Client> {
    let mut options = ClientOptions::parse(&uri.text).await.map_err(|error| match error.kind.as_ref() {
        DriverKind::DnsResolve { .. } => Error::new(
            ErrorKind::Connection,
            "the host name of the mongodb+srv connection string cannot be resolved; check it and the DNS",
        )
        .at(uri),
        _ => invalid(&uri.text, &error),
    })?;
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION_TIMEOUT);
    options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.app_name.get_or_insert_with(|| "mongoark".to_owned());
    let single = matches!(options.hosts.as_slice(), [_]) && !uri.text.starts_with("mongodb+srv");
    if single && options.repl_set_name.is_none() && options.load_balanced != Some(true) {
        options.direct_connection.get_or_insert(true);
    }
    let client = Client::with_options(options).map_err(|error| invalid(&uri.text, &error))?;
    let ping = client.database("admin").run_command(doc! { "ping": 1 }).await;
    ping.map_err(|error| connection(uri, &error))?;
    Ok(client)
}

/// The server's version as it tells it.
pub(crate) async fn server_version(client: &Client) -> Result<String> {
    let info = client
        .database("admin")
        .run_command(doc! { "buildInfo": 1 })
        .await
        .map_err(|error| driver_error("the server does not tell its version", &error))?;
    Ok(info.get_str("version").unwrap_or_default().to_owned())
}

/// Closes a client's connections and, before that, the cursors of work that was given up. False when that took too long.
pub(crate) async fn disconnect(client: Client) -> bool {
    let closed = Box::pin(async { client.shutdown().await });
    tokio::time::timeout(DISCONNECT_TIMEOUT, closed).await.is_ok()
}

/// Maps a driver error to ours; the message never carries what the driver may have quoted of the connection string.
pub(crate) fn driver_error(action: &str, error: &DriverError) -> Error {
    let kind = match error.kind.as_ref() {
        DriverKind::Authentication { .. } => ErrorKind::Authentication,
        DriverKind::Command(command) if matches!(command.code, UNAUTHORIZED | AUTHENTICATION_FAILED) => {
            ErrorKind::Authentication
        }
        DriverKind::ServerSelection { .. } | DriverKind::Io(_) | DriverKind::ConnectionPoolCleared { .. } => {
            ErrorKind::Connection
        }
        _ => ErrorKind::Server,
    };
    Error::new(kind, action).with_source(answer(error))
}

/// What the server or the driver said, in one line. The driver's own `Display` adds the server's whole reply.
fn answer(error: &DriverError) -> String {
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

fn connection(uri: &MongoUri, error: &DriverError) -> Error {
    let (kind, message) = match error.kind.as_ref() {
        DriverKind::Authentication { .. } => (
            ErrorKind::Authentication,
            "the server refused the credentials; check the user name, the password and authSource",
        ),
        DriverKind::Command(command) if matches!(command.code, UNAUTHORIZED | AUTHENTICATION_FAILED) => (
            ErrorKind::Authentication,
            "the server refused the credentials; check the user name, the password and authSource",
        ),
        _ => (
            ErrorKind::Connection,
            "no usable server answered; check host, port, TLS settings, network access and the replica-set name",
        ),
    };
    Error::new(kind, message).at(format!("mongodb at {uri}")).with_source(answer(error))
}

fn invalid(text: &str, error: &DriverError) -> Error {
    let reason = scrub(text, &error.to_string());
    Error::new(
        ErrorKind::InvalidInput,
        format!(
            "the MongoDB connection string cannot be used ({reason}); give one like \
             mongodb://USER:PASSWORD@HOST:27017/?authSource=admin with special characters percent-encoded"
        ),
    )
}

/// `message` without anything of the connection string's user info: the driver quotes parts of what it cannot parse.
fn scrub(text: &str, message: &str) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let Some((user_info, _)) = rest.rsplit_once('@') else {
        return if message.contains(rest) { "it cannot be parsed".to_owned() } else { message.to_owned() };
    };
    let quoted =
        user_info.split(['/', ':', '@', '?', '&', '=']).any(|part| part.len() > 2 && message.contains(part));
    if quoted { "its user name or password cannot be parsed".to_owned() } else { message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_never_shows_its_password() {
        let uri = MongoUri::parse("mongodb://ann:s3cret@db.example:27018/shop?authSource=admin").unwrap();
        assert_eq!(uri.to_string(), "db.example:27018");
        assert_eq!(format!("{uri:?}"), "MongoUri(db.example:27018)");
        assert_eq!(uri.database().as_deref(), Some("shop"));
    }

    #[test]
    fn a_bad_connection_string_is_refused_without_being_quoted() {
        for text in [
            "postgres://ann:s3cret@db",
            "mongodb://ann:s3c%ret@db",
            "mongodb://ann:s3cret/x@db:1",
            "mongodb://ann:s3cret@db:port",
            "mongodb://ann:s3cret@db/?tls=maybe",
            "mongodb://ann:s3cret",
            "s3cret",
            "",
        ] {
            let error = MongoUri::parse(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            assert!(!error.report().contains("s3c"), "{}", error.report());
            assert!(error.report().contains("mongodb://USER:PASSWORD@HOST"), "{}", error.report());
        }
    }
}
