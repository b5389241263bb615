//! What a reading may find that a record does not say, each named by its namespace.

use super::*;
use archive_format::{End, Namespace};

fn verified(name: &str, documents: u64, bytes: u64, checksum: u64) -> Verified {
    let namespace = Namespace::new("shop", name).unwrap();
    let end = End { namespace, collection: 0, documents, bytes, checksum };
    Verified { end, digest: 0 }
}

fn reading() -> VerifyReport {
    VerifyReport {
        whole: vec![verified("orders", 3, 100, 7), verified("lines", 2, 50, 8)],
        bytes: 500,
        crc64: Some(9),
        ..VerifyReport::default()
    }
}

fn proof() -> Proof {
    let read = reading();
    Proof { bytes: 500, crc64: Some(9), ..Proof::of(read.whole.iter().map(|one| Proven::of(&one.end))) }
}

#[track_caller]
fn differs_by(read: &VerifyReport, words: &[&str]) {
    let error = proof().compare(read).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Archive);
    for word in words {
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn the_archive_of_the_record_agrees_with_it_in_whatever_order_it_ends() {
    proof().compare(&reading()).unwrap();
    let mut read = reading();
    read.whole.reverse();
    proof().compare(&read).unwrap();
    // What was stored before checksums were known is compared by what there is.
    read.crc64 = None;
    proof().compare(&read).unwrap();
}

#[test]
fn each_difference_is_told_with_its_namespace() {
    for (orders, words) in [
        (verified("orders", 4, 100, 7), ["4 documents", "3 by the proof record"]),
        (verified("orders", 3, 101, 7), ["101 bytes", "100 by the proof record"]),
        (verified("orders", 3, 100, 6), ["other documents", "checksum"]),
    ] {
        let read = VerifyReport { whole: vec![orders, verified("lines", 2, 50, 8)], ..reading() };
        differs_by(&read, &["shop.orders", words[0], words[1]]);
    }
    let mut read = reading();
    read.whole.remove(1);
    differs_by(&read, &["shop.lines", "not in the archive"]);
    let mut read = reading();
    read.whole.push(verified("more", 0, 0, 0));
    differs_by(&read, &["shop.more", "not in the proof record"]);
}

#[test]
fn an_archive_that_is_not_whole_is_not_that_of_the_record() {
    let read = VerifyReport { lost: vec!["shop.lost".to_owned()], ..reading() };
    differs_by(&read, &["shop.lost", "not whole"]);
    let damage = Error::new(ErrorKind::Archive, "cut off at byte 7");
    differs_by(&VerifyReport { damage: Some(damage), ..reading() }, &["cut off at byte 7"]);
}

#[test]
fn the_same_documents_in_other_bytes_are_another_archive() {
    differs_by(&VerifyReport { bytes: 501, ..reading() }, &["501 bytes", "500 by the proof record"]);
    differs_by(&VerifyReport { crc64: Some(8), ..reading() }, &["other bytes", "checksum"]);
}
