//! Why a dump leaves out what looks like somebody's data, and what tools have left behind.

use std::collections::BTreeMap;

use bson::{RawDocument, doc};

use super::identity::{BUCKETS, Listing};
use super::selection::has_dollar;
use super::source::Source;
use crate::Scope;
use crate::own_names::{DRILL_LEASE, drill_mark, hidden_record, run_of};
use crate::progress::Monitor;

/// Names in a sentence about what is left out.
const NAMES_TOLD: usize = 5;

/// Why a collection is left out that looks like a user's, or that a tool has left behind.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Reason {
    DollarInName,
    OrphanedBuckets,
    LocalToMember,
    LeftBySwap,
    OfDrill,
    Temporary,
    LeftByRestore,
    IndexInProgress,
    Internal,
    ClosedByAtlas,
}

impl Reason {
    /// Whether somebody has to know who only wants to know what matters: it may be a user's data.
    pub(super) fn may_be_data(self) -> bool {
        matches!(
            self,
            Self::DollarInName
                | Self::OrphanedBuckets
                | Self::LocalToMember
                | Self::LeftBySwap
                | Self::OfDrill
                | Self::ClosedByAtlas
        )
    }

    /// As the end of a sentence.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::DollarInName => "because of the $ in their names, as mongodump does",
            Self::OrphanedBuckets => "because they are buckets of time series that are not there",
            Self::LocalToMember => "because a member keeps its database local for itself",
            Self::LeftBySwap => {
                "because a restore with --swap is at work on them or was cut short (the next one into the same database ends \
                 what it began)"
            }
            Self::OfDrill => {
                "because a drill is at work on them or was cut short (the next drill on the deployment removes them)"
            }
            Self::Temporary => "because they are temporary and about to go ($out, mapReduce)",
            Self::LeftByRestore => "because a restore that was cut short has left them behind; drop them",
            Self::IndexInProgress => "because the index is still being built and may yet fail",
            Self::Internal => "because they are internal to MongoDB",
            Self::ClosedByAtlas => {
                "because a shared cluster of Atlas shows it to nobody, users and roles included"
            }
        }
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
    if *scope == Scope::Everything && is_of_drill(db, name, listing) {
        return Some(Reason::OfDrill);
    }
    if is_of_swap(name, listing) {
        return Some(Reason::LeftBySwap);
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

/// A scratch database, which its mark tells from a user's of such a name, or the lease.
fn is_of_drill(db: &str, name: &str, listing: &Listing) -> bool {
    listing.contains(&drill_mark(db)) || (db, name) == DRILL_LEASE
}

/// A hidden collection, which its record tells from a user's of such a name, or the record.
fn is_of_swap(name: &str, listing: &Listing) -> bool {
    run_of(name).is_some_and(|run| listing.contains(&hidden_record(run)))
}

/// What is left out, and why.
pub(super) type Omitted = Vec<(Reason, String)>;

/// Whether a collection of the database `local` is not the server's own.
fn is_unusual_in_local(name: &str) -> bool {
    !name.starts_with("system.")
        && !name.starts_with("replset.")
        && !matches!(name, "startup_log" | "oplog.rs")
}

/// Collections in the database `local` that are not the server's; none where the account may not look.
pub(super) async fn unusual_in_local(source: &Source) -> Omitted {
    let Ok(listing) = Listing::read(source, "local", doc! {}).await else { return Vec::new() };
    let names = listing.iter().map(|(name, _)| name).filter(|name| is_unusual_in_local(name));
    names.map(|name| (Reason::LocalToMember, format!("local.{name}"))).collect()
}

/// Tells once for each reason what is left out; all names, in order.
pub(super) fn tell(omitted: Omitted, monitor: &dyn Monitor) -> Vec<String> {
    let mut names: BTreeMap<Reason, Vec<String>> = BTreeMap::new();
    for (reason, name) in omitted {
        names.entry(reason).or_default().push(name);
    }
    for (reason, names) in &mut names {
        let Some(told) = first_names(names) else { continue };
        let text = format!("not dumped {}: {told}", reason.text());
        if reason.may_be_data() { monitor.warn(&text) } else { monitor.note(&text) }
    }
    names.into_values().flatten().collect()
}

/// The first names in order, and how many more there are; `None` without any.
pub(super) fn first_names(names: &mut [String]) -> Option<String> {
    names.sort();
    let more = names.len().saturating_sub(NAMES_TOLD);
    let told = names.iter().take(NAMES_TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!told.is_empty()).then(|| format!("{told}{more}"))
}
