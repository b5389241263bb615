//! What the store tells of a completed object, held against what was sent.

use super::{PART, keep, noise, write};
use crate::support::s3::{Checksums, Fault, Operation, Rule, S3Server, location};
use mongoark::ErrorKind;
use mongoark::storage::{Checked, CreateOptions};

#[tokio::test]
async fn an_object_is_proven_by_the_best_that_the_store_knows() {
    let (small, large) = (1000, PART + 1);
    for (known, length, expected) in [
        (Checksums::Known, small, Checked::Crc64Nvme),
        (Checksums::Known, large, Checked::Crc64Nvme),
        // A CRC-32 of a whole object is one of one part.
        (Checksums::Refused, small, Checked::Crc32OfParts),
        (Checksums::Refused, large, Checked::Crc32OfParts),
        (Checksums::Ignored, small, Checked::Size),
        (Checksums::Ignored, large, Checked::Size),
    ] {
        let server = S3Server::start();
        server.know(known);
        let bytes = noise(length, 1);
        let stored = write(&server.storage(), &location("a"), &keep(), &bytes).await.unwrap();
        assert_eq!((stored.checked, stored.bytes), (expected, length as u64), "{known:?}");
        assert_eq!(server.open_uploads(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn labels_and_terms_survive_a_new_beginning_and_the_token_does_not() {
    let server = S3Server::start();
    let mut sink = server.storage().create(&location("a"), &CreateOptions::default()).await.unwrap();
    sink.label("mongoark-scope", "shop").unwrap();
    sink.store(noise(2 * PART, 2)).await.unwrap();
    let mut sink = sink.restart().await.unwrap();
    sink.store(noise(2 * PART, 3)).await.unwrap();
    let stored = sink.complete().await.unwrap();
    assert_eq!(stored.labels, [("mongoark-scope".to_owned(), "shop".to_owned())]);
    let [before, after] = server.seen(Operation::CreateUpload).try_into().unwrap();
    assert_ne!(before.header("x-amz-meta-mongoark-upload"), after.header("x-amz-meta-mongoark-upload"));
}

#[tokio::test]
async fn an_object_with_another_checksum_is_no_success_and_does_not_stay() {
    for length in [1000, PART + 1] {
        let server = S3Server::start();
        // The first look is before the upload, the second before its completion.
        let wrong = Fault::Tell("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=");
        server.inject(Rule { skip: 2, ..Rule::always(Operation::HeadObject, wrong) });
        let error = write(&server.storage(), &location("a"), &keep(), &noise(length, 4)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        assert!(error.to_string().contains("other bytes than were sent"), "{error}");
        assert!(server.object("a").is_none());
    }
}

#[tokio::test]
async fn a_part_that_arrives_with_other_bytes_ends_the_upload() {
    let server = S3Server::start();
    let wrong = Fault::Tell("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=");
    server.inject(Rule { containing: "partNumber=2", ..Rule::always(Operation::UploadPart, wrong) });
    let error = write(&server.storage(), &location("a"), &keep(), &noise(PART + 1, 5)).await.unwrap_err();
    assert!(error.to_string().contains("the checksum of a part differs"), "{error}");
    assert_eq!(server.object("a"), None);
    assert_eq!(server.open_uploads(), Vec::<String>::new());
}
