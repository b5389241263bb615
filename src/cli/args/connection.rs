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
use super::credentials::Credentials;
use super::invalid;
use super::prompt::{self, Wanted};
use super::seeds::{Seeds, written};
use super::setting::differ;
use super::tls::Tls;
use super::wire::Wire;
use crate::cli::manner::Manner;
use crate::uri::{Draft, Login};
use crate::{Error, MongoUri, Result};

/// mongodump's own default.
const DEFAULT_HOST: &str = "localhost";

/// Where the connection string comes from when neither --uri nor the file gives it.
const VARIABLE: &str = "MONGODB_URI";

const SCHEMES: [&str; 2] = ["mongodb://", "mongodb+srv://"];

#[derive(clap::Args)]
#[command(next_display_order = 20)]
pub(super) struct Connection {
    /// Connection string; without it that of --config, or the environment variable MONGODB_URI, which other users cannot see.
    /// A password that is missing in it is asked for on the terminal. It may stand alone, without --uri.
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

    /// A connection string without its option; anything else that stands alone is refused.
    #[arg(value_name = "URI", hide = true)]
    alone: Vec<String>,

    #[command(flatten)]
    credentials: Credentials,

    #[command(flatten)]
    tls: Tls,

    #[command(flatten)]
    wire: Wire,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// The first argument that belongs to no option and is no connection string.
    pub(super) fn stray(&self) -> Option<&str> {
        let is_uri = |text: &str| SCHEMES.iter().any(|scheme| text.starts_with(scheme));
        self.alone.iter().map(String::as_str).find(|text| !text.is_empty() && !is_uri(text))
    }

    /// The one deployment that all of it names; `db` is what --db says.
    pub(super) fn uri(self, manner: Manner, db: Option<&str>) -> Result<MongoUri> {
        let config = self.config.as_ref().map(|path| Config::read(&PathBuf::from(path))).transpose()?;
        // The tools know no variable: one that is there by chance must not send a script elsewhere.
        let variable = if manner.is_own() { std::env::var_os(VARIABLE) } else { None };
        let ask = |wanted| prompt::password(wanted, manner);
        self.merge(config.unwrap_or_default(), variable, db, manner, ask)
    }

    /// The one deployment that the options, the file, or without either the variable, agree on; `ask` asks for a password that
    /// is missing.
    fn merge(
        mut self,
        config: Config,
        variable: Option<OsString>,
        db: Option<&str>,
        manner: Manner,
        ask: impl Fn(Wanted) -> Result<String>,
    ) -> Result<MongoUri> {
        let given = self.given()?;
        let (origin, text) = match (given, config.uri, variable) {
            (Some(text), ..) => (URI, text),
            (None, Some(text), _) => (CONFIG, text),
            (None, None, Some(text)) => {
                (VARIABLE, text.into_string().map_err(|_| invalid("it is not valid UTF-8").at(VARIABLE))?)
            }
            (None, None, None) => {
                let host = self.host.as_deref().unwrap_or(DEFAULT_HOST);
                ("--host", Seeds::parse(host, self.port)?.connection_string())
            }
        };
        // Before a person is asked for anything.
        MongoUri::parse(&text).map_err(|error| error.at(origin))?;
        let mut draft = Draft::new(&text);
        if let Some(port) = self.port
            && !text.starts_with("mongodb+srv:")
        {
            draft.port(port);
        }
        let named = Named::by(&MongoUri::parse(draft.text()).map_err(|error| error.at(origin))?);
        match (origin, self.host.take(), self.port) {
            ("--host", ..) | (_, None, None) => {}
            (_, Some(host), port) => named.agrees(&Seeds::parse(&host, port)?, origin)?,
            (_, None, Some(port)) => named.has_port(port, origin)?,
        }
        self.credentials.write(&mut draft, origin, db, !manner.is_own())?;
        self.tls.write(&mut draft, origin)?;
        self.wire.write(&mut draft, origin)?;
        let key_password = self.tls.key_password().map(|password| ("--sslPEMKeyPassword", password));
        let in_file = config.key_password.as_deref().map(|password| (CONFIG, password));
        if let Some((place, password)) = key_password.or(in_file)
            && !draft.key_password(password)
        {
            return Err(differ(place, origin));
        }
        let password = self.credentials.password().map(|password| ("--password", password));
        let in_file = config.password.as_deref().map(|password| (CONFIG, password));
        complete(&mut draft, password.or(in_file), origin, ask)?;
        let mut uri = MongoUri::parse(draft.text()).map_err(|error| error.at(origin))?;
        let seen = [
            (URI, origin == URI && Login::of(&text).has_secret()),
            ("--password", self.credentials.has_secret()),
            ("--sslPEMKeyPassword", self.tls.key_password().is_some()),
        ];
        seen.iter().filter(|(_, seen)| *seen).for_each(|(option, _)| uri.warn(seen_by_others(option)));
        self.tls.warning().into_iter().chain(config.warnings).for_each(|warning| uri.warn(warning));
        Ok(uri)
    }

