//! Which collections a dump takes, and which it leaves out.

use bson::RawDocument;

use super::identity::{BUCKETS, Listing};
use crate::Scope;

/// Why a collection is left out that looks like a user's, or that a tool has left behind.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Reason {
    DollarInName,
    OrphanedBuckets,
    LocalToMember,
    Temporary,
    LeftByRestore,
    IndexInProgress,
}

impl Reason {
    /// Whether somebody has to know who only wants to know what matters: it may be a user's data.
    pub(super) fn may_be_data(self) -> bool {
        matches!(self, Self::DollarInName | Self::OrphanedBuckets | Self::LocalToMember)
    }

    /// As the end of a sentence.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::DollarInName => "because of the $ in their names, as mongodump does",
            Self::OrphanedBuckets => "because they are buckets of time series that are not there",
            Self::LocalToMember => "because a member keeps its database local for itself",
            Self::Temporary => "because they are temporary and about to go ($out, mapReduce)",
            Self::LeftByRestore => "because a restore that was cut short has left them behind; drop them",
            Self::IndexInProgress => "because the index is still being built and may yet fail",
        }
    }
}

/// mongodump's default selection (`db` and `collection` are exact names).
pub(super) fn selected(db: &str, name: &str, scope: &Scope) -> bool {
    const CONFIG: [&str; 7] = ["chunks", "collections", "databases", "settings", "shards", "tags", "version"];
    if let Scope::Collection(namespace) = scope {
        return name == namespace.collection();
    }
    if has_dollar(name) {
        return false;
    }
    match db {
        "admin" => name != "system.keys" && !name.starts_with(BUCKETS),
        "config" => (scope.db().is_some() && !name.starts_with(BUCKETS)) || CONFIG.contains(&name),
        _ => name == "system.js" || !name.starts_with("system."),
    }
}

/// Why this collection of a listing is left out, if that is to be told. What the server keeps for itself is not.
pub(super) fn left_out(
    db: &str,
    name: &str,
    info: &RawDocument,
    listing: &Listing,
    scope: &Scope,
) -> Option<Reason> {
    if matches!(scope, Scope::Collection(_)) {
        return None;
    }
    let options = info.get_document("options");
    if has_dollar(name) {
        return Some(Reason::DollarInName);
    }
    if db == "admin" && matches!(name, "tempusers" | "temproles") {
        return Some(Reason::LeftByRestore);
    }
    if options.is_ok_and(|options| options.get_bool("temp").unwrap_or(false)) {
        return Some(Reason::Temporary);
    }
    let series = name.strip_prefix(BUCKETS)?;
    (!listing.contains(series) && db != "config").then_some(Reason::OrphanedBuckets)
}

/// Whether a collection of the database `local` is not the server's own.
pub(super) fn is_unusual_in_local(name: &str) -> bool {
    !name.starts_with("system.")
        && !name.starts_with("replset.")
        && !matches!(name, "startup_log" | "oplog.rs")
}

fn has_dollar(name: &str) -> bool {
    name.contains('$') && !name.contains(".oplog.$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_selection_is_mongodumps() {
        let all = Scope::Everything;
        for (db, name) in [
            ("shop", "orders"),
            ("shop", "system.js"),
            ("shop", "a.system.b"),
            ("shop", "x.oplog.$main"),
            ("admin", "system.users"),
            ("admin", "system.version"),
            ("config", "shards"),
        ] {
            assert!(selected(db, name, &all), "{db}.{name}");
        }
        for (db, name) in [
            ("shop", "system.views"),
            ("shop", "system.profile"),
            ("shop", "system.buckets.t"),
            ("shop", "with$dollar"),
            ("admin", "system.keys"),
            ("config", "system.sessions"),
            ("config", "transactions"),
        ] {
            assert!(!selected(db, name, &all), "{db}.{name}");
        }
    }

    #[test]
    fn a_named_database_or_collection_widens_the_selection() {
        let config = Scope::database("config").unwrap();
        assert!(selected("config", "transactions", &config));
        let one = Scope::collection("shop", "system.profile").unwrap();
        assert!(selected("shop", "system.profile", &one));
        assert!(!selected("shop", "orders", &one));
    }
}
