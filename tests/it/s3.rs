//! Dumps and restores straight to and from S3, and what is left there when they fail.

use mongodb::Client;
use mongodb::bson::{Document, doc};

use super::support::fingerprint::{assert_same, fingerprint_of};
use super::support::mongoark::{finish, start};
use super::support::mongod::{Mongod, Version};
use super::support::s3::{BUCKET, Fault, Operation, Rule, S3Server, location};
use super::support::tools::Finished;
use super::support::zoo;

/// Runs the program with this store's environment, `removed` left out of it.
async fn mongoark(store: &S3Server, arguments: &[&str], removed: &str) -> Finished {
    let environment = store.environment();
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .filter(|(name, _)| *name != removed)
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    finish(start(arguments.iter().copied(), &environment)).await
}

fn assert_says(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let line = finished.stderr.lines().last().unwrap_or_default();
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line}");
    }
}

fn assert_nothing(store: &S3Server) {
    assert_eq!(store.object("shop.archive"), None);
    assert_eq!(store.open_uploads(), Vec::<String>::new());
}

/// A database of 40 MiB: five parts.
async fn sample(client: &Client, name: &str) -> String {
    let database = client.database(name);
    database.drop().await.unwrap();
    zoo::bulk(&database, "words", 40).await;
    name.to_owned()
}

#[tokio::test]
async fn an_archive_goes_to_s3_in_parts_and_comes_back() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = sample(&client, "s3_round_trip").await;
    let expected = fingerprint_of(&client.database(&db)).await;
    let store = S3Server::start();
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive=s3://{BUCKET}/shop.archive"));
    for gzip in [&[][..], &["--gzip"]] {
        let dump = [&["dump", &uri, "--db", &db, &place][..], gzip].concat();
        mongoark(&store, &dump, "").await.success();
        client.database(&db).collection::<Document>("words").delete_many(doc! { "n": 3 }).await.unwrap();
        mongoark(&store, &["restore", &uri, &place, "--drop"], "").await.success();
        assert_same(&expected, &fingerprint_of(&client.database(&db)).await);
    }
    let stored = store.storage().stat(&location("shop.archive")).await.unwrap().expect("an archive");
    let label =
        |name: &str| stored.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str());
    assert_eq!(label("mongoark-scope"), Some(db.as_str()));
    assert_eq!(label("mongoark-snapshot"), Some("whole"));
    assert!(label("mongoark-cluster-time").is_some_and(|time| time.contains('.')), "{stored:?}");
    assert!(store.seen(Operation::UploadPart).len() > 5, "in parts");
    assert_eq!(store.open_uploads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_part_leaves_nothing() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "s3_failures").await;
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive=s3://{BUCKET}/shop.archive"));
    for refusal in [Fault::Refuse(403, "AccessDenied"), Fault::Refuse(400, "ExpiredToken")] {
        let store = S3Server::start();
        store.inject(Rule { skip: 1, ..Rule::always(Operation::UploadPart, refusal) });
        let finished = mongoark(&store, &["dump", &uri, "--db", &db, &place], "").await;
        assert_says(&finished, &["Failed: ", &format!("s3://{BUCKET}/shop.archive")]);
        assert_nothing(&store);
    }
}

#[tokio::test]
async fn a_store_that_is_away_for_longer_than_the_attempts_of_a_request_is_survived() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "s3_outage").await;
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive=s3://{BUCKET}/shop.archive"));
    let store = S3Server::start();
    // Four parts with four attempts each.
    let away = Rule::always(Operation::UploadPart, Fault::Refuse(503, "SlowDown"));
    store.inject(Rule { skip: 1, times: 17, ..away });
    mongoark(&store, &["dump", &uri, "--db", &db, &place], "").await.success();
    mongoark(&store, &["restore", &uri, &place, "--drop"], "").await.success();
    assert_eq!(store.open_uploads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_bucket_that_goes_away_is_no_missing_collection() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "s3_bucket_gone").await;
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive=s3://{BUCKET}/shop.archive"));
    let store = S3Server::start();
    store.inject(Rule::always(Operation::UploadPart, Fault::Refuse(404, "NoSuchBucket")));
    let dump = ["dump", &uri, "--db", &db, "--collection=words", &place];
    assert_says(&mongoark(&store, &dump, "").await, &["Failed: ", "bucket"]);
    assert_nothing(&store);
}

#[tokio::test]
async fn a_signal_during_the_upload_leaves_nothing() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "s3_signal").await;
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive=s3://{BUCKET}/shop.archive"));
    let never = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    for (signal, fault) in
        [("-INT", Fault::Hold(never)), ("-TERM", Fault::Refuse(503, "SlowDown")), ("-TERM", Fault::Reset)]
    {
        let store = S3Server::start();
        store.inject(Rule { skip: 1, ..Rule::always(Operation::UploadPart, fault) });
        let environment = store.environment();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let child = start(["dump", &uri, "--db", &db, &place], &environment);
        store.arrived(Operation::UploadPart, 2).await;
        let pid = child.id().expect("runs").to_string();
        assert!(tokio::process::Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
        assert_says(&finish(child).await, &["cancelled"]);
        assert_nothing(&store);
    }
}

#[tokio::test]
async fn a_bucket_or_object_that_is_not_there_is_named() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let store = S3Server::start();
    let uri = format!("--uri={}", server.uri());
    let dump = ["dump", &uri, "--db=nothing_here", "--archive=s3://no-such-bucket/shop.archive"];
    assert_says(&mongoark(&store, &dump, "").await, &["s3://no-such-bucket/shop.archive", "bucket"]);
    let missing = format!("--archive=s3://{BUCKET}/missing.archive");
    let restore = ["restore", &uri, &missing];
    assert_says(
        &mongoark(&store, &restore, "").await,
        &[&format!("s3://{BUCKET}/missing.archive"), "no such object"],
    );
    let restore = ["restore", &uri, "--archive=s3://only-a-bucket"];
    assert_says(&mongoark(&store, &restore, "").await, &["the key is missing", "s3://BUCKET/KEY"]);
}

#[tokio::test]
async fn missing_credentials_and_a_dead_endpoint_are_told_apart() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = format!("--uri={}", server.uri());
    let place = format!("--archive=s3://{BUCKET}/shop.archive");
    let dump = ["dump", &uri, "--db=nothing_here", &place];
    let store = S3Server::start();
    assert_says(&mongoark(&store, &dump, "AWS_ACCESS_KEY_ID").await, &["credentials"]);
    let environment = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
        ("AWS_REGION", "us-east-1"),
    ];
    let finished = finish(start(dump, &environment)).await;
    assert_says(&finished, &[&format!("s3://{BUCKET}/shop.archive"), "cannot be reached"]);
    let finished = finish(start(dump, &environment[1..3])).await;
    assert_says(&finished, &["AWS_REGION"]);
}
