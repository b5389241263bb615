//! What must not happen while the oplog is captured, because no replay makes it good.
//!
//! A rename takes documents along that may not have been read yet, under a name that was not listed. The rest changes how
//! the server keeps its data. It is looked for in lists of operations, too, and only where it concerns what is dumped.

use bson::RawBsonRef;

use super::entry::{Command, Entry};
use super::scoped::{covers, covers_named};
use crate::{Error, ErrorKind, Result, Scope};

/// Where a server notes that a collection is being resharded.
const RESHARDING: [&str; 3] =
    ["reshardingOperations", "localReshardingOperations.donor", "localReshardingOperations.recipient"];

/// Whether this collection of the database `config` is there only while one is resharded.
pub(super) fn is_of_resharding(collection: &str) -> bool {
    RESHARDING.contains(&collection)
}

/// # Errors
/// The entry is, or holds, something that no replay makes good.
pub(super) fn check(entry: Entry<'_>, scope: &Scope) -> Result<()> {
    let forbidden = |what: &str| {
        let message = format!("cannot dump with oplog {what}; dump again when it is over");
        Err(Error::new(ErrorKind::Server, message))
    };
    if (entry.db, entry.collection) == ("admin", "system.version") && covers(scope, "admin", "system.version")
    {
        return forbidden("if admin.system.version is modified (by an upgrade, for one)");
    }
    let Some(command) = entry.command()? else { return Ok(()) };
    let is_named = |value| matches!(value, RawBsonRef::String(name) if covers_named(scope, name));
    let is_here = |value| matches!(value, RawBsonRef::String(name) if covers(scope, entry.db, name));
    match command.name {
        "applyOps" => {
            let RawBsonRef::Array(list) = command.value else { return Ok(()) };
            entry.operations(list).try_for_each(|operation| check(operation?, scope))
        }
        "renameCollection" if is_named(command.value) || is_target(&command, scope) => {
            forbidden("while renames occur ($out and convertToCapped rename, too)")
        }
        "importCollection" if is_named(command.value) || is_here(command.value) => {
            forbidden("while importCollection occurs")
        }
        "upgradeDowngradeViewlessTimeseries" if is_here(command.value) => forbidden(
            "while a timeseries format conversion caused by an FCV change between 8.x and 9.0 occurs",
        ),
        "create" if entry.db == "config" && is_resharding(command.value) => forbidden("while resharding"),
        _ => Ok(()),
    }
}

fn is_target(command: &Command<'_>, scope: &Scope) -> bool {
    command.document.get_str("to").is_ok_and(|name| covers_named(scope, name))
}

fn is_resharding(value: RawBsonRef<'_>) -> bool {
    matches!(value, RawBsonRef::String(name) if is_of_resharding(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawDocumentBuf, rawdoc};

    fn refused(entry: &RawDocumentBuf, scope: &Scope) -> Option<String> {
        check(Entry::new(entry).unwrap(), scope).err().map(|error| error.report())
    }

    fn command(db: &str, o: RawDocumentBuf) -> RawDocumentBuf {
        rawdoc! { "op": "c", "ns": format!("{db}.$cmd"), "o": o }
    }

    #[test]
    fn b35_each_of_the_abort_list_ends_the_dump_and_w33_within_applyops_too() {
        for (entry, words) in [
            (
                rawdoc! { "op": "u", "ns": "admin.system.version", "o": {} },
                "admin.system.version is modified",
            ),
            (command("a", rawdoc! { "renameCollection": "a.b", "to": "a.c" }), "while renames occur"),
            (command("a", rawdoc! { "importCollection": "a.b" }), "while importCollection occurs"),
            (
                command("a", rawdoc! { "upgradeDowngradeViewlessTimeseries": "b" }),
                "timeseries format conversion",
            ),
            (command("config", rawdoc! { "create": "reshardingOperations" }), "while resharding"),
            (command("config", rawdoc! { "create": "localReshardingOperations.donor" }), "while resharding"),
            (
                command("config", rawdoc! { "create": "localReshardingOperations.recipient" }),
                "while resharding",
            ),
        ] {
            let once = command("admin", rawdoc! { "applyOps": [entry.clone()] });
            let twice = command("admin", rawdoc! { "applyOps": [once.clone()] });
            for entry in [entry, once, twice] {
                let said = refused(&entry, &Scope::Everything).expect("refused");
                assert!(said.contains("cannot dump with oplog") && said.contains(words), "{said}");
            }
        }
        for entry in [
            // A document of a user's that looks like one.
            rawdoc! { "op": "i", "ns": "a.b", "o": { "renameCollection": "a.b", "create": "reshardingOperations" } },
            command("a", rawdoc! { "create": "reshardingOperations" }),
            command("config", rawdoc! { "create": "settings" }),
        ] {
            assert_eq!(refused(&entry, &Scope::Everything), None);
        }
    }

    #[test]
    fn what_is_renamed_elsewhere_does_not_concern_a_part_of_the_deployment() {
        let rename = |from: &str, to: &str| command("a", rawdoc! { "renameCollection": from, "to": to });
        let (database, collection) =
            (Scope::database("shop").unwrap(), Scope::collection("shop", "orders").unwrap());
        for (from, to, in_database, in_collection) in [
            ("crm.a", "crm.b", false, false),
            ("crm.a", "shop.orders", true, true),
            ("shop.orders", "crm.a", true, true),
            ("shop.carts", "shop.old", true, false),
        ] {
            assert_eq!(refused(&rename(from, to), &database).is_some(), in_database, "{from} {to}");
            assert_eq!(refused(&rename(from, to), &collection).is_some(), in_collection, "{from} {to}");
        }
        let version = rawdoc! { "op": "u", "ns": "admin.system.version", "o": {} };
        assert_eq!(refused(&version, &database), None);
        assert!(refused(&version, &Scope::database("admin").unwrap()).is_some());
    }
}
