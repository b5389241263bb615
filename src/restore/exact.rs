//! Exact: what the archive does not have goes, in the databases that it has.

use std::collections::BTreeSet;

use archive_format::{Kind, Namespace};

use super::existing::{Existing, Listed};
use super::plan::Plan;
use super::swap::run_of;
use super::{Context, ddl};
use crate::{Error, Result, Scope};

/// The databases in which nothing is ever removed: they are the server's own.
const SPARED: [&str; 3] = ["admin", "config", "local"];

/// A collection, view or time series that is not in the archive.
#[derive(Debug)]
pub(super) struct Removal {
    pub(super) namespace: Namespace,
    pub(super) listed: Listed,
}

/// What is to be removed: all that the databases of the plan have and the plan has not, what belongs to the server aside.
/// Views come first.
pub(super) fn removals(plan: &Plan, scope: &Scope, existing: &Existing) -> Result<Vec<Removal>> {
    // Of one collection, nothing else is in scope.
    if matches!(scope, Scope::Collection(_)) {
        return Ok(Vec::new());
    }
    let kept: BTreeSet<_> = plan.collections.values().map(|target| &target.destination).collect();
    let dbs: BTreeSet<_> = kept.iter().map(|namespace| namespace.db()).collect();
    let mut removals = Vec::new();
    for db in dbs.into_iter().filter(|db| !SPARED.contains(db)) {
        for (name, listed) in existing.of(db) {
            // A hidden collection is the business of its restore.
            if name.starts_with("system.") || run_of(name).is_some_and(|_| is_recorded(existing, db, name)) {
                continue;
            }
            let namespace = Namespace::new(db, name).map_err(Error::not_archivable)?;
            if !kept.contains(&namespace) {
                removals.push(Removal { namespace, listed: listed.clone() });
            }
        }
    }
    removals.sort_by_key(|removal| removal.listed.kind != Kind::View);
    Ok(removals)
}

fn is_recorded(existing: &Existing, db: &str, name: &str) -> bool {
    let records = super::swap::records(existing);
    run_of(name).is_some_and(|run| records.iter().any(|(at, record)| at == db && record == run))
}

/// Removes, when everything else is in place.
pub(super) async fn remove(context: &Context, removals: &[Removal]) -> Result<()> {
    for Removal { namespace, .. } in removals {
        ddl::drop_collection(context, namespace).await.map_err(|error| error.at(namespace))?;
        context.monitor.note(&format!("{namespace}: removed, as the archive does not have it"));
    }
    Ok(())
}
