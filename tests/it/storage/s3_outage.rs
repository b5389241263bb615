//! Stores that go away while an archive is on its way: waited for, and left at once when nobody wants to wait.

use super::{PART, assert_same, keep, noise, read, store, write};
use crate::support::s3::{Fault, Operation, PATIENCE, Rule, S3Server, client_of, location};
use mongoark::storage::{CreateOptions, Storage};

/// Refusals in a row, more than the four attempts of one request. All clients of a process share what the SDK may spend
/// on attempts, so that each of these may cost a pause of its own.
const MANY: usize = 10;

fn away() -> [Fault; 2] {
    [Fault::Refuse(503, "SlowDown"), Fault::Reset]
}

#[tokio::test]
async fn a_store_that_goes_away_during_an_upload_is_waited_for() {
    for fault in away() {
        for operation in [Operation::UploadPart, Operation::CompleteUpload] {
            let server = S3Server::start();
            server.inject(Rule { times: MANY, ..Rule::always(operation, fault.clone()) });
            let bytes = noise(PART + 5, 1);
            write(&server.storage(), &location("a"), &keep(), &bytes).await.unwrap();
            assert!(server.seen(operation).len() > MANY);
            assert_same(&server.object("a").unwrap(), &bytes);
            assert_eq!(server.open_uploads(), Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn a_store_that_goes_away_during_a_download_is_waited_for() {
    for fault in away() {
        let server = S3Server::start();
        let bytes = noise(2 * PART, 2);
        write(&server.storage(), &location("a"), &keep(), &bytes).await.unwrap();
        let mut source = server.storage().open(&location("a")).await.unwrap();
        server.inject(Rule { times: MANY, ..Rule::always(Operation::GetObject, fault) });
        assert_same(&read(&mut source).await.unwrap(), &bytes);
        assert!(server.seen(Operation::GetObject).len() > MANY);
    }
}

#[tokio::test]
async fn the_rest_of_an_archive_that_is_given_up_is_removed_when_the_store_is_back() {
    for fault in away() {
        for operation in [Operation::AbortUpload, Operation::ListParts] {
            let server = S3Server::start();
            let mut sink = server.storage().create(&location("a"), &CreateOptions::default()).await.unwrap();
            store(&mut sink, &noise(PART + 5, 4)).await.unwrap();
            if operation == Operation::ListParts {
                // Looked at, because a part may arrive while the first abort runs.
                server.inject(Rule::once(Operation::AbortUpload, Fault::Pretend));
                server.answered(Operation::UploadPart, 1).await;
            }
            server.inject(Rule { times: MANY, ..Rule::always(operation, fault.clone()) });
            sink.abort().await.unwrap();
            assert!(server.seen(operation).len() > MANY);
            assert_eq!(server.open_uploads(), Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn nobody_waits_for_a_store_once_the_archive_is_given_up() {
    let server = S3Server::start();
    server.inject(Rule::always(Operation::UploadPart, Fault::Refuse(503, "SlowDown")));
    // With the pauses of the program itself: minutes of patience.
    let storage = Storage::with_s3(client_of(&server.endpoint));
    let mut sink = storage.create(&location("a"), &CreateOptions::default()).await.unwrap();
    store(&mut sink, &noise(PART + 5, 3)).await.unwrap();
    server.answered(Operation::UploadPart, 2).await;
    tokio::time::timeout(PATIENCE, sink.abort()).await.expect("at once").unwrap();
    assert_eq!(server.open_uploads(), Vec::<String>::new());
}
