//! What an archive says of itself, in the metadata of its object. Values are visible ASCII.

use crate::storage::Stored;

/// The Lambda request that wrote it, on every archive. It stays the same when Lambda runs an event again.
pub(super) const REQUEST: &str = "mongoark-request";

/// The deployment it was taken for, on the archive of a hook call.
pub(super) const DEPLOYMENT: &str = "mongoark-deployment";

/// As a label can hold it.
pub(super) fn visible(text: &str) -> String {
    text.escape_default().to_string()
}

/// The value of a label, if the object has it.
pub(super) fn find<'a>(stored: &'a Stored, label: &str) -> Option<&'a str> {
    stored.labels.iter().find(|(name, _)| name == label).map(|(_, value)| value.as_str())
}
