//! Uploads that go wrong in every way an upload can.

use super::{PART, assert_same, keep, noise, read, store, write};
use crate::support::s3::{Fault, Operation, Rule, S3Server, location};
use bytes::Bytes;
use mongoark::ErrorKind;
use mongoark::storage::CreateOptions;
use std::sync::Arc;
use tokio::sync::Semaphore;

const SMALL: usize = 1000;
const LARGE: usize = 3 * PART + 5;

/// An object is there, equal, and nothing else.
async fn assert_complete(server: &S3Server, bytes: &Bytes) {
    let mut source = server.storage().open(&location("a")).await.unwrap();
    assert_same(&read(&mut source).await.unwrap(), bytes);
    assert_eq!(server.open_uploads(), Vec::<String>::new());
}

/// No object is there, nor a part of one.
fn assert_nothing(server: &S3Server) {
    assert_eq!(server.object("a"), None);
    assert_eq!(server.open_uploads(), Vec::<String>::new());
}

/// The request that makes an archive of this size visible.
fn completion(length: usize) -> Operation {
    if length == SMALL { Operation::PutObject } else { Operation::CompleteUpload }
}

#[tokio::test]
async fn an_archive_of_one_part_is_one_request() {
    for length in [0, SMALL, PART] {
        let server = S3Server::start();
        write(&server.storage(), &location("a"), &CreateOptions::default(), &noise(length, 1)).await.unwrap();
        let [put] = server.seen(Operation::PutObject).try_into().unwrap();
        assert!(put.header("x-amz-checksum-crc64nvme").is_some(), "the store can check what arrived");
        assert_eq!(put.header("content-length"), Some(length.to_string().as_str()));
        assert_eq!(put.header("if-none-match"), None);
        assert_eq!(server.seen(Operation::CreateUpload).len(), 0);
    }
}

