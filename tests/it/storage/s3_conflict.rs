//! Completions that meet another writer's: whose object is there decides, not the answer.

use super::{PART, assert_same, keep, noise, read, store, write};
use crate::support::s3::{Fault, Operation, Rule, S3Server, location};
use bytes::Bytes;
use mongoark::ErrorKind;
use mongoark::storage::CreateOptions;

const CONFLICT: &str = "ConditionalRequestConflict";

/// An archive of one request, and one of several parts, each with the request that makes it visible.
const SIZES: [(usize, Operation); 2] = [(1000, Operation::PutObject), (PART + 1, Operation::CompleteUpload)];

async fn assert_holds(server: &S3Server, bytes: &Bytes) {
    let mut source = server.storage().open(&location("a")).await.unwrap();
    assert_same(&read(&mut source).await.unwrap(), bytes);
    assert_eq!(server.open_uploads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_conflict_after_which_our_object_is_there_is_a_success() {
    for (length, completion) in SIZES {
        for answer in [Fault::RefuseAfter(409, CONFLICT), Fault::RefuseAfter(412, "PreconditionFailed")] {
            let server = S3Server::start();
            server.inject(Rule::once(completion, answer));
            let bytes = noise(length, 1);
            write(&server.storage(), &location("a"), &keep(), &bytes).await.unwrap();
            assert_holds(&server, &bytes).await;
        }
    }
}

#[tokio::test]
async fn a_conflict_with_a_writer_that_completes_first_tells_that_something_is_there() {
    for (length, completion) in SIZES {
        let server = S3Server::start();
        server.inject(Rule::once(completion, Fault::Refuse(409, CONFLICT)));
        // The object of the other writer appears only after a while.
        let storage = server.storage();
        let mut sink = storage.create(&location("a"), &keep()).await.unwrap();
        store(&mut sink, &noise(length, 2)).await.unwrap();
        let theirs = noise(500, 3);
        let other = async {
            server.answered(completion, 1).await;
            let looks = server.seen(Operation::HeadObject).len();
            if completion == Operation::CompleteUpload {
                server.arrived(Operation::HeadObject, looks + 2).await;
            }
            write(&storage, &location("a"), &CreateOptions::default(), &theirs).await.unwrap();
        };
        // A small archive may be put again at once and win; then the other replaces it.
        let (completed, ()) = tokio::join!(sink.complete(), other);
        if completion == Operation::CompleteUpload {
            assert_eq!(completed.unwrap_err().kind(), ErrorKind::AlreadyExists);
        }
        assert_holds(&server, &theirs).await;
    }
}

#[tokio::test]
async fn a_conflict_that_left_another_object_tells_that_something_is_there() {
    for (length, completion) in SIZES {
        let server = S3Server::start();
        let theirs = noise(500, 4);
        write(&server.storage(), &location("a"), &keep(), &theirs).await.unwrap();
        // Nobody sees it before the completion.
        server.inject(Rule {
            times: 2,
            ..Rule::always(Operation::HeadObject, Fault::Refuse(403, "AccessDenied"))
        });
        server.inject(Rule::always(completion, Fault::Refuse(409, CONFLICT)));
        let error = write(&server.storage(), &location("a"), &keep(), &noise(length, 5)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}");
        assert_holds(&server, &theirs).await;
    }
}

#[tokio::test]
async fn a_small_archive_is_put_again_after_a_conflict_that_left_nothing() {
    let server = S3Server::start();
    server.inject(Rule { times: 3, ..Rule::always(Operation::PutObject, Fault::Refuse(409, CONFLICT)) });
    let bytes = noise(1000, 6);
    write(&server.storage(), &location("a"), &keep(), &bytes).await.unwrap();
    assert_holds(&server, &bytes).await;
}

#[tokio::test]
async fn a_conflict_that_leaves_nothing_for_good_says_that_the_upload_must_be_new() {
    let server = S3Server::start();
    server.inject(Rule::always(Operation::CompleteUpload, Fault::Refuse(409, CONFLICT)));
    let error = write(&server.storage(), &location("a"), &keep(), &noise(PART + 1, 7)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("wants a new upload"), "{error}");
    assert_eq!((server.object("a"), server.open_uploads()), (None, Vec::new()));
}
