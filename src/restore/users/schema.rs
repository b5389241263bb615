//! The schema of users and roles: which archives go into which servers.

use bson::{RawDocument, doc};

use crate::server_error::{code, driver_error};
use crate::{Deployment, Error, ErrorKind, Result};

/// SCRAM credentials: what servers have had since 3.0, and all that they take since 4.0.
pub(super) const SCRAM: i64 = 5;
/// Its forerunner with the same shape: of databases whose archive does not say.
pub(super) const MIXED: i64 = 3;
/// That of 2.4: of deployments whose archive does not say.
pub(super) const OLDEST: i64 = 1;

/// What the server has; [`SCRAM`] where it does not tell whoever asks.
///
/// # Errors
/// Those of the connection.
pub(super) async fn of_server(deployment: &Deployment) -> Result<i64> {
    let command = doc! { "getParameter": 1, "authSchemaVersion": 1 };
    match deployment.command("admin", command, None).await {
        Ok(reply) => {
            let version = reply.get("authSchemaVersion");
            Ok(version
                .and_then(|version| whole(version.as_i64(), version.as_i32(), version.as_f64()))
                .unwrap_or(SCRAM))
        }
        Err(error) if code(&error).is_some() => Ok(SCRAM),
        Err(error) => Err(driver_error("the server does not tell the schema of its users", &error)),
    }
}

/// What a document of `system.version` says, if it is the one that says it.
pub(super) fn of_document(document: &[u8]) -> Option<i64> {
    let document = RawDocument::from_bytes(document).ok()?;
    if !document.get_str("_id").is_ok_and(|id| id == "authSchema") {
        return None;
    }
    let version = document.get("currentVersion").ok()??;
    whole(version.as_i64(), version.as_i32(), version.as_f64())
}

/// Shells write doubles.
fn whole(long: Option<i64>, int: Option<i32>, double: Option<f64>) -> Option<i64> {
    long.or(int.map(i64::from)).or_else(|| format!("{:.0}", double?).parse().ok())
}

/// Whether users and roles of one schema go into a server of the other.
///
/// # Errors
/// [`ErrorKind::Archive`] where they do not.
pub(super) fn check(archive: i64, server: i64) -> Result<()> {
    let refused = |advice: &str| {
        let message = format!(
            "its users and roles have schema {archive} (auth version), and this server has {server}: {advice}, or restore \
             without them (--nsExclude=admin.system.*)"
        );
        Err(Error::new(ErrorKind::Archive, message).at("admin.system.version"))
    };
    match (archive, server) {
        (2 | 4, _) => refused("finish the upgrade of the source or roll it back, and dump again"),
        (_, 2 | 4) => refused("finish the upgrade of the server or roll it back, and restore again"),
        (SCRAM | MIXED, SCRAM) | (MIXED, MIXED) | (OLDEST, OLDEST | MIXED) => Ok(()),
        (OLDEST, _) => refused("upgrade the users of the source with authSchemaUpgrade, and dump again"),
        (SCRAM | MIXED, _) => refused("upgrade the users of the server with authSchemaUpgrade first"),
        _ => refused("no such pair is known"),
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn b72_these_pairs_go_together_and_no_other() {
        let together = [(5, 5), (3, 5), (3, 3), (1, 1), (1, 3)];
        for archive in 0..7 {
            for server in 0..7 {
                let checked = check(archive, server);
                assert_eq!(checked.is_ok(), together.contains(&(archive, server)), "{archive} {server}");
            }
        }
        assert!(check(4, 5).unwrap_err().to_string().contains("finish the upgrade of the source"));
        assert!(check(5, 4).unwrap_err().to_string().contains("finish the upgrade of the server"));
    }

    #[test]
    fn only_the_schemas_document_says_it_in_any_number() {
        for (document, expected) in [
            (rawdoc! { "_id": "authSchema", "currentVersion": 5 }, Some(5)),
            (rawdoc! { "_id": "authSchema", "currentVersion": 3_i64 }, Some(3)),
            (rawdoc! { "_id": "authSchema", "currentVersion": 5.0 }, Some(5)),
            (rawdoc! { "_id": "authSchema", "currentVersion": "5" }, None),
            (rawdoc! { "_id": "featureCompatibilityVersion", "currentVersion": 3 }, None),
        ] {
            assert_eq!(of_document(document.as_bytes()), expected);
        }
    }
}
