//! The official tools: `mongodump`, `mongorestore`, `bsondump`.
//!
//! Tests that need them are in modules named `interop` and carry
//! `#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]`; `tests/run` includes them when the tools are there.

use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Stdio};

/// What a tool that has ended left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Finished {
    /// Asserts that the exit code is 0.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }
}

/// Runs `mongodump` with these arguments.
pub async fn mongodump(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Finished {
    run("mongodump", arguments, Vec::new()).await
}

/// Runs `mongorestore` with these arguments.
pub async fn mongorestore(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Finished {
    run("mongorestore", arguments, Vec::new()).await
}

/// Runs one of the tools with these arguments and this standard input.
pub async fn run(
    tool: &str,
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    stdin: impl Into<Vec<u8>>,
) -> Finished {
    let mut command = Command::new(super::cached("tools").join(tool));
    command.args(arguments.into_iter().map(Into::into));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let stdin = stdin.into();
    let name = tool.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}; set MONGO_TOOLS and run tests/run"));
        let mut input = child.stdin.take().expect("piped");
        // A tool that ends early closes its input; what it says then is the test's matter.
        let feeder = std::thread::spawn(move || input.write_all(&stdin));
        let output = child.wait_with_output().expect("the tool ends");
        feeder.join().expect("no panic").ok();
        Finished {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    })
    .await
    .expect("no panic")
}

/// Whether `tests/setup` has found them.
pub fn are_there() -> bool {
    !super::cached("tools").join("missing").exists()
}
