//! Multipart uploads whose beginning is not answered: nothing may stay open, and nobody else's upload may be ended.

use super::{PART, assert_same, keep, noise, read, store, write};
use crate::support::s3::{BUCKET, Fault, Operation, Rule, S3Server, location};
use bytes::Bytes;
use mongoark::ErrorKind;
use mongoark::storage::CreateOptions;
use std::sync::Arc;
use tokio::sync::Semaphore;

const LARGE: usize = 3 * PART + 5;

const LOST: [Fault; 3] =
    [Fault::RefuseAfter(500, "InternalError"), Fault::RefuseAfter(503, "SlowDown"), Fault::ResetAfter];

async fn assert_complete(server: &S3Server, bytes: &Bytes) {
    let mut source = server.storage().open(&location("a")).await.unwrap();
    assert_same(&read(&mut source).await.unwrap(), bytes);
}

/// Begins somebody else's upload of the same key, with a part or without.
async fn begin_another(server: &S3Server, with_part: bool) -> String {
    let client = server.client();
    let begun = client.create_multipart_upload().bucket(BUCKET).key("a").send().await.unwrap();
    let upload_id = begun.upload_id.unwrap();
    if with_part {
        let part = client.upload_part().bucket(BUCKET).key("a").upload_id(&upload_id).part_number(1);
        part.body(vec![1; 1000].into()).send().await.unwrap();
    }
    upload_id
}

fn is_open(server: &S3Server, upload_id: &str) -> bool {
    server.open_uploads().contains(&format!(".upload-{upload_id}.json"))
}

#[tokio::test]
async fn a_beginning_whose_answer_is_lost_leaves_no_upload_behind_a_success() {
    for fault in LOST {
        for times in [1, 2] {
            let server = S3Server::start();
            server.inject(Rule { times, ..Rule::always(Operation::CreateUpload, fault.clone()) });
            let bytes = noise(LARGE, 1);
            let stored = write(&server.storage(), &location("a"), &keep(), &bytes).await.unwrap();
            assert_eq!(stored.notes, Vec::<String>::new());
            assert_complete(&server, &bytes).await;
            assert_eq!(server.open_uploads(), Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn beginnings_whose_answers_are_all_lost_leave_no_upload_behind_the_error() {
    for fault in LOST {
        let server = S3Server::start();
        server.inject(Rule::always(Operation::CreateUpload, fault));
        let error = write(&server.storage(), &location("a"), &keep(), &noise(LARGE, 2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert_eq!(server.seen(Operation::CreateUpload).len(), 4, "a bounded number of them");
        assert_eq!(server.open_uploads(), Vec::<String>::new());
        assert_eq!(server.object("a"), None);
    }
}

#[tokio::test]
async fn a_lost_beginning_leaves_nothing_when_the_archive_is_given_up() {
    let server = S3Server::start();
    server.inject(Rule::once(Operation::CreateUpload, Fault::ResetAfter));
    let mut sink = server.storage().create(&location("a"), &keep()).await.unwrap();
    store(&mut sink, &noise(LARGE, 3)).await.unwrap();
    sink.abort().await.unwrap();
    assert_eq!(server.open_uploads(), Vec::<String>::new());
}

/// Our first beginning waits for others, and then this goes wrong with it.
fn hold_the_first_beginning(server: &S3Server, fault: Fault) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    server.inject(Rule::once(Operation::CreateUpload, Fault::HoldThen(Arc::clone(&gate), Box::new(fault))));
    gate
}

#[tokio::test]
async fn uploads_of_other_writers_stay_open() {
    let server = S3Server::start();
    let earlier = begin_another(&server, false).await;
    let gate = hold_the_first_beginning(&server, Fault::ResetAfter);
    let mut sink = server.storage().create(&location("a"), &CreateOptions::default()).await.unwrap();
    let bytes = noise(LARGE, 4);
    let at_the_same_time = async {
        server.arrived(Operation::CreateUpload, 2).await;
        let other = begin_another(&server, true).await;
        gate.add_permits(1);
        other
    };
    let (taken, other) = tokio::join!(store(&mut sink, &bytes), at_the_same_time);
    taken.unwrap();
    sink.complete().await.unwrap();
    assert!(!is_open(&server, &earlier), "it was there before, and stood still");
    assert!(is_open(&server, &other), "it has a part");
    let left = server.open_uploads().iter().filter(|name| name.starts_with(".upload-")).count();
    assert_eq!(left, 1, "ours is gone");
}

#[tokio::test]
async fn uploads_that_nobody_can_tell_apart_stay_open_and_are_told() {
    let server = S3Server::start();
    let gate = hold_the_first_beginning(&server, Fault::Refuse(500, "InternalError"));
    let mut sink = server.storage().create(&location("a"), &keep()).await.unwrap();
    let bytes = noise(LARGE, 5);
    let others = async {
        server.arrived(Operation::CreateUpload, 1).await;
        let others = (begin_another(&server, false).await, begin_another(&server, false).await);
        gate.add_permits(1);
        others
    };
    let (taken, (one, two)) = tokio::join!(store(&mut sink, &bytes), others);
    taken.unwrap();
    let stored = sink.complete().await.unwrap();
    assert!(is_open(&server, &one) && is_open(&server, &two), "one answer was lost, and two are new");
    let [note] = stored.notes.try_into().unwrap();
    assert!(note.contains("s3://backups/a") && note.contains("AbortIncompleteMultipartUpload"), "{note}");
}

#[tokio::test]
async fn a_store_that_does_not_list_uploads_costs_a_note_only_where_an_answer_is_lost() {
    for lost in [false, true] {
        let server = S3Server::start();
        server.inject(Rule::always(Operation::ListUploads, Fault::Refuse(403, "AccessDenied")));
        if lost {
            server.inject(Rule::once(Operation::CreateUpload, Fault::ResetAfter));
        }
        let bytes = noise(LARGE, 6);
        let stored = write(&server.storage(), &location("a"), &keep(), &bytes).await.unwrap();
        assert_complete(&server, &bytes).await;
        assert_eq!(stored.notes.len(), usize::from(lost));
        assert!(stored.notes.iter().all(|note| note.contains("s3:ListBucketMultipartUploads")), "{stored:?}");
    }
}
