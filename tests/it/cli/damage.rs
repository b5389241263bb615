//! Archives that are damaged, cut, or none.

use super::{fails, failure, sample};
use crate::support::mongoark::{archive, mongoark};
use crate::support::mongod::{Mongod, Version};
use crate::support::testdata;

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
