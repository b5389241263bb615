//! Whether a restored collection has the options and the indexes of the archive.
//!
//! Both sides are what a restore makes of the metadata. A server completes what it is told (a collation, the versions of an
//! index), forgets what it no longer knows, and writes numbers in its own types; everything else has to be the same.

use bson::{Bson, RawBsonRef, RawDocument};

use crate::restore::Recipe;

/// What servers before 6.2 round the size of a capped collection up to, in bytes.
const CAPPED_SIZE_UNIT: i64 = 256;

/// Fields that belong to `create` and are no options; every collection has an index on `_id`.
const NO_OPTIONS: [&str; 3] = ["create", "idIndex", "autoIndexId"];

/// Options of an index that only older servers knew.
const FORGOTTEN: [&str; 3] = ["safe", "dropDups", "background"];

/// What a server adds to an index that does not say it.
const COMPLETED: [&str; 5] =
    ["textIndexVersion", "2dsphereIndexVersion", "weights", "default_language", "language_override"];

/// The first difference, as the end of a sentence that begins with the collection's name.
pub(super) fn difference(archive: &Recipe, found: &Recipe) -> Option<String> {
    options(&archive.create, &found.create)
        .map(|name| format!("the option `{name}` is another"))
        .or_else(|| indexes(archive, found))
}

/// The name of the first option that differs.
fn options(archive: &RawDocument, found: &RawDocument) -> Option<String> {
    let is_default = |name: &str, value: RawBsonRef<'_>| match name {
        "validationLevel" => value.as_str() == Some("strict"),
        "validationAction" => value.as_str() == Some("error"),
        "changeStreamPreAndPostImages" => {
            value.as_document().is_some_and(|images| matches!(images.get_bool("enabled"), Ok(false)))
        }
        _ => NO_OPTIONS.contains(&name),
    };
    let capped = archive.get("capped").ok().flatten().is_some_and(is_true);
    first_difference(archive, found, is_default, |name, archive, found| {
        (capped && name == "size" && same_size(archive, found))
            || (name == "capped" && is_true(archive) == is_true(found))
    })
}

fn indexes(archive: &Recipe, found: &Recipe) -> Option<String> {
    let named = |indexes: &'_ [bson::RawDocumentBuf], name: &str| {
        indexes.iter().find(|index| index.get_str("name").is_ok_and(|found| found == name)).cloned()
    };
    for index in &archive.indexes {
        let name = index.get_str("name").unwrap_or_default();
        let Some(other) = named(&found.indexes, name) else {
            return Some(format!("the index `{name}` is missing"));
        };
        let is_added =
            |field: &str, _: RawBsonRef<'_>| COMPLETED.contains(&field) || FORGOTTEN.contains(&field);
        if let Some(field) = first_difference(index, &other, is_added, |_, _, _| false) {
            return Some(format!("`{field}` of the index `{name}` is another"));
        }
    }
    // From 6.3 on a time series has an index on its time by itself.
    let timeseries = archive.create.get("timeseries").is_ok_and(|options| options.is_some());
    let mut added = found.indexes.iter().filter_map(|index| index.get_str("name").ok());
    let added = added.find(|name| !timeseries && named(&archive.indexes, name).is_none());
    added.map(|name| format!("the index `{name}` is not in the archive"))
}

/// The name of the first field that is not the same on both sides, in any order. One that is missing on one side may be
/// `left_out`; `same` knows better than the bytes.
fn first_difference(
    archive: &RawDocument,
    found: &RawDocument,
    left_out: impl Fn(&str, RawBsonRef<'_>) -> bool,
    same: impl Fn(&str, RawBsonRef<'_>, RawBsonRef<'_>) -> bool,
) -> Option<String> {
    let nothing = |name: &str, value: RawBsonRef<'_>| value.as_bool() == Some(false) || left_out(name, value);
    for (name, value) in archive.iter().flatten() {
        let name = name.as_str();
        let equal = match found.get(name).ok().flatten() {
            Some(other) => {
                NO_OPTIONS.contains(&name) || same(name, value, other) || is_completed(value, other)
            }
            None => nothing(name, value),
        };
        if !equal {
            return Some(name.to_owned());
        }
    }
    let missing = |name: &str| archive.get(name).is_ok_and(|value| value.is_none());
    let mut added = found
        .iter()
        .flatten()
        .filter(|(name, value)| missing(name.as_str()) && !nothing(name.as_str(), *value));
    added.next().map(|(name, _)| name.as_str().to_owned())
}

/// Whether `found` is `archive`, or that with what a server adds to a collation, a time series or a key.
fn is_completed(archive: RawBsonRef<'_>, found: RawBsonRef<'_>) -> bool {
    match (archive, found) {
        (RawBsonRef::Document(archive), RawBsonRef::Document(found)) => {
            archive.as_bytes() == found.as_bytes()
                || ["locale", "timeField"]
                    .iter()
                    .any(|mark| archive.get(mark).is_ok_and(|field| field.is_some()))
                    && archive.iter().flatten().all(|(name, value)| {
                        found.get(name).ok().flatten().is_some_and(|found| is_completed(value, found))
                    })
        }
        (archive, found) => {
            archive == found || number(archive).is_some_and(|archive| number(found) == Some(archive))
        }
    }
}

fn same_size(archive: RawBsonRef<'_>, found: RawBsonRef<'_>) -> bool {
    let rounded = |size: RawBsonRef<'_>| match number(size)? {
        Number::Whole(size) => size.checked_add(CAPPED_SIZE_UNIT - 1).map(|size| size / CAPPED_SIZE_UNIT),
        Number::Other(_) => None,
    };
    rounded(archive).is_some_and(|archive| rounded(found) == Some(archive))
}

