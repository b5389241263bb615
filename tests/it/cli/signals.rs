//! Signals: the first ends the work in good order, the second at once, and what was ignored stays so.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;

use super::{PATIENCE, failing_server, failure, sample, shell, stalled_dump};
use crate::support::mongoark::{archive, finish, left_beside, mongoark, start};
use crate::support::mongod::{Mongod, Version};

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("runs").to_string();
    let sent = tokio::process::Command::new("kill").args([name, &pid]).status().await.unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn b21_b40_w1_a_signal_ends_the_dump_at_once_and_leaves_nothing() {
    for name in ["-INT", "-TERM", "-HUP"] {
        // A fresh server each: one that blocks a command does not take another fail point before it is done.
        let (server, client, db) = failing_server(10_000).await;
        let (_folder, path) = archive("a");
        let child = stalled_dump(&server, &client, &db, &path).await;
        signal(&child, name).await;
        let finished = tokio::time::timeout(PATIENCE, finish(child)).await.expect("ends at the first signal");
        assert!(failure(&finished).contains("cancelled"), "{}", finished.stderr);
        assert!(left_beside(&path).is_empty(), "{:?}", left_beside(&path));
    }
}

#[tokio::test]
async fn w27_one_signal_ends_a_restore_whose_archive_does_not_come() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "starved", 4000).await;
    let uri = format!("--uri={}", server.uri());
    let dumped = mongoark(["dump", &uri, "--db", &db, "--archive"]).await.success().stdout;
    for name in ["-INT", "-TERM", "-HUP"] {
        let mut child = start(["restore", &uri, "--archive"], &[]);
        let mut input = child.stdin.take().expect("piped");
        // More than the pipe holds: it has been read, and more is expected.
        input.write_all(&dumped[..dumped.len() / 2]).await.expect("the archive is read");
        signal(&child, name).await;
        let finished = tokio::time::timeout(PATIENCE, finish(child)).await.expect("ends at the first signal");
        assert!(failure(&finished).contains("cancelled"), "{}", finished.stderr);
        drop(input);
    }
}

#[tokio::test]
async fn a_dump_under_nohup_outlives_its_terminal() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "nohup", 4000).await;
    let uri = format!("--uri={}", server.uri());
    let mut child = shell("trap '' HUP; exec \"$@\"", ["dump", &uri, "--db", &db, "--archive"]);
    // The archive has begun and, with 20 MiB, cannot be done before the rest is read.
    let mut output = child.stdout.take().expect("piped");
    let mut dumped = vec![0; 1024];
    output.read_exact(&mut dumped).await.expect("the archive has begun");
    signal(&child, "-HUP").await;
    output.read_to_end(&mut dumped).await.expect("a pipe");
    finish(child).await.success();
    assert!(dumped.len() > 4000 * 5000, "{} bytes", dumped.len());
}

#[tokio::test]
async fn a_second_signal_does_not_wait_and_says_what_may_be_left() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let (_folder, path) = archive("pipe");
    // Nobody will ever read this pipe, so it cannot be opened.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let uri = format!("--uri={}", server.uri());
    let arguments =
        ["dump".to_owned(), uri, "--db=second".to_owned(), format!("--archive={}", path.display())];
    let mut child = start(arguments, &[]);
    opens_a_file(&child).await;
    signal(&child, "-TERM").await;
    let mut errors = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    errors.read_line(&mut line).await.unwrap();
    assert!(line.contains("a second signal stops at once"), "{line}");
    signal(&child, "-HUP").await;
    let mut rest = String::new();
    errors.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("stopped by a second signal") && rest.contains(".partial"), "{rest}");
    assert_eq!(finish(child).await.code, Some(1));
}

/// Waits until the program's thread for files is at work.
async fn opens_a_file(child: &Child) {
    let threads = format!("/proc/{}/task", child.id().expect("runs"));
    let is_there = || {
        let threads = std::fs::read_dir(&threads).ok()?;
        let mut names =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        names.any(|name| name.starts_with("mongoark-file")).then_some(())
    };
    let waiting = async {
        while is_there().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it comes to the file");
}
