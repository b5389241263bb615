//! Downloads that go wrong in every way a download can.

use super::{PART, assert_same, noise, read, write};
use crate::support::s3::{Fault, Operation, Rule, S3Server, location};
use bytes::Bytes;
use mongoark::ErrorKind;
use mongoark::storage::CreateOptions;

/// A server with one archive.
async fn holding(bytes: &Bytes) -> S3Server {
    let server = S3Server::start();
    write(&server.storage(), &location("a"), &CreateOptions::default(), bytes).await.unwrap();
    server
}

#[tokio::test]
async fn an_archive_is_read_in_ranges_of_one_version() {
    let bytes = noise(2 * PART + 1, 1);
    let server = holding(&bytes).await;
    let mut source = server.storage().open(&location("a")).await.unwrap();
    assert_same(&read(&mut source).await.unwrap(), &bytes);
    let mut ranges: Vec<_> = server
        .seen(Operation::GetObject)
        .iter()
        .map(|seen| seen.header("range").unwrap().to_owned())
        .collect();
    ranges.sort();
    assert_eq!(ranges, ["bytes=0-8388607", "bytes=16777216-16777216", "bytes=8388608-16777215"]);
    assert!(server.seen(Operation::GetObject).iter().all(|seen| seen.header("if-match").is_some()));
}

#[tokio::test]
async fn an_empty_archive_needs_no_range() {
    let server = holding(&Bytes::new()).await;
    let mut source = server.storage().open(&location("a")).await.unwrap();
    assert_eq!(source.next().await.unwrap(), None);
    assert_eq!(server.seen(Operation::GetObject).len(), 0);
}

#[tokio::test]
async fn a_broken_body_is_resumed_where_it_broke() {
    let bytes = noise(PART, 2);
    let server = holding(&bytes).await;
    let faults =
        [Fault::Cut(1), Fault::Cut(4_000_000), Fault::Reset, Fault::Shorten(123_456), Fault::Cut(1000)];
    for fault in faults.clone() {
        server.inject(Rule::once(Operation::GetObject, fault));
    }
    let mut source = server.storage().open(&location("a")).await.unwrap();
    assert_same(&read(&mut source).await.unwrap(), &bytes);
    let gets = server.seen(Operation::GetObject);
    assert_eq!(gets.len(), faults.len() + 1);
    let starts: Vec<usize> = gets
        .iter()
        .map(|seen| seen.header("range").unwrap().strip_prefix("bytes=").unwrap().split('-').next().unwrap())
        .map(|start| start.parse().unwrap())
        .collect();
    assert!(starts.is_sorted() && starts[0] == 0 && starts[5] > 123_456, "{starts:?}");
    assert!(gets.iter().all(|seen| seen.header("if-match") == gets[0].header("if-match")));
    assert!(gets[0].header("if-match").is_some());
}

#[tokio::test]
async fn bodies_that_break_at_many_places_come_together_again() {
    let bytes = noise(3 * PART + 1000, 9);
    let server = holding(&bytes).await;
    for cut in [1, 999, 70_000, 4_000_000, PART - 1, PART] {
        server.inject(Rule::once(Operation::GetObject, Fault::Cut(cut)));
    }
    let mut source = server.storage().open(&location("a")).await.unwrap();
    assert_same(&read(&mut source).await.unwrap(), &bytes);
    assert!(server.seen(Operation::GetObject).len() > 4);
}

#[tokio::test]
async fn a_body_that_breaks_for_ever_is_an_error() {
    let server = holding(&noise(1000, 3)).await;
    server.inject(Rule::always(Operation::GetObject, Fault::Cut(1)));
    let mut source = server.storage().open(&location("a")).await.unwrap();
    let error = source.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().starts_with("s3://backups/a: the connection broke again and again"), "{error}");
    assert!(source.next().await.is_err(), "after an error there is no end that looks like success");
}

#[tokio::test]
async fn a_refused_range_is_an_error_and_not_the_end() {
    let bytes = noise(3 * PART, 4);
    let server = holding(&bytes).await;
    let refusal = Fault::Refuse(403, "AccessDenied");
    server.inject(Rule { skip: 1, ..Rule::once(Operation::GetObject, refusal) });
    let mut source = server.storage().open(&location("a")).await.unwrap();
    let error = read(&mut source).await.unwrap_err();
    assert!(error.to_string().contains("access was denied"), "{error}");
    assert!(source.next().await.is_err());
}

#[tokio::test]
async fn an_archive_that_is_replaced_while_it_is_read_is_an_error() {
    let server = holding(&noise(6 * PART, 5)).await;
    let mut source = server.storage().open(&location("a")).await.unwrap();
    source.next().await.unwrap().unwrap();
    write(&server.storage(), &location("a"), &CreateOptions::default(), &noise(6 * PART, 6)).await.unwrap();
    let error = read(&mut source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("was replaced while it was being read"), "{error}");
}

#[tokio::test]
async fn an_archive_that_is_removed_while_it_is_read_is_an_error() {
    let server = holding(&noise(1000, 7)).await;
    let mut source = server.storage().open(&location("a")).await.unwrap();
    std::fs::remove_file(server.bucket_dir().join("a")).unwrap();
    let error = source.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("was removed while it was being read"), "{error}");
}

#[tokio::test]
async fn four_ranges_are_read_ahead() {
    let server = holding(&noise(6 * PART, 8)).await;
    let mut source = server.storage().open(&location("a")).await.unwrap();
    source.next().await.unwrap().unwrap();
    server.arrived(Operation::GetObject, 4).await;
    read(&mut source).await.unwrap();
    assert!(server.most_at_once(Operation::GetObject) <= 4);
}
