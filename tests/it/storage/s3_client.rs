//! Reaching S3: endpoints, regions, credentials, and what is said when it fails.

use super::{keep, noise, write};
use crate::support::s3::{
    BUCKET, Fault, Operation, Rule, S3Server, SECRET_KEY, client_of, impatient, location,
};
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region, SharedCredentialsProvider};
use mongoark::storage::{CreateOptions, Location, Storage};
use mongoark::{Error, ErrorKind};
use std::time::{Duration, Instant};

/// Every operation on a place fails in this way.
async fn errors_of(storage: &Storage, at: &Location) -> [Error; 3] {
    [
        storage.create(at, &CreateOptions::default()).await.map(drop).unwrap_err(),
        storage.open(at).await.map(drop).unwrap_err(),
        storage.stat(at).await.map(drop).unwrap_err(),
    ]
}

fn assert_says(error: &Error, kind: ErrorKind, words: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().starts_with("s3://"), "it should name the object: {error}");
    assert!(error.report().contains(words), "it should say {words:?}: {}", error.report());
    assert!(!format!("{error:?}{}", error.report()).contains(SECRET_KEY));
}

#[tokio::test]
async fn a_custom_endpoint_is_addressed_by_path_and_needs_no_region() {
    let server = S3Server::start();
    let with_region = server.client();
    let without_region = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(aws_sdk_s3::config::Credentials::for_the(
            &server,
        )))
        .endpoint_url(&server.endpoint)
        .build();
    for client in [with_region, Storage::s3_client(&without_region).unwrap()] {
        let storage = Storage::with_s3(client);
        write(&storage, &location("a"), &CreateOptions::default(), &noise(5, 1)).await.unwrap();
    }
    let uri = &server.seen(Operation::PutObject)[0].uri;
    assert!(uri.starts_with(&format!("/{BUCKET}/a")), "{uri}");
}

/// Credentials that a server accepts, taken from the environment it gives to subprocesses.
trait ForTheServer {
    fn for_the(server: &S3Server) -> Self;
}

impl ForTheServer for aws_sdk_s3::config::Credentials {
    fn for_the(server: &S3Server) -> Self {
        let environment = server.environment();
        let value = |name| environment.iter().find(|(key, _)| *key == name).expect("a variable").1.clone();
        Self::new(value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"), None, None, "test")
    }
}

#[tokio::test]
async fn an_endpoint_for_s3_alone_is_found() {
    let server = S3Server::start();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(aws_sdk_s3::config::Credentials::for_the(
            &server,
        )))
        .service_config(EndpointOfS3(server.endpoint.clone()))
        .build();
    let storage = Storage::with_s3(Storage::s3_client(&config).unwrap());
    write(&storage, &location("a"), &keep(), &noise(5, 4)).await.unwrap();
    assert!(server.object("a").is_some());
}

/// `AWS_ENDPOINT_URL_S3` in the environment, or a services section of the profile.
#[derive(Debug)]
struct EndpointOfS3(String);

impl aws_types::service_config::LoadServiceConfig for EndpointOfS3 {
    fn load_config(&self, key: aws_types::service_config::ServiceConfigKey<'_>) -> Option<String> {
        (key.service_id() == "S3" && key.env() == "AWS_ENDPOINT_URL").then(|| self.0.clone())
    }
}

#[test]
fn without_an_endpoint_the_region_must_be_known() {
    let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    let error = Storage::s3_client(&config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("AWS_REGION"), "{error}");
}

