//! The command line: bad input, exit codes, a clean standard output, and what a failing dump leaves behind (nothing).

use std::path::Path;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use tokio::io::AsyncReadExt;
use tokio::process::Child;

use super::support::mongoark::{archive, finish, left_beside, mongoark, mongoark_with, start};
use super::support::mongod::{Mongod, Options, ROOT, Version};
use super::support::testdata;
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
    fails(&["dump", &nobody, &place], &["cannot", "requires authentication"]).await;
    assert!(left_beside(&path).is_empty());
}

#[tokio::test]
async fn tls_to_a_server_without_it_is_an_error_soon() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = format!("--uri=mongodb://127.0.0.1:{}/?tls=true&directConnection=true", server.port());
    fails(&["dump", &uri, "--archive=/dev/null"], &["no usable server answered", "TLS"]).await;
}

#[tokio::test]
async fn what_is_no_archive_is_not_restored() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    let golden = std::fs::read(testdata("archives/100.18.0/zoo-6.0.27.archive.gz")).unwrap();
    let small = std::fs::read(testdata("archives/100.18.0/one-document.archive")).unwrap();
    let mut flipped = golden.clone();
    // Not every bit of a deflate stream has a meaning; those of the checksum after it do.
    let checksum = flipped.len() - 6;
    flipped[checksum] ^= 0x10;
    for (content, words) in [
        (Vec::new(), &["empty"][..]),
        (b"PK\x03\x04 this is something else".to_vec(), &["not", "archive"]),
        (small[..200].to_vec(), &["byte 200", "incomplete"]),
        (small[..small.len() - 4].to_vec(), &["byte 305", "incomplete"]),
        ([small.clone(), vec![0]].concat(), &["byte 310", "incomplete"]),
        (golden[..golden.len() / 2].to_vec(), &["truncated"]),
        (golden[..golden.len() - 1].to_vec(), &["truncated"]),
        (flipped, &["damaged"]),
        ([vec![0x1f, 0x8b, 8, 0], vec![7; 5000]].concat(), &["gzip stream is damaged"]),
    ] {
        std::fs::write(&path, &content).unwrap();
        fails(&["restore", &uri, &place, "--drop"], words).await;
    }
    fails(&["restore", &uri, "--archive=/nonexistent/dir/a"], &["/nonexistent/dir/a"]).await;
}

#[tokio::test]
async fn a_damaged_member_of_our_own_is_found_wherever_it_is_hit() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "damaged", 3000).await;
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    mongoark(["dump", &format!("--uri={}", server.uri()), "--db", &db, &place, "--gzip"]).await.success();
    let whole = std::fs::read(&path).unwrap();
    let target = format!("--uri={}", server.uri());
    // Time and system of the header and the name of the extra field say nothing of the content: a member with others is read as one by
    // another tool. Everything else is an error wherever it is hit, a reserved flag (byte 3) included, as RFC 1952 demands.
    let harmless = [4, 5, 6, 7, 8, 9, 12, 13];
    for at in (0..24).chain([24, 25, whole.len() / 2, whole.len() - 8, whole.len() - 4, whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&path, &damaged).unwrap();
        let finished = mongoark(["restore", &target, &place, "--drop"]).await;
        if finished.code == Some(0) {
            assert!((3..24).contains(&at), "byte {at} was damaged without an error");
            assert!(finished.stderr.contains("3000 document(s) restored successfully. 0 document(s)"));
        } else {
            assert!(!harmless.contains(&at), "byte {at}: {}", finished.stderr);
            failure(&finished);
        }
    }
    for length in [1, 11, 23, 24, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let finished = mongoark(["restore", &target, &place, "--drop"]).await;
        failure(&finished);
    }
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_refused_with_exit_code_2() {
    for arguments in [
        &["dump"][..],
        &["dump", "--archive", "FILE"],
        &["dump", "--archive=x", "-j", "0"],
        &["restore", "--archive=x", "--nonsense"],
        &["frobnicate"],
    ] {
        let finished = mongoark(arguments.iter().copied()).await;
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stdout.is_empty() && !finished.stderr.is_empty());
    }
    for arguments in [&["--help"][..], &["dump", "--help"], &["restore", "--help"], &["--version"]] {
        let finished = mongoark(arguments.iter().copied()).await.success();
        assert!(!finished.stdout.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn standard_output_holds_the_archive_and_nothing_else() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "piped", 100).await;
    let uri = format!("--uri={}", server.uri());
    let dumped = mongoark(["dump", &uri, "--db", &db, "--archive"]).await.success();
    assert!(dumped.stdout.starts_with(&archive_format::MAGIC), "the archive begins with its magic");
    server.client().await.database(&db).drop().await.unwrap();
    let restored = mongoark_with(["restore", &uri, "--archive"], &dumped.stdout).await.success();
    assert!(restored.stdout.is_empty());
    assert!(
        restored
            .stderr
            .ends_with("100 document(s) restored successfully. 0 document(s) failed to restore.\n"),
        "{}",
        restored.stderr
    );
    let quiet = mongoark(["dump", &uri, "--db", &db, "--archive=/dev/null", "--quiet"]).await.success();
    assert!(quiet.stderr.is_empty(), "{}", quiet.stderr);
}

