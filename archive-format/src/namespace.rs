//! Names of databases and collections.

use std::fmt;
use std::sync::Arc;

use crate::{Error, ErrorKind};

/// The server's limit on database names, in bytes.
const MAX_DATABASE_LENGTH: usize = 63;

/// Four times the 255 bytes that a server permits for a whole namespace: no real name comes near, and a hostile
/// one cannot make headers or messages large.
const MAX_COLLECTION_LENGTH: usize = 1024;

/// What time-series data was kept under before server 8.3: `system.buckets.` and the name of the collection.
const BUCKETS: &str = "system.buckets.";

/// The full name of a collection: its database and its name therein.
///
/// Cloning is cheap. Ordering is by database, then by collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    db: Arc<str>,
    collection: Arc<str>,
}

impl Namespace {
    /// Makes a namespace of two valid names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidName`] if the database name is empty, longer than 63 bytes or contains one of
    /// `/ \ . " $`, space or NUL; or if the collection name is empty, longer than 1024 bytes
    /// (`system.buckets.` not counted) or contains NUL.
    pub fn new(db: &str, collection: &str) -> Result<Self, Error> {
        let invalid = |what: String| Err(Error::new(ErrorKind::InvalidName, what));
        if db.is_empty() {
            return invalid("a database name is empty".into());
        }
        if db.len() > MAX_DATABASE_LENGTH {
            return invalid(format!("a database name is {} bytes long, 63 are permitted", db.len()));
        }
        if let Some(character) = db.chars().find(|&c| matches!(c, '/' | '\\' | '.' | ' ' | '"' | '$' | '\0'))
        {
            return invalid(format!("database name {db:?} contains {character:?}"));
        }
        if collection.is_empty() {
            return invalid(format!("a collection name in database {db:?} is empty"));
        }
        let length = collection.strip_prefix(BUCKETS).unwrap_or(collection).len();
        if length > MAX_COLLECTION_LENGTH {
            return invalid(format!("a collection name in database {db:?} is {length} bytes long"));
        }
        if collection.contains('\0') {
            return invalid(format!("collection name {collection:?} contains NUL"));
        }
        Ok(Self::unchecked(db, collection))
    }

    /// The name under which an archive carries the oplog: database `""`, collection `oplog`.
    pub fn oplog() -> Self {
        Self::unchecked("", "oplog")
    }

    /// Makes a namespace of two names in an archive, where the oplog is one too.
    pub(crate) fn archived(db: &str, collection: &str) -> Result<Self, Error> {
        let oplog = Self::oplog();
        if (db, collection) == (oplog.db(), oplog.collection()) {
            Ok(oplog)
        } else {
            Self::new(db, collection)
        }
    }

    fn unchecked(db: &str, collection: &str) -> Self {
        Self { db: db.into(), collection: collection.into() }
    }

    /// The name in the same database under which a server before 8.3 keeps this time series' data: `system.buckets.` and
    /// the name of the time series.
    #[must_use]
    pub fn buckets(&self) -> Self {
        Self { db: Arc::clone(&self.db), collection: format!("{BUCKETS}{}", self.collection).into() }
    }

    /// The time series whose data a server before 8.3 keeps under this name.
    pub(crate) fn of_buckets(&self) -> Option<Self> {
        let collection = self.collection.strip_prefix(BUCKETS)?;
        Some(Self { db: Arc::clone(&self.db), collection: collection.into() })
    }

    /// The name of the database; empty for the oplog.
    pub fn db(&self) -> &str {
        &self.db
    }

    /// The name of the collection within its database.
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// Whether this is the oplog's place in an archive, [`Namespace::oplog`].
    pub fn is_oplog(&self) -> bool {
        self.db.is_empty() && &*self.collection == "oplog"
    }

    /// Whether this holds users, roles or their schema version: `admin.system.users`, `admin.system.roles`,
    /// `admin.system.version`, or in a dump of the single database `X`, `X.$admin.system.users` and so on.
    ///
    /// In an archive these come before all ordinary collections.
    pub fn is_special(&self) -> bool {
        let system = match self.collection.strip_prefix("$admin.") {
            Some(system) => system,
            None if &*self.db == "admin" => &*self.collection,
            None => return false,
        };
        matches!(system, "system.users" | "system.roles" | "system.version")
    }
}

impl fmt::Display for Namespace {
    /// `db.collection`; the oplog, which has no database, is plain `oplog`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_oplog() {
            return f.write_str(&self.collection);
        }
        write!(f, "{}.{}", self.db, self.collection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_names_follow_the_servers_rules() {
        for db in ["", "a/b", "a\\b", "a.b", "a b", "a\"b", "a$b", "a\0b", &"x".repeat(64)] {
            assert_eq!(Namespace::new(db, "c").unwrap_err().kind(), ErrorKind::InvalidName, "{db:?}");
        }
        for db in ["a", "ümläut", "a-b_c", &"x".repeat(63)] {
            assert_eq!(Namespace::new(db, "c").unwrap().db(), db);
        }
    }

    #[test]
    fn collection_names_may_be_odd_but_not_empty() {
        for collection in ["", "a\0b", &"x".repeat(1025)] {
            assert_eq!(Namespace::new("d", collection).unwrap_err().kind(), ErrorKind::InvalidName);
        }
        for collection in ["sla/sh", "dotted.name.x", "with space", "%24", "system.buckets.x", "日本"] {
            assert_eq!(Namespace::new("d", collection).unwrap().collection(), collection);
        }
    }

    #[test]
    fn users_roles_and_version_are_special_in_both_spellings() {
        for (db, collection) in
            [("admin", "system.users"), ("admin", "system.version"), ("x", "$admin.system.roles")]
        {
            assert!(Namespace::new(db, collection).unwrap().is_special(), "{db}.{collection}");
        }
        for (db, collection) in [("x", "system.users"), ("admin", "system.keys"), ("admin", "users")] {
            assert!(!Namespace::new(db, collection).unwrap().is_special(), "{db}.{collection}");
        }
    }

    #[test]
    fn buckets_have_the_name_of_their_time_series_in_theirs() {
        let name = Namespace::new("d", "a.t").unwrap();
        assert_eq!(name.buckets(), Namespace::new("d", "system.buckets.a.t").unwrap());
        assert_eq!(name.buckets().of_buckets(), Some(name));
    }

    #[test]
    fn it_is_shown_as_mongodb_writes_it() {
        assert_eq!(Namespace::new("d", "a.b").unwrap().to_string(), "d.a.b");
        assert_eq!(Namespace::oplog().to_string(), "oplog");
    }
}
