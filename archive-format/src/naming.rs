//! What a namespace may be called.

use crate::namespace::BUCKETS;
use crate::{Error, ErrorKind, Namespace};

/// The server's limit on database names, in bytes.
const MAX_DATABASE_LENGTH: usize = 63;

/// Four times the 255 bytes that a server permits for a whole namespace: no real name comes near, and a hostile
/// one cannot make headers or messages large.
const MAX_COLLECTION_LENGTH: usize = 1024;

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

    /// Makes a namespace of two names in an archive, where the oplog is one too.
    pub(crate) fn archived(db: &str, collection: &str) -> Result<Self, Error> {
        let oplog = Self::oplog();
        if (db, collection) == (oplog.db(), oplog.collection()) {
            Ok(oplog)
        } else {
            Self::new(db, collection)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b16_database_names_follow_the_servers_rules() {
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
}
