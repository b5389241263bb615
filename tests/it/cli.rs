//! The command line: bad input, exit codes, a clean standard output, and what a failing dump leaves behind (nothing).

// What was meant, and what is refused.
mod arguments;

// Command lines of public backup projects.
mod clients;

mod connection;

mod damage;

mod dump;

// The program in the place of mongodump and mongorestore.
mod links;

// Who logs in, and how, by the tools' options.
mod login;

// Who sees what, and where.
mod output;

mod restore;

mod signals;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use tokio::process::Child;

use super::support::mongoark::{left_beside, mongoark, start};
use super::support::mongod::{Mongod, Options, Version};
use super::support::tools::Finished;

/// More than a server that hangs may take: not a measurement, only an end to waiting.
const PATIENCE: Duration = Duration::from_mins(1);

/// The one line that says what failed.
fn failure(finished: &Finished) -> String {
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let line = finished.stderr.lines().last().unwrap_or_default();
    assert!(line.contains("Failed: "), "{}", finished.stderr);
    line.to_owned()
}

async fn fails(arguments: &[&str], words: &[&str]) {
    let finished = tokio::time::timeout(PATIENCE, mongoark(arguments.iter().copied())).await.expect("ends");
    let line = failure(&finished);
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line}");
    }
}

/// A server that can be told to fail, with `documents` of about 5 KiB in one collection: several replies of 16 MiB.
async fn failing_server(documents: i32) -> (Mongod, Client, String) {
    let options = Options { arguments: &["--setParameter", "enableTestCommands=1"], ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_5, options).await;
    let client = server.client().await;
    let db = sample(&client, "failing", documents).await;
    (server, client, db)
}

/// `count` documents of 5 KiB in `NAME.things`.
async fn sample(client: &Client, name: &str, count: i32) -> String {
    let things = client.database(name).collection::<Document>("things");
    things.drop().await.unwrap();
    let filler = "five letters or more ".repeat(250);
    for start in (0..count).step_by(2000) {
        let batch =
            (start..count.min(start + 2000)).map(|id| doc! { "_id": id, "text": format!("{id} {filler}") });
        things.insert_many(batch).await.unwrap();
    }
    name.to_owned()
}

async fn fail_get_more(client: &Client, data: Document) {
    let mut data = data;
    data.insert("failCommands", vec!["getMore"]);
    let command = doc! { "configureFailPoint": "failCommand", "mode": { "skip": 1 }, "data": data };
    client.database("admin").run_command(command).await.expect("test commands are enabled");
}

/// A dump that stands still inside its second getMore.
async fn stalled_dump(server: &Mongod, client: &Client, db: &str, path: &Path) -> Child {
    let data = doc! { "blockConnection": true, "blockTimeMS": 600_000 };
    fail_get_more(client, data).await;
    let uri = format!("--uri={}", server.uri());
    let child =
        start(["dump".to_owned(), uri, format!("--db={db}"), format!("--archive={}", path.display())], &[]);
    let reached = doc! { "waitForFailPoint": "failCommand", "timesEntered": 1_i64, "maxTimeMS": 60_000 };
    client.database("admin").run_command(reached).await.expect("the dump comes to its second getMore");
    assert!(!left_beside(path).is_empty(), "there is a temporary file by now");
    assert!(!path.exists(), "nothing under the final name");
    child
}

/// The program, started by this script of a shell, whose `$@` it is with its arguments.
fn shell(script: &str, arguments: impl IntoIterator<Item: AsRef<std::ffi::OsStr>>) -> Child {
    tokio::process::Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_mongoark")])
        .args(arguments)
        .env_remove("MONGODB_URI")
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a shell")
}
