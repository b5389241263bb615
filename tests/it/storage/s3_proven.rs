//! What the store tells of a completed object, held against what was sent.

use super::{PART, keep, noise, write};
use crate::support::s3::{Checksums, Operation, S3Server, location};
use mongoark::storage::{Checked, CreateOptions};

#[tokio::test]
async fn an_object_is_proven_by_the_best_that_the_store_knows() {
    let (small, large) = (1000, PART + 1);
    for (known, length, expected) in [
        (Checksums::Known, small, Checked::Crc64Nvme),
        (Checksums::Known, large, Checked::Crc64Nvme),
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
