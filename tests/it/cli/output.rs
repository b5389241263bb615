//! Who sees what: archives, scripts, people, and those who asked for quiet.

use mongodb::bson::{Document, doc};
use tokio::io::AsyncReadExt;

use super::{PATIENCE, fails, failure, sample, shell};
use crate::support::mongoark::{archive, finish, left_beside, mongoark, mongoark_with, start};
use crate::support::mongod::{Mongod, Version};

#[tokio::test]
async fn b83_standard_output_holds_the_archive_and_nothing_else() {
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
async fn scripts_find_the_lines_of_the_official_tools() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = server.client().await.database("lines");
    db.collection::<Document>("one").insert_one(doc! { "_id": 1 }).await.unwrap();
    db.collection::<Document>("two").insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }]).await.unwrap();
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    let dumped = mongoark(["dump", &uri, "--db=lines", &place]).await.success().stderr;
    assert!(dumped.contains("\tdone dumping `lines.one` (1 document)\n"), "{dumped}");
    assert!(dumped.contains("\tdone dumping `lines.two` (2 documents)\n"), "{dumped}");
    db.drop().await.unwrap();
    let restored = mongoark(["restore", &uri, &place]).await.success().stderr;
    assert!(restored.contains("\tfinished restoring `lines.one` (1 document, 0 failures)\n"), "{restored}");
    assert!(restored.contains("\tfinished restoring `lines.two` (2 documents, 0 failures)\n"), "{restored}");
}

#[tokio::test]
async fn documents_that_a_restore_does_not_count_are_told() {
    let server = Mongod::start(Version::V6_0_5).await;
    let uri = format!("--uri={}", server.uri());
    let dumped = mongoark(["dump", &uri, "--archive=/dev/null"]).await.success().stderr;
    assert!(dumped.contains("are users, roles and the version of their schema"), "{dumped}");
}

#[tokio::test]
async fn quiet_hides_progress_and_nothing_else() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = sample(&client, "whisper", 5).await;
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    mongoark(["dump", &uri, "--db", &db, &place]).await.success();
    let restore = ["restore", &uri, &place, "--quiet"];
    let restored = mongoark(restore).await.success().stderr;
    assert!(
        restored.ends_with("0 document(s) restored successfully. 5 document(s) failed to restore.\n"),
        "{restored}"
    );
    assert!(restored.contains("finished restoring `whisper.things` (0 documents, 5 failures)"), "{restored}");
    client.database(&db).drop().await.unwrap();
    let restored = mongoark(restore).await.success().stderr;
    assert!(restored.is_empty(), "{restored}");
    // What is left out is no progress.
    let one = server.uri().replace("/?", "/whisper?");
    let restored =
        mongoark(["restore", &format!("--uri={one}"), &place, "--quiet", "--drop"]).await.success();
    assert!(restored.stderr.contains("restoring whisper only"), "{}", restored.stderr);
    let dumped = mongoark(["dump", &format!("--uri={one}"), &place, "--quiet"]).await.success();
    assert!(dumped.stderr.contains("dumping whisper only"), "{}", dumped.stderr);
}

#[tokio::test]
async fn b30_w30_a_collection_that_does_not_exist_is_a_failure_unless_that_is_asked_for() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    for quiet in [None, Some("--quiet")] {
        for allowed in [None, Some("--allowMissing")] {
            let arguments = ["dump", &uri, "--db=nothing_here", "--collection=c", &place];
            let finished = mongoark(arguments.into_iter().chain(quiet).chain(allowed)).await;
            assert_eq!(finished.code, Some(i32::from(allowed.is_none())), "{}", finished.stderr);
            assert!(
                finished.stderr.contains("nothing_here.c") && finished.stderr.contains("no such collection")
            );
            assert!(left_beside(&path).is_empty(), "mongodump leaves no file either");
        }
    }
    // What is there stays as it is.
    std::fs::write(&path, "the archive of yesterday").unwrap();
    for allowed in [None, Some("--allowMissing")] {
        mongoark(["dump", &uri, "--db=nothing_here", "--collection=c", &place].into_iter().chain(allowed))
            .await;
        assert_eq!(std::fs::read(&path).unwrap(), b"the archive of yesterday");
    }
}

#[tokio::test]
async fn b22_a_database_that_does_not_exist_makes_an_empty_archive_and_is_told_to_everybody() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    let dumped = mongoark(["dump", &uri, "--db=nothing_here", &place, "--quiet"]).await.success();
    assert!(dumped.stderr.contains("the archive is empty"), "{}", dumped.stderr);
    let restored = mongoark(["restore", &uri, &place]).await.success();
    assert!(restored.stderr.contains("0 document(s) restored successfully."));
}

#[tokio::test]
async fn names_and_messages_cannot_steer_a_terminal() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let name = "evil\n\u{1b}[2J\u{202e}";
    let escaped = r"`steered.evil\n\u{1b}[2J\u{202e}` (1 document";
    let collection = server.client().await.database("steered").collection::<Document>(name);
    collection.insert_one(doc! { "_id": 1 }).await.unwrap();
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    let dumped = mongoark(["dump", &uri, "--db=steered", &place]).await.success().stderr;
    let restored = mongoark(["restore", &uri, &place, "--drop"]).await.success().stderr;
    for output in [dumped, restored] {
        assert!(output.contains(escaped) && !output.contains(['\u{1b}', '\u{202e}']), "{output:?}");
        assert!(output.lines().all(|line| line.contains('\t')), "each line has its time: {output:?}");
    }
    let missing = format!("--collection={name}");
    let finished = mongoark(["dump", &uri, "--db=nothing_here", &missing, &place]).await;
    assert!(finished.stderr.contains(r"evil\n\u{1b}[2J\u{202e}"), "{:?}", finished.stderr);
    fails(&["restore", &uri, "--archive=/nonexistent/\u{1b}[2J"], &[r"/nonexistent/\u{1b}[2J"]).await;
}

