//! What a switch consists of. Each step can be seen to be done by looking at names and UUIDs, and does no harm twice.

use archive_format::{Kind, Namespace};
use bson::{RawArrayBuf, RawDocumentBuf, Uuid, cstr, rawdoc};
use serde::{Deserialize, Serialize};

use crate::restore::existing::{Existing, Listed};
use crate::{Error, ErrorKind, Result};

/// One step, as it is kept in the record.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::restore) struct Step {
    #[serde(rename = "_id")]
    pub(super) number: i64,
    db: String,
    name: String,
    what: What,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
enum What {
    /// The hidden collection takes the name from what has it.
    Rename { hidden: String, uuid: Uuid },
    /// The view takes the name from what has it.
    View { create: RawDocumentBuf },
    /// What the archive does not have goes: a collection with this UUID, or a view or time series.
    Remove { uuid: Option<Uuid> },
}

impl Step {
    pub(super) fn rename(number: i64, to: &Namespace, hidden: String, uuid: Uuid) -> Self {
        Self::new(number, to, What::Rename { hidden, uuid })
    }

    pub(super) fn view(number: i64, at: &Namespace, create: RawDocumentBuf) -> Self {
        Self::new(number, at, What::View { create })
    }

    pub(super) fn remove(number: i64, at: &Namespace, listed: &Listed) -> Self {
        let uuid = listed.uuid.filter(|_| listed.kind == Kind::Collection);
        Self::new(number, at, What::Remove { uuid })
    }

    fn new(number: i64, at: &Namespace, what: What) -> Self {
        Self { number, db: at.db().to_owned(), name: at.collection().to_owned(), what }
    }

    pub(super) fn db(&self) -> &str {
        &self.db
    }

    /// Every name whose state decides what is to be done.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = vec![self.name.clone(), buckets(&self.name)];
        if let What::Rename { hidden, .. } = &self.what {
            names.push(hidden.clone());
        }
        names
    }

    /// Whether it is still to be done.
    ///
    /// # Errors
    /// [`ErrorKind::Server`] when what was to take the name has gone.
    pub(super) fn is_pending(&self, existing: &Existing) -> Result<bool> {
        let there = existing.get(&self.db, &self.name);
        match &self.what {
            What::Rename { hidden, uuid } => {
                let is = |listed: Option<&Listed>| listed.and_then(|one| one.uuid) == Some(*uuid);
                if is(existing.get(&self.db, hidden)) {
                    return Ok(true);
                }
                if is(there) {
                    return Ok(false);
                }
                let message = "what was restored for it has gone, or something else has taken its name since: another \
                               restore is at work, or somebody drops collections; restore again";
                Err(Error::new(ErrorKind::Server, message).at(format_args!("{}.{}", self.db, self.name)))
            }
            What::View { create } => {
                Ok(!there.is_some_and(|one| one.kind == Kind::View && same_view(&one.definition, create)))
            }
            What::Remove { uuid: Some(uuid) } => Ok(there.and_then(|one| one.uuid) == Some(*uuid)),
            What::Remove { uuid: None } => Ok(there.is_some_and(|one| one.kind != Kind::Collection)),
        }
    }

    /// Whether its end can be told for certain: a server may write the definition of a view in other words.
    pub(super) fn is_certain(&self) -> bool {
        !matches!(self.what, What::View { .. })
    }

    /// The step as entries of `applyOps`, which tolerate that they have been applied before.
    pub(super) fn push_operations(&self, existing: &Existing, operations: &mut RawArrayBuf) {
        self.push_way(existing, operations);
        let made = match &self.what {
            What::Rename { hidden, .. } => {
                let (from, to) = (format!("{}.{hidden}", self.db), format!("{}.{}", self.db, self.name));
                rawdoc! { "renameCollection": from, "to": to }
            }
            What::View { create } => create.clone(),
            What::Remove { .. } => return,
        };
        operations.push(command(&self.db, None, made));
    }

    /// Makes way for what takes the name. By UUID, and as the deletion of the view that it is: done once more, neither
    /// can befall what has taken the name since. (`dropTarget` drops the target even where the source has gone.)
    fn push_way(&self, existing: &Existing, operations: &mut RawArrayBuf) {
        let Some(there) = existing.get(&self.db, &self.name) else { return };
        if there.kind != Kind::Collection && there.uuid.is_none() {
            operations.push(rawdoc! {
                "op": "d", "ns": format!("{}.system.views", self.db),
                "o": { "_id": format!("{}.{}", self.db, self.name) },
            });
        }
        let buckets = buckets(&self.name);
        let series = Some(buckets.as_str()).filter(|_| there.kind == Kind::Timeseries);
        let below = series.and_then(|name| Some((name, existing.get(&self.db, name)?.uuid?)));
        let own = there.uuid.map(|uuid| (self.name.as_str(), uuid));
        if let Some((name, uuid)) = below.or(own) {
            operations.push(drop_by_uuid(&self.db, name, uuid));
        }
    }

    /// The step as commands of their own, each with the database it is sent to.
    pub(super) fn commands(&self, existing: &Existing) -> Vec<(String, RawDocumentBuf)> {
        let mut commands = Vec::new();
        let there = existing.get(&self.db, &self.name);
        let in_the_way = there.is_some_and(|one| match self.what {
            What::Rename { .. } => one.kind != Kind::Collection,
            What::View { .. } | What::Remove { .. } => true,
        });
        if in_the_way {
            commands.push((self.db.clone(), rawdoc! { "drop": self.name.as_str() }));
        }
        match &self.what {
            What::Rename { hidden, .. } => {
                let (from, to) = (format!("{}.{hidden}", self.db), format!("{}.{}", self.db, self.name));
                let rename = rawdoc! { "renameCollection": from, "to": to, "dropTarget": true };
                commands.push(("admin".to_owned(), rename));
            }
            What::View { create } => commands.push((self.db.clone(), create.clone())),
            What::Remove { .. } => {}
        }
        commands
    }
}

/// The entry of `applyOps` that drops one collection, whatever its name is by then, and no other.
pub(super) fn drop_by_uuid(db: &str, name: &str, uuid: Uuid) -> RawDocumentBuf {
    command(db, Some(uuid), rawdoc! { "drop": name })
}

fn command(db: &str, uuid: Option<Uuid>, command: RawDocumentBuf) -> RawDocumentBuf {
    let mut operation = rawdoc! { "op": "c", "ns": format!("{db}.$cmd") };
    if let Some(uuid) = uuid {
        operation.append(cstr!("ui"), bson::Binary::from_uuid(uuid));
    }
    operation.append(cstr!("o"), command);
    operation
}

fn buckets(name: &str) -> String {
    format!("system.buckets.{name}")
}

/// Whether a view is what the command makes.
fn same_view(definition: &RawDocumentBuf, create: &RawDocumentBuf) -> bool {
    ["viewOn", "pipeline", "collation"].iter().all(|field| {
        let value =
            |document: &RawDocumentBuf| document.get(field).ok().flatten().map(|value| format!("{value:?}"));
        value(definition) == value(create)
    })
}
