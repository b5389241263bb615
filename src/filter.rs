//! What of an archive is restored, and what it is then called: mongorestore's patterns.

use archive_format::Namespace;

use crate::{Error, Result, Scope};

mod pattern;
mod renaming;

use pattern::{Pattern, escaped};
use renaming::Renaming;

/// What a server before 8.3 puts before the name of a time series to name its buckets.
const BUCKETS: &str = "system.buckets.";

/// Which namespaces of an archive are restored, by their names there, and under which names.
///
/// In a pattern `*` is any run of characters, dots and line breaks too, `\*` an asterisk and `\\` a backslash; the whole name
/// has to match. A time series is known by its own name, never by that of its buckets. What is left out is read and proven
/// all the same.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// What of the scope is restored, where that is not all of it.
    within: Option<Pattern>,
    includes: Vec<Pattern>,
    excludes: Vec<Pattern>,
    renamings: Vec<Renaming>,
}

impl Filter {
    /// Restores what matches, besides a [`Scope`] that is not everything. Without any of these, all of the scope is restored.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a pattern with a dollar sign.
    pub fn include(mut self, pattern: &str) -> Result<Self> {
        self.includes.push(Pattern::of_wildcards(pattern).map_err(|why| because("includes", &why))?);
        Ok(self)
    }

    /// Leaves out what matches, even where it is included.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a pattern with a dollar sign.
    pub fn exclude(mut self, pattern: &str) -> Result<Self> {
        self.excludes.push(Pattern::of_wildcards(pattern).map_err(|why| because("excludes", &why))?);
        Ok(self)
    }

    /// Leaves out a collection of this name in every database.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a name with a dollar sign.
    pub fn exclude_collection(self, name: &str) -> Result<Self> {
        self.exclude(&format!("*.{}", escaped(name)))
    }

    /// Leaves out the collections of every database whose names begin like this.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a prefix with a dollar sign.
    pub fn exclude_prefix(self, prefix: &str) -> Result<Self> {
        self.exclude(&format!("*.{}*", escaped(prefix)))
    }

    /// Renames what matches `from`: into `to` with what stood for the same asterisk, or for the same `$name$`. Of several
    /// that match the one that was given last counts, and it alone.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where the two do not fit each other.
    pub fn rename(mut self, from: &str, to: &str) -> Result<Self> {
        self.renamings.push(Renaming::read(from, to).map_err(|why| because("renames", &why))?);
        Ok(self)
    }

    /// Of the scope's database, restores only the collections that match this.
    #[cfg(feature = "cli")]
    pub(crate) fn within(mut self, db: &str, collection: &str) -> Result<Self> {
        let pattern = Pattern::of_wildcards(&format!("{}.{collection}", escaped(db)));
        self.within = Some(pattern.map_err(|why| because("includes", &why))?);
        Ok(self)
    }

    /// Whether it leaves everything as it is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether only what is named is restored.
    pub(crate) fn includes_only_some(&self) -> bool {
        self.within.is_some() || !self.includes.is_empty()
    }

    /// Whether something is left out.
    pub(crate) fn excludes_some(&self) -> bool {
        !self.excludes.is_empty()
    }

    /// Whether a namespace of the archive is restored.
    pub(crate) fn takes(&self, scope: &Scope, namespace: &Namespace) -> bool {
        let collection = namespace.collection();
        let name = format!("{}.{}", namespace.db(), collection.strip_prefix(BUCKETS).unwrap_or(collection));
        let named = match scope {
            Scope::Everything => self.includes.is_empty(),
            scope => {
                scope.covers(namespace) && self.within.as_ref().is_none_or(|within| within.matches(&name))
            }
        };
        (named || self.includes.iter().any(|pattern| pattern.matches(&name)))
            && !self.excludes.iter().any(|pattern| pattern.matches(&name))
    }

    /// Whether nothing is renamed.
    pub fn renames_nothing(&self) -> bool {
        self.renamings.is_empty()
    }

    /// What a namespace of the archive is called where it is restored.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a new name that no server accepts.
    pub(crate) fn destination(&self, source: &Namespace) -> Result<Namespace> {
        if self.renamings.is_empty() {
            return Ok(source.clone());
        }
        let name = source.to_string();
        match self.renamings.iter().rev().find_map(|renaming| renaming.apply(&name)) {
            None => Ok(source.clone()),
            Some(renamed) => {
                let (db, collection) = renamed.split_once('.').unwrap_or((&renamed, ""));
                Namespace::new(db, collection)
                    .map_err(|error| Error::invalid_name(error).at(format_args!("`{name}`, renamed")))
            }
        }
    }
}

