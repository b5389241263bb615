//! Two gibibytes in one collection, there and back, in a fraction of that.

use std::time::Duration;

use mongodb::bson::{Document, doc};

use super::support::mongoark::{archive, finish, start};
use super::support::mongod::{Mongod, Version};
use super::support::zoo;

/// What may be resident is twice the sum that is written down in `src/dump.rs` and `src/restore.rs`: what allocators and
/// kernels keep beside it differs, and what grows with the data would come to many times that. In MiB.
const MARGIN: u64 = 2;

/// The program, its connections, and what the allocator keeps.
const PROGRAM: u64 = 25;

fn cores() -> u64 {
    let cores = std::thread::available_parallelism().expect("a number of cores");
    u64::try_from(cores.get()).expect("few")
}

/// What a dump with gzip to a file may have resident at any time; 126 on two cores, where 64 were measured.
fn dump_limit() -> u64 {
    let readers = cores().div_ceil(2).max(2) * 4;
    let segments = (cores() + 4) * 2;
    let compressors = (cores() + 1) * 4;
    let file = 6;
    (readers + segments + compressors + file + PROGRAM) * MARGIN
}

/// What a restore from a file may; 124 on two cores, where 68 were measured.
fn restore_limit() -> u64 {
    let (documents, batches) = (12, 12);
    let inflated = cores().max(2) * 3 + 4;
    let file = 3;
    (documents + batches + inflated + file + PROGRAM) * MARGIN
}

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
    assert!(dumped > 0 && dumped <= dump_limit(), "dump: {dumped} of {} MiB", dump_limit());
    assert!(restored > 0 && restored <= restore_limit(), "restore: {restored} of {} MiB", restore_limit());
    assert_eq!(things.estimated_document_count().await.unwrap(), count);
}
