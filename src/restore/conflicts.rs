//! Several collections of an archive that would have the same name.

use std::collections::BTreeMap;

use archive_format::Namespace;

use crate::progress::Monitor;
use crate::{Error, ErrorKind, Result};

/// How many of them are named.
const CONFLICTS_TOLD: usize = 20;

/// Refuses where two sources have one destination, and says which.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] that names the first destination.
pub(super) fn refuse<'a>(
    pairs: impl Iterator<Item = (&'a Namespace, &'a Namespace)>,
    monitor: &dyn Monitor,
) -> Result<()> {
    let mut sources: BTreeMap<&Namespace, Vec<&Namespace>> = BTreeMap::new();
    for (source, destination) in pairs {
        sources.entry(destination).or_default().push(source);
    }
    sources.retain(|_, sources| sources.len() > 1);
    let Some(first) = sources.keys().next().map(ToString::to_string) else { return Ok(()) };
    let conflicts = sources.into_iter().flat_map(|(destination, mut sources)| {
        sources.sort_unstable();
        sources.into_iter().map(move |source| (source, destination))
    });
    for (source, destination) in conflicts.take(CONFLICTS_TOLD) {
        monitor.warn(&format!("destination conflict: `{source}` (src) => `{destination}` (dst)"));
    }
    let message = "cannot restore with conflicting namespace destinations: several collections of the archive would have this \
                   name, and nothing was changed";
    Err(Error::new(ErrorKind::InvalidInput, message).at(first))
}