#[tokio::test]
async fn a_collection_or_database_that_does_not_exist_is_no_failure() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    let finished = mongoark(["dump", &uri, "--db=nothing_here", "--collection=c", &place]).await.success();
    assert!(finished.stderr.contains("nothing_here.c") && finished.stderr.contains("no such collection"));
    assert!(left_beside(&path).is_empty(), "mongodump leaves no file either");
    mongoark(["dump", &uri, "--db=nothing_here", &place]).await.success();
    let restored = mongoark(["restore", &uri, &place]).await.success();
    assert!(restored.stderr.contains("0 document(s) restored successfully."));
}

#[tokio::test]
async fn duplicates_are_counted_and_do_not_stop_a_restore() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = sample(&client, "duplicates", 50).await;
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    mongoark(["dump", &uri, "--db", &db, &place]).await.success();
    let things = client.database(&db).collection::<Document>("things");
    things.delete_many(doc! { "_id": { "$lt": 20 } }).await.unwrap();
    let restored = mongoark(["restore", &uri, &place]).await.success();
    assert!(
        restored.stderr.contains("20 document(s) restored successfully. 30 document(s) failed to restore.")
    );
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 50);
}

#[tokio::test]
async fn an_index_that_cannot_be_built_fails_the_restore_after_everything_else_is_there() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = client.database("unique");
    for name in ["a", "b"] {
        let things = db.collection::<Document>(name);
        things.drop().await.unwrap();
        things.insert_many((0..50).map(|id| doc! { "_id": id, "n": id })).await.unwrap();
        let index = doc! { "key": { "n": 1 }, "name": "n_1", "unique": true };
        db.run_command(doc! { "createIndexes": name, "indexes": [index] }).await.unwrap();
    }
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    mongoark(["dump", &uri, "--db=unique", &place]).await.success();
    let (a, b) = (db.collection::<Document>("a"), db.collection::<Document>("b"));
    a.drop().await.unwrap();
    b.drop().await.unwrap();
    a.insert_one(doc! { "_id": "already there", "n": 7 }).await.unwrap();
    fails(&["restore", &uri, &place], &["unique.a", "its indexes are not", "11000"]).await;
    assert_eq!(a.count_documents(doc! {}).await.unwrap(), 51);
    assert_eq!(b.count_documents(doc! {}).await.unwrap(), 50);
    assert_eq!(b.list_index_names().await.unwrap(), ["_id_", "n_1"]);
}

