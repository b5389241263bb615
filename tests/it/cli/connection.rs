//! Connections that cannot be made: what is wrong, and never the credentials.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use super::{PATIENCE, fails, failure, shell};
use crate::support::mongoark::{archive, finish, left_beside, mongoark};
use crate::support::mongod::{Mongod, Options, ROOT, ROOT_PASSWORD, Version};

#[tokio::test]
async fn a_wrong_connection_string_says_so_and_never_repeats_it() {
    let archive = "--archive=/nonexistent/x";
    fails(
        &["dump", "--uri=mongodb://ann:hunter2hunter2@", archive],
        &["--uri", "connection string", "mongodb://USER"],
    )
    .await;
    fails(&["dump", "--uri=http://ann:hunter2hunter2@h", archive], &["--uri", "connection string"]).await;
    fails(&["dump", "--uri=mongodb://ann:hunter2hunter2@h/?tls=maybe", archive], &["--uri"]).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    fails(
        &["dump", "--uri=mongodb://ann:hunter2hunter2@127.0.0.1:1", "--archive=x"],
        &["127.0.0.1:1", "no usable server answered", "connection refused"],
    )
    .await;
    assert!(!Path::new("x").exists());
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_permission_are_told_apart_from_a_dead_server() {
    let server = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    let wrong = format!("--uri={}", server.uri_for(ROOT, "hunter2hunter2", "admin"));
    fails(&["dump", &wrong, &place], &["refused the credentials", "authSource"]).await;
    let nobody = format!("--uri=mongodb://127.0.0.1:{}/?directConnection=true", server.port());
    fails(&["dump", &nobody, &place], &["may not list all databases", "requires authentication"]).await;
    assert!(left_beside(&path).is_empty());
}

#[tokio::test]
async fn tls_to_a_server_without_it_is_an_error_soon() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = format!("--uri=mongodb://127.0.0.1:{}/?tls=true&directConnection=true", server.port());
    fails(&["dump", &uri, "--archive=/dev/null"], &["no usable server answered", "TLS"]).await;
}

/// A server that asks who is there, and its connection string with a user and no password.
async fn guarded() -> (Mongod, String) {
    let server = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let uri = format!("--uri=mongodb://{ROOT}@127.0.0.1:{}/?directConnection=true", server.port());
    (server, uri)
}

#[tokio::test]
async fn a_password_in_a_file_logs_in_and_a_file_that_others_may_read_is_warned_of() {
    let (_server, uri) = guarded().await;
    let (folder, _) = archive("a");
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, format!("password: '{ROOT_PASSWORD}'\n")).unwrap();
    let config = format!("--config={}", file.display());
    for (mode, warned) in [(0o600, false), (0o640, true), (0o604, true)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let said = mongoark(["dump", &uri, &config, "--archive=/dev/null"]).await.success().stderr;
        assert_eq!(said.contains("chmod 600"), warned, "{mode:o}: {said}");
        assert!(!said.contains("others on this machine can see the password"), "{said}");
    }
    fails(
        &["dump", "--config=/nonexistent", "--archive=/dev/null"],
        &["--config /nonexistent", "No such file"],
    )
    .await;
}

/// The program on a terminal of its own, after it has asked for the password; what was shown until then.
async fn asked(script: &str, arguments: [&str; 2]) -> (Child, String) {
    let mut child = shell(&format!("exec script -qec \"{script}\" /dev/null"), arguments);
    let mut screen = String::new();
    let asking = async {
        let terminal = child.stdout.as_mut().expect("piped");
        while !screen.contains("Enter password for mongo user: ") {
            let mut seen = [0; 4096];
            let length = terminal.read(&mut seen).await.unwrap();
            assert!(length > 0, "{screen}");
            screen.push_str(&String::from_utf8_lossy(&seen[..length]));
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it asks");
    (child, screen)
}

async fn answered(mut child: Child, answer: &str) -> (Option<i32>, String) {
    child.stdin.as_mut().expect("piped").write_all(answer.as_bytes()).await.unwrap();
    let finished = tokio::time::timeout(PATIENCE, finish(child)).await.expect("ends");
    (finished.code, String::from_utf8_lossy(&finished.stdout).into_owned())
}

const ON_TERMINAL: &str = "'$1' dump '$2' '$3'; code=\\$?; stty -a; exit \\$code";

#[tokio::test]
async fn a_password_that_is_missing_is_asked_for_and_not_shown() {
    let (_server, uri) = guarded().await;
    let (child, _) = asked(ON_TERMINAL, [&uri, "--archive=/dev/null"]).await;
    // `finish` proves that the password is not on the screen.
    let (code, screen) = answered(child, &format!("{ROOT_PASSWORD}\n")).await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("dumped") && !screen.contains("others on this machine"), "{screen}");
    assert!(screen.contains(" echo "), "the terminal shows again what is typed: {screen}");
}

#[tokio::test]
async fn whoever_is_asked_for_a_password_may_give_none_or_stop() {
    let uri = format!("--uri=mongodb://{ROOT}@127.0.0.1:1");
    for (answer, words) in
        [("\n", "no password was typed"), ("\u{4}", "no password was typed"), ("\u{3}", "cancelled")]
    {
        let (child, _) = asked(ON_TERMINAL, [&uri, "--archive=/dev/null"]).await;
        let (code, screen) = answered(child, answer).await;
        assert_eq!(code, Some(1), "{answer:?}: {screen}");
        assert!(screen.contains(words) && screen.contains(" echo "), "{answer:?}: {screen}");
    }
}

#[tokio::test]
async fn without_a_terminal_a_missing_password_is_an_error() {
    let uri = format!("--uri=mongodb://{ROOT}@127.0.0.1:1");
    let child = shell("exec setsid -w \"$@\"", ["dump", &uri, "--archive=/dev/null"]);
    let line = failure(&finish(child).await);
    assert!(line.contains("there is no terminal to ask for it") && line.contains("--config"), "{line}");
}
