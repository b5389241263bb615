//! What a dump covers and what a restore may touch: one value for the command and the function.

use std::fmt;

use archive_format::Namespace;

use crate::{Error, ErrorKind, MongoUri, Result};

/// Metadata of an archive's object that says what the archive covers.
#[cfg(any(feature = "cli", feature = "lambda"))]
pub(crate) const SCOPE_LABEL: &str = "mongoark-scope";

/// The end of a label that does not stand for the whole scope. A collection that is called so is taken for less than it is.
const IN_PART: &str = " (in part)";

/// Refuses to restore exactly what says of itself, by these labels, that it lacks what its databases had: that would go.
#[cfg(any(feature = "cli", feature = "lambda"))]
pub(crate) fn refuse_exact_part(labels: &[(String, String)]) -> Result<()> {
    let Some((_, scope)) = labels.iter().find(|(name, _)| name == SCOPE_LABEL) else { return Ok(()) };
    let message = if scope.ends_with(IN_PART) {
        "the archive lacks what was left out of its dump (--query, --excludeCollection, --viewsAsCollections), which a restore \
         that is exact would remove; restore it otherwise"
    } else if scope.contains('.') {
        "the archive is of one collection, and a restore that is exact would remove every other one of its database; restore \
         it otherwise"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidInput, message))
}

/// The part of a deployment that a dump covers, and that a restore may touch.
///
/// A restore writes no database, user or role outside its scope, whatever the archive holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Scope {
    /// Every database, with users and roles.
    #[default]
    Everything,
    /// One database. Users and roles are in its scope only if it is `admin`.
    Database(String),
    /// One collection, and none of its database's users.
    Collection(Namespace),
}

impl Scope {
    /// One database.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a name that no server accepts.
    pub fn database(name: &str) -> Result<Self> {
        // Any collection will do: the rules for databases are the same for all.
        Namespace::new(name, "c").map_err(Error::invalid_name)?;
        Ok(Self::Database(name.to_owned()))
    }

    /// One collection.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for names that no server accepts.
    pub fn collection(db: &str, name: &str) -> Result<Self> {
        Namespace::new(db, name).map(Self::Collection).map_err(Error::invalid_name)
    }

    /// What the connection string's path and the names asked for beside it come to.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where they name different databases, a collection has no database, or a name cannot be one.
    pub fn resolve(uri: &MongoUri, db: Option<&str>, collection: Option<&str>) -> Result<Self> {
        let named = uri.database();
        if are_two(db, named.as_deref()) {
            return Err(invalid("--db and the connection string name different databases: give one of them"));
        }
        match (db.or(named.as_deref()), collection) {
            (None, None) => Ok(Self::Everything),
            (Some(db), None) => Self::database(db),
            (Some(db), Some(collection)) => Self::collection(db, collection),
            (None, Some(_)) => Err(invalid("--collection needs --db")),
        }
    }

    /// What the function works on: what the connection string's path and the variable `DATABASE` come to. A path of `admin`
    /// alone is refused: most who write it mean where to log in.
    #[cfg(feature = "lambda")]
    pub(crate) fn of_function(uri: &MongoUri, variable: Option<&str>) -> Result<Self> {
        let named = uri.database();
        if are_two(variable, named.as_deref()) {
            return Err(invalid(
                "the variable DATABASE and the connection string's path name different databases: give one of them (where to \
                 log in is written /?authSource=admin)",
            ));
        }
        match (variable, named.as_deref()) {
            (None, Some("admin")) => Err(invalid(
                "the connection string's path names admin, which holds no application's data; write /?authSource=admin to \
                 work on everything, or set the variable DATABASE to the database that is meant (also if that is admin)",
            )),
            (variable, named) => variable.or(named).map_or(Ok(Self::Everything), Self::database),
        }
    }

    /// The scope as the metadata of an archive's object holds it, under [`SCOPE_LABEL`]: visible ASCII.
    pub(crate) fn label(&self) -> String {
        self.to_string().escape_default().to_string()
    }

    /// As [`label`](Self::label), of an archive that lacks some of the scope because somebody asked for that.
    pub(crate) fn label_in_part(&self) -> String {
        format!("{}{IN_PART}", self.label())
    }

