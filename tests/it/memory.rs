//! Two gibibytes in one collection, there and back, in a fraction of that.

use std::time::Duration;

use mongodb::bson::{Document, doc};

use super::support::mongoark::{archive, finish, start};
use super::support::mongod::{Mongod, Version};
use super::support::zoo;

/// What a dump may have resident at any time: 64 MiB were measured on two cores.
const DUMP_LIMIT_MIB: u64 = 128;

/// What a restore may: 68 MiB were measured on two cores.
const RESTORE_LIMIT_MIB: u64 = 96;

/// Runs the program to its end and returns the largest resident memory that the kernel saw, in MiB.
async fn peak(arguments: Vec<String>) -> u64 {
    let child = start(&arguments, &[]);
    let status = format!("/proc/{}/status", child.id().expect("runs"));
    let watch = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let mut peak = 0;
        loop {
            tick.tick().await;
            // The high-water mark never falls, so only what comes after the last look is missed.
            let Ok(text) = std::fs::read_to_string(&status) else { return peak };
            let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:")) else { return peak };
            let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
            peak = peak.max(kib / 1024);
        }
    });
    finish(child).await.success();
    watch.await.expect("no panic")
}

#[tokio::test]
async fn two_gibibytes_are_dumped_and_restored_in_bounded_memory() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    zoo::bulk(&client.database("memory"), "one", 2048).await;
    let things = client.database("memory").collection::<Document>("one");
    let count = things.estimated_document_count().await.unwrap();
    assert!(count >= 2 * 1024 * 1024, "{count} documents of a KiB");

    let (_folder, path) = archive("a");
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive={}", path.display()));
    let dump = ["dump", &uri, "--db=memory", &place, "--gzip"].map(ToOwned::to_owned).to_vec();
    let dumped = peak(dump).await;
    things.delete_many(doc! { "n": 7 }).await.unwrap();
    let restored = peak(["restore", &uri, &place, "--drop"].map(ToOwned::to_owned).to_vec()).await;
    assert!(dumped > 0 && dumped <= DUMP_LIMIT_MIB, "dump: {dumped} MiB");
    assert!(restored > 0 && restored <= RESTORE_LIMIT_MIB, "restore: {restored} MiB");
    assert_eq!(things.estimated_document_count().await.unwrap(), count);
}
