//! Whether the prelude can be what its writer has written. No checksum protects it: what can be told is told by what has to
//! agree, and by what a restore has to read.

use archive_format::{CollectionMetadata, Kind, Namespace, Prelude, ServerVersion};
use bson::{RawBsonRef, RawDocument};

use super::account::Accounts;
use crate::archive::{Damage, DamageKind};
use crate::extended_json::read_document;
use crate::restore::Metadata;
use crate::{Error, Result};

/// What the metadata of a collection consists of. Anything else would be left out of a restore.
const KEYS: [&str; 5] = ["options", "indexes", "uuid", "collectionName", "type"];

/// Says what is wrong, and marks the namespaces that cannot be restored.
pub(super) fn check(prelude: &Prelude, oddity: Option<&Error>, accounts: &mut Accounts) -> Vec<Damage> {
    let mut damages: Vec<Damage> = oddity.map(Damage::of).into_iter().collect();
    if prelude.server_version.parse::<ServerVersion>().is_err() {
        damages.push(of_prelude(
            DamageKind::Malformed,
            "the prelude's server version is none: mongorestore refuses the archive",
        ));
    }
    if prelude.concurrent_collections < 0 {
        damages.push(of_prelude(
            DamageKind::Malformed,
            "the prelude says that a negative number of collections may be open",
        ));
    }
    // Tools before 100 wrote no types.
    let has_types = prelude.collections.iter().any(|entry| entry.kind != Kind::Unspecified);
    for (index, entry) in prelude.collections.iter().enumerate() {
        let namespace = &entry.namespace;
        match Metadata::read(entry) {
            Err(error) => {
                accounts.flaw(index);
                damages.push(of_entry(DamageKind::Malformed, namespace, &error.report()));
                continue;
            }
            Ok(metadata) if metadata.is_view() => accounts.view(index),
            Ok(_) => {}
        }
        let is_typed = !has_types || namespace.is_oplog() || namespace.is_special();
        if entry.kind == Kind::Unspecified && !is_typed {
            accounts.flaw(index);
            damages.push(of_entry(
                DamageKind::Contradiction,
                namespace,
                "it has no type that is known, as the others have",
            ));
        }
        if let Err(sentence) = agree(entry) {
            accounts.flaw(index);
            damages.push(of_entry(DamageKind::Contradiction, namespace, &sentence));
        }
    }
    damages
}

/// Whether the metadata of an entry agrees with the entry, and holds nothing that would be left out.
fn agree(entry: &CollectionMetadata) -> Result<(), String> {
    if entry.metadata.is_empty() {
        return Ok(());
    }
    let metadata = read_document(&entry.metadata).map_err(|error| error.report())?;
    for (key, value) in metadata.iter().flatten() {
        match (key.as_str(), value) {
            ("collectionName", RawBsonRef::String(name)) if name != entry.namespace.collection() => {
                return Err("its metadata is of a collection of another name".to_owned());
            }
            ("type", RawBsonRef::String(word))
                if entry.kind != Kind::Unspecified && word != entry.kind.as_str() =>
            {
                return Err("it has one type in the prelude and another in its metadata".to_owned());
            }
            ("uuid", RawBsonRef::String(text)) if !is_uuid(text) => {
                return Err("the UUID in its metadata is none".to_owned());
            }
            ("indexes", RawBsonRef::Array(indexes)) => {
                let mut keys = indexes.into_iter().flatten().filter_map(RawBsonRef::as_document).map(key_of);
                if keys.any(|key| key.is_none_or(RawDocument::is_empty)) {
                    return Err("an index in its metadata has no key".to_owned());
                }
            }
            (key, _) if !KEYS.contains(&key) => {
                return Err(
                    "its metadata has a part that is not known and would be left out of a restore".to_owned()
                );
            }
            _ => {}
        }
    }
    let metadata = Metadata::read(entry).map_err(|error| error.report())?;
    match entry.kind {
        Kind::Collection if metadata.is_view() || metadata.is_timeseries(Kind::Collection) => {
            Err("it is a plain collection by its type and not by its options".to_owned())
        }
        Kind::Timeseries if !metadata.is_timeseries(Kind::Collection) => {
            Err("it is a time series by its type and not by its options".to_owned())
        }
        Kind::View if metadata.is_timeseries(Kind::View) => {
            Err("it is a view by its type and not by its options".to_owned())
        }
        _ => Ok(()),
    }
}

fn key_of(index: &RawDocument) -> Option<&RawDocument> {
    index.get_document("key").ok()
}

/// Thirty-two hexadecimal digits, as every tool writes it.
fn is_uuid(text: &str) -> bool {
    text.is_empty() || (text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn of_prelude(kind: DamageKind, sentence: &str) -> Damage {
    let mut damage = Damage::new(kind, format!("{sentence}; use another copy of the archive"));
    // The archive header stands behind the magic number.
    damage.offset = Some(4);
    damage
}

fn of_entry(kind: DamageKind, namespace: &Namespace, sentence: &str) -> Damage {
    let mut damage = Damage::new(
        kind,
        format!("{namespace}, in the prelude: {sentence}; use another copy of the archive"),
    );
    damage.namespace = Some(namespace.clone());
    damage
}
