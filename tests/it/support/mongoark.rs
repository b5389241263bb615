//! The `mongoark` binary as a subprocess.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use super::secrets::assert_none_in;
use super::tools::Finished;

/// Runs the program to its end with nothing on standard input.
pub async fn mongoark(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Finished {
    mongoark_with(arguments, b"").await
}

/// Runs the program to its end.
pub async fn mongoark_with(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    stdin: &[u8],
) -> Finished {
    fed(start(arguments, &[]), stdin).await
}

/// Waits for the program, which reads this.
async fn fed(mut child: Child, stdin: &[u8]) -> Finished {
    let mut input = child.stdin.take().expect("piped");
    let stdin = stdin.to_vec();
    // A program that ends early closes its input; what it says then is the test's matter.
    let feeder = tokio::spawn(async move { input.write_all(&stdin).await.ok() });
    let finished = finish(child).await;
    feeder.await.expect("no panic");
    finished
}

/// A folder with links to the program in the names of the official tools.
pub fn links() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for tool in ["mongodump", "mongorestore"] {
        let link = folder.path().join(tool);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mongoark"), link).expect("a link");
    }
    folder
}

/// Runs the program to its end through a link in a tool's name.
pub async fn linked(
    tool: &str,
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    stdin: &[u8],
) -> Finished {
    let links = links();
    fed(start_as(links.path().join(tool), arguments, &[]), stdin).await
}

/// Starts the program; all AWS settings of the machine are hidden from it, `environment` is not.
pub fn start(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    environment: &[(&str, &str)],
) -> Child {
    start_as(env!("CARGO_BIN_EXE_mongoark"), arguments, environment)
}

/// As [`start`], by another name.
pub fn start_as(
    program: impl AsRef<std::ffi::OsStr>,
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    environment: &[(&str, &str)],
) -> Child {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
        .args(arguments.into_iter().map(Into::into))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("MONGODB_URI")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary is built")
}

/// Waits for the program's end and proves that it printed no secret.
pub async fn finish(child: Child) -> Finished {
    let output = child.wait_with_output().await.expect("the program ends");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_none_in("standard error", &output.stderr);
    assert_none_in("standard output", &output.stdout);
    Finished { code: output.status.code(), stdout: output.stdout, stderr }
}

/// A path for an archive in an empty folder of its own, which goes with the guard.
pub fn archive(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    (folder, path)
}

/// What is in the folder of this archive, hidden files too.
pub fn left_beside(archive: &std::path::Path) -> Vec<String> {
    let folder = archive.parent().expect("a folder");
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}
