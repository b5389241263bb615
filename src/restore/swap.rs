//! Swap: everything is restored into hidden collections of the same databases, with its indexes, and takes its name only when
//! all of it is there and counted. What fails before that leaves the databases as they were.
//!
//! A record, in each database, is written before the first hidden collection and goes after the last. It says whose they are,
//! and, from the moment at which the switch is decided, what it consists of. A restore that finds the record of one that was
//! killed completes the switch that was decided, and removes what is hidden otherwise. Two at once harm nobody: the later one
//! gives the earlier one up, which then ends with an error and without a change.

use archive_format::Namespace;
use bson::{RawDocumentBuf, doc};

use super::Context;
use super::collection::Filled;
use super::exact::Removal;
use super::existing::Existing;
use super::plan::Plan;
use super::server::Server;
use super::target::{Place, Target};
use crate::server_error::driver_error;
use crate::{Error, ErrorKind, Result};

mod leftovers;
mod record;
mod run;
mod step;
mod switch;

pub(super) use leftovers::{records, settle};
use run::Run;
pub(super) use run::{run_of, run_of_record};
use step::Step;

/// The server's limit for the name of a database and of a collection together, in bytes.
const MAX_NAMESPACE: usize = 255;

/// How many names a refusal lists.
const NAMES_TOLD: usize = 20;

/// The databases that are the server's own.
const OF_THE_SERVER: [&str; 3] = ["admin", "config", "local"];

/// One restore with `--swap`.
#[derive(Debug)]
pub(super) struct Swap {
    run: Run,
    parts: Vec<Part>,
    removals: Vec<Removal>,
}

/// What takes a name.
#[derive(Debug)]
struct Part {
    namespace: Namespace,
    hidden: String,
    /// The command that makes it, where it is a view.
    view: Option<RawDocumentBuf>,
}

impl Swap {
    /// Gives every collection of the plan a hidden place; `None` where there is nothing to switch.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] that names what cannot take its name by a switch.
    pub(super) fn plan(plan: &mut Plan, removals: Vec<Removal>, server: Server) -> Result<Option<Self>> {
        let mut positions: Vec<usize> = plan.collections.keys().copied().collect();
        positions.sort_unstable();
        refuse(positions.iter().filter_map(|position| plan.collections.get(position)))?;
        let mut databases: Vec<String> =
            plan.collections.values().map(|target| target.destination.db().to_owned()).collect();
        databases.extend(removals.iter().map(|removal| removal.namespace.db().to_owned()));
        databases.sort_unstable();
        databases.dedup();
        if databases.is_empty() {
            return Ok(None);
        }
        let run = Run::new(databases);
        let mut parts = Vec::with_capacity(positions.len());
        for (number, position) in positions.into_iter().enumerate() {
            let Some(target) = plan.collections.get_mut(&position) else { continue };
            let namespace = target.destination.clone();
            let hidden = run.hidden(number);
            let metadata = target.metadata()?;
            let view =
                metadata.is_view().then(|| metadata.create(namespace.db(), namespace.collection(), server));
            target.place =
                Place::Hidden(Namespace::new(namespace.db(), &hidden).map_err(Error::invalid_name)?);
            parts.push(Part { namespace, hidden, view });
        }
        Ok(Some(Self { run, parts, removals }))
    }

    /// What goes because the archive does not have it.
    pub(super) fn removals(&self) -> &[Removal] {
        &self.removals
    }

    /// Writes the records, before anything hidden is made.
    pub(super) async fn begin(&self, context: &Context) -> Result<()> {
        record::begin(&context.deployment, &self.run).await
    }

