//! Who logs in, in the text of a connection string, and how a password gets into it.

use std::fmt;

/// Mechanisms that need no password: a certificate, AWS credentials, a ticket or a token is there instead.
const WITHOUT_PASSWORD: [&str; 4] = ["GSSAPI", "MONGODB-AWS", "MONGODB-OIDC", "MONGODB-X509"];

/// Options whose value is a secret, in lower case, under all their names.
const SECRET_OPTIONS: [&str; 5] = [
    "proxypassword",
    "ssl_pem_passphrase",
    "sslclientcertificatekeypassword",
    "sslpemkeypassword",
    "tlscertificatekeyfilepassword",
];

/// A connection string's text, and in it who logs in and how.
pub(crate) struct Login<'a> {
    text: &'a str,
    /// Where the user name begins and the `@` after it and the password is.
    user_info: Option<&'a str>,
    query: &'a str,
}

impl<'a> Login<'a> {
    /// Looks at a connection string, parsed or not.
    pub(crate) fn of(text: &'a str) -> Self {
        let text = text.trim();
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let user_info = place.rsplit_once('@').map(|(user_info, _)| user_info);
        Self { text, user_info, query }
    }

    /// The user's name as it stands, where there is one.
    pub(super) fn user(&self) -> Option<&'a str> {
        let user = self.user_info?.split(':').next()?;
        (!user.is_empty()).then_some(user)
    }

    /// The user's password as it stands, where there is one.
    pub(super) fn password(&self) -> Option<&'a str> {
        self.user_info?.split_once(':').map(|(_, password)| password)
    }

    pub(crate) fn has_user(&self) -> bool {
        self.user().is_some()
    }

    pub(crate) fn has_password(&self) -> bool {
        self.password().is_some()
    }

    /// Whether the mechanism needs a password that is not there.
    pub(crate) fn lacks_password(&self) -> bool {
        let mechanism = self.options().find(|(name, _)| name == "authmechanism");
        let needs =
            mechanism.is_none_or(|(_, value)| !WITHOUT_PASSWORD.contains(&value.to_uppercase().as_str()));
        needs && self.has_user() && !self.has_password()
    }

    /// Whether anything in it is for nobody else's eyes.
    pub(crate) fn has_secret(&self) -> bool {
        let secret = |(name, value): (String, &str)| {
            SECRET_OPTIONS.contains(&name.as_str())
                || (name == "authmechanismproperties" && value.to_uppercase().contains("AWS_SESSION_TOKEN"))
        };
        self.has_password() || self.options().any(secret)
    }

    /// The connection string with this password for its user, who has none yet.
    pub(super) fn with_password(&self, password: &str) -> String {
        let Some(user) = self.user_info else { return self.text.to_owned() };
        let whole = format!("{user}@");
        self.text.replacen(&whole, &format!("{user}:{}@", encoded(password)), 1)
    }

    /// What stands behind the question mark: names in lower case, values as they stand.
    pub(super) fn options(&self) -> impl Iterator<Item = (String, &'a str)> + use<'a> {
        let pairs = self.query.split(['&', ';']).filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_lowercase(), value))
    }
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// With everything but letters and digits escaped.
pub(super) fn encoded(text: &str) -> String {
    let letter = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::Login;
    use crate::MongoUri;

    #[test]
    fn a_password_is_lacking_where_somebody_logs_in_by_one() {
        for (text, lacks) in [
            ("mongodb://ann@h", true),
            ("mongodb+srv://ann@h/shop?authSource=admin", true),
            ("mongodb://ann@h/?authMechanism=SCRAM-SHA-256", true),
            ("mongodb://ann:pw@h", false),
            ("mongodb://ann:@h", false),
            ("mongodb://h", false),
            ("mongodb://CN%3Dann@h/?authMechanism=mongodb-x509", false),
            ("mongodb://h/?appName=a@b", false),
            ("nonsense", false),
        ] {
            assert_eq!(Login::of(text).lacks_password(), lacks, "{text}");
        }
    }

    #[test]
    fn a_password_of_any_letters_is_put_where_it_belongs() {
        let text = Login::of("mongodb://ann@h1,h2/ann@?tls=true").with_password("x");
        assert_eq!(text, "mongodb://ann@h1,h2/ann:x@?tls=true");
        let text = Login::of("mongodb://ann@h1,h2/shop").with_password("p@:/?#%&é名 \"'$1\\");
        assert!(text.starts_with("mongodb://ann:p%40%3A%2F%3F%23%25%26%C3%A9"), "{text}");
        assert!(text.ends_with("@h1,h2/shop"), "{text}");
        assert_eq!(MongoUri::parse(&text).unwrap().to_string(), "h1:27017,h2:27017");
    }

    #[test]
    fn secrets_are_known_by_their_place_and_shown_nowhere() {
        for (text, secret) in [
            ("mongodb://ann:hunter2@h", true),
            ("mongodb://h/?sslPEMKeyPassword=hunter2", true),
            ("mongodb://h/?proxyHost=p&proxyUsername=u&proxyPassword=hunter2", true),
            (
                "mongodb://h/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:hunter2",
                true,
            ),
            ("mongodb://ann@h/?authSource=hunter2", false),
            ("mongodb://h", false),
        ] {
            assert_eq!(Login::of(text).has_secret(), secret, "{text}");
            assert!(!format!("{:?}", Login::of(text)).contains("hunter2"));
        }
    }
}
