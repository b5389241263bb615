//! The part of an entry that concerns what is dumped.
//!
//! Of a whole deployment every entry is kept as it is. Of a part of it, what happened elsewhere is left out, and a
//! transaction that went beyond is cut: whoever replays the archive must not write where it has nothing. The marks of
//! transactions (commit, abort, parts that are empty by now) stay, because who replays them waits for them.

use std::borrow::Cow;

use archive_format::Namespace;
use bson::{RawBsonRef, RawDocument, cstr};

use super::entry::{Command, Entry, list, replaced};
use crate::{Result, Scope};

/// What time series' data is kept under.
const BUCKETS: &str = "system.buckets.";

/// What of the entry belongs to the scope.
pub(super) fn scoped<'a>(entry: Entry<'a>, scope: &Scope) -> Result<Option<Cow<'a, RawDocument>>> {
    if *scope == Scope::Everything {
        return Ok(Some(Cow::Borrowed(entry.document)));
    }
    let belongs = match entry.command()? {
        Some(command) if command.name == "applyOps" => return operations(entry, &command, scope),
        Some(command) => concerns(entry, &command, scope),
        None => is_written(entry, scope),
    };
    Ok(belongs.then_some(Cow::Borrowed(entry.document)))
}

/// Whether a collection is in the scope, by the name that its data is stored under.
pub(super) fn covers(scope: &Scope, db: &str, collection: &str) -> bool {
    let logical = collection.strip_prefix(BUCKETS).unwrap_or(collection);
    Namespace::new(db, logical).is_ok_and(|namespace| scope.covers(&namespace))
}

/// The same by a full name.
pub(super) fn covers_named(scope: &Scope, namespace: &str) -> bool {
    namespace.split_once('.').is_some_and(|(db, collection)| covers(scope, db, collection))
}

/// A document that is written. Nothing is done by entries of other kinds, such as `n`.
fn is_written(entry: Entry<'_>, scope: &Scope) -> bool {
    if !matches!(entry.kind, "i" | "u" | "d") {
        return false;
    }
    // Views and time series are documents of their database.
    let of_view = |field| {
        let document = entry.document.get_document(field);
        document.is_ok_and(|document| document.get_str("_id").is_ok_and(|name| covers_named(scope, name)))
    };
    covers(scope, entry.db, entry.collection)
        || (entry.collection == "system.views" && (of_view("o2") || of_view("o")))
}

fn concerns(entry: Entry<'_>, command: &Command<'_>, scope: &Scope) -> bool {
    match (command.name, command.value) {
        ("commitTransaction" | "abortTransaction", _) => true,
        // The collections are dropped one by one before.
        ("dropDatabase", _) => matches!(scope, Scope::Database(db) if db == entry.db),
        (_, RawBsonRef::String(collection)) => covers(scope, entry.db, collection),
        _ => matches!(scope, Scope::Database(db) if db == entry.db),
    }
}

