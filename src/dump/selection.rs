//! Which collections of the scope a dump takes, and which of their documents.

use super::identity::BUCKETS;
use super::query::Query;
use crate::{Error, ErrorKind, Result, Scope};

/// Which collections of the scope are taken, which of their documents, and what else. `Default` takes what mongodump takes.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Collections of the one database that are not taken, by their exact names. A time series has one name: that of its
    /// buckets is none.
    pub excluded: Vec<String>,
    /// As `excluded`: all whose names begin so.
    pub excluded_prefixes: Vec<String>,
    /// The documents that are taken of the one collection. Of a time series it may ask for the field of its metadata, whole
    /// (`m`) or in part (`m.sensor`), and nothing else. Views hold none.
    pub query: Option<Query>,
    /// Takes views and nothing else, and stores the documents that they show. The one collection of the scope is taken whatever
    /// it is, and without its indexes, as mongodump does.
    pub views_as_collections: bool,
    /// Takes users and roles of the one database too, which the server keeps in `admin`.
    pub users_of_database: bool,
}

impl Selection {
    /// Whether it goes together with what the dump covers.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a query without a collection, exclusions or users without a database or with one
    /// collection, and for the buckets of a time series as the one collection.
    pub fn check(&self, scope: &Scope) -> Result<()> {
        let invalid = |message: &str| Err(Error::new(ErrorKind::InvalidInput, message));
        let is_of_database = matches!(scope, Scope::Database(_));
        if let Scope::Collection(namespace) = scope
            && namespace.collection().starts_with(BUCKETS)
        {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the buckets of a time series are dumped under its own name: leave out the prefix system.buckets.",
            )
            .at(namespace));
        }
        if self.query.is_some() && !matches!(scope, Scope::Collection(_)) {
            return invalid("a query needs the one collection that it is for (--db and --collection)");
        }
        let excludes = !self.excluded.is_empty() || !self.excluded_prefixes.is_empty();
        if excludes && !is_of_database {
            return invalid(
                "collections are excluded from one whole database: give --db, and no --collection, with --excludeCollection and \
                 --excludeCollectionsWithPrefix",
            );
        }
        if self.users_of_database && !is_of_database {
            return invalid(
                "users and roles of a database are dumped with the whole of it: give --db, and no --collection, with \
                 --dumpDbUsersAndRoles",
            );
        }
        Ok(())
    }

    /// Whether something that the scope covers is not taken because somebody asked for that.
    pub(crate) fn is_partial(&self) -> bool {
        !self.excluded.is_empty()
            || !self.excluded_prefixes.is_empty()
            || self.query.is_some()
            || self.views_as_collections
    }

    /// Whether this collection is taken; `db` and `name` are exact names.
    pub(super) fn takes(&self, db: &str, name: &str, is_view: bool, scope: &Scope) -> bool {
        if let Scope::Collection(namespace) = scope {
            return name == namespace.collection();
        }
        by_default(db, name, scope) && !self.excludes(name) && (is_view || !self.views_as_collections)
    }

    pub(super) fn excludes(&self, name: &str) -> bool {
        self.excluded.iter().any(|excluded| excluded == name)
            || self.excluded_prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

/// mongodump's default selection.
fn by_default(db: &str, name: &str, scope: &Scope) -> bool {
    const CONFIG: [&str; 7] = ["chunks", "collections", "databases", "settings", "shards", "tags", "version"];
    if has_dollar(name) {
        return false;
    }
    match db {
        "admin" => name != "system.keys" && !name.starts_with(BUCKETS),
        "config" => (scope.db().is_some() && !name.starts_with(BUCKETS)) || CONFIG.contains(&name),
        _ => name == "system.js" || !name.starts_with("system."),
    }
}

/// Whether a name is left out because of its `$`.
pub(super) fn has_dollar(name: &str) -> bool {
    name.contains('$') && !name.contains(".oplog.$")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(db: &str, name: &str, scope: &Scope) -> bool {
        Selection::default().takes(db, name, false, scope)
    }

    fn assert_taken(names: &[(&str, &str)], scope: &Scope) {
        for (db, name) in names {
            assert!(takes(db, name, scope), "{db}.{name}");
        }
    }

    fn assert_left_out(names: &[(&str, &str)], scope: &Scope) {
        for (db, name) in names {
            assert!(!takes(db, name, scope), "{db}.{name}");
        }
    }

    #[test]
    fn b24_only_seven_collections_of_config_are_taken_unless_it_is_named() {
        let names = ["chunks", "collections", "databases", "settings", "shards", "tags", "version"];
        assert_taken(&names.map(|name| ("config", name)), &Scope::Everything);
        let own = [("config", "system.sessions"), ("config", "transactions"), ("config", "image_collection")];
        assert_left_out(&own, &Scope::Everything);
        assert_taken(&own, &Scope::database("config").unwrap());
    }

    #[test]
    fn b25_all_of_admin_is_taken_but_the_keys() {
        for scope in [Scope::Everything, Scope::database("admin").unwrap()] {
            let names = ["system.users", "system.roles", "system.version", "system.views", "things"];
            assert_taken(&names.map(|name| ("admin", name)), &scope);
            assert_left_out(&[("admin", "system.keys")], &scope);
        }
    }

    #[test]
    fn b26_what_is_the_servers_in_other_databases_is_left_out_but_for_javascript() {
        for scope in [Scope::Everything, Scope::database("shop").unwrap()] {
            assert_taken(&[("shop", "orders"), ("shop", "system.js"), ("shop", "a.system.b")], &scope);
            let names = ["system.views", "system.profile", "system.indexes", "system.buckets.t"];
            assert_left_out(&names.map(|name| ("shop", name)), &scope);
        }
    }

    #[test]
    fn b27_names_with_a_dollar_are_left_out_but_for_an_oplog() {
        assert_left_out(&[("shop", "with$dollar"), ("admin", "a$b")], &Scope::Everything);
        assert_taken(&[("shop", "x.oplog.$main")], &Scope::Everything);
    }

    #[test]
    fn a_named_collection_is_taken_whatever_it_is() {
        let one = Scope::collection("shop", "system.profile").unwrap();
        assert!(takes("shop", "system.profile", &one));
        assert!(!takes("shop", "orders", &one));
    }

    #[test]
    fn b29_exclusions_are_exact_names_and_beginnings_of_logical_names() {
        let selection = Selection {
            excluded: vec!["orders".to_owned(), "system.buckets.t".to_owned()],
            excluded_prefixes: vec!["tmp_".to_owned(), "system.buckets.".to_owned()],
            ..Selection::default()
        };
        let scope = Scope::database("shop").unwrap();
        selection.check(&scope).unwrap();
        for (name, taken) in [
            ("orders", false),
            ("Orders", true),
            ("orders2", true),
            ("tmp_", false),
            ("tmp_1", false),
            ("t", true),
        ] {
            assert_eq!(selection.takes("shop", name, false, &scope), taken, "{name}");
        }
    }

    #[test]
    fn b29_exclusions_need_a_database_and_forbid_a_collection() {
        for scope in [Scope::Everything, Scope::collection("shop", "orders").unwrap()] {
            let by_name = Selection { excluded: vec!["x".to_owned()], ..Selection::default() };
            let by_prefix = Selection { excluded_prefixes: vec!["x".to_owned()], ..Selection::default() };
            let users = Selection { users_of_database: true, ..Selection::default() };
            for selection in [by_name, by_prefix, users] {
                let error = selection.check(&scope).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(error.report().contains("--db"), "{}", error.report());
            }
        }
    }

    #[test]
    fn b31_a_query_needs_a_collection() {
        let query = Query::parse(r#"{"x":1}"#).unwrap();
        let selection = Selection { query: Some(query), ..Selection::default() };
        selection.check(&Scope::collection("shop", "orders").unwrap()).unwrap();
        for scope in [Scope::Everything, Scope::database("shop").unwrap()] {
            assert!(selection.check(&scope).unwrap_err().report().contains("--collection"));
        }
    }

    #[test]
    fn b28_of_views_as_collections_only_views_are_taken() {
        let selection = Selection { views_as_collections: true, ..Selection::default() };
        let scope = Scope::database("shop").unwrap();
        assert!(selection.takes("shop", "view", true, &scope));
        assert!(!selection.takes("shop", "orders", false, &scope));
        assert!(selection.is_partial() && !Selection::default().is_partial());
    }

    #[test]
    fn the_buckets_of_a_time_series_are_no_collection_to_ask_for() {
        let scope = Scope::collection("shop", "system.buckets.t").unwrap();
        let error = Selection::default().check(&scope).unwrap_err().report();
        assert!(error.contains("system.buckets.") && error.contains("own name"), "{error}");
    }
}