    /// The one connection string among the arguments.
    fn given(&mut self) -> Result<Option<String>> {
        let mut alone = std::mem::take(&mut self.alone).into_iter().filter(|text| !text.is_empty());
        match (self.uri.take(), alone.next(), alone.next()) {
            (Some(_), Some(_), _) => {
                Err(invalid("a connection string stands beside --uri: give one of them"))
            }
            (_, _, Some(_)) => Err(invalid("there is more than one connection string: give one")),
            (option, alone, None) => Ok(option.or(alone)),
        }
    }
}

const URI: &str = "--uri";

/// What the file's settings are named by.
const CONFIG: &str = "--config";

/// Every process of the machine may read the arguments of the others.
fn seen_by_others(option: &str) -> String {
    format!(
        "WARNING: others on this machine can see the password in {option} while this program runs: leave it out and be asked \
         for it, or give it in a file (--config)"
    )
}

/// Gives the connection string the passwords that it lacks.
fn complete(
    draft: &mut Draft,
    password: Option<(&'static str, &str)>,
    origin: &str,
    ask: impl Fn(Wanted) -> Result<String>,
) -> Result<()> {
    match password {
        Some((place, _)) if !draft.has_user() => {
            let message =
                "there is no user name to go with the password: give -u NAME, or write mongodb://NAME@HOST";
            return Err(invalid(message).at(place));
        }
        Some((place, password)) if !draft.password(password) => {
            return Err(
                invalid(&format!("{origin} has another password: leave one of the two out")).at(place)
            );
        }
        _ => {}
    }
    if Login::of(draft.text()).lacks_password() {
        // Whatever else is wrong is told before a person is asked for anything.
        let mut with_any = draft.clone();
        with_any.password("any");
        MongoUri::parse(with_any.text()).map_err(|error| error.at(origin))?;
        draft.password(&ask(Wanted::User)?);
    }
    if let Some(path) = draft.option("tlsCertificateKeyFile")
        && draft.option("tlsCertificateKeyFilePassword").is_none()
        && prompt::is_encrypted(&path)
    {
        match ask(Wanted::Key) {
            Ok(password) => {
                draft.key_password(&password);
            }
            Err(error) if error.is_cancelled() => return Err(error),
            // What reads the key says what it lacks.
            Err(_) => {}
        }
    }
    Ok(())
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
            return Err(name_different("hosts", "--host", origin));
        }
        if seeds.set.is_some() && seeds.set != self.set {
            return Err(name_different("replica sets", "--host", origin));
        }
        Ok(())
    }

    fn has_port(&self, port: u16, origin: &str) -> Result<()> {
        let Some(hosts) = &self.hosts else { return Err(by_dns(origin)) };
        if !hosts.iter().all(|host| written(host).ends_with(&format!(":{port}"))) {
            return Err(name_different("ports", "--port", origin));
        }
        Ok(())
    }
}

fn name_different(what: &str, option: &str, origin: &str) -> Error {
    invalid(&format!("{option} and {origin} name different {what}: give one of them"))
}

