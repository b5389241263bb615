//! `FerretDB`, which speaks MongoDB's protocol, takes any read concern and ignores it. `tests/setup` builds it.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// A running server with an empty database; it ends when it is dropped.
#[derive(Debug)]
pub struct FerretDb {
    uri: String,
    _process: Child,
    _stdin: ChildStdin,
    _home: tempfile::TempDir,
}

impl FerretDb {
    pub async fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut process = Command::new(super::cached("ferretdb/ferretdb"))
            .arg(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("tests/setup has built it");
        let stdin = process.stdin.take().expect("piped");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let uri = lines.next_line().await.expect("a pipe").expect("its connection string");
        Self { uri, _process: process, _stdin: stdin, _home: home }
    }

    pub fn uri(&self) -> &str {
        &self.uri
    }
}