fn because(what: &str, why: &Error) -> Error {
    pattern::invalid(format!("invalid {what}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Namespace {
        let (db, collection) = text.split_once('.').unwrap();
        Namespace::new(db, collection).unwrap()
    }

    fn filter(includes: &[&str], excludes: &[&str], renamings: &[(&str, &str)]) -> Filter {
        let mut filter = Filter::default();
        for pattern in includes {
            filter = filter.include(pattern).unwrap();
        }
        for pattern in excludes {
            filter = filter.exclude(pattern).unwrap();
        }
        for (from, to) in renamings {
            filter = filter.rename(from, to).unwrap();
        }
        filter
    }

    #[test]
    fn b69_everything_is_included_and_excludes_win() {
        for (includes, excludes, taken, left) in [
            (&[][..], &[][..], &["a.b", "admin.system.users"][..], &[][..]),
            (&["a.*"], &[], &["a.b", "a.b.c", "a.*"], &["b.a", "aa.b"]),
            (&["a.b", "*.c"], &[], &["a.b", "x.c", "x.y.c"], &["a.bb", "x.cc"]),
            (&["a.*"], &["*.b"], &["a.c"], &["a.b", "a.x.b", "b.c"]),
            (&[], &["a.*", "b.c"], &["b.d"], &["a.b", "b.c"]),
            (&["d.ts"], &["d.system.buckets.x"], &["d.ts", "d.system.buckets.ts"], &["d.x"]),
            (&[], &["d.ts"], &["d.x"], &["d.ts", "d.system.buckets.ts"]),
        ] {
            let filter = filter(includes, excludes, &[]);
            for one in taken {
                assert!(filter.takes(&Scope::Everything, &name(one)), "{includes:?} {excludes:?} {one}");
            }
            for one in left {
                assert!(!filter.takes(&Scope::Everything, &name(one)), "{includes:?} {excludes:?} {one}");
            }
        }
    }

    #[test]
    fn b69_a_database_that_is_named_is_one_include_more() {
        let shop = Scope::database("shop").unwrap();
        let both = filter(&["crm.*"], &["*.x"], &[]);
        for (one, taken) in [("shop.a", true), ("crm.a", true), ("shop.x", false), ("else.a", false)] {
            assert_eq!(both.takes(&shop, &name(one)), taken, "{one}");
        }
        let within = Filter::default().within("shop", "a*").unwrap();
        for (one, taken) in [("shop.a", true), ("shop.ab", true), ("shop.b", false), ("crm.a", false)] {
            assert_eq!(within.takes(&shop, &name(one)), taken, "{one}");
        }
    }

    #[test]
    fn b69_collections_are_excluded_by_name_and_prefix_in_every_database() {
        let filter = Filter::default().exclude_collection("a*b").unwrap().exclude_prefix("log.").unwrap();
        for (one, taken) in
            [("x.a*b", false), ("y.z.a*b", false), ("x.aab", true), ("x.log.1", false), ("x.logs", true)]
        {
            assert_eq!(filter.takes(&Scope::Everything, &name(one)), taken, "{one}");
        }
    }

    #[test]
    fn b69_the_last_pair_that_matches_renames_and_it_alone() {
        let cases = [
            (&[("a.*", "b.*"), ("b.*", "a.*")][..], &[("a.x", "b.x"), ("b.x", "a.x"), ("c.x", "c.x")][..]),
            (&[("*.*", "x.*-*"), ("a.b", "c.d")], &[("a.b", "c.d"), ("a.c", "x.a-c")]),
            (&[("a.b", "c.d"), ("*.*", "x.*-*")], &[("a.b", "x.a-b")]),
        ];
        for (renamings, expected) in cases {
            let filter = filter(&[], &[], renamings);
            for (from, to) in expected {
                assert_eq!(filter.destination(&name(from)).unwrap(), name(to), "{renamings:?}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (error, words) in [
            (Filter::default().include("a.$x").unwrap_err(), ["invalid includes", "'$' is not allowed"]),
            (Filter::default().exclude("a.$x").unwrap_err(), ["invalid excludes", "'$' is not allowed"]),
            (Filter::default().exclude_collection("$x").unwrap_err(), ["invalid excludes", "'$'"]),
            (Filter::default().rename("a", "*").unwrap_err(), ["invalid renames", "asterisks"]),
        ] {
            for word in words {
                assert!(error.to_string().contains(word), "{error}");
            }
        }
        for to in ["b", ".b", "b.", "a b.c"] {
            let filter = Filter::default().rename("a.b", to).unwrap();
            assert!(filter.destination(&name("a.b")).is_err(), "{to}");
        }
    }

    #[test]
    fn a_hundred_thousand_namespaces_and_a_hundred_patterns_of_each_kind_are_no_work() {
        let mut filter = Filter::default();
        for number in 0..100 {
            filter = filter.exclude(&format!("db{number}.*_archived_*_x")).unwrap();
            filter = filter.rename(&format!("db{number}.*_*"), &format!("new{number}.*-*")).unwrap();
        }
        for number in 0..100_000 {
            let namespace = name(&format!("db{}.collection_{number}", number % 1000));
            assert!(filter.takes(&Scope::Everything, &namespace));
            filter.destination(&namespace).unwrap();
        }
    }
}