    /// The one database that the scope is, or is in.
    pub fn db(&self) -> Option<&str> {
        match self {
            Self::Everything => None,
            Self::Database(name) => Some(name),
            Self::Collection(namespace) => Some(namespace.db()),
        }
    }

    /// Whether a collection belongs to the scope, by its logical name.
    pub fn covers(&self, namespace: &Namespace) -> bool {
        match self {
            Self::Everything => true,
            Self::Database(name) => namespace.db() == name,
            Self::Collection(one) => namespace == one,
        }
    }

    /// Whether users and roles of the deployment belong to the scope.
    pub fn covers_users(&self) -> bool {
        match self {
            Self::Everything => true,
            Self::Database(name) => name == "admin",
            Self::Collection(_) => false,
        }
    }
}

fn are_two(one: Option<&str>, other: Option<&str>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

impl fmt::Display for Scope {
    /// `everything`, or the name of the database or collection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Database(name) => f.write_str(name),
            Self::Collection(namespace) => namespace.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(uri: &str, db: Option<&str>, collection: Option<&str>) -> Result<String> {
        Scope::resolve(&MongoUri::parse(uri)?, db, collection).map(|scope| scope.to_string())
    }

    #[test]
    fn the_path_of_the_connection_string_and_the_flags_name_one_database() {
        assert_eq!(resolve("mongodb://h", None, None).unwrap(), "everything");
        assert_eq!(resolve("mongodb://h/shop", None, None).unwrap(), "shop");
        assert_eq!(resolve("mongodb://h/shop", Some("shop"), Some("orders")).unwrap(), "shop.orders");
        assert_eq!(resolve("mongodb://h", Some("shop"), None).unwrap(), "shop");
        for (uri, db, collection) in [
            ("mongodb://h/shop", Some("other"), None),
            ("mongodb://h", None, Some("orders")),
            ("mongodb://h", Some("a b"), None),
            ("mongodb://h", Some("shop"), Some("")),
        ] {
            let error = resolve(uri, db, collection).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", error.report());
        }
    }

    #[test]
    fn a_function_works_on_what_its_connection_string_or_variable_names() {
        let scope = |uri: &str, variable: Option<&str>| {
            Scope::of_function(&MongoUri::parse(uri)?, variable).map(|scope| scope.to_string())
        };
        for (uri, variable, expected) in [
            ("mongodb://h/?authSource=admin", None, "everything"),
            ("mongodb://h/shop?authSource=admin", None, "shop"),
            ("mongodb://h/?authSource=admin", Some("shop"), "shop"),
            ("mongodb://h/shop", Some("shop"), "shop"),
            ("mongodb://h", Some("admin"), "admin"),
            ("mongodb://h/admin", Some("admin"), "admin"),
        ] {
            assert_eq!(scope(uri, variable).unwrap(), expected, "{uri} {variable:?}");
        }
        for (uri, variable, words) in [
            ("mongodb://h/admin", None, ["/?authSource=admin", "DATABASE"]),
            ("mongodb://h/admin", Some("shop"), ["/?authSource=admin", "different databases"]),
            ("mongodb://h/crm", Some("shop"), ["DATABASE", "different databases"]),
            ("mongodb://h", Some("a b"), ["no server accepts", "name"]),
        ] {
            let error = scope(uri, variable).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            for word in words {
                assert!(error.report().contains(word), "{}", error.report());
            }
        }
    }

    #[test]
    fn users_belong_to_everything_and_to_admin() {
        let users = Namespace::new("admin", "system.users").unwrap();
        let orders = Namespace::new("shop", "orders").unwrap();
        for (scope, covers_orders, covers_users) in [
            (Scope::Everything, true, true),
            (Scope::database("shop").unwrap(), true, false),
            (Scope::database("admin").unwrap(), false, true),
            (Scope::collection("shop", "orders").unwrap(), true, false),
            (Scope::collection("shop", "carts").unwrap(), false, false),
        ] {
            assert_eq!(scope.covers(&orders), covers_orders, "{scope}");
            assert_eq!(scope.covers_users(), covers_users, "{scope}");
            assert_eq!(scope.covers(&users), covers_users, "{scope}");
        }
    }
}
