//! What the function can do: one file for each action.

pub(super) mod backup;
pub(super) mod drill;
pub(super) mod restore;
pub(super) mod verify;
