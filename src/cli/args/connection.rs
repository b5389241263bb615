//! Which deployment: a connection string, or host and port as in mongodump's scripts.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;

use clap::builder::NonEmptyStringValueParser;
use mongodb::options::ServerAddress;

use super::invalid;
use super::seeds::{Seeds, written};
use crate::{Error, MongoUri, Result};

/// mongodump's own default.
const DEFAULT_HOST: &str = "localhost";

/// Where the connection string comes from when --uri does not give it.
const VARIABLE: &str = "MONGODB_URI";

#[derive(clap::Args)]
pub(super) struct Connection {
    /// Connection string; also taken from the environment variable MONGODB_URI, which other users cannot see.
    #[arg(long, value_name = "URI", value_parser = NonEmptyStringValueParser::new())]
    uri: Option<String>,

    /// Server, as HOST, HOST:PORT or SET/HOST1,HOST2:PORT [default: localhost]. A connection string has to name the same.
    #[arg(short = 'h', long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
    host: Option<String>,

    /// Port of every --host without one [default: 27017].
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn uri(self) -> Result<MongoUri> {
        self.merge(std::env::var_os(VARIABLE))
    }

    /// The one deployment that the options, or without --uri the variable, agree on.
    fn merge(self, variable: Option<OsString>) -> Result<MongoUri> {
        let Self { uri, host, port } = self;
        let (origin, text) = match (uri, variable) {
            (Some(text), _) => ("--uri", Some(text)),
            (None, Some(text)) => {
                let text = text.into_string().map_err(|_| invalid("it is not valid UTF-8").at(VARIABLE))?;
                (VARIABLE, Some(text))
            }
            (None, None) => ("--host", None),
        };
        let Some(text) = text else {
            let seeds = Seeds::parse(host.as_deref().unwrap_or(DEFAULT_HOST), port)?;
            return MongoUri::parse(&seeds.connection_string()).map_err(|error| error.at(origin));
        };
        let uri = MongoUri::parse(&text).map_err(|error| error.at(origin))?;
        let named = Named::by(&uri);
        if let Some(host) = host {
            named.agrees(&Seeds::parse(&host, port)?, origin)?;
        } else if let Some(port) = port {
            named.has_port(port, origin)?;
        }
        Ok(uri)
    }
}

/// What a connection string names.
#[derive(Debug)]
struct Named {
    /// `None` for mongodb+srv, whose hosts only the DNS knows.
    hosts: Option<Vec<ServerAddress>>,
    set: Option<String>,
}

impl Named {
    fn by(uri: &MongoUri) -> Self {
        let (hosts, set) = uri.seeds();
        Self { hosts, set }
    }

    fn agrees(&self, seeds: &Seeds, origin: &str) -> Result<()> {
        let Some(hosts) = &self.hosts else { return Err(by_dns(origin)) };
        let plain = |hosts: &[ServerAddress]| hosts.iter().map(written).collect::<BTreeSet<_>>();
        if plain(hosts) != plain(&seeds.hosts) {
            return Err(differ("hosts", "--host", origin));
        }
        if seeds.set.is_some() && seeds.set != self.set {
            return Err(differ("replica sets", "--host", origin));
        }
        Ok(())
    }

    fn has_port(&self, port: u16, origin: &str) -> Result<()> {
        let Some(hosts) = &self.hosts else { return Err(by_dns(origin)) };
        if !hosts.iter().all(|host| written(host).ends_with(&format!(":{port}"))) {
            return Err(differ("ports", "--port", origin));
        }
        Ok(())
    }
}

fn differ(what: &str, option: &str, origin: &str) -> Error {
    invalid(&format!("{option} and {origin} name different {what}: give one of them"))
}

fn by_dns(origin: &str) -> Error {
    invalid(&format!(
        "the hosts of a mongodb+srv connection string come from the DNS: give {origin} without --host and --port"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(uri: Option<&str>, host: Option<&str>, port: Option<u16>) -> Result<MongoUri> {
        Connection { uri: uri.map(Into::into), host: host.map(Into::into), port }.merge(None)
    }

    #[test]
    fn host_and_port_become_a_connection_string() {
        assert_eq!(merge(None, None, None).unwrap().to_string(), "localhost:27017");
        assert_eq!(merge(None, None, Some(27018)).unwrap().to_string(), "localhost:27018");
        assert_eq!(merge(None, Some("db"), None).unwrap().to_string(), "db:27017");
    }

    #[test]
    fn what_is_no_host_is_refused_and_never_repeated() {
        for host in [
            "::1",
            "a,",
            ",",
            "a:",
            "a:x",
            "a:0",
            "a:99999",
            "rs0/",
            "/tmp/mongodb-27017.sock",
            "a b/c/d",
            "mongodb://ann:hunter2@h",
            "ann:hunter2@h",
            "h?password=hunter2",
            "[::1",
            "[::1]x",
        ] {
            let error = merge(None, Some(host), None).expect_err(host).report();
            assert!(error.contains("--host") && !error.contains("hunter2"), "{error}");
        }
        assert!(merge(None, Some("a:1"), Some(2)).is_err());
    }

    #[test]
    fn a_connection_string_and_host_and_port_have_to_agree() {
        for (uri, host, port) in [
            ("mongodb://ann:pw@a:1/shop", Some("a:1"), None),
            ("mongodb://a:1", Some("A"), Some(1)),
            ("mongodb://a:1", None, Some(1)),
            ("mongodb://a", Some("a:27017"), None),
            ("mongodb://a:1,b:2/?replicaSet=rs0", Some("rs0/b:2,a:1"), None),
            ("mongodb://[::1]:1", Some("[::1]"), Some(1)),
        ] {
            assert!(merge(Some(uri), host, port).is_ok(), "{uri} {host:?} {port:?}");
        }
        for (uri, host, port) in [
            ("mongodb://a:1", Some("b:1"), None),
            ("mongodb://a:1", Some("a"), None),
            ("mongodb://a:1", None, Some(2)),
            ("mongodb://a", None, Some(2)),
            ("mongodb://a:1,b:2", Some("a:1"), None),
            ("mongodb://a:1/?replicaSet=rs0", Some("rs1/a:1"), None),
            ("mongodb://a:1", Some("rs0/a:1"), None),
            ("mongodb+srv://cluster.example", Some("cluster.example"), None),
            ("mongodb+srv://cluster.example", None, Some(27017)),
        ] {
            assert!(merge(Some(uri), host, port).is_err(), "{uri} {host:?} {port:?}");
        }
    }

    #[test]
    fn the_variable_is_held_against_the_options_and_named_when_it_is_wrong() {
        let merge = |host: Option<&str>, variable: OsString| {
            Connection { uri: None, host: host.map(Into::into), port: None }.merge(Some(variable))
        };
        assert_eq!(merge(None, "mongodb://a:1".into()).unwrap().to_string(), "a:1");
        for (host, variable) in [(Some("b"), "mongodb://a:1"), (None, ""), (None, "a:1")] {
            let error = merge(host, variable.into()).unwrap_err().report();
            assert!(error.contains(VARIABLE), "{error}");
        }
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt;
            assert!(merge(None, OsString::from_vec(vec![0xff])).unwrap_err().report().contains(VARIABLE));
        }
    }
}