/// A number, whatever its type.
#[derive(Debug, PartialEq)]
enum Number {
    Whole(i64),
    Other(f64),
}

fn number(value: RawBsonRef<'_>) -> Option<Number> {
    match value {
        RawBsonRef::Int32(number) => Some(Number::Whole(number.into())),
        RawBsonRef::Int64(number) => Some(Number::Whole(number)),
        // Text, because no conversion tells whether a number is whole.
        RawBsonRef::Double(number) => {
            Some(format!("{number}").parse().map_or(Number::Other(number), Number::Whole))
        }
        _ => None,
    }
}

fn is_true(value: RawBsonRef<'_>) -> bool {
    match number(value) {
        Some(number) => number != Number::Whole(0),
        None => value.as_bool() == Some(true) || matches!(Bson::try_from(value), Ok(Bson::Boolean(true))),
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;

    fn recipe(create: RawDocumentBuf, indexes: &[RawDocumentBuf]) -> Recipe {
        Recipe { create, indexes: indexes.to_vec() }
    }

    #[test]
    fn what_a_server_completes_rounds_or_forgets_is_no_difference() {
        let archive = recipe(
            rawdoc! { "create": "c", "capped": 1, "size": 1000.0, "max": 5, "autoIndexId": true,
            "collation": { "locale": "fr" }, "timeseries": { "timeField": "at" } },
            &[rawdoc! { "key": { "a": 1 }, "name": "a", "background": true, "unique": false, "bits": 26 }],
        );
        let found = recipe(
            rawdoc! { "create": "other", "max": 5_i64, "capped": true, "size": 1024_i64,
            "idIndex": { "key": { "_id": 1 }, "name": "_id_" },
            "collation": { "locale": "fr", "strength": 3 },
            "timeseries": { "timeField": "at", "granularity": "seconds", "bucketMaxSpanSeconds": 3600 },
            "validationLevel": "strict", "validationAction": "error" },
            &[rawdoc! { "name": "a", "key": { "a": 1 }, "bits": 26_i64 }],
        );
        assert_eq!(difference(&archive, &found), None);
        assert_eq!(difference(&archive, &archive), None);
    }

    #[test]
    fn every_other_difference_is_named() {
        let plain = || rawdoc! { "create": "c" };
        let index = |extra: RawDocumentBuf| {
            let mut index = rawdoc! { "key": { "a": 1, "b": 1 }, "name": "i" };
            for (name, value) in extra.iter().flatten() {
                index.append(name, value);
            }
            index
        };
        for (archive, found, said) in [
            (rawdoc! { "create": "c", "validator": { "a": 1 } }, plain(), "`validator`"),
            (plain(), rawdoc! { "create": "c", "validator": { "a": 1 } }, "`validator`"),
            (rawdoc! { "validator": { "a": 1 } }, rawdoc! { "validator": { "a": 1_i64 } }, "`validator`"),
            (rawdoc! { "capped": true, "size": 512 }, rawdoc! { "capped": true, "size": 1024 }, "`size`"),
            (rawdoc! { "capped": true, "size": 512 }, plain(), "`capped`"),
            (rawdoc! { "validationAction": "warn" }, plain(), "`validationAction`"),
            (
                rawdoc! { "collation": { "locale": "fr" } },
                rawdoc! { "collation": { "locale": "de" } },
                "`collation`",
            ),
            (
                rawdoc! { "viewOn": "a", "pipeline": [] },
                rawdoc! { "viewOn": "b", "pipeline": [] },
                "`viewOn`",
            ),
        ] {
            let text = difference(&recipe(archive, &[]), &recipe(found, &[])).unwrap();
            assert!(text.contains(said), "{text}");
        }
        for (archive, found, said) in [
            (vec![index(rawdoc! {})], vec![], "the index `i` is missing"),
            (vec![], vec![index(rawdoc! {})], "the index `i` is not in the archive"),
            (vec![index(rawdoc! { "unique": true })], vec![index(rawdoc! {})], "`unique` of the index `i`"),
            (
                vec![index(rawdoc! {})],
                vec![rawdoc! { "key": { "b": 1, "a": 1 }, "name": "i" }],
                "`key` of the index",
            ),
        ] {
            let text = difference(&recipe(plain(), &archive), &recipe(plain(), &found)).unwrap();
            assert!(text.contains(said), "{text}");
        }
    }
}
