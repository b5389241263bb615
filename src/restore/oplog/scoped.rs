//! Entries outside the scope of the restore.

use super::entry::{Entry, text};
use crate::{Result, Scope};

/// Whether an entry belongs to the scope. Of operations inside an entry each is asked for.
pub(super) fn is_within(entry: &Entry<'_>, scope: &Scope) -> Result<bool> {
    let command = if entry.kind == "c" { entry.command()? } else { None };
    if command.is_some_and(|command| {
        matches!(command.name, b"applyOps" | b"commitTransaction" | b"abortTransaction")
    }) {
        return Ok(true);
    }
    let one = match scope {
        Scope::Everything => return Ok(true),
        Scope::Database(db) => return Ok(entry.db() == db),
        Scope::Collection(one) => one,
    };
    if entry.db() != one.db() {
        return Ok(false);
    }
    let (logical, buckets) = (one.to_string(), one.buckets().to_string());
    let is_one = |name: &str| name == logical || name == buckets;
    let Some(command) = command else { return Ok(is_one(entry.namespace)) };
    Ok(match command.name {
        // The drop of each collection stands before it as an entry of its own; itself, it would take the others with it.
        b"dropDatabase" => false,
        b"renameCollection" => {
            let to = entry.field("to")?;
            is_one(text(&command)?) || to.as_ref().map(text).transpose()?.is_some_and(is_one)
        }
        _ => text(&command).is_ok_and(|name| is_one(&format!("{}.{name}", entry.db()))),
    })
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn an_entry_is_in_the_scope_of_its_database_and_its_collection() {
        let database = Scope::database("d").unwrap();
        let collection = Scope::collection("d", "c").unwrap();
        for (entry, in_database, in_collection) in [
            (rawdoc! { "op": "i", "ns": "d.c", "o": {} }, true, true),
            (rawdoc! { "op": "i", "ns": "d.system.buckets.c", "o": {} }, true, true),
            (rawdoc! { "op": "i", "ns": "d.other", "o": {} }, true, false),
            (rawdoc! { "op": "i", "ns": "other.c", "o": {} }, false, false),
            (rawdoc! { "op": "c", "ns": "d.$cmd", "o": { "drop": "c" } }, true, true),
            (rawdoc! { "op": "c", "ns": "d.$cmd", "o": { "drop": "other" } }, true, false),
            (
                rawdoc! { "op": "c", "ns": "d.$cmd", "o": { "renameCollection": "d.x", "to": "d.c" } },
                true,
                true,
            ),
            (rawdoc! { "op": "c", "ns": "d.$cmd", "o": { "dropDatabase": 1 } }, true, false),
            (rawdoc! { "op": "c", "ns": "other.$cmd", "o": { "drop": "c" } }, false, false),
            (rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [] } }, true, true),
            (rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "commitTransaction": 1 } }, true, true),
        ] {
            let read = Entry::read(entry.as_bytes()).unwrap();
            assert!(is_within(&read, &Scope::Everything).unwrap());
            assert_eq!(is_within(&read, &database).unwrap(), in_database, "{entry:?}");
            assert_eq!(is_within(&read, &collection).unwrap(), in_collection, "{entry:?}");
        }
    }
}
