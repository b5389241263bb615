//! An archive that is read to its end, to prove it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::progress::Monitor;
use crate::storage::{Location, Storage};
use crate::verify::{VerifyReport, verify};
use crate::{Error, ErrorKind, Result};

/// Namespaces of each kind that an error names.
const MAX_NAMED: usize = 5;

/// Reads the archive at `at` to its end.
///
/// # Errors
/// [`ErrorKind::Archive`] for any damage, with what is whole and what is lost; failures of the place.
///
/// # Cancellation
/// When `cancel` fires, [`ErrorKind::Cancelled`]. Nothing is left behind.
pub(crate) async fn read(
    storage: &Storage,
    at: &Location,
    monitor: &Arc<dyn Monitor>,
    cancel: &CancellationToken,
) -> Result<VerifyReport> {
    let opening = cancel.run_until_cancelled(Box::pin(storage.open(at)));
    let source = opening.await.unwrap_or_else(|| Err(Error::cancelled()))?;
    let read = Box::pin(verify(source, monitor, cancel)).await;
    let report = read.map_err(|error| if error.is_cancelled() { error } else { error.at(at) })?;
    match &report.damage {
        Some(damage) => Err(damaged(&report, damage).at(at)),
        None => Ok(report),
    }
}

/// What is wrong, what is whole, and what is lost.
fn damaged(report: &VerifyReport, damage: &Error) -> Error {
    let whole: Vec<String> = report.whole.iter().map(|whole| whole.end.namespace.to_string()).collect();
    let message = format!(
        "the archive is damaged ({}); whole of it: {}; lost: {}; it is left as it is: move it away, and restore what is whole \
         with mongoark restore --salvage",
        damage.report(),
        named(&whole),
        named(&report.lost)
    );
    Error::new(ErrorKind::Archive, message)
}

/// The first of many names, and how many more there are.
fn named(names: &[String]) -> String {
    let first = names.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MAX_NAMED) {
        _ if names.is_empty() => "nothing".to_owned(),
        Some(more @ 1..) => format!("{first} and {more} more"),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_names_the_first_are_told_and_the_rest_counted() {
        let names = |count: usize| (0..count).map(|number| format!("d.c{number}")).collect::<Vec<_>>();
        assert_eq!(named(&names(0)), "nothing");
        assert_eq!(named(&names(2)), "d.c0, d.c1");
        assert_eq!(named(&names(MAX_NAMED)), "d.c0, d.c1, d.c2, d.c3, d.c4");
        assert_eq!(named(&names(MAX_NAMED + 2)), "d.c0, d.c1, d.c2, d.c3, d.c4 and 2 more");
    }
}
