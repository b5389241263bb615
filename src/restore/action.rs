//! What a restore would do, action by action.

use std::collections::HashMap;
use std::fmt;

use archive_format::{End, Event, Namespace};

use super::exact::Removal;
use super::plan::Plan;
use super::target::Target;
use super::users::{Gathered, Removed, Special};
use super::{Context, swap, users};
use crate::archive::Archive;
use crate::{Error, Result};

/// One thing that a restore would do to a deployment; see [`RestoreOptions::dry_run`](super::RestoreOptions::dry_run).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Action {
    /// `database.collection`, by the target's name.
    pub namespace: String,
    /// What would be done to it.
    pub kind: ActionKind,
}

/// What would be done to a collection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ActionKind {
    /// What is there is dropped.
    Drop,
    /// It is created: a collection, a view or a time series.
    Create,
    /// It is made under a hidden name.
    Hide,
    /// So many documents are inserted.
    Insert(u64),
    /// So many entries of the archive's oplog are replayed, or fewer: those below the limit, if there is one.
    Replay(u64),
    /// So many indexes are built, the one on `_id` not counted.
    BuildIndexes(usize),
    /// What was made under a hidden name takes this one, where nothing has it.
    Rename,
    /// What was made under a hidden name takes this one from what has it.
    Replace,
    /// It is dropped because the archive does not have it.
    Remove,
    /// So many users or roles are added to those that are there.
    Merge(u64),
    /// So many users or roles take the place of all that are there.
    ReplaceAll(u64),
    /// This user or role, as `database.name`, is removed because the archive does not have it.
    RemoveAccount(String),
    /// What an earlier restore left here is removed, or its switch completed, before anything else.
    Settle,
}

impl fmt::Display for Action {
    /// As in `shop.orders: insert 10 documents`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, kind } = self;
        write!(f, "{namespace}: ")?;
        match kind {
            ActionKind::Drop => write!(f, "drop"),
            ActionKind::Create => write!(f, "create"),
            ActionKind::Hide => write!(f, "create under a hidden name"),
            ActionKind::Insert(documents) => write!(f, "insert {documents} documents"),
            ActionKind::Replay(entries) => write!(f, "replay up to {entries} entries"),
            ActionKind::BuildIndexes(indexes) => write!(f, "build {indexes} indexes"),
            ActionKind::Rename => write!(f, "rename into place"),
            ActionKind::Replace => write!(f, "rename into place, over what is there"),
            ActionKind::Remove => write!(f, "remove, as the archive does not have it"),
            ActionKind::Merge(documents) => write!(f, "merge {documents} into those that are there"),
            ActionKind::ReplaceAll(documents) => write!(f, "replace all that are there by {documents}"),
            ActionKind::RemoveAccount(name) => {
                write!(f, "remove {name}, as the archive does not have it")
            }
            ActionKind::Settle => {
                write!(f, "complete or remove what an earlier restore with --swap has left")
            }
        }
    }
}

/// Reads the archive to its end, proves it, and says what would be done.
pub(super) async fn list(
    context: &Context,
    archive: &mut Archive,
    plan: &Plan,
    removals: &[Removal],
    gathered: &mut Gathered,
) -> Result<Vec<Action>> {
    let ends = read(context, archive, plan, gathered).await?;
    let mut actions = Vec::new();
    let mut add =
        |namespace: &Namespace, kind| actions.push(Action { namespace: namespace.to_string(), kind });
    for (db, run) in swap::records(&plan.existing) {
        add(
            &Namespace::new(&db, &format!("mongoark_swap_{run}")).map_err(Error::not_archivable)?,
            ActionKind::Settle,
        );
    }
    let mut targets: Vec<(&usize, &Target)> = plan.collections.iter().collect();
    targets.sort_unstable_by_key(|(position, _)| **position);
    let swaps = context.options.swap;
    for (position, target) in &targets {
        let (name, metadata) = (&target.destination, target.metadata()?);
        if swaps {
            add(name, ActionKind::Hide);
        } else if !target.keeps() {
            if target.present {
                add(name, ActionKind::Drop);
            }
            add(name, ActionKind::Create);
        }
        let documents = ends.get(position).map_or(0, |end| end.documents);
        if !metadata.is_view() {
            add(name, ActionKind::Insert(documents));
        }
    }
    if let Some(position) = plan.oplog {
        let entries = ends.get(&position).map_or(0, |end| end.documents);
        add(&Namespace::oplog(), ActionKind::Replay(entries));
    }
    for (_, target) in &targets {
        let indexes = target.metadata()?.built().specifications.len();
        if indexes > 0 {
            add(&target.destination, ActionKind::BuildIndexes(indexes));
        }
    }
    if swaps {
        let (views, collections): (Vec<_>, Vec<_>) = targets
            .iter()
            .map(|(_, target)| (target, target.metadata().is_ok_and(|read| read.is_view())))
            .partition(|(_, is_view)| *is_view);
        let rename = |target: &Target| if target.present { ActionKind::Replace } else { ActionKind::Rename };
        for (target, _) in &collections {
            add(&target.destination, rename(target));
        }
        for removal in removals {
            add(&removal.namespace, ActionKind::Remove);
        }
        for (target, _) in &views {
            add(&target.destination, rename(target));
        }
    } else {
        for removal in removals {
            add(&removal.namespace, ActionKind::Remove);
        }
    }
    for (special, documents) in [(Special::Users, gathered.users()), (Special::Roles, gathered.roles())] {
        if plan.special.values().any(|one| *one == special) {
            let kind = if context.options.drop {
                ActionKind::ReplaceAll(documents)
            } else {
                ActionKind::Merge(documents)
            };
            actions.push(Action { namespace: special.name().to_owned(), kind });
        }
    }
    if context.options.drop {
        for Removed { special, names } in users::removed(&context.deployment, gathered).await? {
            if names.is_none() {
                let name = special.name();
                context.monitor.warn(&format!("{name}: the server does not show which accounts would go"));
            }
            for name in names.into_iter().flatten() {
                let namespace = special.name().to_owned();
                actions.push(Action { namespace, kind: ActionKind::RemoveAccount(name) });
            }
        }
    }
    Ok(actions)
}

/// Where every namespace ends, by its position in the prelude.
async fn read(
    context: &Context,
    archive: &mut Archive,
    plan: &Plan,
    users: &mut Gathered,
) -> Result<HashMap<usize, End>> {
    let mut ends = HashMap::new();
    while let Some(event) = archive.next().await? {
        context.monitor.archive(archive.read(), archive.size());
        match event {
            Event::Documents(documents) => {
                if let Some(special) = plan.special.get(&documents.collection()) {
                    users.take(*special, &documents)?;
                }
            }
            Event::End(end) => {
                if let Some(special) = plan.special.get(&end.collection) {
                    users.end(*special)?;
                }
                ends.insert(end.collection, end);
            }
            _ => {}
        }
    }
    archive.finish()?;
    Ok(ends)
}
