//! Which deployment: a connection string, or host and port as in mongodump's scripts; and the password, from where others do
//! not see it.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use mongodb::options::ServerAddress;

use super::config::Config;
use super::invalid;
use super::prompt;
use super::seeds::{Seeds, written};
use crate::uri::Login;
use crate::{Error, MongoUri, Result};

/// mongodump's own default.
const DEFAULT_HOST: &str = "localhost";

/// Where the connection string comes from when neither --uri nor the file gives it.
const VARIABLE: &str = "MONGODB_URI";

/// Every process of the machine may read the arguments of the others.
const SEEN_BY_OTHERS: &str = "others on this machine can see the password in --uri while this program runs: leave it out \
                              and be asked for it, or give it in a file (--config) or in MONGODB_URI";

#[derive(clap::Args)]
pub(super) struct Connection {
    /// Connection string; without it that of --config, or the environment variable MONGODB_URI, which other users cannot see.
    /// A password that is missing in it is asked for on the terminal.
    #[arg(long, value_name = "URI", value_parser = NonEmptyStringValueParser::new())]
    uri: Option<String>,

    /// Server, as HOST, HOST:PORT or SET/HOST1,HOST2:PORT [default: localhost]. A connection string has to name the same.
    #[arg(short = 'h', long, value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
    host: Option<String>,

    /// Port of every --host without one [default: 27017].
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// YAML file with any of `uri`, `password` and `sslPEMKeyPassword`, as mongodump's; nobody else should be able to read it.
    #[arg(long, value_name = "FILE", value_parser = NonEmptyStringValueParser::new())]
    config: Option<String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn uri(self) -> Result<MongoUri> {
        let config = self.config.as_ref().map(|path| Config::read(&PathBuf::from(path))).transpose()?;
        self.merge(config.unwrap_or_default(), std::env::var_os(VARIABLE), prompt::password)
    }

    /// The one deployment that the options, the file, or without either the variable, agree on; `ask` asks for a password that
    /// is missing.
    fn merge(
        self,
        config: Config,
        variable: Option<OsString>,
        ask: impl FnOnce() -> Result<String>,
    ) -> Result<MongoUri> {
        let Self { uri, host, port, .. } = self;
        let (origin, text) = match (uri, config.uri, variable) {
            (Some(text), ..) => ("--uri", text),
            (None, Some(text), _) => (CONFIG, text),
            (None, None, Some(text)) => {
                (VARIABLE, text.into_string().map_err(|_| invalid("it is not valid UTF-8").at(VARIABLE))?)
            }
            (None, None, None) => {
                ("--host", Seeds::parse(host.as_deref().unwrap_or(DEFAULT_HOST), port)?.connection_string())
            }
        };
        // Before a person is asked for anything.
        let uri = MongoUri::parse(&text).map_err(|error| error.at(origin))?;
        let named = Named::by(&uri);
        match (origin, host, port) {
            ("--host", ..) | (_, None, None) => {}
            (_, Some(host), port) => named.agrees(&Seeds::parse(&host, port)?, origin)?,
            (_, None, Some(port)) => named.has_port(port, origin)?,
        }
        let seen = origin == "--uri" && Login::of(&text).has_secret();
        let mut uri = completed(&text, config.password, config.key_password, ask)?
            .map_or(Ok(uri), |text| MongoUri::parse(&text).map_err(|error| error.at(origin)))?;
        if seen {
            uri.warn(SEEN_BY_OTHERS.to_owned());
        }
        config.warnings.into_iter().for_each(|warning| uri.warn(warning));
        Ok(uri)
    }
}

/// What the file's settings are named by.
const CONFIG: &str = "--config";

