//! Connection strings.

use std::fmt;
use std::time::Duration;

use mongodb::error::{Error as DriverError, ErrorKind as DriverKind};
#[cfg(feature = "cli")]
use mongodb::options::ServerAddress;
use mongodb::options::{
    AuthMechanism, ClientOptions, ConnectionString, HostInfo, ReadPreference, SelectionCriteria,
};

use crate::{Error, ErrorKind, Result};

#[cfg(feature = "cli")]
mod draft;
#[cfg(feature = "cli")]
mod login;
mod options;
mod quoted;

#[cfg(feature = "cli")]
pub(crate) use draft::Draft;
#[cfg(feature = "cli")]
pub(crate) use login::Login;
use options::Options;
use quoted::unquoted;

const SCHEMES: [&str; 2] = ["mongodb://", "mongodb+srv://"];

/// What a host's name never has, and a password that was not percent-encoded may have.
const NEVER_IN_A_HOST: &str = "&=;!$#'\"()*+<>\\^`{}|~";

/// A MongoDB connection string. Its `Display` and `Debug` show the hosts and never the credentials.
///
/// Options that are unknown, or that belong to other drivers, have no effect and are [named](Self::warnings). Those that
/// decide who is trusted, who logs in, whose data is read or what a write waits for are honoured or are an error.
#[derive(Clone)]
pub struct MongoUri {
    /// With the options that the driver takes, and no other.
    text: String,
    hosts: String,
    database: Option<String>,
    socket_timeout: Option<Duration>,
    warnings: Vec<String>,
    /// Of the members, where the connection string does not say which.
    read_preference: Option<ReadPreference>,
}

impl MongoUri {
    /// Checks a connection string (`mongodb://` or `mongodb+srv://`).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when the text is no connection string, or an option cannot be honoured; the message
    /// repeats neither the text nor a value.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(unusable("it begins with neither mongodb:// nor mongodb+srv://"));
        }
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (user_info, hosts) = match place.rsplit_once('@') {
            Some((user_info, hosts)) => (Some(user_info), hosts),
            None => (None, place.split_once("://").map_or(place, |(_, hosts)| hosts)),
        };
        let hosts = hosts.split('/').next().unwrap_or_default();
        let odd = |letter: char| letter.is_whitespace() || NEVER_IN_A_HOST.contains(letter);
        if (user_info.is_none() && query.contains('@'))
            || hosts.contains(odd)
            || !user_info.is_none_or(is_percent_encoded)
        {
            return Err(unusable(SPECIAL_CHARACTER));
        }
        let Options { query, socket_timeout, warnings } = Options::read(query)?;
        let text = if query.is_empty() { place.to_owned() } else { format!("{place}?{query}") };
        let parsed = ConnectionString::parse(&text).map_err(|error| invalid(&text, &error))?;
        let hosts = match &parsed.host_info {
            HostInfo::HostIdentifiers(addresses) => {
                addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            }
            HostInfo::DnsRecord(host) => host.clone(),
            _ => "the deployment".to_owned(),
        };
        let database = parsed.default_database;
        Ok(Self { text, hosts, database, socket_timeout, warnings, read_preference: None })
    }

    /// The host names and ports, separated by commas.
    pub fn hosts(&self) -> &str {
        &self.hosts
    }

    /// The database named in the connection string's path, if there is one.
    pub fn database(&self) -> Option<String> {
        self.database.clone()
    }

    /// What somebody should know of it, as which options have no effect, in sentences for the user. They name options and
    /// never repeat a value.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Adds to the warnings what the place that the connection string was found in gives reason to.
    #[cfg(feature = "cli")]
    pub(crate) fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    /// Which members are read from, where the connection string does not say it.
    #[cfg(feature = "cli")]
    pub(crate) fn prefer(&mut self, members: ReadPreference) {
        self.read_preference = Some(members);
    }

    /// How long one answer may take by the connection string (`socketTimeoutMS`, where 0 means no limit of its own).
    pub(crate) fn socket_timeout(&self) -> Option<Duration> {
        self.socket_timeout.filter(|limit| !limit.is_zero())
    }

    /// Whether writes may be sent again through elections (`retryWrites`, true unless it says otherwise).
    pub(crate) fn retries_writes(&self) -> bool {
        ConnectionString::parse(&self.text).is_ok_and(|parsed| parsed.retry_writes != Some(false))
    }

    /// The servers that it names, without mongodb+srv, whose servers only the DNS knows; and the replica set.
    #[cfg(feature = "cli")]
    pub(crate) fn seeds(&self) -> (Option<Vec<ServerAddress>>, Option<String>) {
        let parsed = ConnectionString::parse(&self.text).unwrap_or_default();
        let servers = match parsed.host_info {
            HostInfo::HostIdentifiers(servers) => Some(servers),
            _ => None,
        };
        (servers, parsed.replica_set)
    }

    /// What the driver is to be told.
    pub(crate) async fn client_options(&self) -> Result<ClientOptions> {
        let mut options = ClientOptions::parse(&self.text).await.map_err(|error| {
            match error.kind.as_ref() {
            DriverKind::DnsResolve { .. } => Error::new(
                ErrorKind::Connection,
                "the host name of the mongodb+srv connection string cannot be resolved; check it and the DNS",
            )
            .at(self),
            _ => self.unusable(&error),
        }
        })?;
        if options.selection_criteria.is_none() {
            options.selection_criteria = self.read_preference.clone().map(SelectionCriteria::ReadPreference);
        }
        let single = matches!(options.hosts.as_slice(), [_]) && !self.text.starts_with("mongodb+srv");
        if single && options.repl_set_name.is_none() && options.load_balanced != Some(true) {
            options.direct_connection.get_or_insert(true);
        }
        if let Some(credential) = &mut options.credential
            && credential.mechanism == Some(AuthMechanism::MongoDbX509)
        {
            // mongodb 3.9.1 sends it in a field that no server knows. The certificate says who it is.
            credential.username = None;
        }
        Ok(options)
    }

    /// The driver cannot use it.
    pub(crate) fn unusable(&self, error: &DriverError) -> Error {
        invalid(&self.text, error)
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

fn invalid(text: &str, error: &DriverError) -> Error {
    unusable(&unquoted(text, &error.kind.to_string()))
}

fn unusable(reason: &str) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!(
            "the MongoDB connection string cannot be used ({reason}); give one like \
             mongodb://USER:PASSWORD@HOST:27017/?authSource=admin with special characters percent-encoded"
        ),
    )
}

