//! What of an archive is restored in a drill, and into which databases.

use std::collections::BTreeSet;

use archive_format::{CollectionMetadata, Namespace, Prelude};

use super::lease;
use super::reading::{Content, Reading};
use crate::verify::VerifyReport;
use crate::{Error, ErrorKind, Result};

/// The longest name of a database in bytes, set by servers.
const MAX_DATABASE_BYTES: usize = 63;

/// What is to be restored.
#[derive(Debug)]
pub(super) struct Plan {
    prefix: String,
    /// The scratch databases.
    pub(super) databases: Vec<String>,
    /// What the archive says of every collection that is restored, by its own name.
    pub(super) expected: Reading,
    /// Whether there are users or roles, which stay away.
    pub(super) has_accounts: bool,
}

impl Plan {
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a database whose scratch name no server accepts.
    pub(super) fn new(prelude: Prelude, verified: &VerifyReport, prefix: &str) -> Result<Self> {
        let mut expected = Reading::new();
        let mut has_accounts = false;
        for (position, entry) in prelude.collections.into_iter().enumerate() {
            has_accounts |= entry.namespace.is_special();
            if !is_restored(&entry) {
                continue;
            }
            let mut content = Content::new(entry);
            for whole in verified.whole.iter().filter(|whole| whole.end.collection == position) {
                content.documents += whole.end.documents;
                content.digest = content.digest.wrapping_add(whole.digest);
            }
            expected.insert(content.entry.namespace.clone(), content);
        }
        let names: BTreeSet<&str> = expected.keys().map(Namespace::db).collect();
        let databases: Vec<String> = names.iter().map(|name| format!("{prefix}{name}")).collect();
        for (name, database) in names.iter().zip(&databases) {
            if database.len() > MAX_DATABASE_BYTES {
                let message = format!(
                    "with the prefix {prefix:?} its name has {} bytes, and servers take 63: drill with a shorter --prefix",
                    database.len()
                );
                return Err(Error::new(ErrorKind::InvalidInput, message).at(name));
            }
            if database.eq_ignore_ascii_case(lease::DATABASE) {
                let message = "the drill keeps its lease in a database of this name: choose another --prefix";
                return Err(Error::new(ErrorKind::InvalidInput, message).at(database));
            }
            Namespace::new(database, "c").map_err(Error::invalid_name)?;
        }
        Ok(Self { prefix: prefix.to_owned(), databases, expected, has_accounts })
    }

    /// The archive's name of what is in the scratch; `None` for what is not the drill's.
    pub(super) fn original(&self, scratch: &Namespace) -> Option<Namespace> {
        Namespace::new(scratch.db().strip_prefix(&self.prefix)?, scratch.collection()).ok()
    }

    /// What the names of the scratch databases begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// As a restore with a prefix decides it: users, roles, the oplog and what no server creates are left out.
fn is_restored(entry: &CollectionMetadata) -> bool {
    let namespace = &entry.namespace;
    let left_by_restore =
        namespace.db() == "admin" && matches!(namespace.collection(), "tempusers" | "temproles");
    !namespace.is_oplog()
        && !namespace.is_special()
        && !left_by_restore
        && !namespace.collection().contains('$')
}