/// The connection string with the passwords that it lacks; none where it lacks none.
fn completed(
    text: &str,
    password: Option<String>,
    key_password: Option<String>,
    ask: impl FnOnce() -> Result<String>,
) -> Result<Option<String>> {
    let login = Login::of(text);
    let password = match password {
        Some(_) if !login.has_user() => {
            return Err(invalid(
                "there is no user name to go with the password: write it into the connection string, mongodb://USER@HOST",
            )
            .at(CONFIG));
        }
        Some(_) if login.has_password() => {
            return Err(
                invalid("the connection string has a password, too: leave one of the two out").at(CONFIG)
            );
        }
        None if login.lacks_password() => Some(ask()?),
        given => given,
    };
    let with_password = password.map(|password| login.with_password(&password));
    let with_key_password = key_password
        .map(|password| Login::of(with_password.as_deref().unwrap_or(text)).with_key_password(&password));
    Ok(with_key_password.or(with_password))
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
    use mongodb::options::{ClientOptions, Tls};

    use super::*;

    const ODD: &str = "p@:/?#%&é名 \"'$1\\";

    fn connection(uri: Option<&str>, host: Option<&str>, port: Option<u16>) -> Connection {
        Connection { uri: uri.map(Into::into), host: host.map(Into::into), port, config: None }
    }

    fn config(text: &str) -> Config {
        text.parse().unwrap()
    }

    fn unasked() -> Result<String> {
        Err(invalid("nobody is there to be asked"))
    }

    fn merge(uri: Option<&str>, host: Option<&str>, port: Option<u16>) -> Result<MongoUri> {
        connection(uri, host, port).merge(Config::default(), None, unasked)
    }

    /// What the driver is told when a connection string, the file and a person say this.
    async fn told(uri: &str, text: &str, typed: Option<&str>) -> Result<ClientOptions> {
        let ask = || typed.map_or_else(unasked, |typed| Ok(typed.to_owned()));
        connection(Some(uri), None, None).merge(config(text), None, ask)?.client_options().await
    }

    #[tokio::test]
    async fn a_password_comes_from_the_string_the_file_or_a_person() {
        let in_file = "password: 'p@:/?#%&é名 \"''$1\\'";
        for (uri, text, typed, password) in [
            ("mongodb://ann:pw@h", "", None, Some("pw")),
            ("mongodb://ann@h", in_file, None, Some(ODD)),
            ("mongodb://ann@h/?tls=true", "", Some(ODD), Some(ODD)),
            ("mongodb://h", "", None, None),
        ] {
            let told = told(uri, text, typed).await.unwrap();
            assert_eq!(told.credential.and_then(|known| known.password).as_deref(), password, "{uri}");
        }
        let uri = "mongodb://ann@h/?tls=true&tlsCertificateKeyFile=/k";
        let told = told(uri, "sslPEMKeyPassword: 'a b&'", Some("pw")).await.unwrap();
        let Some(Tls::Enabled(tls)) = told.tls else { panic!("TLS") };
        assert_eq!(tls.tls_certificate_key_file_password.as_deref(), Some(&b"a b&"[..]));
        assert_eq!(told.credential.unwrap().password.as_deref(), Some("pw"));
    }

    #[tokio::test]
    async fn a_password_that_has_no_place_is_refused() {
        for (uri, text, words) in [
            ("mongodb://h", "password: hunter2", "no user name"),
            ("mongodb://ann:hunter2@h", "password: hunter2", "leave one of the two out"),
            ("mongodb://ann@h", "", "nobody is there"),
        ] {
            let error = told(uri, text, None).await.expect_err(uri).report();
            assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_argument_goes_before_the_file_and_the_file_before_the_variable() {
        let file = "uri: mongodb://file";
        let hosts = |uri, text| {
            let variable = Some("mongodb://variable".into());
            connection(uri, None, None).merge(config(text), variable, unasked).unwrap().to_string()
        };
        assert_eq!(hosts(Some("mongodb://argument"), file), "argument:27017");
        assert_eq!(hosts(None, file), "file:27017");
        assert_eq!(hosts(None, ""), "variable:27017");
    }

    #[test]
    fn a_password_among_the_arguments_is_warned_of() {
        let warnings = |uri: Option<&str>, text: &str, variable: Option<&str>| {
            let merged =
                connection(uri, None, None).merge(config(text), variable.map(Into::into), unasked).unwrap();
            merged.warnings().join("; ")
        };
        let uri = "mongodb://ann:hunter2@h";
        let warning = warnings(Some(uri), "", None);
        assert!(warning.contains("can see the password") && !warning.contains("hunter2"), "{warning}");
        assert_eq!(warnings(Some("mongodb://ann@h"), "password: hunter2", None), "");
        assert_eq!(warnings(None, &format!("uri: {uri}"), None), "");
        assert_eq!(warnings(None, "", Some(uri)), "");
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
            connection(None, host, None).merge(Config::default(), Some(variable), unasked)
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
