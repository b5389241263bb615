//! Which namespaces a restore takes, and what they are called then: by mongorestore's names.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use clap::builder::NonEmptyStringValueParser;

use super::invalid;
use crate::restore::Accounts;
use crate::{Filter, MongoUri, Result, Scope};

const NAMED_DATABASE: &str = "The --db and --collection flags are deprecated for this use-case; please use --nsInclude instead, \
                              i.e. with --nsInclude=${DATABASE}.${COLLECTION}";
const EXCLUDED_COLLECTIONS: &str = "the --excludeCollections and --excludeCollectionPrefixes options are deprecated and will \
                                    not exist in the future; use --nsExclude instead";

#[derive(clap::Args, Debug)]
pub(super) struct Namespaces {
    /// Restore only this database, and what --nsInclude names.
    #[arg(short, long, value_name = "DATABASE", value_parser = NonEmptyStringValueParser::new())]
    db: Option<String>,

    /// Restore only this collection of --db; an asterisk in it is a wildcard.
    #[arg(short, long, value_name = "COLLECTION", value_parser = NonEmptyStringValueParser::new())]
    collection: Option<String>,

    /// Restore only namespaces that match, as in shop.*; \\* is an asterisk [default: *]. May be repeated.
    #[arg(long = "nsInclude", value_name = "PATTERN")]
    ns_include: Vec<String>,

    /// Leave out namespaces that match, included or not. May be repeated.
    #[arg(long = "nsExclude", value_name = "PATTERN")]
    ns_exclude: Vec<String>,

    /// Rename namespaces that match, as in shop.* or $db$.$collection$, to the --nsTo of the same place. May be repeated; of
    /// several that match, the last counts.
    #[arg(long = "nsFrom", value_name = "PATTERN")]
    ns_from: Vec<String>,

    /// What --nsFrom is renamed to, with as many asterisks, or with the same $names$.
    #[arg(long = "nsTo", value_name = "PATTERN")]
    ns_to: Vec<String>,

    /// Deprecated: leave out the collections of this name, of every database. May be repeated.
    #[arg(long = "excludeCollection", value_name = "COLLECTION")]
    exclude_collection: Vec<String>,

    /// Deprecated: leave out the collections whose names begin like this, of every database. May be repeated.
    #[arg(long = "excludeCollectionsWithPrefix", value_name = "PREFIX")]
    exclude_collections_with_prefix: Vec<String>,

    /// Restore the users and roles of --db, too, from an archive made with --dumpDbUsersAndRoles.
    #[arg(long = "restoreDbUsersAndRoles")]
    restore_db_users_and_roles: bool,

    /// Collection of admin that holds users until they are merged.
    #[arg(long = "tempUsersColl", value_name = "COLLECTION", hide = true)]
    temp_users_coll: Option<String>,

    /// Collection of admin that holds roles until they are merged.
    #[arg(long = "tempRolesColl", value_name = "COLLECTION", hide = true)]
    temp_roles_coll: Option<String>,
}

impl Namespaces {
    /// Whether --db says what is restored, and not the connection string.
    pub(super) fn name_database(&self) -> bool {
        self.db.is_some()
    }

    /// The database that --db names: where to log in, too, where nothing else says that.
    pub(super) fn database(&self) -> Option<&str> {
        self.db.as_deref()
    }

    /// What is said of flags that mongorestore will not always have.
    pub(super) fn deprecations(&self) -> Vec<&'static str> {
        let excludes =
            !self.exclude_collection.is_empty() || !self.exclude_collections_with_prefix.is_empty();
        let said = [
            (self.db.is_some() || self.collection.is_some(), NAMED_DATABASE),
            (excludes, EXCLUDED_COLLECTIONS),
        ];
        said.into_iter().filter_map(|(applies, text)| applies.then_some(text)).collect()
    }

    /// What they come to, together with the path of the connection string, which is a --db.
    pub(super) fn check(self, uri: &MongoUri) -> Result<(Scope, Filter, Accounts)> {
        let named = uri.database();
        let db = self.db.as_deref().or(named.as_deref());
        if self.collection.is_some() && db.is_none() {
            return Err(invalid(
                "cannot restore a collection without a specified database: --collection needs --db",
            ));
        }
        let scope = self.scope(uri)?;
        let mut filter = Filter::default();
        if let (Some(db), Some(pattern)) = (db, self.collection.as_deref().filter(|name| is_pattern(name))) {
            filter = filter.within(db, pattern)?;
        }
        for pattern in &self.ns_include {
            filter = filter.include(pattern)?;
        }
        for (excluded, option) in [
            (&self.exclude_collection, "--excludeCollection"),
            (&self.exclude_collections_with_prefix, "--excludeCollectionsWithPrefix"),
        ] {
            if self.collection.is_some() && !excluded.is_empty() {
                return Err(invalid(&format!("--collection is not allowed when {option} is specified")));
            }
        }
        for pattern in &self.ns_exclude {
            filter = filter.exclude(pattern)?;
        }
        for name in &self.exclude_collection {
            filter = filter.exclude_collection(name)?;
        }
        for prefix in &self.exclude_collections_with_prefix {
            filter = filter.exclude_prefix(prefix)?;
        }
        if self.ns_from.len() != self.ns_to.len() {
            return Err(invalid("--nsFrom and --nsTo arguments must be specified an equal number of times"));
        }
        for (from, to) in self.ns_from.iter().zip(&self.ns_to) {
            filter = filter.rename(from, to)?;
        }
        let usual = Accounts::default();
        let accounts = Accounts {
            of_database: self.restore_db_users_and_roles,
            temporary_users: self.temp_users_coll.unwrap_or(usual.temporary_users),
            temporary_roles: self.temp_roles_coll.unwrap_or(usual.temporary_roles),
        };
        Ok((scope, filter, accounts))
    }

    fn scope(&self, uri: &MongoUri) -> Result<Scope> {
        if self.collection.as_ref().is_some_and(|name| name.contains('$')) {
            return Err(invalid("invalid collection name: it has a '$'"));
        }
        let db = Scope::resolve(uri, self.db.as_deref(), None);
        let db = db.map_err(|error| {
            if self.db.is_some() { invalid(&format!("invalid db name: {}", error.report())) } else { error }
        })?;
        match (db, self.collection.as_deref()) {
            (Scope::Database(db), Some(name)) if !is_pattern(name) => Scope::collection(&db, name),
            (db, _) => Ok(db),
        }
    }
}

