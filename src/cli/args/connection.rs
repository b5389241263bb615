//! Which deployment: a connection string, or host and port as in mongodump's scripts; and the password, from where others do
//! not see it.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;

use super::config::Config;
use super::credentials::Credentials;
use super::invalid;
use super::named::Named;
use super::prompt::{self, Wanted};
use super::seeds::Seeds;
use super::setting::differ;
use super::tls::Tls;
use super::wire::Wire;
use crate::cli::manner::Manner;
use crate::uri::{Draft, Login};
use crate::{MongoUri, Result};

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

#[cfg(test)]
mod tests;
