//! Which users and roles a restore takes.

use crate::{Error, ErrorKind, Result, Scope};

/// mongorestore's names for the collections, in `admin`, that hold users and roles until they are merged.
pub(super) const TEMP_USERS: &str = "tempusers";
pub(super) const TEMP_ROLES: &str = "temproles";

/// Which users and roles are restored: those of the whole deployment where the [`Scope`] is everything or `admin` and the
/// [`Filter`](crate::Filter) takes them, or those of a single database, which an archive of that database may hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accounts {
    /// Restore those of the scope's database, `$admin.system.users` and `$admin.system.roles` of an archive that
    /// `mongodump --dumpDbUsersAndRoles` made; with `drop` they take the place of that database's users and roles.
    pub of_database: bool,
    /// The collection of `admin` that holds users until they are merged. One of another name than mongorestore's must not exist.
    pub temporary_users: String,
    /// The collection of `admin` that holds roles until they are merged. One of another name than mongorestore's must not exist.
    pub temporary_roles: String,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            of_database: false,
            temporary_users: TEMP_USERS.to_owned(),
            temporary_roles: TEMP_ROLES.to_owned(),
        }
    }
}

impl Accounts {
    /// Both temporary collections.
    pub(super) fn temporaries(&self) -> [&str; 2] {
        [&self.temporary_users, &self.temporary_roles]
    }

    /// Those of the temporary collections that a restore may not drop if it finds them: they may be anybody's.
    pub(super) fn foreign(&self) -> Vec<&str> {
        self.temporaries().into_iter().filter(|name| !is_mongorestores(name)).collect()
    }

    pub(super) fn check(&self, scope: &Scope) -> Result<()> {
        let invalid = |message: &str| Err(Error::new(ErrorKind::InvalidInput, message));
        match scope.db() {
            None if self.of_database => {
                return invalid(
                    "cannot use --restoreDbUsersAndRoles without a specified database: give --db",
                );
            }
            Some("admin") if self.of_database => {
                return invalid(
                    "cannot use --restoreDbUsersAndRoles with the admin database, which has the users and roles of all",
                );
            }
            _ => {}
        }
        if self.temporary_users == self.temporary_roles {
            return invalid("--tempUsersColl and --tempRolesColl are the same collection: give two");
        }
        for name in self.temporaries() {
            if name.is_empty() || name.starts_with("system.") || name.contains(['$', '\0']) {
                return invalid(
                    "--tempUsersColl and --tempRolesColl cannot be empty, a system collection, or have a '$'",
                );
            }
        }
        Ok(())
    }
}

/// Whether a killed mongorestore leaves this collection in `admin`.
pub(super) fn is_mongorestores(name: &str) -> bool {
    matches!(name, TEMP_USERS | TEMP_ROLES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_server_would_take_or_would_lose_is_refused() {
        let of = |db: Option<&str>| db.map_or(Scope::Everything, |db| Scope::database(db).unwrap());
        let accounts = Accounts { of_database: true, ..Accounts::default() };
        assert!(accounts.check(&of(Some("shop"))).is_ok());
        for (db, words) in
            [(None, "without a specified database"), (Some("admin"), "with the admin database")]
        {
            let error = accounts.check(&of(db)).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        for name in ["", "system.users", "a$b", "temproles"] {
            let accounts = Accounts { temporary_users: name.to_owned(), ..Accounts::default() };
            assert!(accounts.check(&Scope::Everything).is_err(), "{name}");
        }
        assert!(Accounts::default().foreign().is_empty());
    }
}
