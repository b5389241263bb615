//! What the function can do: one file for each action.

pub(super) mod backup;
pub(super) mod restore;