/// Whether it is more than a name to the matching of patterns.
fn is_pattern(name: &str) -> bool {
    name.contains(['*', '\\'])
}

#[cfg(test)]
mod tests {
    use archive_format::Namespace;
    use clap::Parser;

    use super::super::{Args, Command};
    use crate::Result;
    use crate::cli::manner::Manner;
    use crate::restore::RestoreOptions;

    fn options(arguments: &[&str]) -> Result<RestoreOptions> {
        let start = ["mongoark", "restore", "--archive=x"].iter().chain(arguments);
        let Command::Restore(restore) = Args::try_parse_from(start).unwrap().command else {
            panic!("restore")
        };
        restore.check(Manner::Own).map(|(_, options, _)| options)
    }

    fn takes(arguments: &[&str], namespace: &str) -> bool {
        let options = options(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {}", error.report()));
        let (db, collection) = namespace.split_once('.').unwrap();
        options.filter.takes(&options.scope, &Namespace::new(db, collection).unwrap())
    }

    #[test]
    fn b69_every_spelling_names_namespaces() {
        for (arguments, taken, left) in [
            (&["--uri=mongodb://h"][..], &["a.b", "admin.system.users"][..], &[][..]),
            (&["--uri=mongodb://h/a"], &["a.b"], &["b.b", "admin.system.users"]),
            (&["--uri=mongodb://h/a", "-d", "a"], &["a.b"], &["b.b"]),
            (&["--uri=mongodb://h/a", "-c", "b"], &["a.b"], &["a.c", "b.b"]),
            (&["--uri=mongodb://h", "-da", "-cb"], &["a.b"], &["a.bb", "b.b"]),
            (&["--uri=mongodb://h", "--db", "a", "--collection", "b*"], &["a.b", "a.bb"], &["a.c", "b.b"]),
            (&["--uri=mongodb://h", "--db=a", r"--collection=b\*"], &["a.b*"], &["a.bb"]),
            (&["--uri=mongodb://h", "-d", "a", "--nsInclude", "b.*"], &["a.x", "b.x"], &["c.x"]),
            (&["--uri=mongodb://h/a", "--nsInclude=b.*"], &["a.x", "b.x"], &["c.x"]),
            (&["--uri=mongodb://h", "--nsInclude=a.*", "--nsInclude", "b.*"], &["a.x", "b.x"], &["c.x"]),
            (&["--uri=mongodb://h", "--nsExclude=a.*", "--nsExclude", "*.x"], &["b.y"], &["a.y", "b.x"]),
            (
                &["--uri=mongodb://h", "--excludeCollection=x", "--excludeCollection", "y"],
                &["b.z"],
                &["a.x", "b.y"],
            ),
            (&["--uri=mongodb://h", "--excludeCollectionsWithPrefix=x"], &["b.z"], &["a.x", "b.xy"]),
        ] {
            for namespace in taken {
                assert!(takes(arguments, namespace), "{arguments:?} {namespace}");
            }
            for namespace in left {
                assert!(!takes(arguments, namespace), "{arguments:?} {namespace}");
            }
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (arguments, words) in [
            (
                &["--uri=mongodb://h", "-c", "x"][..],
                "cannot restore a collection without a specified database",
            ),
            (&["--uri=mongodb://h", "-d", "a.b"], "invalid db name"),
            (&["--uri=mongodb://h/a", "-d", "b"], "different databases"),
            (&["--uri=mongodb://h", "-d", "a", "-c", "x$"], "invalid collection name"),
            (&["--uri=mongodb://h", "--nsInclude=a.$b"], "invalid includes"),
            (&["--uri=mongodb://h", "--nsExclude=a.$b"], "invalid excludes"),
            (&["--uri=mongodb://h", "--nsFrom=a.*"], "an equal number of times"),
            (&["--uri=mongodb://h", "--nsFrom=a.*", "--nsTo=b"], "invalid renames"),
            (
                &["--uri=mongodb://h", "-da", "-cb", "--excludeCollection=c"],
                "not allowed when --excludeCollection is",
            ),
            (
                &["--uri=mongodb://h", "-da", "-cb", "--excludeCollectionsWithPrefix=c"],
                "when --excludeCollectionsWithPrefix",
            ),
            (&["--uri=mongodb://h", "--restoreDbUsersAndRoles"], "without a specified database"),
            (&["--uri=mongodb://h/admin", "--restoreDbUsersAndRoles"], "with the admin database"),
            (&["--uri=mongodb://h", "--tempUsersColl=temproles"], "the same collection"),
            (&["--uri=mongodb://h", "--exact", "--nsExclude=a.*"], "without --exact"),
            (&["--uri=mongodb://h", "--exact", "--nsFrom=a.*", "--nsTo=b.*"], "without --exact"),
        ] {
            let error = options(arguments).expect_err(words).report();
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
        assert!(options(&["--uri=mongodb://h", "--exact", "-d", "a"]).is_ok());
    }
}
