//! A connection string that the options of a command line complete.

use std::fmt;

use super::login::{Login, encoded};
use super::options::{canonical, switch};
use super::quoted::decoded;

/// The text of a connection string, while what other places say is put into it. What it says already has to be the same.
#[derive(Clone)]
pub(crate) struct Draft(String);

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Draft").finish()
    }
}

impl Draft {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Gives an option a value; false where it has another one, and keeps that.
    pub(crate) fn agree(&mut self, option: &str, value: &str) -> bool {
        if let Some(before) = self.option(option) {
            return before == value || (switch(value).is_some() && switch(&before) == switch(value));
        }
        let before = match self.0.split_once('?') {
            None if self.has_path() => "?",
            None => "/?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        self.0 = format!("{}{before}{option}={}", self.0, plain(value));
        true
    }

    /// Names the user; false where it names another one.
    pub(crate) fn user(&mut self, name: &str) -> bool {
        let login = Login::of(&self.0);
        if let Some(user) = login.user() {
            return decoded(user) == name;
        }
        if let Some((scheme, rest)) = self.0.split_once("://") {
            self.0 = format!("{scheme}://{}@{rest}", encoded(name));
        }
        true
    }

    /// Gives every host a port that has none.
    pub(crate) fn port(&mut self, port: u16) {
        let (place, query) = match self.0.find('?') {
            Some(at) => self.0.split_at(at),
            None => (self.0.as_str(), ""),
        };
        let Some((scheme, rest)) = place.split_once("://") else { return };
        let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
        let at = if user.is_empty() { "" } else { "@" };
        let (hosts, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let with_port = |host: &str| match host.rsplit_once(':') {
            Some((_, after)) if !after.ends_with(']') => host.to_owned(),
            _ => format!("{host}:{port}"),
        };
        let hosts: Vec<_> = hosts.split(',').map(with_port).collect();
        self.0 = format!("{scheme}://{user}{at}{}{path}{query}", hosts.join(","));
    }

    /// Gives the user a password; false where there is another one.
    pub(crate) fn password(&mut self, password: &str) -> bool {
        let login = Login::of(&self.0);
        if let Some(before) = login.password() {
            return decoded(before) == password;
        }
        self.0 = login.with_password(password);
        true
    }

    /// Gives the key of the client's certificate a password; false where there is another one.
    pub(crate) fn key_password(&mut self, password: &str) -> bool {
        self.agree("tlsCertificateKeyFilePassword", password)
    }

    /// The value of an option, under whichever of its names.
    pub(crate) fn option(&self, option: &str) -> Option<String> {
        let name = canonical(&option.to_lowercase()).to_owned();
        let login = Login::of(&self.0);
        let mut values = login.options().filter(|(given, _)| canonical(given) == name);
        values.next().map(|(_, value)| decoded(value))
    }

    pub(crate) fn has_user(&self) -> bool {
        Login::of(&self.0).has_user()
    }

    /// Whether its path names a database.
    pub(crate) fn names_database(&self) -> bool {
        self.path().is_some_and(|path| !path.is_empty())
    }

    /// Whether it asks for TLS, in any way.
    pub(crate) fn has_tls(&self) -> bool {
        self.0.starts_with("mongodb+srv:")
            || self.option("tls").is_some_and(|tls| switch(&tls) == Some(true))
            || ["tlsCAFile", "tlsCertificateKeyFile"].iter().any(|option| self.option(option).is_some())
    }

    fn has_path(&self) -> bool {
        self.path().is_some()
    }

    fn path(&self) -> Option<&str> {
        let place = self.0.split('?').next().unwrap_or_default();
        let (_, rest) = place.split_once("://")?;
        let hosts = rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts);
        hosts.split_once('/').map(|(_, path)| path)
    }
}

/// With everything escaped that means something in a connection string; paths stay readable.
fn plain(value: &str) -> String {
    value
        .split_inclusive(['/', '.', '-', '_', ',', ':', '$'])
        .map(|piece| match piece.char_indices().next_back() {
            Some((at, mark)) if !mark.is_alphanumeric() && "/.-_,:$".contains(mark) => {
                format!("{}{mark}", encoded(piece.get(..at).unwrap_or_default()))
            }
            _ => encoded(piece),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Draft;
    use crate::MongoUri;

    fn after(text: &str, change: impl FnOnce(&mut Draft) -> bool) -> Option<String> {
        let mut draft = Draft::new(text);
        let agrees = change(&mut draft);
        MongoUri::parse(draft.text()).unwrap();
        agrees.then(|| draft.text().to_owned())
    }

    #[test]
    fn what_is_missing_is_put_where_it_belongs() {
        for (text, whole) in [
            ("mongodb://h", "mongodb://h/?authSource=a%26b"),
            ("mongodb://ann@h/shop", "mongodb://ann@h/shop?authSource=a%26b"),
            ("mongodb://h/?", "mongodb://h/?authSource=a%26b"),
            ("mongodb://h/?tls=true", "mongodb://h/?tls=true&authSource=a%26b"),
        ] {
            assert_eq!(after(text, |draft| draft.agree("authSource", "a&b")).as_deref(), Some(whole));
        }
        let key = after("mongodb://h/?tls=true", |draft| draft.agree("tlsCAFile", "/a b/c-d_e.pem")).unwrap();
        assert_eq!(key, "mongodb://h/?tls=true&tlsCAFile=/a%20b/c-d_e.pem");
        assert_eq!(after("mongodb://h/x", |draft| draft.user("a@b")).unwrap(), "mongodb://a%40b@h/x");
    }

    #[test]
    fn a_host_without_a_port_takes_the_given_one() {
        for (text, whole) in [
            ("mongodb://h", "mongodb://h:2"),
            (
                "mongodb://ann:p@a,b:1,[::1],[::1]:1/x?tls=true",
                "mongodb://ann:p@a:2,b:1,[::1]:2,[::1]:1/x?tls=true",
            ),
        ] {
            let mut draft = Draft::new(text);
            draft.port(2);
            assert_eq!(draft.text(), whole);
        }
    }

    #[test]
    fn what_is_there_has_to_be_the_same() {
        for (text, option, value, agrees) in [
            ("mongodb://h/?authSource=%24external", "authSource", "$external", true),
            ("mongodb://h/?authsource=admin", "authSource", "other", false),
            ("mongodb://h/?ssl=1", "tls", "true", true),
            ("mongodb://h/?ssl=false", "tls", "true", false),
            ("mongodb://h/?sslCertificateAuthorityFile=/a", "tlsCAFile", "/a", true),
        ] {
            assert_eq!(after(text, |draft| draft.agree(option, value)).is_some(), agrees, "{text}");
        }
        assert!(after("mongodb://a%40b:x@h", |draft| draft.user("a@b")).is_some());
        assert!(after("mongodb://ann@h", |draft| draft.user("bob")).is_none());
        assert!(after("mongodb://ann:a%26@h", |draft| draft.password("a&")).is_some());
        assert!(after("mongodb://ann:a@h", |draft| draft.password("b")).is_none());
        assert_eq!(after("mongodb://ann@h", |draft| draft.password("p")).unwrap(), "mongodb://ann:p@h");
    }

    #[test]
    fn whether_it_names_a_database_or_asks_for_tls_is_seen() {
        for (text, database, tls) in [
            ("mongodb://h", false, false),
            ("mongodb://ann:p@h/?tls=true", false, true),
            ("mongodb://h1,h2/shop?tls=false", true, false),
            ("mongodb+srv://h/shop", true, true),
            ("mongodb://h/?tlsCAFile=/a", false, true),
        ] {
            let draft = Draft::new(text);
            assert_eq!((draft.names_database(), draft.has_tls()), (database, tls), "{text}");
        }
    }
}