    /// Holds what is in the hidden collections against what the archive had for them.
    pub(super) async fn count(&self, context: &Context, filled: &[Filled]) -> Result<()> {
        for one in filled {
            one.counts.all_or_nothing().map_err(|error| error.at(&one.namespace))?;
            if !one.is_counted {
                continue;
            }
            let (db, name) = (one.place.db(), one.place.collection());
            let quick = doc! { "count": name };
            let exact = doc! { "count": name, "query": { "_id": { "$exists": true } } };
            let mut found = 0;
            for command in [quick, exact] {
                let reply = context.deployment.command(db, command, None).await.map_err(|error| {
                    driver_error("cannot count what was restored, and nothing was changed", &error)
                        .at(&one.namespace)
                })?;
                found = number(&reply);
                // The number that the server keeps may be wrong after a crash.
                if found == one.counts.documents {
                    break;
                }
            }
            if found != one.counts.documents {
                let message = format!(
                    "{} documents were restored into a hidden collection and it has {found}: nothing was changed; \
                     restore again",
                    one.counts.documents
                );
                return Err(Error::new(ErrorKind::Server, message).at(&one.namespace));
            }
        }
        Ok(())
    }

    /// Switches: everything takes its name, and nothing hidden is left.
    pub(super) async fn switch(&self, context: &Context) -> Result<()> {
        let dbs = self.run.databases.iter().map(String::as_str);
        let existing = Existing::list(&context.deployment, dbs).await?;
        let steps = self.steps(&existing)?;
        record::decide(&context.deployment, &self.run, &steps).await?;
        switch::switch(context, &self.run, &steps).await
    }

    /// Collections first, then what goes, and views last: they read collections.
    fn steps(&self, existing: &Existing) -> Result<Vec<Step>> {
        let (mut steps, mut number) = (Vec::new(), 0..);
        for part in self.parts.iter().filter(|part| part.view.is_none()) {
            let hidden = existing.get(part.namespace.db(), &part.hidden);
            let uuid = hidden.and_then(|listed| listed.uuid).ok_or_else(|| {
                let message = "what was restored for it has gone: another restore is at work, or the server tells no \
                               UUIDs; nothing was changed";
                Error::new(ErrorKind::Server, message).at(&part.namespace)
            })?;
            steps.extend(
                number.next().map(|number| Step::rename(number, &part.namespace, part.hidden.clone(), uuid)),
            );
        }
        for removal in &self.removals {
            steps.extend(
                number.next().map(|number| Step::remove(number, &removal.namespace, &removal.listed)),
            );
        }
        for part in &self.parts {
            if let (Some(create), Some(number)) = (&part.view, number.next()) {
                steps.push(Step::view(number, &part.namespace, create.clone()));
            }
        }
        Ok(steps)
    }

    /// Removes what is hidden, unless the switch was decided.
    pub(super) async fn give_up(&self, context: &Context) -> Result<()> {
        if record::give_up(&context.deployment, &self.run).await? {
            switch::remove(context, &self.run).await?;
        }
        Ok(())
    }
}

/// Refuses what cannot take its name by a switch, all of it by name.
fn refuse<'a>(targets: impl Iterator<Item = &'a Target>) -> Result<()> {
    let mut refused = Vec::new();
    for target in targets {
        let namespace = &target.destination;
        let reason = if target.is_timeseries() {
            "a time series"
        } else if OF_THE_SERVER.contains(&namespace.db()) {
            "in a database of the server's own"
        } else if namespace.collection().starts_with("system.") {
            "a collection of the server's own"
        } else if namespace.db().len() + 1 + namespace.collection().len() > MAX_NAMESPACE {
            "a name longer than 255 bytes"
        } else if namespace.collection().starts_with('.') {
            "a name that begins with a dot"
        } else {
            continue;
        };
        refused.push(format!("{namespace} ({reason})"));
    }
    if refused.is_empty() {
        return Ok(());
    }
    let more = refused.len().saturating_sub(NAMES_TOLD);
    refused.truncate(NAMES_TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!(
            "--swap cannot rename {}{more}; nothing was touched: restore with --drop, or other databases with --swap",
            refused.join(", ")
        ),
    ))
}

fn number(reply: &bson::Document) -> u64 {
    let n = reply.get("n");
    let whole = n.and_then(|n| n.as_i64().or_else(|| n.as_i32().map(i64::from)));
    let double = || n.and_then(bson::Bson::as_f64).and_then(|n| format!("{n:.0}").parse().ok());
    whole.or_else(double).and_then(|n| u64::try_from(n).ok()).unwrap_or_default()
}
