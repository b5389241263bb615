//! Standard streams that the caller has closed.

use crate::support::mongod::{Mongod, Version};
use std::process::{Command, Output};

/// Runs the program in a shell, which redirects as the last argument says.
fn redirected(arguments: &str, redirection: &str) -> Output {
    let line = format!("exec \"$0\" {arguments} {redirection}");
    Command::new("sh").args(["-c", &line, env!("CARGO_BIN_EXE_mongoark")]).output().unwrap()
}

#[tokio::test]
async fn a_dump_into_a_closed_standard_output_fails_and_into_the_null_device_does_not() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let dump = format!("dump --uri={} --db=nothing_here --archive", server.uri());
    let closed = redirected(&dump, ">&-");
    let said = String::from_utf8_lossy(&closed.stderr).into_owned();
    assert_eq!(closed.status.code(), Some(1), "{said}");
    assert!(said.contains("-: standard output is closed"), "{said}");
    let discarded = redirected(&dump, ">/dev/null");
    assert_eq!(discarded.status.code(), Some(0), "{}", String::from_utf8_lossy(&discarded.stderr));
}

#[tokio::test]
async fn a_restore_from_a_closed_standard_input_says_so() {
    let closed = redirected("restore --uri=mongodb://127.0.0.1:9 --archive", "<&-");
    let said = String::from_utf8_lossy(&closed.stderr).into_owned();
    assert_eq!(closed.status.code(), Some(1), "{said}");
    assert!(said.contains("-: standard input is closed"), "{said}");
}
