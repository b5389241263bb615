//! Uploads of commands that were killed go with the next archive of the same key; those that are at work do not.

use super::{PART, noise, store, write};
use crate::support::s3::{BUCKET, Fault, Operation, Rule, S3Server, location};
use aws_sdk_s3::primitives::ByteStream;
use mongoark::storage::CreateOptions;

/// An upload as a command that is killed leaves it, with this many parts.
async fn left(server: &S3Server, key: &str, parts: i32) -> String {
    let client = server.client();
    let begun = client.create_multipart_upload().bucket(BUCKET).key(key).send().await.unwrap();
    let id = begun.upload_id.unwrap();
    for number in 1..=parts {
        part(server, key, &id, number).await;
    }
    id
}

async fn part(server: &S3Server, key: &str, id: &str, number: i32) {
    let request = server.client().upload_part().bucket(BUCKET).key(key).upload_id(id);
    request.part_number(number).body(ByteStream::from_static(b"a part")).send().await.unwrap();
}

fn is_open(server: &S3Server, id: &str) -> bool {
    server.open_uploads().iter().any(|name| name.contains(id))
}

#[tokio::test]
async fn an_upload_that_stands_still_goes_with_the_next_archive_of_its_key() {
    for length in [1000, PART + 1] {
        let server = S3Server::start();
        let dead = [left(&server, "a", 0).await, left(&server, "a", 2).await];
        let others = [left(&server, "ab", 1).await, left(&server, "b", 1).await];
        let stored = write(&server.storage(), &location("a"), &CreateOptions::default(), &noise(length, 1))
            .await
            .unwrap();
        assert_eq!(stored.notes, Vec::<String>::new());
        assert!(dead.iter().all(|id| !is_open(&server, id)));
        assert!(others.iter().all(|id| is_open(&server, id)), "of other keys nothing is known");
    }
}

#[tokio::test]
async fn an_upload_that_goes_on_or_began_later_is_left_alone() {
    for length in [1000, PART + 1] {
        let server = S3Server::start();
        let [idle, at_work] = [left(&server, "a", 1).await, left(&server, "a", 1).await];
        let storage = server.storage();
        let mut sink = storage.create(&location("a"), &CreateOptions::default()).await.unwrap();
        store(&mut sink, &noise(length, 2)).await.unwrap();
        part(&server, "a", &at_work, 2).await;
        let later = left(&server, "a", 0).await;
        sink.complete().await.unwrap();
        assert!(is_open(&server, &at_work) && is_open(&server, &later));
        assert!(!is_open(&server, &idle));
    }
}

#[tokio::test]
async fn an_archive_that_is_not_complete_ends_no_other_upload() {
    let server = S3Server::start();
    let dead = left(&server, "a", 1).await;
    server.inject(Rule::always(Operation::CompleteUpload, Fault::Refuse(403, "AccessDenied")));
    write(&server.storage(), &location("a"), &CreateOptions::default(), &noise(PART + 1, 3))
        .await
        .unwrap_err();
    assert!(is_open(&server, &dead));
}

#[tokio::test]
async fn a_writer_that_was_given_up_ends_with_an_error_that_says_so() {
    let server = S3Server::start();
    let storage = server.storage();
    let mut slow = storage.create(&location("a"), &CreateOptions::default()).await.unwrap();
    store(&mut slow, &noise(PART + 1, 4)).await.unwrap();
    server.answered(Operation::UploadPart, 1).await;
    let newer = noise(1000, 5);
    write(&storage, &location("a"), &CreateOptions::default(), &newer).await.unwrap();
    let error = slow.complete().await.unwrap_err();
    assert!(error.to_string().contains("ended from outside"), "{error}");
    assert_eq!(server.object("a").unwrap(), newer);
    assert_eq!(server.open_uploads(), Vec::<String>::new());
}

#[tokio::test]
async fn where_uploads_cannot_be_listed_the_archive_is_stored_all_the_same() {
    let server = S3Server::start();
    let dead = left(&server, "a", 1).await;
    server.inject(Rule::always(Operation::ListUploads, Fault::Refuse(403, "AccessDenied")));
    write(&server.storage(), &location("a"), &CreateOptions::default(), &noise(1000, 6)).await.unwrap();
    assert!(is_open(&server, &dead));
}
