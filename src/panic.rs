//! What is told of a panic: where it was, and only such words as were written into the program.
//!
//! A message with values in it, of this program or of any that it is made of, may hold what nobody is to see: a document, a
//! connection string, a password that some library cut in the middle of a letter.

#[cfg(any(feature = "cli", feature = "lambda"))]
use std::panic::PanicHookInfo;

use tokio::task::JoinError;

/// The place of a panic, and its message if that was fixed when the program was compiled.
#[cfg(any(feature = "cli", feature = "lambda"))]
pub(crate) fn told(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    // Only a message without values is borrowed from the program itself.
    let message =
        panic.payload().downcast_ref::<&'static str>().map_or_else(String::new, |text| format!(": {text}"));
    format!("panic{place}{message}")
}

/// How a task ended that has no result; its own words would be those of the panic.
pub(crate) fn ending(lost: JoinError) -> &'static str {
    match lost.try_into_panic() {
        Ok(_) => "it panicked",
        Err(_) => "it was cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::ending;
    use crate::Error;

    #[tokio::test]
    async fn a_task_that_panicked_never_repeats_the_message() {
        let lost = tokio::spawn(async { panic!("{}", "hunter2".to_owned()) }).await.unwrap_err();
        assert_eq!(ending(lost), "it panicked");
        let error: Error =
            crate::codec::task_failed(tokio::spawn(async { panic!("{}", 7) }).await.unwrap_err());
        assert_eq!(error.report(), "a task of this program ended without a result: it panicked");
    }
}
