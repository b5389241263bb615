//! An overwrite keeps what is there until the new object is proven.

use super::{PART, assert_same, noise, write};
use crate::support::moto::Moto;
use crate::support::s3::{BUCKET, Checksums, Fault, Operation, Rule, S3Server, location};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use mongoark::storage::{CreateOptions, Location, LockMode, S3Options, Storage};

fn replace() -> CreateOptions {
    CreateOptions { overwrite: true, ..CreateOptions::default() }
}

/// A store that does not compare the whole, with an object under `a`.
async fn with_old(old: &bytes::Bytes) -> S3Server {
    let server = S3Server::start();
    server.know(Checksums::Ignored);
    write(&server.storage(), &location("a"), &replace(), old).await.unwrap();
    server
}

fn copies(server: &S3Server) -> Vec<String> {
    let entries = std::fs::read_dir(server.bucket_dir()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".replaced-")).collect()
}

#[tokio::test]
async fn a_clean_overwrite_leaves_no_copy() {
    for length in [1000, PART + 1] {
        let server = with_old(&noise(2000, 1)).await;
        let new = noise(length, 2);
        let stored = write(&server.storage(), &location("a"), &replace(), &new).await.unwrap();
        let [weak] = stored.notes.try_into().unwrap();
        assert!(weak.contains("rests on its size alone"), "{weak}");
        assert_eq!(server.seen(Operation::CopyObject).len(), 1);
        assert_eq!(server.object("a").unwrap(), new);
        assert_eq!(copies(&server), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_damaged_completion_brings_the_old_object_back() {
    for (length, operation) in [(1000, Operation::PutObject), (PART + 1, Operation::CompleteUpload)] {
        let old = noise(2000, 1);
        let server = with_old(&old).await;
        // The looks before this one: at the beginning, at the old object and at its copy.
        let looks = server.seen(Operation::HeadObject).len();
        server.inject(Rule {
            skip: 3,
            times: 1,
            ..Rule::always(Operation::HeadObject, Fault::Tell("content-length", "7"))
        });
        let error =
            write(&server.storage(), &location("a"), &replace(), &noise(length, 2)).await.unwrap_err();
        assert!(error.to_string().contains("other bytes than were sent"), "{error}");
        assert!(server.seen(Operation::HeadObject).len() > looks + 3);
        assert!(!server.seen(operation).is_empty());
        assert_eq!(server.object("a").unwrap(), old);
        assert_eq!(copies(&server), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_old_object_that_cannot_be_put_back_is_kept_and_named() {
    let old = noise(2000, 1);
    let server = with_old(&old).await;
    let wrong = Fault::Tell("content-length", "7");
    server.inject(Rule { skip: 3, times: 1, ..Rule::always(Operation::HeadObject, wrong) });
    server
        .inject(Rule { skip: 1, ..Rule::always(Operation::CopyObject, Fault::Refuse(403, "AccessDenied")) });
    let error = write(&server.storage(), &location("a"), &replace(), &noise(1000, 2)).await.unwrap_err();
    let [copy] = copies(&server).try_into().unwrap();
    assert!(error.to_string().contains(&format!("s3://{BUCKET}/{copy}")), "{error}");
    assert_eq!(server.object(&copy).unwrap(), old);
}

#[tokio::test]
async fn a_lost_answer_to_the_copy_changes_nothing() {
    let server = with_old(&noise(2000, 1)).await;
    server.inject(Rule::once(Operation::CopyObject, Fault::ResetAfter));
    let new = noise(1000, 2);
    write(&server.storage(), &location("a"), &replace(), &new).await.unwrap();
    assert_eq!(server.object("a").unwrap(), new);
    assert_eq!(copies(&server), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_copy_refuses_the_overwrite_and_names_the_permission() {
    for length in [1000, PART + 1] {
        let old = noise(2000, 1);
        let server = with_old(&old).await;
        let puts = server.seen(Operation::PutObject).len();
        server.inject(Rule::always(Operation::CopyObject, Fault::Refuse(403, "AccessDenied")));
        let error =
            write(&server.storage(), &location("a"), &replace(), &noise(length, 2)).await.unwrap_err();
        assert!(error.to_string().contains("s3:PutObject"), "{error}");
        assert_eq!(server.object("a").unwrap(), old);
        assert_eq!(server.seen(Operation::PutObject).len(), puts);
        assert_eq!(server.open_uploads(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_store_that_compares_before_it_replaces_copies_nothing() {
    for length in [1000, PART + 1] {
        let server = S3Server::start();
        for seed in [1, 2] {
            let stored =
                write(&server.storage(), &location("a"), &replace(), &noise(length, seed)).await.unwrap();
            assert_eq!(stored.notes, Vec::<String>::new());
        }
        assert_eq!(server.object("a").unwrap(), noise(length, 2));
        assert_eq!(server.seen(Operation::CopyObject).len(), 0);
    }
}

#[tokio::test]
async fn a_large_object_is_copied_in_parts_and_comes_back_in_parts() {
    // More than one request copies.
    let old = noise(64 << 20 | 7, 1);
    let server = with_old(&old).await;
    let wrong = Fault::Tell("content-length", "7");
    server.inject(Rule { skip: 3, times: 1, ..Rule::always(Operation::HeadObject, wrong) });
    write(&server.storage(), &location("a"), &replace(), &noise(1000, 2)).await.unwrap_err();
    assert_eq!(server.seen(Operation::CopyPart).len(), 4);
    assert_same(&server.object("a").unwrap(), &old);
    assert_eq!((copies(&server), server.open_uploads()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn what_a_killed_overwrite_has_left_goes_with_the_next() {
    let server = with_old(&noise(2000, 1)).await;
    let (left, other) = (format!("a.replaced-{}", "0a".repeat(16)), "a.replaced-by-hand");
    for key in [&left, other] {
        std::fs::write(server.bucket_dir().join(key), b"a copy").unwrap();
    }
    let wrong = Fault::Tell("content-length", "7");
    server.inject(Rule { skip: 3, times: 1, ..Rule::always(Operation::HeadObject, wrong) });
    write(&server.storage(), &location("a"), &replace(), &noise(1000, 2)).await.unwrap_err();
    assert_eq!(copies(&server).len(), 2, "one that failed has proven nothing");
    write(&server.storage(), &location("a"), &replace(), &noise(1000, 3)).await.unwrap();
    assert_eq!(copies(&server), [other]);
}

/// moto knows no lock of an object of parts: what is wrong with the new version shows when it is there.
#[tokio::test]
async fn a_bucket_with_versions_has_the_old_one_again_and_needs_no_copy() {
    let moto = Moto::start().await;
    moto.create_bucket("archives").await;
    let versions = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let request = moto.s3().put_bucket_versioning().bucket("archives").versioning_configuration(versions);
    request.send().await.unwrap();
    let at = Location::s3("archives", "a").unwrap();
    let storage = Storage::with_s3(moto.s3());
    let old = write(&storage, &at, &replace(), &noise(1000, 1)).await.unwrap();
    let locked = storage.clone().with_options(S3Options::default().lock(LockMode::Governance, 1).unwrap());
    let error = write(&locked, &at, &replace(), &noise(PART + 1, 2)).await.unwrap_err();
    assert!(error.to_string().contains("--s3ObjectLockMode"), "{error}");
    let there = storage.stat(&at).await.unwrap().unwrap();
    assert_eq!((there.version, there.bytes), (old.version, 1000));
    let all = moto.s3().list_object_versions().bucket("archives").send().await.unwrap();
    assert_eq!((all.versions().len(), all.delete_markers().len()), (1, 0), "{all:?}");
}