fn by_dns(origin: &str) -> Error {
    invalid(&format!(
        "the hosts of a mongodb+srv connection string come from the DNS: give {origin} without --host and --port"
    ))
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};
    use mongodb::options::{AuthMechanism, ClientOptions, Tls};

    use super::*;

    const ODD: &str = "p@:/?#%&é名 \"'$1\\";

    fn connection(uri: Option<&str>, host: Option<&str>, port: Option<u16>) -> Connection {
        let words = uri.map(|uri| format!("--uri={uri}")).into_iter();
        let words = words.chain(host.map(|host| format!("--host={host}")));
        let words = words.chain(port.map(|port| format!("--port={port}")));
        given(&words.collect::<Vec<_>>())
    }

    /// What these arguments come to.
    fn given(arguments: &[impl AsRef<str>]) -> Connection {
        let command =
            Connection::augment_args(clap::Command::new("x").no_binary_name(true).disable_help_flag(true));
        let matches = command.get_matches_from(arguments.iter().map(AsRef::as_ref));
        Connection::from_arg_matches(&matches).unwrap()
    }

    fn config(text: &str) -> Config {
        text.parse().unwrap()
    }

    fn unasked(_: Wanted) -> Result<String> {
        Err(invalid("nobody is there to be asked"))
    }

    fn merge(uri: Option<&str>, host: Option<&str>, port: Option<u16>) -> Result<MongoUri> {
        connection(uri, host, port).merge(Config::default(), None, None, Manner::Own, unasked)
    }

    /// What the driver is told when a connection string, the file and a person say this.
    async fn told(uri: &str, text: &str, typed: Option<&str>) -> Result<ClientOptions> {
        let ask = |wanted| typed.map_or_else(|| unasked(wanted), |typed| Ok(typed.to_owned()));
        connection(Some(uri), None, None)
            .merge(config(text), None, None, Manner::Own, ask)?
            .client_options()
            .await
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
            ("mongodb://ann:hunter2@h", "password: hunter3", "leave one of the two out"),
            ("mongodb://ann@h", "", "nobody is there"),
        ] {
            let error = told(uri, text, None).await.expect_err(uri).report();
            assert!(error.contains(words) && !error.contains("hunter"), "{error}");
        }
    }

    #[test]
    fn the_argument_goes_before_the_file_and_the_file_before_the_variable() {
        let file = "uri: mongodb://file";
        let hosts = |uri, text| {
            let variable = Some("mongodb://variable".into());
            connection(uri, None, None)
                .merge(config(text), variable, None, Manner::Own, unasked)
                .unwrap()
                .to_string()
        };
        assert_eq!(hosts(Some("mongodb://argument"), file), "argument:27017");
        assert_eq!(hosts(None, file), "file:27017");
        assert_eq!(hosts(None, ""), "variable:27017");
    }

    #[test]
    fn a_password_among_the_arguments_is_warned_of() {
        let warnings = |uri: Option<&str>, text: &str, variable: Option<&str>| {
            let variable = variable.map(Into::into);
            let merged =
                connection(uri, None, None).merge(config(text), variable, None, Manner::Own, unasked);
            merged.unwrap().warnings().join("; ")
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
            ("mongodb://a", None, Some(2)),
            ("mongodb://a", Some("a"), Some(2)),
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
            connection(None, host, None).merge(Config::default(), Some(variable), None, Manner::Own, unasked)
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

    /// What the driver is told when these are the arguments.
    async fn driven(arguments: &[&str], db: Option<&str>, manner: Manner) -> Result<ClientOptions> {
        given(arguments).merge(Config::default(), None, db, manner, unasked)?.client_options().await
    }

    #[tokio::test]
    async fn the_options_of_the_tools_are_those_of_a_connection_string() {
        let all = [
            "-hdb:1",
            "-u",
            "a@b",
            "-p",
            ODD,
            "--authenticationDatabase=crm",
            "--authenticationMechanism=SCRAM-SHA-1",
            "--ssl",
            "--sslCAFile",
            "/a b.pem",
            "--sslPEMKeyFile=/k",
            "--sslPEMKeyPassword=k&",
            "--compressors=zstd,snappy",
            "--dialTimeout=7",
            "--serverSelectionTimeout=9",
            "--TCPKeepAliveSeconds=1",
        ];
        let told = driven(&all, None, Manner::Own).await.unwrap();
        let credential = told.credential.unwrap();
        assert_eq!(credential.username.as_deref(), Some("a@b"));
        assert_eq!(credential.password.as_deref(), Some(ODD));
        assert_eq!(credential.source.as_deref(), Some("crm"));
        assert_eq!(credential.mechanism, Some(AuthMechanism::ScramSha1));
        let Some(Tls::Enabled(tls)) = told.tls else { panic!("TLS") };
        assert_eq!(tls.ca_file_path.unwrap().to_str(), Some("/a b.pem"));
        assert_eq!(tls.cert_key_file_path.unwrap().to_str(), Some("/k"));
        assert_eq!(tls.tls_certificate_key_file_password.as_deref(), Some(&b"k&"[..]));
        assert_eq!(told.compressors.unwrap().len(), 2);
        assert_eq!(told.connect_timeout.unwrap().as_secs(), 7);
        assert_eq!(told.server_selection_timeout.unwrap().as_secs(), 9);
        assert_eq!(told.direct_connection, Some(true));
        let told = driven(&["--ssl", "--tlsInsecure", "-h", "rs0/a,b"], None, Manner::Own).await.unwrap();
        let Some(Tls::Enabled(tls)) = told.tls else { panic!("TLS") };
        assert_eq!(tls.allow_invalid_certificates, Some(true));
        assert_eq!((told.repl_set_name.as_deref(), told.direct_connection), (Some("rs0"), None));
        let aws = ["-uKEY", "-p=x", "--authenticationMechanism=MONGODB-AWS", "--awsSessionToken=a/b+c="];
        let told = driven(&aws, Some("shop"), Manner::Mongodump).await.unwrap().credential.unwrap();
        assert_eq!(told.source.as_deref(), Some("$external"));
        assert_eq!(told.mechanism_properties.unwrap().get_str("AWS_SESSION_TOKEN").unwrap(), "a/b+c=");
    }

    #[tokio::test]
    async fn a_user_is_looked_for_where_the_tools_look() {
        let login = ["-u", "ann", "-p", "pw"];
        let in_uri = ["mongodb://ann:pw@h"];
        let (own, tool) = (Manner::Own, Manner::Mongorestore);
        for (arguments, more, manner, source) in [
            (&login[..], "--port=1", own, "shop"),
            (&login, "--authenticationDatabase=crm", own, "crm"),
            (&login, "mongodb://h/crm", own, "crm"),
            (&login, "mongodb://h/crm?authSource=admin", own, "admin"),
            (&login, "--authenticationMechanism=PLAIN", own, "$external"),
            (&in_uri, "--port=27017", own, "admin"),
            (&in_uri, "--port=27017", tool, "shop"),
        ] {
            let arguments = [arguments, &[more]].concat();
            let credential = driven(&arguments, Some("shop"), manner).await.unwrap().credential.unwrap();
            assert_eq!(credential.source.as_deref(), Some(source), "{arguments:?}");
        }
        let told = driven(&login, None, own).await.unwrap().credential.unwrap();
        assert_eq!(told.source.as_deref(), Some("admin"));
    }

    #[tokio::test]
    async fn options_and_a_connection_string_that_differ_are_refused_and_never_repeated() {
        for (uri, option) in [
            ("mongodb://bob:pw@h", "--username=hunter2"),
            ("mongodb://bob:pw@h", "--password=hunter2"),
            ("mongodb://bob:pw@h/?authSource=admin", "--authenticationDatabase=hunter2"),
            ("mongodb://bob:pw@h/?authMechanism=SCRAM-SHA-1", "--authenticationMechanism=SCRAM-SHA-256"),
            ("mongodb://h/?tls=false", "--ssl"),
            ("mongodb://h/?tlsCAFile=/a", "--sslCAFile=/hunter2"),
            ("mongodb://h/?tlsCertificateKeyFile=/a", "--sslPEMKeyFile=/hunter2"),
            ("mongodb://h/?tls=true&tlsInsecure=false", "--tlsInsecure"),
            ("mongodb://h/?compressors=zlib", "--compressors=zstd"),
            ("mongodb://h/?connectTimeoutMS=1", "--dialTimeout=1"),
            ("mongodb://h/?serverSelectionTimeoutMS=1", "--serverSelectionTimeout=1"),
        ] {
            let error = driven(&[uri, option], None, Manner::Own).await.expect_err(option).report();
            let name = option.split('=').next().unwrap();
            assert!(error.contains(name) && !error.contains("hunter2"), "{option}: {error}");
        }
        for arguments in [
            &["--compressors=hunter2"][..],
            &["-p", "hunter2"],
            &["-u", "ann", "-p", "hunter2", "--awsSessionToken=hunter2"],
            &["-u", "ann", "--authenticationMechanism=GSSAPI"],
            &["mongodb://h", "--uri=mongodb://ann:hunter2@h"],
            &["mongodb://h", "mongodb://ann:hunter2@h"],
        ] {
            let error = driven(arguments, None, Manner::Own).await.expect_err("refused").report();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn w31_what_stands_alone_and_is_no_connection_string_is_noticed() {
        assert_eq!(given(&["", "mongodb://h"]).stray(), None);
        assert_eq!(given(&["mongodb+srv://h", "dump/"]).stray(), Some("dump/"));
    }
}
