//! Small objects swapped by several writers at once, and by one whose answers get lost.

use crate::support::s3::{Fault, Operation, Rule, S3Server, location};
use bytes::Bytes;
use mongoark::ErrorKind;
use mongoark::storage::{Expected, Location, Storage, Swap, Versioned};

const STATE: &str = "locks/state.json";

/// State unlike any other.
fn state(text: &str) -> Bytes {
    Bytes::from(format!("{{\"holder\":\"{text}\"}}"))
}

async fn swap(storage: &Storage, expected: Expected<'_>, bytes: &Bytes) -> Swap {
    storage.swap(&location(STATE), expected, bytes.clone()).await.unwrap()
}

/// The swap that must be done.
async fn done(storage: &Storage, expected: Expected<'_>, bytes: &Bytes) -> Versioned {
    match swap(storage, expected, bytes).await {
        Swap::Done(versioned) => {
            assert_eq!(versioned.bytes, *bytes);
            versioned
        }
        Swap::Lost(found) => panic!("lost against {found:?}"),
    }
}

/// The swap that must be lost, and to what.
async fn lost(storage: &Storage, expected: Expected<'_>, bytes: &Bytes) -> Option<Bytes> {
    match swap(storage, expected, bytes).await {
        Swap::Lost(found) => found.map(|found| found.bytes),
        Swap::Done(versioned) => panic!("done: {versioned:?}"),
    }
}

#[tokio::test]
async fn a_small_object_is_made_once_and_then_swapped_version_by_version() {
    let server = S3Server::start();
    let storage = server.storage();
    assert_eq!(storage.read_small(&location(STATE)).await.unwrap(), None);
    let first = done(&storage, Expected::Absent, &state("one")).await;
    assert_eq!(storage.read_small(&location(STATE)).await.unwrap(), Some(first.clone()));
    assert_eq!(lost(&storage, Expected::Absent, &state("two")).await, Some(state("one")));
    let second = done(&storage, Expected::Version(&first.etag), &state("two")).await;
    assert_eq!(lost(&storage, Expected::Version(&first.etag), &state("three")).await, Some(state("two")));
    done(&storage, Expected::Version(&second.etag), &state("three")).await;
    assert!(server.seen(Operation::PutObject).iter().all(|put| put.header("x-amz-checksum-crc32").is_some()));
}

#[tokio::test]
async fn a_version_that_was_removed_is_lost_to_nothing() {
    let server = S3Server::start();
    let storage = server.storage();
    let first = done(&storage, Expected::Absent, &state("one")).await;
    std::fs::remove_file(server.bucket_dir().join(STATE)).unwrap();
    assert_eq!(lost(&storage, Expected::Version(&first.etag), &state("two")).await, None);
}

#[tokio::test]
async fn of_many_writers_that_expect_the_same_exactly_one_is_done() {
    let server = S3Server::start();
    let storage = server.storage();
    let first = done(&storage, Expected::Absent, &state("nobody")).await;
    for expected in [Expected::Version(&first.etag), Expected::Absent] {
        if expected == Expected::Absent {
            std::fs::remove_file(server.bucket_dir().join(STATE)).unwrap();
        }
        let states: Vec<Bytes> = (0..8).map(|writer| state(&format!("{writer} {expected:?}"))).collect();
        let swaps = states.iter().map(|bytes| swap(&storage, expected, bytes));
        let ends = futures::future::join_all(swaps).await;
        let winners: Vec<_> = ends.iter().filter(|end| matches!(end, Swap::Done(_))).collect();
        let [Swap::Done(winner)] = winners[..] else { panic!("one must win: {ends:?}") };
        assert_eq!(storage.read_small(&location(STATE)).await.unwrap().as_ref(), Some(winner));
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditions_lets_the_last_writer_win_and_the_others_know() {
    let server = S3Server::start();
    server.inject(Rule::always(Operation::PutObject, Fault::Unconditional));
    let storage = server.storage();
    let first = done(&storage, Expected::Absent, &state("nobody")).await;
    let states: Vec<Bytes> = (0..4).map(|writer| state(&writer.to_string())).collect();
    let swaps = states.iter().map(|bytes| swap(&storage, Expected::Version(&first.etag), bytes));
    let ends = futures::future::join_all(swaps).await;
    let winners: Vec<_> = ends.iter().filter(|end| matches!(end, Swap::Done(_))).collect();
    let [Swap::Done(winner)] = winners[..] else { panic!("one must win: {ends:?}") };
    assert_eq!(storage.read_small(&location(STATE)).await.unwrap().as_ref(), Some(winner));
    assert_eq!(lost(&storage, Expected::Absent, &state("late")).await, Some(winner.bytes.clone()));
}

#[tokio::test]
async fn a_swap_whose_answer_is_lost_is_done() {
    let faults = [
        Fault::RefuseAfter(500, "InternalError"),
        Fault::RefuseAfter(403, "AccessDenied"),
        Fault::RefuseAfter(409, "ConditionalRequestConflict"),
        Fault::ResetAfter,
    ];
    for fault in faults {
        let server = S3Server::start();
        let storage = server.storage();
        server.inject(Rule::once(Operation::PutObject, fault.clone()));
        let first = done(&storage, Expected::Absent, &state("one")).await;
        server.inject(Rule::once(Operation::PutObject, fault));
        done(&storage, Expected::Version(&first.etag), &state("two")).await;
    }
}

#[tokio::test]
async fn a_swap_that_meets_another_write_is_tried_again() {
    let server = S3Server::start();
    let conflict = Fault::Refuse(409, "ConditionalRequestConflict");
    server.inject(Rule { times: 2, ..Rule::always(Operation::PutObject, conflict) });
    done(&server.storage(), Expected::Absent, &state("one")).await;
}

#[tokio::test]
async fn a_swap_that_never_takes_effect_is_an_error_and_changes_nothing() {
    for fault in [Fault::Refuse(500, "InternalError"), Fault::Refuse(403, "AccessDenied"), Fault::Reset] {
        let server = S3Server::start();
        let storage = server.storage();
        let first = done(&storage, Expected::Absent, &state("one")).await;
        server.inject(Rule::always(Operation::PutObject, fault));
        let swapped = storage.swap(&location(STATE), Expected::Version(&first.etag), state("two")).await;
        let error = swapped.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.to_string().starts_with("s3://backups/locks/state.json: "), "{error}");
        assert_eq!(storage.read_small(&location(STATE)).await.unwrap(), Some(first));
    }
}

#[tokio::test]
async fn what_is_large_or_no_object_is_refused() {
    let server = S3Server::start();
    let storage = server.storage();
    let large = Bytes::from(vec![b'a'; (64 << 10) + 1]);
    let error = storage.swap(&location(STATE), Expected::Absent, large.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    std::fs::create_dir(server.bucket_dir().join("locks")).unwrap();
    std::fs::write(server.bucket_dir().join(STATE), large).unwrap();
    let error = storage.read_small(&location(STATE)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let file = Location::file("/tmp/state.json");
    assert_eq!(storage.read_small(&file).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let nowhere = Location::s3("nowhere", "a").unwrap();
    assert_eq!(storage.read_small(&nowhere).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_small_object_whose_body_breaks_is_read_again() {
    let server = S3Server::start();
    let storage = server.storage();
    let first = done(&storage, Expected::Absent, &state("one")).await;
    server.inject(Rule { times: 2, ..Rule::always(Operation::GetObject, Fault::Cut(3)) });
    assert_eq!(storage.read_small(&location(STATE)).await.unwrap(), Some(first));
}
