//! Names of databases and collections.

use std::fmt;
use std::sync::Arc;

/// What time-series data was kept under before server 8.3: `system.buckets.` and the name of the collection.
pub(crate) const BUCKETS: &str = "system.buckets.";

/// The full name of a collection: its database and its name therein.
///
/// Cloning is cheap. Ordering is by database, then by collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    db: Arc<str>,
    collection: Arc<str>,
}

impl Namespace {
    /// The name under which an archive carries the oplog: database `""`, collection `oplog`.
    pub fn oplog() -> Self {
        Self::unchecked("", "oplog")
    }

    /// Of names that are known to be valid.
    pub(crate) fn unchecked(db: &str, collection: &str) -> Self {
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
