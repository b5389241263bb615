//! What is asked of S3 besides storing bytes: done, or an error that names it, and never ignored.

use super::{PART, noise, write};
use crate::support::mongoark::{finish, start};
use crate::support::moto::{Moto, REGION};
use crate::support::s3::{Checksums, Fault, OWNER, Operation, Rule, S3Server, location};
use crate::support::testdata;
use aws_sdk_s3::types::{
    BucketVersioningStatus, ObjectLockMode, ServerSideEncryption, VersioningConfiguration,
};
use bytes::Bytes;
use mongoark::ErrorKind;
use mongoark::proof::Proof;
use mongoark::storage::{CreateOptions, Expected, Location, LockMode, S3Options, Storage};
use mongoark::verify::VerifyReport;

const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// An archive of one request, and one of several parts.
const SIZES: [usize; 2] = [1000, PART + 1];

fn none() -> S3Options {
    S3Options::default()
}

/// Each option, and the flag it has.
fn all() -> [(S3Options, &'static str); 3] {
    [
        (none().encrypt_with(KEY).unwrap(), "--s3KmsKeyId"),
        (none().lock(LockMode::Governance, 1).unwrap(), "--s3ObjectLockMode"),
        (none().tag("team", "shop").unwrap(), "--s3Tag"),
    ]
}

async fn put(storage: &Storage, length: usize) -> mongoark::Result<()> {
    write(storage, &location("a"), &CreateOptions::default(), &noise(length, 1)).await.map(drop)
}

#[tokio::test]
async fn every_request_names_the_expected_owner_of_the_bucket() {
    let server = S3Server::start();
    server.know(Checksums::Ignored);
    let storage = server.storage().with_options(none().expect_bucket_owner(OWNER).unwrap());
    for length in SIZES {
        put(&storage, length).await.unwrap();
    }
    storage.open(&location("a")).await.unwrap().next().await.unwrap();
    storage.create(&location("b"), &CreateOptions::default()).await.unwrap().abort().await.unwrap();
    let mut unfinished = storage.create(&location("b"), &CreateOptions::default()).await.unwrap();
    unfinished.store(noise(PART + 1, 2)).await.unwrap();
    unfinished.abort().await.unwrap();
    storage.stat(&location("c")).await.unwrap();
    storage.list(&location("a")).await.unwrap().next().await.unwrap();
    storage.swap(&location("lease"), Expected::Absent, Bytes::from_static(b"1")).await.unwrap();
    storage.read_small(&location("lease")).await.unwrap();
    storage.remove_uploads(&location("a")).await.unwrap();
    // This server does not know tags.
    storage.tag(&location("a"), &[("state", "new")]).await.unwrap_err();
    storage.remove(&location("a"), None).await.unwrap();
    let seen = server.all_seen();
    for operation in [
        Operation::HeadObject,
        Operation::HeadBucket,
        Operation::GetObject,
        Operation::PutObject,
        Operation::DeleteObject,
        Operation::ListObjects,
        Operation::CopyObject,
        Operation::CreateUpload,
        Operation::ListUploads,
        Operation::UploadPart,
        Operation::ListParts,
        Operation::CompleteUpload,
        Operation::AbortUpload,
    ] {
        assert!(seen.iter().any(|seen| seen.operation == operation), "{operation:?}");
    }
    for request in seen {
        assert_eq!(request.header("x-amz-expected-bucket-owner"), Some(OWNER), "{request:?}");
        if request.operation == Operation::CopyObject {
            assert_eq!(request.header("x-amz-source-expected-bucket-owner"), Some(OWNER), "{request:?}");
        }
    }
}

#[tokio::test]
async fn the_bucket_of_another_account_is_refused_and_the_option_named() {
    let server = S3Server::start();
    let storage = server.storage().with_options(none().expect_bucket_owner("999999999999").unwrap());
    let mut errors = Vec::new();
    for length in SIZES {
        errors.push(put(&storage, length).await.unwrap_err());
    }
    put(&server.storage(), 1000).await.unwrap();
    errors.push(storage.open(&location("a")).await.unwrap_err());
    errors.push(storage.stat(&location("a")).await.unwrap_err());
    errors.push(storage.list(&location("a")).await.unwrap().next().await.unwrap_err());
    errors.push(storage.swap(&location("l"), Expected::Absent, Bytes::from_static(b"1")).await.unwrap_err());
    for error in errors {
        let report = error.report();
        assert!(report.contains("--s3ExpectedBucketOwner (EXPECTED_BUCKET_OWNER)"), "{report}");
    }
    assert_eq!(server.open_uploads(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_store_ignores_is_an_error_and_what_was_there_is_there_again() {
    for (options, flag) in all() {
        for length in SIZES {
            let server = S3Server::start();
            let storage = server.storage().with_options(options.clone());
            let error = put(&storage, length).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Storage);
            assert!(error.to_string().contains(flag), "{error}");
            assert_eq!(server.object("a"), None, "{flag}");
            let old = noise(2000, 9);
            write(&server.storage(), &location("a"), &CreateOptions::default(), &old).await.unwrap();
            put(&storage, length).await.unwrap_err();
            assert_eq!(server.object("a").unwrap(), old, "{flag}");
            assert_eq!(std::fs::read_dir(server.bucket_dir()).unwrap().count(), 1, "{flag}");
            assert_eq!(server.open_uploads(), Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn a_refusal_names_the_options_that_may_be_its_reason() {
    for (status, code) in [(400, "InvalidRequest"), (403, "AccessDenied"), (501, "NotImplemented")] {
        for (options, flag) in all() {
            let server = S3Server::start();
            for operation in [Operation::PutObject, Operation::CreateUpload] {
                server.inject(Rule::always(operation, Fault::Refuse(status, code)));
            }
            for length in SIZES {
                let error = put(&server.storage().with_options(options.clone()), length).await.unwrap_err();
                assert!(error.to_string().contains(flag), "{error}");
                assert!(error.report().contains(code), "{}", error.report());
                let error = put(&server.storage(), length).await.unwrap_err();
                assert!(!error.report().contains("--s3"), "{}", error.report());
            }
        }
    }
    let server = S3Server::start();
    server.inject(Rule::always(Operation::PutObject, Fault::Refuse(400, "ExpiredToken")));
    let [(options, flag), ..] = all();
    let error = put(&server.storage().with_options(options), 1000).await.unwrap_err();
    assert!(!error.report().contains(flag), "it has another reason: {}", error.report());
}

#[tokio::test]
async fn another_key_shows_before_any_part_is_sent() {
    let server = S3Server::start();
    let other = Fault::Tell("x-amz-server-side-encryption", "AES256");
    server.inject(Rule::always(Operation::CreateUpload, other));
    let [(options, flag), ..] = all();
    let error = put(&server.storage().with_options(options), PART + 1).await.unwrap_err();
    assert!(error.to_string().contains(flag), "{error}");
    assert_eq!(server.seen(Operation::UploadPart).len(), 0);
    assert_eq!(server.open_uploads(), Vec::<String>::new());
}

#[tokio::test]
async fn state_is_encrypted_or_not_written_with_success() {
    let server = S3Server::start();
    let [(options, flag), ..] = all();
    let storage = server.storage().with_options(options);
    let error = storage.swap(&location("l"), Expected::Absent, Bytes::from_static(b"1")).await.unwrap_err();
    assert!(error.to_string().contains(flag), "{error}");
    let [put, ..] = &server.seen(Operation::PutObject)[..] else { panic!("nothing was put") };
    assert_eq!(put.header("x-amz-server-side-encryption"), Some("aws:kms"));
    assert_eq!(put.header("x-amz-server-side-encryption-aws-kms-key-id"), Some(KEY));
}

/// A moto bucket with versions and Object Lock.
async fn lockable(moto: &Moto) -> Location {
    let region = aws_sdk_s3::types::BucketLocationConstraint::from(REGION);
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder().location_constraint(region).build();
    let request = moto.s3().create_bucket().bucket("locked").create_bucket_configuration(place);
    request.object_lock_enabled_for_bucket(true).send().await.unwrap();
    let versions = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let request = moto.s3().put_bucket_versioning().bucket("locked").versioning_configuration(versions);
    request.send().await.unwrap();
    Location::s3("locked", "a").unwrap()
}

#[tokio::test]
async fn what_a_store_honours_is_there_on_the_archive_and_on_its_proof() {
    let moto = Moto::start().await;
    let at = lockable(&moto).await;
    let options = none().encrypt_with(KEY).and_then(|options| options.tag("cost centre", "7/b"));
    let options = options.and_then(|options| options.lock(LockMode::Compliance, 30)).unwrap();
    let storage = Storage::with_s3(moto.s3()).with_options(options);
    let bytes = noise(1000, 1);
    write(&storage, &at, &CreateOptions::default(), &bytes).await.unwrap();
    let mut report = VerifyReport::default();
    (report.bytes, report.crc64) = (1000, Some(crc_fast::crc64_nvme(&bytes)));
    Proof::of_reading(&storage, &at, &report).await.unwrap();
    for key in ["a", "a.proof.json"] {
        let head = moto.s3().head_object().bucket("locked").key(key).send().await.unwrap();
        assert_eq!(head.server_side_encryption(), Some(&ServerSideEncryption::AwsKms));
        assert_eq!(head.ssekms_key_id(), Some(KEY));
        assert_eq!(head.object_lock_mode(), Some(&ObjectLockMode::Compliance));
        let days = std::time::Duration::from_hours(24 * 29);
        let soon = aws_sdk_s3::primitives::DateTime::from(std::time::SystemTime::now() + days);
        assert!(head.object_lock_retain_until_date().unwrap() > &soon);
        let told = moto.s3().get_object_tagging().bucket("locked").key(key).send().await.unwrap();
        let tags: Vec<_> = told.tag_set().iter().map(|tag| (tag.key(), tag.value())).collect();
        assert_eq!(tags, [("cost centre", "7/b")]);
    }
}

#[tokio::test]
async fn an_archive_of_parts_has_key_and_tags_too() {
    let moto = Moto::start().await;
    moto.create_bucket("archives").await;
    let at = Location::s3("archives", "a").unwrap();
    let options = none().encrypt_with(KEY).and_then(|options| options.tag("team", "shop")).unwrap();
    let storage = Storage::with_s3(moto.s3()).with_options(options);
    write(&storage, &at, &CreateOptions::default(), &noise(PART + 1, 1)).await.unwrap();
    let head = moto.s3().head_object().bucket("archives").key("a").send().await.unwrap();
    assert_eq!((head.ssekms_key_id(), head.tag_count()), (Some(KEY), Some(1)));
}

#[tokio::test]
async fn the_command_expects_the_owner_that_it_is_told() {
    let server = S3Server::start();
    let archive = testdata("archives/100.18.0/one-document.archive");
    std::fs::copy(archive, server.bucket_dir().join("a")).unwrap();
    let environment = server.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let verify = |owner: &str| {
        let owner = format!("--s3ExpectedBucketOwner={owner}");
        finish(start(["verify", "--archive=s3://backups/a", &owner], &environment))
    };
    assert_eq!(verify(OWNER).await.code, Some(0));
    let refused = verify("999999999999").await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("--s3ExpectedBucketOwner"), "{}", refused.stderr);
}