#[tokio::test]
async fn an_existing_time_series_is_not_merged_into() {
    let server = Mongod::start(Version::V6_0_5).await;
    let uri = format!("--uri={}", server.uri());
    let golden = format!("--archive={}", testdata("archives/100.18.0/zoo-6.0.27.archive.gz").display());
    mongoark(["restore", &uri, &golden]).await.success();
    let before = server
        .client()
        .await
        .database("zoo")
        .collection::<Document>("indexed")
        .count_documents(doc! {})
        .await
        .unwrap();
    fails(&["restore", &uri, &golden], &["time series exists already", "--drop"]).await;
    let after = server
        .client()
        .await
        .database("zoo")
        .collection::<Document>("indexed")
        .count_documents(doc! {})
        .await
        .unwrap();
    assert_eq!(before, after, "nothing was written");
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

/// Dumps into a file while the server fails as told; the file must not be there afterwards.
async fn dump_fails(server: &Mongod, db: &str, gzip: bool) -> String {
    let (_folder, path) = archive("a");
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive={}", path.display()));
    let mut arguments = vec!["dump", &uri, "--db", db, &place];
    arguments.extend(gzip.then_some("--gzip"));
    let finished = mongoark(arguments).await;
    assert!(left_beside(&path).is_empty(), "{:?}", left_beside(&path));
    failure(&finished)
}

#[tokio::test]
async fn a_lost_cursor_or_connection_fails_the_dump_and_leaves_nothing() {
    let (server, client, db) = failing_server(10_000).await;
    for gzip in [false, true] {
        fail_get_more(&client, doc! { "errorCode": 43 }).await;
        let line = dump_fails(&server, &db, gzip).await;
        assert!(line.contains("failing.things") && line.contains("dump was given up"), "{line}");
        fail_get_more(&client, doc! { "closeConnection": true }).await;
        let line = dump_fails(&server, &db, gzip).await;
        assert!(line.contains("failing.things"), "{line}");
    }
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

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("runs").to_string();
    let sent = tokio::process::Command::new("kill").args([name, &pid]).status().await.unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn a_signal_ends_the_dump_at_once_and_leaves_nothing() {
    for name in ["-INT", "-TERM"] {
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
async fn a_killed_server_fails_the_dump_and_leaves_nothing() {
    let (server, client, db) = failing_server(10_000).await;
    let (_folder, path) = archive("a");
    let child = stalled_dump(&server, &client, &db, &path).await;
    server.kill();
    let finished = tokio::time::timeout(PATIENCE, finish(child)).await.expect("ends");
    failure(&finished);
    assert!(left_beside(&path).is_empty(), "{:?}", left_beside(&path));
}

#[tokio::test]
async fn a_collection_dropped_while_it_is_read_fails_the_dump() {
    let (server, client, db) = failing_server(40_000).await;
    let uri = format!("--uri={}", server.uri());
    let mut child = start(["dump".to_owned(), uri, format!("--db={db}"), "--archive".to_owned()], &[]);
    // The pipe holds 64 KiB and the program a bounded amount: it cannot have read 200 MiB by now.
    let mut output = child.stdout.take().expect("piped");
    let mut first = vec![0; 1024 * 1024];
    output.read_exact(&mut first).await.expect("the archive has begun");
    client.database(&db).collection::<Document>("things").drop().await.unwrap();
    let drain = tokio::spawn(async move {
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).await.expect("a pipe");
        rest.len()
    });
    let finished = tokio::time::timeout(PATIENCE, finish(child)).await.expect("ends");
    assert!(drain.await.unwrap() < 200_000_000, "it did not dump everything");
    let line = failure(&finished);
    assert!(line.contains("failing.things"), "{line}");
}

#[tokio::test]
async fn a_full_disk_fails_the_dump() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "full", 3000).await;
    let uri = format!("--uri={}", server.uri());
    fails(&["dump", &uri, "--db", &db, "--archive=/dev/full"], &["/dev/full", "No space left"]).await;
}
