//! The program in the place of mongodump and mongorestore: their arguments, lines and exit codes.

use std::path::Path;

use mongodb::bson::{Document, doc};

use super::{PATIENCE, sample, shell};
use crate::support::mongoark::{archive, finish, left_beside, linked, links, start_as};
use crate::support::mongod::{Mongod, Options, ROOT, ROOT_PASSWORD, Version};
use crate::support::testdata;
use crate::support::tools::Finished;

async fn tool(name: &str, arguments: &[&str]) -> Finished {
    let running = linked(name, arguments.iter().copied(), b"");
    tokio::time::timeout(PATIENCE, running).await.expect("ends")
}

/// What the lines say, without their times.
fn lines(finished: &Finished) -> Vec<&str> {
    finished.stderr.lines().map(|line| line.split_once('\t').expect("a time and a tab").1).collect()
}

fn place(path: &Path) -> String {
    format!("--archive={}", path.display())
}

#[tokio::test]
async fn b79_a_dump_and_a_restore_say_what_the_tools_say() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "linked", 3).await;
    let port = server.port().to_string();
    let (_folder, path) = archive("a");
    let (archive, quoted) = (place(&path), format!("\"archive `{}`\"", path.display()));
    let dumped = tool("mongodump", &["-h127.0.0.1", "--port", &port, "-d", &db, "-c=things", &archive])
        .await
        .success();
    let writing = format!("writing `linked.things` to {quoted}");
    assert_eq!(lines(&dumped), [&writing, "done dumping `linked.things` (3 documents)"]);
    assert!(dumped.stdout.is_empty());
    let time = dumped.stderr.split('\t').next().unwrap();
    assert!(time.len() == "2026-01-02T15:04:05.000+0000".len() && time.ends_with("+0000"), "{time}");

    let restored = tool("mongorestore", &["--port", &port, "--drop", &archive]).await.success();
    let said = lines(&restored);
    assert_eq!(said.first(), Some(&"preparing collections to restore from"));
    assert!(said.contains(&format!("restoring `linked.things` from {quoted}").as_str()), "{said:?}");
    assert!(said.contains(&"finished restoring `linked.things` (3 documents, 0 failures)"), "{said:?}");
    let summary = "3 document(s) restored successfully. 0 document(s) failed to restore.";
    assert_eq!(said.last(), Some(&summary));
    let refused = tool("mongorestore", &["--port", &port, &archive]).await.success();
    let summary = "0 document(s) restored successfully. 3 document(s) failed to restore.";
    assert_eq!(lines(&refused).last(), Some(&summary));

    let dry = tool("mongorestore", &["--port", &port, &archive, "--dryRun"]).await.success();
    assert!(dry.stdout.is_empty() && lines(&dry).contains(&"dry run completed"), "{}", dry.stderr);
}

#[tokio::test]
async fn b83_through_a_link_the_standard_streams_carry_the_archive_alone() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "linkpipe", 10).await;
    let uri = format!("--uri={}", server.uri());
    let dumped = tool("mongodump", &[&uri, "--db", &db, "--archive"]).await.success();
    assert!(dumped.stdout.starts_with(&archive_format::MAGIC));
    assert!(
        lines(&dumped).contains(&"writing `linkpipe.things` to `archive on stdout`"),
        "{}",
        dumped.stderr
    );
    let restored = linked("mongorestore", [&uri, "--archive", "--drop"], &dumped.stdout).await.success();
    assert!(restored.stdout.is_empty());
    assert!(
        lines(&restored).contains(&"restoring `linkpipe.things` from `archive on stdin`"),
        "{}",
        restored.stderr
    );
    let quiet = tool("mongodump", &[&uri, "--db", &db, "--archive=/dev/null", "--quiet"]).await.success();
    assert_eq!(quiet.stderr, "");
    let quiet = linked("mongorestore", [&uri, "--archive", "--quiet"], &dumped.stdout).await.success();
    assert_eq!(quiet.stderr, "", "as the tool's, it hides what failed, too");
}

#[tokio::test]
async fn b40_bad_arguments_are_answered_as_the_tools_answer() {
    for (name, arguments, words) in [
        ("mongodump", &["--nonsense"][..], "unknown option --nonsense"),
        ("mongodump", &["--archive", "FILE"], "write --archive=PATH"),
        ("mongorestore", &["--archive", "FILE"], "write --archive=PATH"),
        ("mongorestore", &["--archive=x", "dump"], "belongs to no option"),
        ("mongodump", &["-h", "--archive"], "needs a value"),
        ("mongodump", &["--port"], "needs a value"),
        ("mongodump", &["--gzip=1", "--archive"], "--gzip"),
        ("mongodump", &["--numParallelCollections=x", "--archive=/dev/null"], "--numParallelCollections"),
        ("mongodump", &["dump", "--archive=x"], "belongs to no option"),
    ] {
        let finished = tool(name, arguments).await;
        assert_eq!(
            (finished.code, finished.stdout.len()),
            (Some(1), 0),
            "{arguments:?}: {}",
            finished.stderr
        );
        let said = lines(&finished);
        assert!(said[0].starts_with("error parsing command line options: "), "{said:?}");
        assert!(said[0].contains(words), "{said:?}");
        assert_eq!(said[1..], [format!("try '{name} --help' for more information")]);
    }
}

