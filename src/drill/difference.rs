//! Whether what was restored is what the archive holds.

use archive_format::Namespace;

use super::reading::Reading;
use crate::{Error, ErrorKind, Result};

/// What a collection of the archive has become is not what it was.
pub(super) fn error(namespace: &Namespace, difference: &str) -> Error {
    Error::new(ErrorKind::Server, difference).at(namespace)
}

/// # Errors
/// A collection that is missing on either side.
pub(super) fn collections(archive: &Reading, found: &Reading) -> Result<()> {
    if let Some(missing) = archive.keys().find(|name| !found.contains_key(*name)) {
        return Err(error(missing, "it is in the archive and was not restored"));
    }
    match found.keys().find(|name| !archive.contains_key(*name)) {
        Some(added) => Err(error(added, "it is not in the archive, and is there after the restore")),
        None => Ok(()),
    }
}

/// The first collection whose documents are not the same, byte for byte.
pub(super) fn documents<'a>(archive: &'a Reading, found: &Reading) -> Option<&'a Namespace> {
    let differs = |(name, content): &(&Namespace, &super::reading::Content)| {
        found
            .get(*name)
            .is_none_or(|found| (found.documents, found.digest) != (content.documents, content.digest))
    };
    archive.iter().find(differs).map(|(name, _)| name)
}

/// Compares what was read closely on both sides; `archive` must hold what was `verified`. The collections whose documents are
/// not known to be the same because the archive holds some of them twice, all of which are `repeated`.
///
/// # Errors
/// Documents that are missing, too many, or different.
pub(super) fn closely(
    verified: &Reading,
    archive: &Reading,
    found: &Reading,
    repeated: u64,
) -> Result<Vec<Namespace>> {
    let (mut unknown, mut missing) = (Vec::new(), 0);
    for name in verified.keys() {
        let (Some(verified), Some(archive), Some(found)) =
            (verified.get(name), archive.get(name), found.get(name))
        else {
            return Err(error(name, "it has gone while it was compared"));
        };
        if (verified.documents, verified.digest) != (archive.documents, archive.digest) {
            return Err(error(
                name,
                "another archive has taken the place of the one that was verified; drill again",
            ));
        }
        let same = if archive.without_id == 0 {
            archive.stored == found.stored
        } else {
            archive.nameless == found.nameless
        };
        match archive.documents.checked_sub(found.documents) {
            Some(0) if same => {}
            Some(1..) if repeated > 0 => {
                missing += archive.documents - found.documents;
                unknown.push(name.clone());
            }
            Some(0) => {
                return Err(error(name, "its documents are not those of the archive after the restore"));
            }
            _ => return Err(counts(name, archive.documents, found.documents)),
        }
    }
    match unknown.first() {
        Some(name) if missing != repeated => {
            let message = format!(
                "{missing} document(s) of the archive are not there after the restore, of which only {repeated} are in the \
                 archive twice"
            );
            Err(error(name, &message))
        }
        _ => Ok(unknown),
    }
}

fn counts(name: &Namespace, archive: u64, found: u64) -> Error {
    error(name, &format!("the archive holds {archive} document(s), and after the restore there are {found}"))
}
