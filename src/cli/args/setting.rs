//! What an option of the command line says in a connection string.

use std::fmt;

use super::invalid;
use crate::uri::Draft;
use crate::{Error, Result};

/// An option of the command line, the one of the connection string that means the same, and the value where there is one.
pub(super) struct Setting {
    flag: &'static str,
    option: &'static str,
    value: Option<String>,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting").field("flag", &self.flag).finish_non_exhaustive()
    }
}

impl Setting {
    pub(super) fn text(flag: &'static str, option: &'static str, value: Option<&str>) -> Self {
        Self { flag, option, value: value.map(str::to_owned) }
    }

    pub(super) fn switch(flag: &'static str, option: &'static str, on: bool) -> Self {
        Self::text(flag, option, on.then_some("true"))
    }

    /// Whole seconds as the milliseconds of a connection string.
    pub(super) fn seconds(flag: &'static str, option: &'static str, seconds: Option<u32>) -> Self {
        let milliseconds = seconds.map(|seconds| (u64::from(seconds) * 1000).to_string());
        Self { flag, option, value: milliseconds }
    }
}

/// Puts what the options say into the connection string, which must not say otherwise.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where it does; no value is repeated.
pub(super) fn agreed(
    draft: &mut Draft,
    origin: &str,
    settings: impl IntoIterator<Item = Setting>,
) -> Result<()> {
    for Setting { flag, option, value } in settings {
        if let Some(value) = value
            && !draft.agree(option, &value)
        {
            return Err(differ(flag, origin));
        }
    }
    Ok(())
}

/// Both say something, and not the same.
pub(super) fn differ(flag: &str, origin: &str) -> Error {
    invalid(&format!("{flag} and {origin} say different things: give one of them"))
}