const SPECIAL_CHARACTER: &str = "a user name or password has a special character";

/// Whether two digits follow every percent sign. The driver looks at the two bytes after it, which may end within a letter.
fn is_percent_encoded(text: &str) -> bool {
    let digits = |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    text.split('%').skip(1).all(digits)
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
            "mongodb://ann:27017?s3cret@db",
            "mongodb://ann:s3cret@db/?readPreference=bogus",
            "mongodb://h/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:x,s3cret",
            "mongodb://ann:s3cret",
            "mongodb://ann:s3c%aéret@db",
            "mongodb://ann:s3c%é@db",
            "mongodb://ann:p@x&s3cret@db",
            "mongodb://ann:p@x&s3cret?y@db",
            "mongodb://ann:p@x?s3cret=1@db",
            "mongodb://ann:p@x?s3=cret@db",
            "mongodb://ann:s3cret@db:1 2",
            "mongodb://ann:s3cret@db/?authMechanism=s3cret",
            "mongodb://ann:s3cret@db/?maxStalenessSeconds=s3cret&readPreference=secondary",
            "mongodb://db/?proxyPassword=s3cret",
            "mongodb://db/?proxyHost=s3cret:x&proxyPassword=s3cret",
            "mongodb://db/?authMechanism=PLAIN&authMechanismProperties=s3cret",
            "mongodb://ann:s3cret@db/?authMechanism=MONGODB-X509",
            "mongodb://ann:pw@db/s3cret$",
            "mongodb://ann:pw@db/s3cret%24",
            "mongodb+srv://ann:s3cret@db:1",
            "s3cret://ann:pw@db",
            "monh/?authMechanismProperties=x://h/?s3cret=1&y=.[",
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
