//! The newest archive of a folder.

use std::cmp::Reverse;

use crate::archive::Archive;
use crate::progress::Monitor;
use crate::storage::{Listed, Location, Storage};
use crate::{Error, ErrorKind, Result};

/// What the names of records beside archives end with: proofs and leases.
const RECORDS: [&str; 2] = [".json", ".lease"];

/// The archive that was completed last of those in a directory, or of the S3 objects whose key begins with this one.
///
/// What is no archive is passed over, and said. An archive whose beginning is damaged is not passed over where its name
/// (`.archive`), a proof beside it or the labels of its object say that it is one: a drill of it fails.
///
/// # Errors
/// [`ErrorKind::NotFound`] where there is no archive; failures of the place.
///
/// # Cancellation
/// Nothing is left behind when the future is dropped.
pub async fn newest(storage: &Storage, under: &Location, monitor: &dyn Monitor) -> Result<Location> {
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
    for listed in found {
        let proof = format!("{}.proof.json", listed.at);
        let named = listed.at.to_string().contains(".archive");
        if named || records.contains(&proof) || is_archive(storage, &listed.at).await? {
            return Ok(listed.at);
        }
        monitor.warn(&format!("passed over {}: it is no archive", listed.at));
    }
    Err(Error::new(ErrorKind::NotFound, "there is no archive here").at(under))
}

fn is_record(name: &str) -> bool {
    RECORDS.iter().any(|ending| name.ends_with(ending))
}

/// Whether it can be read as an archive, or was stored as one.
async fn is_archive(storage: &Storage, at: &Location) -> Result<bool> {
    match Archive::open(storage.open(at).await?).prelude().await {
        Ok(_) => return Ok(true),
        Err(error) if error.kind() == ErrorKind::Archive => {}
        Err(error) => return Err(error.at(at)),
    }
    let labels = storage.stat(at).await?.map(|stored| stored.labels).unwrap_or_default();
    Ok(labels.iter().any(|(name, _)| name.starts_with("mongoark-")))
}