#[tokio::test]
async fn folders_are_refused_with_what_to_do_instead() {
    for (name, arguments) in [
        ("mongodump", &[][..]),
        ("mongodump", &["--out=dump"]),
        ("mongodump", &["-o", "-", "-d=a", "-c=b"]),
        ("mongodump", &["--archive="]),
        ("mongorestore", &["--drop"]),
        ("mongorestore", &["--dir=dump"]),
        ("mongorestore", &["dump/"]),
    ] {
        let finished = tool(name, arguments).await;
        assert_eq!(finished.code, Some(1), "{arguments:?}");
        assert!(finished.stderr.contains("--archive=PATH"), "{arguments:?}: {}", finished.stderr);
    }
}

#[tokio::test]
async fn version_and_help_are_in_the_tools_form() {
    for name in ["mongodump", "mongorestore"] {
        let version = tool(name, &["--version"]).await.success();
        let version = String::from_utf8(version.stdout).unwrap();
        let first = version.lines().next().unwrap();
        assert_eq!(first, format!("{name} version: 100.18.0"));
        for key in
            ["git version: ", "Go version: ", "   os: ", "   arch: ", "   compiler: ", "mongoark version: "]
        {
            assert!(version.lines().any(|line| line.starts_with(key)), "{version}");
        }
        let help = String::from_utf8(tool(name, &["--help"]).await.success().stdout).unwrap();
        assert!(help.contains(&format!("{name} <options> <connection-string>")), "{help}");
    }
}

#[tokio::test]
async fn a_failed_restore_is_counted_as_the_tool_counts_it() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = format!("--uri={}", server.uri());
    let failed = tool("mongorestore", &[&uri, "--archive=/nonexistent/a"]).await;
    assert_eq!(failed.code, Some(1));
    let said = lines(&failed);
    assert!(said[0].starts_with("Failed: "), "{said:?}");
    assert_eq!(said[1], "0 document(s) restored successfully. 0 document(s) failed to restore.");
    let unreachable = tool("mongodump", &["mongodb://127.0.0.1:1", "--archive=/dev/null"]).await;
    assert_eq!(unreachable.code, Some(1));
    assert!(lines(&unreachable).last().unwrap().starts_with("Failed: "), "{}", unreachable.stderr);
}

#[tokio::test]
async fn b77_w38_another_minor_version_is_warned_of_without_the_noise_of_the_original() {
    let server = Mongod::start(Version::V6_0_5).await;
    let uri = format!("--uri={}", server.uri());
    let golden = |version: &str| place(&testdata(&format!("archives/100.18.0/zoo-{version}.archive.gz")));
    let restored = tool("mongorestore", &[&uri, "--gzip", &golden("5.0.4")]).await.success();
    let said = lines(&restored);
    let begins = "WARNING: This archive came from MongoDB `5.0.4`, but you are restoring to `6.0.5`";
    assert!(said.iter().any(|line| line.starts_with(begins)), "{said:?}");
    let restored = tool("mongorestore", &[&uri, "--gzip", "--drop", &golden("6.0.27")]).await.success();
    assert!(!restored.stderr.contains("WARNING"), "{}", restored.stderr);
    // The noise of the original: a line for every index and every odd entry.
    for noise in ["index: ", "don't know what to do"] {
        assert!(!restored.stderr.contains(noise), "w38: {}", restored.stderr);
    }
}

#[tokio::test]
async fn what_is_empty_or_in_the_environment_changes_nothing() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "linkempty", 3).await;
    let port = server.port().to_string();
    let (_folder, path) = archive("a");
    let links = links();
    let arguments = ["--port", &port, "--username=", "-p", "", "--db", &db, "--collection=", &place(&path)]
        .map(str::to_owned);
    let elsewhere = [("MONGODB_URI", "mongodb://127.0.0.1:1")];
    finish(start_as(links.path().join("mongodump"), arguments, &elsewhere)).await.success();
    assert!(path.is_file());
}

#[tokio::test]
async fn a_password_may_come_before_the_archive_on_standard_input() {
    let server = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let client = server.client().await;
    client.database("piped").collection::<Document>("c").insert_one(doc! { "_id": 1 }).await.unwrap();
    let host = format!("127.0.0.1:{}", server.port());
    let login = ["-h", &host, "-u", ROOT, "--authenticationDatabase", "admin", "--archive"];
    let line = format!("{ROOT_PASSWORD}\n");
    let dump = login.into_iter().chain(["-d", "piped"]);
    let dumped = linked("mongodump", dump, line.as_bytes()).await.success();
    let input = [line.as_bytes(), &dumped.stdout].concat();
    let restored = linked("mongorestore", login.into_iter().chain(["--drop"]), &input).await.success();
    assert!(restored.stderr.contains("1 document(s) restored successfully."), "{}", restored.stderr);
}

#[tokio::test]
async fn a_collection_that_is_missing_is_no_failure_to_the_tool() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    tool("mongodump", &[&uri, "-d=nothing_here", "-c=c", &place(&path)]).await.success();
    assert!(left_beside(&path).is_empty());
}

#[tokio::test]
async fn scripts_on_a_terminal_get_the_lines_too() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "linktty", 3).await;
    let links = links();
    let link = links.path().join("mongodump");
    let script = format!("exec script -qec \"'{}' '$2' '$3' --archive=/dev/null\" /dev/null", link.display());
    let (uri, db) = (format!("--uri={}", server.uri()), format!("--db={db}"));
    let seen = finish(shell(&script, [uri.as_str(), &db])).await.success();
    let screen = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(screen.contains("done dumping `linktty.things` (3 documents)"), "{screen}");
}
