//! What a restore with `--swap` that was killed has left behind: completed where its switch was decided, removed otherwise.

use std::collections::BTreeSet;

use super::record::{self, Owner, State};
use super::run::Run;
use super::switch;
use crate::Result;
use crate::own_names::run_of_record;
use crate::restore::Context;
use crate::restore::existing::Existing;

/// The records in these databases by their names: the database and the restore's number.
pub(in crate::restore) fn records(existing: &Existing) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for db in existing.databases() {
        let runs = existing.of(db).filter_map(|(name, _)| run_of_record(name));
        found.extend(runs.map(|run| (db.to_owned(), run.to_owned())));
    }
    found
}

/// Brings every earlier restore to its end that has left something in these databases. Only what has a record of ours is
/// touched. Whether anything was.
pub(in crate::restore) async fn settle(context: &Context, existing: &Existing) -> Result<bool> {
    let deployment = &context.deployment;
    let mut settled = BTreeSet::new();
    for (db, id) in records(existing) {
        if settled.contains(&id) {
            continue;
        }
        let here = record::read(deployment, &db, &id).await?;
        let Some(here) = here else {
            if record::is_empty(deployment, &db, &id).await? {
                switch::drop_hidden(context, &db, &Run::known(&id, Vec::new()).record()).await?;
            }
            continue;
        };
        // The record of the first database decides. Where it has gone, all was done but the removal of the others.
        let main = if here.run.main() == db {
            Some(here)
        } else {
            record::read(deployment, here.run.main(), &id).await?
        };
        match main {
            Some(owner) => finish(context, owner).await?,
            None => switch::remove(context, &Run::known(&id, vec![db])).await?,
        }
        settled.insert(id);
    }
    Ok(!settled.is_empty())
}

async fn finish(context: &Context, Owner { run, state }: Owner) -> Result<()> {
    if state == State::Decided || !record::give_up(&context.deployment, &run).await? {
        let steps = record::steps(&context.deployment, &run).await?;
        context.monitor.warn(&format!(
            "an earlier restore with --swap ended in the middle of its switch, which is completed now: {} collections and \
             views of {}",
            steps.len(),
            run.databases.join(", ")
        ));
        return switch::switch(context, &run, &steps).await;
    }
    context.monitor.note(&format!(
        "hidden collections that an earlier restore with --swap left in {} are removed",
        run.databases.join(", ")
    ));
    switch::remove(context, &run).await
}
