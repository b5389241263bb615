//! The record beside an archive in S3.

use bytes::Bytes;
use mongoark::ErrorKind;
use mongoark::proof::Proof;
use mongoark::storage::{CreateOptions, Storage};
use mongoark::verify::VerifyReport;

use super::support::s3::{Checksums, Operation, S3Server, location};

async fn put(storage: &Storage, key: &str, bytes: &'static [u8]) {
    let mut sink = storage.create(&location(key), &CreateOptions::default()).await.unwrap();
    sink.store(Bytes::from_static(bytes)).await.unwrap();
    sink.complete().await.unwrap();
}

fn reading(bytes: &[u8]) -> VerifyReport {
    let mut report = VerifyReport::default();
    (report.bytes, report.crc64) = (bytes.len() as u64, Some(crc_fast::crc64_nvme(bytes)));
    report
}

#[tokio::test]
async fn a_record_belongs_to_the_archive_it_was_made_for_and_to_no_other() {
    let server = S3Server::start();
    let (storage, at) = (server.storage(), location("a"));
    assert_eq!(Proof::find(&storage, &at).await.unwrap(), None);
    put(&storage, "a", b"one").await;
    let proof = Proof::of_reading(&storage, &at, &reading(b"one")).await.unwrap();
    assert_eq!(Proof::find(&storage, &at).await.unwrap(), Some(proof.clone()));
    proof.compare(&reading(b"one")).unwrap();
    assert_eq!(proof.compare(&reading(b"two")).unwrap_err().kind(), ErrorKind::Archive);
    put(&storage, "a", b"two").await;
    assert_eq!(Proof::find(&storage, &at).await.unwrap(), None);
}

#[tokio::test]
async fn there_is_no_record_of_what_is_not_there() {
    let server = S3Server::start();
    let (storage, at) = (server.storage(), location("a"));
    for stored in [None, Some(&b"two"[..])] {
        if let Some(bytes) = stored {
            put(&storage, "a", bytes).await;
        }
        let puts = server.seen(Operation::PutObject).len();
        let error = Proof::of_reading(&storage, &at, &reading(b"one")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert_eq!(server.seen(Operation::PutObject).len(), puts, "no record was written");
    }
}

#[tokio::test]
async fn a_damaged_record_is_told_and_replaced_by_the_next_reading() {
    let server = S3Server::start();
    let (storage, at) = (server.storage(), location("a"));
    put(&storage, "a", b"one").await;
    put(&storage, "a.proof.json", b"{\"format\":1,\"checksum\":\"0000000000000000\"}").await;
    let error = Proof::find(&storage, &at).await.unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    Proof::of_reading(&storage, &at, &reading(b"one")).await.unwrap();
    assert!(Proof::find(&storage, &at).await.unwrap().is_some());
}

#[tokio::test]
async fn an_object_that_was_replaced_while_it_was_read_is_noticed_without_any_checksum() {
    let server = S3Server::start();
    server.know(Checksums::Ignored);
    let (storage, at) = (server.storage(), location("a"));
    put(&storage, "a", b"one").await;
    let etag = storage.open(&at).await.unwrap().etag().map(ToOwned::to_owned);
    assert!(etag.is_some());
    let mut report = reading(b"one");
    report.etag.clone_from(&etag);
    // As long, and other bytes: the store tells of neither.
    put(&storage, "a", b"two").await;
    let error = Proof::of_reading(&storage, &at, &report).await.unwrap_err();
    assert!(error.to_string().contains("ETag"), "{error}");
    assert!(server.object("a.proof.json").is_none());
    put(&storage, "a", b"one").await;
    let proof = Proof::of_reading(&storage, &at, &report).await.unwrap();
    assert_eq!((proof.etag, proof.checked.as_str()), (etag, "reading"));
}
