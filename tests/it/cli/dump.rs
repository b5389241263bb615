//! What a failing dump leaves behind: nothing.

use mongodb::bson::{Document, doc};
use tokio::io::AsyncReadExt;

use super::{PATIENCE, fail_get_more, failing_server, fails, failure, sample, stalled_dump};
use crate::support::mongoark::{archive, finish, left_beside, mongoark, start};
use crate::support::mongod::{Mongod, Version};

/// Dumps into a file while the server fails as told; the file must not be there afterwards.
#[tokio::test]
async fn a_lost_cursor_or_connection_does_not_fail_the_dump() {
    let (server, client, db) = failing_server(10_000).await;
    let uri = format!("--uri={}", server.uri());
    for fault in [doc! { "errorCode": 43 }, doc! { "closeConnection": true }] {
        for gzip in [false, true] {
            let (_folder, path) = archive("a");
            let place = format!("--archive={}", path.display());
            fail_get_more(&client, fault.clone()).await;
            let mut arguments = vec!["dump", &uri, "--db", &db, &place];
            arguments.extend(gzip.then_some("--gzip"));
            let finished = mongoark(arguments).await.success();
            let line = finished.stderr.lines().last().unwrap_or_default();
            assert!(line.contains("dumped 10000 document(s)"), "{}", finished.stderr);
        }
    }
}

#[tokio::test]
async fn b21_w1_a_killed_server_fails_the_dump_and_leaves_nothing() {
    let (server, client, db) = failing_server(10_000).await;
    let (_folder, path) = archive("a");
    let child = stalled_dump(&server, &client, &db, &path).await;
    server.kill();
    let finished = tokio::time::timeout(PATIENCE, finish(child)).await.expect("ends");
    failure(&finished);
    assert!(left_beside(&path).is_empty(), "{:?}", left_beside(&path));
}

#[tokio::test]
async fn w1_a_collection_dropped_while_it_is_read_fails_the_dump() {
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
    fails(&["dump", &uri, "--db", &db, "--archive=/dev/full"], &["/dev/full", "the disk is full"]).await;
}

#[tokio::test]
async fn an_archive_that_is_there_is_replaced_unless_that_is_refused() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "kept", 10).await;
    let (uri, (_folder, path)) = (format!("--uri={}", server.uri()), archive("a"));
    let place = format!("--archive={}", path.display());
    std::fs::write(&path, "the only good copy").unwrap();
    fails(&["dump", &uri, "--db", &db, &place, "--overwrite=false"], &["must not be overwritten"]).await;
    assert_eq!(std::fs::read(&path).unwrap(), b"the only good copy");
    mongoark(["dump", &uri, "--db", &db, &place, "--overwrite"]).await.success();
    mongoark(["verify", &place]).await.success();
}