#[tokio::test]
async fn a_larger_archive_comes_in_checked_parts_and_is_completed_with_its_size() {
    let server = S3Server::start();
    write(&server.storage(), &location("a"), &keep(), &noise(LARGE, 2)).await.unwrap();
    let parts = server.seen(Operation::UploadPart);
    assert_eq!(part_lengths(&server), [PART, PART, PART, 5]);
    assert!(parts.iter().all(|part| part.header("x-amz-checksum-crc64nvme").is_some()));
    let [completion] = server.seen(Operation::CompleteUpload).try_into().unwrap();
    assert_eq!(completion.header("x-amz-mp-object-size"), Some(LARGE.to_string().as_str()));
    assert_eq!(completion.header("if-none-match"), Some("*"));
    let [begun] = server.seen(Operation::CreateUpload).try_into().unwrap();
    assert_eq!(begun.header("x-amz-meta-mongoark-upload").map(str::len), Some(32));
    assert_eq!(begun.header("x-amz-checksum-algorithm"), Some("CRC64NVME"));
    assert_eq!(begun.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    assert!(completion.header("x-amz-checksum-crc64nvme").is_some(), "the store can compare before it shows");
}

/// The bytes of the parts that arrived, in their order.
fn part_lengths(server: &S3Server) -> Vec<usize> {
    let mut parts = server.seen(Operation::UploadPart);
    parts.sort_by(|one, other| one.uri.cmp(&other.uri));
    parts.iter().map(|part| part.header("content-length").unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn parts_are_equal_and_follow_the_expected_size() {
    // 80 GiB in 9,000 parts: 9.1 MiB each, in whole mebibytes.
    let (expected, part) = (80 << 30, 10 << 20);
    let bytes = noise(2 * part + 5, 21);
    for early in [true, false] {
        let server = S3Server::start();
        let hint = CreateOptions { size_hint: early.then_some(expected), ..CreateOptions::default() };
        let mut sink = server.storage().create(&location("a"), &hint).await.unwrap();
        if !early {
            sink.expect(expected);
        }
        store(&mut sink, &bytes).await.unwrap();
        sink.expect(1);
        sink.complete().await.unwrap();
        assert_eq!(part_lengths(&server), [part, part, 5]);
        assert_complete(&server, &bytes).await;
    }
}

#[tokio::test]
async fn a_part_size_that_is_asked_for_is_kept_and_an_impossible_one_refused() {
    let server = S3Server::start();
    let options = CreateOptions { part_bytes: Some(5 << 20), ..CreateOptions::default() };
    let mut sink = server.storage().create(&location("a"), &options).await.unwrap();
    sink.expect(1 << 40);
    store(&mut sink, &noise(11 << 20, 22)).await.unwrap();
    sink.complete().await.unwrap();
    assert_eq!(part_lengths(&server), [5 << 20, 5 << 20, 1 << 20]);
    let options = CreateOptions { part_bytes: Some(1 << 20), ..CreateOptions::default() };
    let error = server.storage().create(&location("a"), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("5 MiB to 5 GiB"), "{error}");
}

#[tokio::test]
async fn labels_come_back_and_the_token_stays_inside() {
    let labels =
        vec![("b-2".to_owned(), "2026-11-23T00:00:00.000Z".to_owned()), ("a".to_owned(), String::new())];
    let sorted = vec![labels[1].clone(), labels[0].clone()];
    let server = S3Server::start();
    for length in [SMALL, LARGE] {
        let options = CreateOptions { labels: labels.clone(), ..CreateOptions::default() };
        let stored = write(&server.storage(), &location("a"), &options, &noise(length, 3)).await.unwrap();
        assert_eq!(stored.labels, sorted);
        assert_eq!(server.storage().stat(&location("a")).await.unwrap(), Some(stored));
    }
}

#[tokio::test]
async fn labels_that_cannot_be_kept_are_refused() {
    let server = S3Server::start();
    for (name, value) in
        [("", "a"), ("A", "a"), ("a b", "a"), ("a", "ä"), ("a", " a"), ("mongoark-upload", "a")]
    {
        let labels = vec![(name.to_owned(), value.to_owned())];
        let options = CreateOptions { labels, ..CreateOptions::default() };
        let error = server.storage().create(&location("a"), &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn a_part_that_fails_twice_is_sent_again() {
    for fault in [Fault::Refuse(500, "InternalError"), Fault::Reset, Fault::ResetAfter] {
        let server = S3Server::start();
        let rule =
            Rule { containing: "partNumber=2", times: 2, ..Rule::always(Operation::UploadPart, fault) };
        server.inject(rule);
        let bytes = noise(LARGE, 4);
        write(&server.storage(), &location("a"), &keep(), &bytes).await.unwrap();
        assert_complete(&server, &bytes).await;
        assert_eq!(server.seen(Operation::UploadPart).len(), 4 + 2);
    }
}

#[tokio::test]
async fn a_part_that_fails_for_good_ends_the_upload() {
    for fault in [Fault::Refuse(500, "InternalError"), Fault::Reset, Fault::Refuse(403, "AccessDenied")] {
        let server = S3Server::start();
        server.inject(Rule { containing: "partNumber=2", ..Rule::always(Operation::UploadPart, fault) });
        let error = write(&server.storage(), &location("a"), &keep(), &noise(LARGE, 5)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.to_string().starts_with("s3://backups/a: "), "{error}");
        assert_nothing(&server);
        assert_eq!(server.seen(Operation::CompleteUpload).len(), 0);
    }
}

#[tokio::test]
async fn a_failed_part_stops_an_endless_archive() {
    let server = S3Server::start();
    server.inject(Rule::always(Operation::UploadPart, Fault::Refuse(403, "AccessDenied")));
    let mut sink = server.storage().create(&location("a"), &keep()).await.unwrap();
    let piece = noise(1 << 20, 6);
    let error = loop {
        if let Err(error) = sink.store(piece.clone()).await {
            break error;
        }
    };
    assert!(error.to_string().contains("access was denied"), "{error}");
    assert!(server.seen(Operation::UploadPart).len() <= 5, "no part beyond those in flight");
    assert!(sink.store(piece).await.unwrap_err().to_string().contains("earlier piece"));
    assert!(sink.complete().await.unwrap_err().to_string().contains("earlier piece"));
    assert_nothing(&server);
}

#[tokio::test]
async fn a_completion_whose_answer_is_lost_is_a_success() {
    let faults = [
        Fault::RefuseAfter(500, "InternalError"),
        Fault::RefuseAfter(503, "SlowDown"),
        Fault::RefuseAfter(404, "NoSuchUpload"),
        Fault::RefuseAfter(403, "AccessDenied"),
        Fault::ResetAfter,
    ];
    for fault in faults {
        for length in [SMALL, LARGE] {
            for options in [keep(), CreateOptions::default()] {
                let server = S3Server::start();
                server.inject(Rule::once(completion(length), fault.clone()));
                let bytes = noise(length, 7);
                let stored = write(&server.storage(), &location("a"), &options, &bytes).await.unwrap();
                assert_eq!(stored.bytes, length as u64);
                assert_complete(&server, &bytes).await;
            }
        }
    }
}

#[tokio::test]
async fn a_completion_that_never_takes_effect_is_an_error() {
    let faults = [
        Fault::Refuse(500, "InternalError"),
        Fault::Refuse(404, "NoSuchUpload"),
        Fault::Refuse(400, "InvalidPart"),
        Fault::Refuse(409, "ConditionalRequestConflict"),
        Fault::RefuseInside200("InternalError"),
        Fault::Reset,
    ];
    for fault in faults {
        for length in [SMALL, LARGE] {
            if length == SMALL && matches!(fault, Fault::RefuseInside200(_)) {
                continue;
            }
            let server = S3Server::start();
            server.inject(Rule::always(completion(length), fault.clone()));
            let error =
                write(&server.storage(), &location("a"), &keep(), &noise(length, 8)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Storage, "{error:?}");
            assert_nothing(&server);
        }
    }
}

#[tokio::test]
async fn a_completion_that_fails_at_first_succeeds_with_the_next_attempt() {
    for fault in [Fault::Refuse(500, "InternalError"), Fault::RefuseInside200("InternalError"), Fault::Reset]
    {
        let server = S3Server::start();
        server.inject(Rule::once(Operation::CompleteUpload, fault));
        let bytes = noise(LARGE, 9);
        write(&server.storage(), &location("a"), &keep(), &bytes).await.unwrap();
        assert_complete(&server, &bytes).await;
    }
}

#[tokio::test]
async fn somebody_elses_object_is_never_taken_for_ours() {
    for length in [SMALL, LARGE] {
        let server = S3Server::start();
        let (theirs, ours) = (noise(length, 10), noise(length, 11));
        write(&server.storage(), &location("a"), &keep(), &theirs).await.unwrap();
        server.inject(Rule::always(completion(length), Fault::Refuse(500, "InternalError")));
        let error =
            write(&server.storage(), &location("a"), &CreateOptions::default(), &ours).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert_complete(&server, &theirs).await;
    }
}

#[tokio::test]
async fn the_condition_of_the_completion_protects_an_object_nobody_could_look_at() {
    for length in [SMALL, LARGE] {
        let server = S3Server::start();
        let theirs = noise(500, 12);
        write(&server.storage(), &location("a"), &keep(), &theirs).await.unwrap();
        server.inject(Rule::always(Operation::HeadObject, Fault::Refuse(403, "AccessDenied")));
        let error = write(&server.storage(), &location("a"), &keep(), &noise(length, 13)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        server.heal();
        assert_complete(&server, &theirs).await;
    }
}

#[tokio::test]
async fn an_abort_that_fails_is_repeated() {
    let server = S3Server::start();
    let rule = Rule::always(Operation::AbortUpload, Fault::Refuse(500, "InternalError"));
    server.inject(Rule { times: 3, ..rule });
    let mut sink = server.storage().create(&location("a"), &keep()).await.unwrap();
    store(&mut sink, &noise(LARGE, 14)).await.unwrap();
    sink.abort().await.unwrap();
    assert_nothing(&server);
}

#[tokio::test]
async fn an_abort_is_repeated_while_parts_are_left() {
    let server = S3Server::start();
    // What a part does that arrives while the abort runs: the abort succeeds, a part stays.
    server.inject(Rule { times: 2, ..Rule::always(Operation::AbortUpload, Fault::Pretend) });
    let mut sink = server.storage().create(&location("a"), &keep()).await.unwrap();
    store(&mut sink, &noise(LARGE, 20)).await.unwrap();
    server.answered(Operation::UploadPart, 1).await;
    sink.abort().await.unwrap();
    assert_eq!(server.seen(Operation::AbortUpload).len(), 3);
    assert_nothing(&server);
}

#[tokio::test]
async fn an_abort_that_is_refused_tells_what_stays_behind() {
    let server = S3Server::start();
    server.inject(Rule::always(Operation::AbortUpload, Fault::Refuse(403, "AccessDenied")));
    let mut sink = server.storage().create(&location("a"), &keep()).await.unwrap();
    store(&mut sink, &noise(LARGE, 15)).await.unwrap();
    let error = sink.abort().await.unwrap_err();
    assert!(error.to_string().contains("AbortIncompleteMultipartUpload"), "{error}");
    assert!(error.report().contains("access was denied"), "{}", error.report());
    assert!(!server.open_uploads().is_empty());
    assert_eq!(server.object("a"), None);
}

#[tokio::test]
async fn parts_that_cannot_be_removed_are_told_beside_the_reason() {
    let server = S3Server::start();
    for operation in [Operation::CompleteUpload, Operation::AbortUpload] {
        server.inject(Rule::always(operation, Fault::Refuse(500, "InternalError")));
    }
    let error = write(&server.storage(), &location("a"), &keep(), &noise(LARGE, 18)).await.unwrap_err();
    assert!(error.to_string().contains("AbortIncompleteMultipartUpload"), "{error}");
    assert!(error.report().contains("500 InternalError"), "{}", error.report());
}

#[tokio::test]
async fn a_lost_completion_nobody_can_look_at_is_told_as_unknown() {
    for length in [SMALL, LARGE] {
        let server = S3Server::start();
        server.inject(Rule::always(Operation::HeadObject, Fault::Refuse(403, "AccessDenied")));
        server.inject(Rule::once(completion(length), Fault::RefuseAfter(400, "InvalidRequest")));
        let bytes = noise(length, 19);
        let error = write(&server.storage(), &location("a"), &keep(), &bytes).await.unwrap_err();
        assert!(error.to_string().contains("does not tell whether the archive was completed"), "{error}");
        assert_same(&server.object("a").unwrap(), &bytes);
    }
}

#[tokio::test]
async fn an_upload_that_begins_while_its_sink_is_dropped_is_aborted() {
    let server = S3Server::start();
    let gate = Arc::new(Semaphore::new(0));
    server.inject(Rule::always(Operation::CreateUpload, Fault::Hold(Arc::clone(&gate))));
    let mut sink = server.storage().create(&location("a"), &keep()).await.unwrap();
    let bytes = noise(LARGE, 16);
    tokio::select! {
        stored = store(&mut sink, &bytes) => panic!("the upload cannot have begun: {stored:?}"),
        () = server.arrived(Operation::CreateUpload, 1) => {}
    }
    drop(sink);
    gate.add_permits(1);
    server.answered(Operation::AbortUpload, 1).await;
    assert_nothing(&server);
}

#[tokio::test]
async fn four_parts_are_in_flight_while_more_bytes_wait() {
    let server = S3Server::start();
    let gate = Arc::new(Semaphore::new(0));
    server.inject(Rule::always(Operation::UploadPart, Fault::Hold(Arc::clone(&gate))));
    let mut sink = server.storage().create(&location("a"), &keep()).await.unwrap();
    let bytes = noise(6 * PART, 17);
    tokio::select! {
        stored = store(&mut sink, &bytes) => panic!("the fifth part has to wait: {stored:?}"),
        () = server.arrived(Operation::UploadPart, 4) => {}
    }
    sink.abort().await.unwrap();
    assert_eq!(server.most_at_once(Operation::UploadPart), 4);
    assert_nothing(&server);
}