/// A list of operations, cut to the scope.
fn operations<'a>(
    entry: Entry<'a>,
    command: &Command<'a>,
    scope: &Scope,
) -> Result<Option<Cow<'a, RawDocument>>> {
    let RawBsonRef::Array(all) = command.value else { return Ok(Some(Cow::Borrowed(entry.document))) };
    let mut kept = Vec::new();
    let mut is_whole = true;
    for operation in entry.operations(all) {
        let part = scoped(operation?, scope)?;
        is_whole &= matches!(part, Some(Cow::Borrowed(_)));
        kept.extend(part);
    }
    if is_whole {
        return Ok(Some(Cow::Borrowed(entry.document)));
    }
    if kept.is_empty() && !entry.is_one_of_several()? {
        return Ok(None);
    }
    let kept = list(kept.iter().map(Cow::as_ref));
    let cut = replaced(command.document, cstr!("applyOps"), Some(RawBsonRef::Array(&kept)))?;
    // How many operations the transaction has in all, which it no longer has.
    let cut = replaced(&cut, cstr!("count"), None)?;
    Ok(Some(Cow::Owned(entry.with_command(&cut)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawDocumentBuf, Timestamp, rawdoc};

    fn cut(entry: &RawDocument, scope: &Scope) -> Option<RawDocumentBuf> {
        scoped(Entry::new(entry).unwrap(), scope).unwrap().map(Cow::into_owned)
    }

    fn shop() -> [Scope; 2] {
        [Scope::database("shop").unwrap(), Scope::collection("shop", "orders").unwrap()]
    }

    #[test]
    fn everything_is_kept_as_it_is_of_a_whole_deployment() {
        for entry in [
            rawdoc! { "op": "n", "ns": "", "o": { "msg": "periodic noop" } },
            rawdoc! { "op": "u", "ns": "config.transactions", "o": {} },
            rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [{ "op": "i", "ns": "a.b", "o": {} }] } },
        ] {
            assert_eq!(cut(&entry, &Scope::Everything), Some(entry));
        }
    }

    #[test]
    fn what_happened_elsewhere_is_left_out() {
        let command = |o: RawDocumentBuf| rawdoc! { "op": "c", "ns": "shop.$cmd", "o": o };
        for (entry, in_database, in_collection) in [
            (rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": 1 } }, true, true),
            (rawdoc! { "op": "d", "ns": "shop.carts", "o": { "_id": 1 } }, true, false),
            (rawdoc! { "op": "u", "ns": "shopping.orders", "o": {}, "o2": { "_id": 1 } }, false, false),
            (rawdoc! { "op": "i", "ns": "shop.system.buckets.orders", "o": { "_id": 1 } }, true, true),
            (rawdoc! { "op": "i", "ns": "shop.system.views", "o": { "_id": "shop.orders" } }, true, true),
            (rawdoc! { "op": "d", "ns": "shop.system.views", "o": { "_id": "shop.carts" } }, true, false),
            (rawdoc! { "op": "i", "ns": "admin.system.users", "o": { "_id": "shop.ann" } }, false, false),
            (rawdoc! { "op": "n", "ns": "shop.orders", "o": {} }, false, false),
            (command(rawdoc! { "create": "orders" }), true, true),
            (command(rawdoc! { "drop": "carts" }), true, false),
            (command(rawdoc! { "collMod": "system.buckets.orders" }), true, true),
            (command(rawdoc! { "commitIndexBuild": "orders", "indexes": [] }), true, true),
            (command(rawdoc! { "dropDatabase": 1 }), true, false),
            (command(rawdoc! { "commitTransaction": 1 }), true, true),
            (rawdoc! { "op": "c", "ns": "crm.$cmd", "o": { "dropDatabase": 1 } }, false, false),
        ] {
            for (scope, expected) in shop().iter().zip([in_database, in_collection]) {
                let kept = cut(&entry, scope);
                assert_eq!(kept, expected.then(|| entry.clone()), "{scope}");
            }
        }
    }

    #[test]
    fn transactions_are_cut_and_their_marks_stay() {
        let inside = rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": 1 } };
        let outside = rawdoc! { "op": "i", "ns": "crm.people", "o": { "_id": 1 } };
        let nested =
            rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [outside.clone(), inside.clone()] } };
        let entry = |operations: &[&RawDocumentBuf], more: RawDocumentBuf| {
            let mut o = rawdoc! { "applyOps": list(operations.iter().map(AsRef::as_ref)) };
            for field in &more {
                let (name, value) = field.unwrap();
                o.append(name, value);
            }
            rawdoc! {
                "lsid": { "id": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![1; 16] } },
                "txnNumber": 7_i64, "op": "c", "ns": "admin.$cmd", "o": o,
                "prevOpTime": { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 },
            }
        };
        for scope in shop() {
            let none = rawdoc! {};
            let whole = entry(&[&inside], none.clone());
            assert_eq!(cut(&whole, &scope), Some(whole));
            assert_eq!(cut(&entry(&[&outside], none.clone()), &scope), None);
            let both = entry(&[&outside, &inside, &nested], rawdoc! { "count": 3_i64 });
            let nested = rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [inside.clone()] } };
            assert_eq!(cut(&both, &scope), Some(entry(&[&inside, &nested], none)));
            for mark in [rawdoc! { "partialTxn": true }, rawdoc! { "prepare": true }] {
                let part = entry(&[&outside], mark.clone());
                assert_eq!(cut(&part, &scope), Some(entry(&[], mark)), "a part whose rest lies elsewhere");
            }
        }
    }
}