#[tokio::test]
async fn without_a_client_s3_is_refused() {
    let error = Storage::local().stat(&Location::s3(BUCKET, "a").unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_missing_bucket_is_found_before_anything_is_stored() {
    let server = S3Server::start();
    let nowhere = Location::s3("nowhere", "a").unwrap();
    for error in errors_of(&server.storage(), &nowhere).await {
        assert_says(&error, ErrorKind::NotFound, "s3://nowhere/a: the bucket does not exist");
    }
}

#[tokio::test]
async fn a_missing_object_is_told_from_a_missing_bucket() {
    let server = S3Server::start();
    let error = server.storage().open(&location("none")).await.unwrap_err();
    assert_says(&error, ErrorKind::NotFound, "there is no such object");
    assert_eq!(server.storage().stat(&location("none")).await.unwrap(), None);
}

#[tokio::test]
async fn a_refused_connection_fails_soon_and_names_the_way_out() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let storage = Storage::with_s3(client_of(&endpoint));
    let started = Instant::now();
    let error = storage.stat(&Location::s3(BUCKET, "a").unwrap()).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert_says(&error, ErrorKind::Storage, "cannot be reached; check the network");
    assert!(error.report().contains("refused"), "{}", error.report());
}

#[tokio::test]
async fn missing_credentials_are_told_as_such() {
    let server = S3Server::start();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(Nobody))
        .region(Region::new("us-east-1"))
        .endpoint_url(&server.endpoint)
        .build();
    let storage = Storage::with_s3(impatient(&Storage::s3_client(&config).unwrap()));
    for error in errors_of(&storage, &location("a")).await {
        assert_says(&error, ErrorKind::Storage, "no AWS credentials were found");
    }
}

/// The end of a chain of providers none of which has credentials.
#[derive(Debug)]
struct Nobody;

impl aws_credential_types::provider::ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = aws_credential_types::provider::error::CredentialsError::not_loaded("nobody has any");
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(error))
    }
}

#[tokio::test]
async fn a_bucket_in_another_region_is_named_with_its_region() {
    let server = S3Server::start();
    server.inject(Rule::always(Operation::HeadObject, Fault::Refuse(301, "PermanentRedirect")));
    for error in errors_of(&server.storage(), &location("a")).await {
        assert_says(&error, ErrorKind::Storage, "set AWS_REGION to eu-central-1");
    }
}

#[tokio::test]
async fn denied_access_is_told_with_the_permissions_that_are_needed() {
    let server = S3Server::start();
    for operation in [Operation::HeadObject, Operation::PutObject, Operation::CreateUpload] {
        server.inject(Rule::always(operation, Fault::Refuse(403, "AccessDenied")));
    }
    let (storage, at) = (server.storage(), location("a"));
    for error in
        [storage.stat(&at).await.map(drop).unwrap_err(), storage.open(&at).await.map(drop).unwrap_err()]
    {
        assert_says(&error, ErrorKind::Storage, "s3:ListBucket");
    }
    for length in [5, super::PART + 1] {
        // HEAD is denied to who may only write: that alone must not keep anybody from writing.
        let error = write(&storage, &at, &keep(), &noise(length, 2)).await.unwrap_err();
        assert_says(&error, ErrorKind::Storage, "s3:PutObject");
        assert!(error.report().contains("403 AccessDenied: by script"), "{}", error.report());
    }
}

#[tokio::test]
async fn refusals_are_told_by_what_has_to_be_done() {
    let cases = [
        (400, "ExpiredToken", "the AWS credentials have expired"),
        (403, "InvalidAccessKeyId", "does not accept the AWS credentials"),
        (403, "SignatureDoesNotMatch", "does not accept the AWS credentials"),
        (403, "RequestTimeTooSkewed", "clock"),
        (404, "NoSuchBucket", "the bucket does not exist"),
        (503, "SlowDown", "slow down"),
        (418, "SomethingElse", "418 SomethingElse"),
    ];
    for (status, code, words) in cases {
        let server = S3Server::start();
        server.inject(Rule::always(Operation::PutObject, Fault::Refuse(status, code)));
        let error = write(&server.storage(), &location("a"), &keep(), &noise(5, 3)).await.unwrap_err();
        let kind = if code == "NoSuchBucket" { ErrorKind::NotFound } else { ErrorKind::Storage };
        assert_says(&error, kind, words);
    }
}

#[test]
fn a_client_gives_up_on_a_dead_endpoint_within_half_a_minute() {
    let client: Client = client_of("http://127.0.0.1:9");
    let attempts = client.config().retry_config().unwrap().max_attempts();
    let connect = client.config().timeout_config().unwrap().connect_timeout().unwrap();
    // The pauses between attempts double from at most one second.
    let pauses = Duration::from_secs((1 << (attempts - 1)) - 1);
    assert!(connect * attempts + pauses <= Duration::from_secs(30));
}