#[tokio::test]
async fn a_closed_standard_output_takes_no_archive() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "closed", 10).await;
    let uri = format!("--uri={}", server.uri());
    for place in ["--archive", "--archive=-", "--archive=/dev/stdout"] {
        let finished = finish(shell("exec \"$@\" >&-", ["dump", &uri, "--db", &db, place])).await;
        assert!(failure(&finished).contains("standard output is closed"), "{}", finished.stderr);
    }
    // Thrown away on purpose, as one does to measure.
    finish(shell("exec \"$@\" >/dev/null", ["dump", &uri, "--db", &db, "--archive"])).await.success();
}

#[tokio::test]
async fn a_reader_that_goes_away_fails_the_dump() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "deaf", 3000).await;
    let uri = format!("--uri={}", server.uri());
    let mut child = start(["dump", &uri, "--db", &db, "--archive"], &[]);
    drop(child.stdout.take());
    assert!(failure(&finish(child).await).contains("closed the pipe"));
}

#[tokio::test]
async fn nobody_who_listens_is_no_reason_to_fail() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "unheard", 10).await;
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    for closed in [false, true] {
        let dump = ["dump", &uri, "--db", &db, &place];
        let child = if closed {
            shell("exec \"$@\" 2>&-", dump)
        } else {
            let mut child = start(dump, &[]);
            drop(child.stderr.take());
            child
        };
        finish(child).await.success();
        let restored = mongoark(["restore", &uri, &place, "--drop"]).await.success();
        assert!(restored.stderr.contains("10 document(s) restored successfully."), "{}", restored.stderr);
        std::fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn a_terminal_keeps_no_line_of_every_small_collection() {
    const COLLECTIONS: usize = 60;
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = server.client().await.database("many");
    for number in 0..COLLECTIONS {
        db.collection::<Document>(&format!("c{number}")).insert_one(doc! { "_id": 1 }).await.unwrap();
    }
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    let arguments = ["dump", &uri, "--db=many", &place];
    let script = mongoark(arguments).await.success().stderr;
    assert_eq!(script.matches("done dumping").count(), COLLECTIONS, "{script}");
    let on_terminal = shell("exec script -qec \"'$1' '$2' '$3' '$4' '$5'\" /dev/null", arguments);
    let seen = finish(on_terminal).await.success();
    let screen = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(screen.contains("dumped 60 document(s) of 60 collection(s)"), "{screen}");
    // One that took a second may be named.
    assert!(screen.matches("done dumping").count() < COLLECTIONS / 2, "{screen}");
}

#[tokio::test]
async fn a_terminal_shows_the_collections_at_work_and_the_whole() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "watched", 4000).await;
    let (uri, db) = (format!("--uri={}", server.uri()), format!("--db={db}"));
    let (_folder, pipe) = archive("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let program = "exec script -qec \"stty cols 80 rows 24; '$1' dump '$2' '$3' --archive > '$4'\" /dev/null";
    let mut child = shell(program, [&uri, &db, pipe.to_str().unwrap()]);
    let mut dumped = tokio::fs::File::open(&pipe).await.unwrap();
    // The archive has begun and, with 20 MiB, stands still until the rest is read.
    let mut archive = vec![0; 1024];
    dumped.read_exact(&mut archive).await.unwrap();
    let mut terminal = child.stdout.take().expect("piped");
    let mut screen = String::new();
    let watching = async {
        while !["watched.things  ", "/4000  (", "iB/s", " left"].iter().all(|part| screen.contains(part)) {
            let mut seen = [0; 4096];
            let length = terminal.read(&mut seen).await.unwrap();
            assert!(length > 0, "{screen}");
            screen.push_str(&String::from_utf8_lossy(&seen[..length]));
        }
    };
    tokio::time::timeout(PATIENCE, watching).await.expect("bars");
    dumped.read_to_end(&mut archive).await.unwrap();
    terminal.read_to_string(&mut screen).await.unwrap();
    finish(child).await.success();
    assert!(screen.contains("done dumping `watched.things` (4000 documents)"), "{screen}");
    assert!(screen.contains("dumped 4000 document(s)"), "{screen}");
}

#[tokio::test]
async fn w23_a_terminal_shows_how_much_of_an_archive_is_restored_and_the_time_left() {
    let (server, client, db) = super::failing_server(12_000).await;
    let uri = format!("--uri={}", server.uri());
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    mongoark(["dump", &uri, "--db", &db, &place]).await.success();
    client.database(&db).drop().await.unwrap();
    // The first insert of every writer stands still for as long as it takes until a time left can be told.
    let data = doc! { "failCommands": ["insert"], "blockConnection": true, "blockTimeMS": 8000 };
    let command = doc! { "configureFailPoint": "failCommand", "mode": { "times": 4 }, "data": data };
    client.database("admin").run_command(command).await.expect("test commands are enabled");
    let program = "exec script -qec \"stty cols 200 rows 50; '$1' restore '$2' '$3'\" /dev/null";
    let seen =
        tokio::time::timeout(PATIENCE, finish(shell(program, [uri.as_str(), &place]))).await.expect("ends");
    let screen = String::from_utf8_lossy(&seen.success().stdout).into_owned();
    for part in ["iB read", "iB/s", " left", "%", "0 of 1 collections"] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    assert!(screen.contains("12000 document(s) restored successfully."), "{screen}");
}
