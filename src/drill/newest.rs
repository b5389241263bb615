//! The newest archive of a folder.

use std::cmp::Reverse;

use crate::archive::Archive;
use crate::progress::Monitor;
use crate::proof::Proof;
use crate::storage::{Listed, Location, Storage};
use crate::{Error, ErrorKind, Result};

/// What the names of records beside archives end with: proofs and leases.
const RECORDS: [&str; 2] = [".json", ".lease"];

/// Names of what was passed over that are told.
const MAX_NAMED: usize = 5;

/// The archive that was completed last of those in a directory, or of the S3 objects whose key begins with this one.
///
/// In S3 it is the last one that is proven: that has the record which was made of it. What is younger and has none is passed
/// over, and said: it may be what a killed dump has left.
///
/// Files have no record as a rule, and there it is the last archive of all. What is no archive is passed over, and said. One
/// whose beginning is damaged is not passed over where its name (`.archive`) or a record beside it say that it is one: a drill
/// of it fails.
///
/// # Errors
/// [`ErrorKind::NotFound`] where there is none; [`ErrorKind::Archive`] where a record is damaged; failures of the place.
///
/// # Cancellation
/// Nothing is left behind when the future is dropped.
pub async fn newest(storage: &Storage, under: &Location, monitor: &dyn Monitor) -> Result<Location> {
    newest_of(storage, under, |at| Some(at.clone()), monitor).await
}

/// As [`newest`], of the archives that `named` gives something for.
///
/// # Errors
/// As [`newest`].
///
/// # Cancellation
/// As [`newest`].
pub async fn newest_of<T>(
    storage: &Storage,
    under: &Location,
    named: impl Fn(&Location) -> Option<T>,
    monitor: &dyn Monitor,
) -> Result<T> {
    let mut found: Vec<Listed> = Vec::new();
    let mut listing = storage.list(under).await?;
    while let Some(page) = listing.next().await.map_err(|error| error.at(under))? {
        found.extend(page);
    }
    let records: Vec<String> =
        found.iter().map(|listed| listed.at.to_string()).filter(|name| is_record(name)).collect();
    // Some tools put an object of this name in the place of a folder.
    found.retain(|listed| {
        let name = listed.at.to_string();
        !is_record(&name) && !name.ends_with('/') && !listed.at.is_kept_copy()
    });
    found.sort_by_key(|listed| Reverse(listed.modified));
    let mut passed_over = Vec::new();
    for Listed { at, .. } in found {
        let Some(name) = named(&at) else { continue };
        let has_record = records.contains(&Proof::location(&at).to_string());
        let counts = if at.is_s3() {
            has_record && Proof::find(storage, &at).await?.is_some()
        } else {
            has_record || at.to_string().contains(".archive") || is_archive(storage, &at).await?
        };
        if counts {
            tell(&passed_over, under, monitor);
            return Ok(name);
        }
        passed_over.push(at.to_string());
    }
    let message = if under.is_s3() {
        "there is no proven archive here, which is one with its proof record beside it: name the archive that is to be drilled"
    } else {
        "there is no archive here"
    };
    Err(Error::new(ErrorKind::NotFound, message).at(under))
}

fn tell(passed_over: &[String], under: &Location, monitor: &dyn Monitor) {
    if passed_over.is_empty() {
        return;
    }
    let reason = if under.is_s3() { "not proven" } else { "no archive" };
    let names = passed_over.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match passed_over.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    monitor.warn(&format!("passed over as {reason}, though younger: {names}{more}"));
}

fn is_record(name: &str) -> bool {
    RECORDS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a file can be read as an archive.
async fn is_archive(storage: &Storage, at: &Location) -> Result<bool> {
    match Archive::open(storage.open(at).await?).prelude().await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Archive => Ok(false),
        Err(error) => Err(error.at(at)),
    }
}
