//! What is there after a backup, held against what it said.

use std::fmt;

use super::case::{Claim, Ending, Wrong};
use super::lane::Lane;
use crate::support::s3::S3Server;
use mongoark::Scope;

/// What the key held before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Before {
    Nothing,
    /// Nothing, and the store does not let us look, or the work was killed: a whole archive may be there all the same.
    Unseen,
    /// An archive that must not be replaced.
    Kept(&'static [u8]),
    /// An archive that may be replaced by a good one.
    Replaceable(&'static [u8]),
}

impl fmt::Display for Before {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nothing | Self::Unseen => "a free place",
            Self::Kept(_) => "a place that is taken",
            Self::Replaceable(_) => "a place that may be replaced",
        })
    }
}

/// What is said where nobody can know whether the archive is there.
const UNKNOWN: &str = "look before starting again";

/// An archive of another day.
pub(super) const PRECIOUS: &[u8] = b"the only good copy there is";

impl Before {
    pub(super) fn bytes(self) -> Option<&'static [u8]> {
        match self {
            Self::Nothing | Self::Unseen => None,
            Self::Kept(bytes) | Self::Replaceable(bytes) => Some(bytes),
        }
    }
}

/// Holds the claim of a backup against what is under the key.
pub(super) async fn judge(
    lane: &Lane,
    claim: Claim,
    found: Option<Vec<u8>>,
    before: Before,
    scope: &Scope,
) -> Ending {
    let Claim { succeeded, said } = claim.clone();
    let mut ending = Ending::of(claim);
    let as_before = found.as_deref() == before.bytes();
    if let Before::Kept(_) = before
        && !as_before
    {
        ending.add(Wrong::OverwrittenArchive, "the archive that was there is not there any more");
    }
    match (succeeded, found) {
        (true, None) => ending.add(Wrong::FalseSuccess, "there is nothing"),
        (true, Some(_)) if as_before => ending.add(Wrong::FalseSuccess, "the older archive is there"),
        (true, Some(bytes)) => {
            if let Err(error) = lane.restores(&bytes, scope).await {
                ending.add(Wrong::FalseSuccess, error);
            }
        }
        (false, _) if as_before => {}
        (false, None) => ending.add(Wrong::OverwrittenArchive, "the archive that was there is gone"),
        (false, Some(bytes)) => {
            // A store that does not answer any more leaves it open; then it has to be said.
            let whole = lane.restores(&bytes, scope).await.is_ok();
            ending.ensure(whole && (said.contains(UNKNOWN) || before == Before::Unseen), Wrong::Left, || {
                format!("an archive is there after all (whole: {whole})")
            });
        }
    }
    ending
}

/// Nothing is open in the store; what was left of a backup that failed has to go with the next one.
pub(super) async fn no_upload_is_open<F: Future<Output = Claim>>(
    store: &S3Server,
    ending: &mut Ending,
    next: impl FnOnce() -> F,
) {
    let open = store.open_uploads();
    if open.is_empty() {
        return;
    }
    store.heal();
    let claim = next().await;
    let left = store.open_uploads();
    ending.ensure(claim.succeeded && left.is_empty(), Wrong::OpenUpload, || {
        format!("{open:?}; after the next run, which said {:?}: {left:?}", claim.said)
    });
}
