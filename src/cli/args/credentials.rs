//! Who logs in, and how.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::fmt;

use clap::builder::NonEmptyStringValueParser;

use super::invalid;
use super::setting::{Setting, agreed, differ};
use crate::uri::Draft;
use crate::{Error, Result};

/// Where accounts are kept whose names another system knows, for the mechanism whose default in the driver is another.
const EXTERNAL: &str = "$external";

/// Mechanisms that never look into a database of the deployment.
const EXTERNAL_MECHANISMS: [&str; 5] = ["GSSAPI", "MONGODB-AWS", "MONGODB-OIDC", "MONGODB-X509", "PLAIN"];

const AWS: &str = "MONGODB-AWS";

#[derive(clap::Args)]
#[command(next_display_order = 30)]
pub(super) struct Credentials {
    /// User who logs in.
    #[arg(short, long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    username: Option<String>,

    /// The user's password. Others on this machine can see it: without it, or with an empty one, it is asked for.
    #[arg(short, long, value_name = "PASSWORD", num_args = 0..=1, default_missing_value = "")]
    password: Option<String>,

    /// Database that the user is known in [default: that of the connection string, --db where -u names the user, or admin].
    #[arg(long = "authenticationDatabase", value_name = "DB", value_parser = NonEmptyStringValueParser::new())]
    database: Option<String>,

    /// SCRAM-SHA-1, SCRAM-SHA-256, MONGODB-X509, MONGODB-AWS, MONGODB-OIDC or PLAIN [default: what the server offers].
    #[arg(long = "authenticationMechanism", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    mechanism: Option<String>,

    /// Session token that goes with MONGODB-AWS.
    #[arg(long = "awsSessionToken", value_name = "TOKEN", value_parser = NonEmptyStringValueParser::new())]
    aws_session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// The password, where one was written.
    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_deref().filter(|password| !password.is_empty())
    }

    /// Whether the arguments hold a secret.
    pub(super) fn has_secret(&self) -> bool {
        self.password().is_some() || self.aws_session_token.is_some()
    }

    /// Puts the user and the way to log in into the connection string, which must not say otherwise. `db` is what --db names,
    /// in which a user is looked for whom nothing else places; `always` also where the connection string names the user.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where both say different things, or the mechanism cannot be
    /// had; no value is repeated.
    pub(super) fn write(
        &self,
        draft: &mut Draft,
        origin: &str,
        db: Option<&str>,
        always: bool,
    ) -> Result<()> {
        if let Some(name) = &self.username
            && !draft.user(name)
        {
            return Err(differ("--username", origin));
        }
        let database = self.database.as_deref();
        agreed(
            draft,
            origin,
            [
                Setting::text("--authenticationMechanism", "authMechanism", self.mechanism.as_deref()),
                Setting::text("--authenticationDatabase", "authSource", database),
            ],
        )?;
        let mechanism = draft.option("authMechanism").map(|mechanism| mechanism.to_uppercase());
        let mechanism = mechanism.as_deref();
        if mechanism == Some("GSSAPI") {
            return Err(no_kerberos().at("--authenticationMechanism"));
        }
        if let Some(token) = &self.aws_session_token {
            if mechanism != Some(AWS) {
                return Err(invalid("it needs --authenticationMechanism=MONGODB-AWS").at("--awsSessionToken"));
            }
            let properties = format!("AWS_SESSION_TOKEN:{token}");
            let setting = Setting::text("--awsSessionToken", "authMechanismProperties", Some(&properties));
            agreed(draft, origin, [setting])?;
        }
        let placed = draft.option("authSource").is_some();
        let external = mechanism.is_some_and(|mechanism| EXTERNAL_MECHANISMS.contains(&mechanism));
        let source = match db {
            _ if placed => None,
            _ if mechanism == Some("PLAIN") && self.username.is_some() => Some(EXTERNAL),
            Some(db) if !external && !draft.names_database() && draft.has_user() => {
                (always || self.username.is_some()).then_some(db)
            }
            _ => None,
        };
        agreed(draft, origin, [Setting::text("--authenticationDatabase", "authSource", source)])
    }
}

/// What the driver is built without.
fn no_kerberos() -> Error {
    invalid("Kerberos (GSSAPI) is not supported: log in with SCRAM, MONGODB-X509 or PLAIN (LDAP)")
}
