//! Input that cannot be used: one sentence that names the thing and says what to do, and CodeDeploy hears of it.

use std::time::{Duration, Instant};

use aws_sdk_secretsmanager::primitives::Blob;
use serde_json::json;

use super::{Account, DEAD_DATABASE, assert_says, hook_event};
use crate::support::loopback::Loopback;
use crate::support::mongod::{Mongod, Options, Version};

#[tokio::test]
async fn malformed_events_are_refused_and_the_function_lives_on() {
    let account = Account::new().await;
    let function = account.function().await;
    for (event, words) in [
        (json!([]), &["the event is an array", "send a JSON object"][..]),
        (json!({}), &["no ApplicationName", "send"]),
        (json!({"ApplicationName": 7}), &["ApplicationName is a number", "send a string"]),
        (json!({"ApplicationName": "shop/../x"}), &["contains a slash", "send"]),
        (
            json!({"ApplicationName": "shop", "Action": "delete"}),
            &["\"delete\"", "send \"backup\", \"restore\", \"verify\" or \"drill\""],
        ),
        (json!({"ApplicationName": "shop", "Action": "restore"}), &["no DeploymentId", "send"]),
        (
            json!({"ApplicationName": "shop", "DeploymentId": "a..b"}),
            &["DeploymentId", "two in a row", "send"],
        ),
    ] {
        assert_says(&function.invoke(&event).await.error("InvalidInput"), words);
    }
    assert_eq!(account.codedeploy.calls(), []);
    account.assert_empty().await;
}

#[tokio::test]
async fn a_malformed_hook_call_is_reported() {
    let account = Account::new().await;
    let function = account.function().await;
    let mut event = hook_event("d-1");
    event["Action"] = json!(["backup"]);
    assert_says(
        &function.invoke(&event).await.error("InvalidInput"),
        &["Action is an array", "send a string"],
    );
    account.assert_failed("d-1");
    event["Action"] = json!("restore");
    assert_says(&function.invoke(&event).await.error("InvalidInput"), &["hook cannot restore"]);
    account.assert_failed("d-1");
}

#[tokio::test]
async fn a_missing_variable_is_named_and_reported() {
    let account = Account::new().await;
    for variable in ["BUCKET_NAME", "MONGO_URI_SECRET_ID"] {
        for value in [None, Some("")] {
            let function = account.function_with(variable, value).await;
            let message = function.invoke(&hook_event("d-1")).await.error("InvalidInput");
            assert_says(&message, &["not set", variable]);
            account.assert_failed("d-1");
        }
    }
}

#[tokio::test]
async fn without_a_region_the_function_says_so() {
    let account = Account::new().await;
    let function = account.function_with("AWS_REGION", None).await;
    let message = function.invoke(&json!({"ApplicationName": "shop"})).await.error("InvalidInput");
    assert_says(&message, &["not set", "AWS_REGION"]);
}

/// A hook call of a deployment that CodeDeploy does not know, with the application's name.
fn named(deployment: &str) -> serde_json::Value {
    let mut event = hook_event(deployment);
    event["ApplicationName"] = "shop".into();
    event
}

#[tokio::test]
async fn an_unusable_secret_is_named_and_never_quoted() {
    let account = Account::new().await;
    let function = account.function().await;
    let message = function.invoke(&hook_event("d-1")).await.error("NotFound");
    assert_says(&message, &[&format!("secret {}", account.name), "no such secret", "MONGO_URI_SECRET_ID"]);
    account.assert_failed("d-1");

    account.moto.create_secret(&account.name, "hunter2hunter2").await;
    // A deployment that has been answered stays answered: each is another one.
    for (deployment, secret, problem) in [
        ("d-2", "hunter2hunter2", "not JSON"),
        ("d-3", r#"["hunter2hunter2"]"#, "not an object"),
        ("d-4", r#"{"uri": "mongodb://ann:hunter2hunter2@db"}"#, "no mongo_uri"),
        ("d-5", r#"{"mongo_uri": {"password": "hunter2hunter2"}}"#, "not a string"),
        ("d-6", r#"{"mongo_uri": "ann:hunter2hunter2@db"}"#, "cannot be used"),
    ] {
        let manager = account.moto.secrets_manager();
        manager
            .put_secret_value()
            .secret_id(&account.name)
            .secret_string(secret)
            .send()
            .await
            .expect("a secret");
        let message = function.invoke(&named(deployment)).await.error("InvalidInput");
        assert_says(&message, &[&format!("secret {}", account.name), problem]);
        account.assert_failed(deployment);
    }
    let manager = account.moto.secrets_manager();
    let binary =
        manager.put_secret_value().secret_id(&account.name).secret_binary(Blob::new("hunter2hunter2"));
    binary.send().await.expect("a secret");
    assert_says(&function.invoke(&named("d-7")).await.error("InvalidInput"), &["binary"]);
    account.assert_failed("d-7");
    account.assert_empty().await;
}

#[tokio::test]
async fn a_dead_database_is_reported_soon() {
    let account = Account::with_database(DEAD_DATABASE).await;
    let function = account.function().await;
    let began = Instant::now();
    let message = function.invoke(&hook_event("d-1")).await.error("Connection");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_says(&message, &["127.0.0.1:9"]);
    account.assert_failed("d-1");
    account.assert_empty().await;
}

#[tokio::test]
async fn a_wrong_password_is_reported_and_not_shown() {
    let options = Options { auth: true, ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_5, options).await;
    let account = Account::with_database(&server.uri_for("ann", "hunter2hunter2", "admin")).await;
    let message = account.function().await.invoke(&hook_event("d-1")).await.error("Authentication");
    assert_says(&message, &["credentials", "check"]);
    account.assert_failed("d-1");
    account.assert_empty().await;
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let account = Account::with_database(DEAD_DATABASE).await;
    let function = account.function_with("BUCKET_NAME", Some("no-such-bucket")).await;
    let message = function.invoke(&hook_event("d-1")).await.error("NotFound");
    assert_says(&message, &["no-such-bucket"]);
    account.assert_failed("d-1");
}

#[tokio::test]
async fn a_missing_archive_is_named() {
    let account = Account::with_database(DEAD_DATABASE).await;
    let event = json!({"ApplicationName": "shop", "Action": "restore", "DeploymentId": "d-9"});
    let message = account.function().await.invoke(&event).await.error("NotFound");
    assert_says(&message, &["backups/shop/d-9.archive", "check"]);
    account.assert_empty().await;
}

#[tokio::test]
async fn services_that_never_answer_are_reported_in_time() {
    let account = Account::with_database(DEAD_DATABASE).await;
    let silent = Loopback::silent().await;
    let function = account.function_with("AWS_ENDPOINT_URL_SECRETS_MANAGER", Some(&silent.endpoint())).await;
    let began = Instant::now();
    let answer = function.invoke_as("r-1", Duration::from_secs(8), &hook_event("d-1")).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_says(
        &answer.error("Cancelled"),
        &["reading the secret", "interface endpoint for Secrets Manager"],
    );
    account.assert_failed("d-1");
    account.assert_empty().await;
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_named() {
    let account = Account::with_database(DEAD_DATABASE).await;
    let closed = "http://127.0.0.1:9";
    let function = account.function_with("AWS_ENDPOINT_URL_SECRETS_MANAGER", Some(closed)).await;
    let message = function.invoke(&hook_event("d-1")).await.error("Service");
    assert_says(&message, &["Secrets Manager could not be reached", "interface endpoint", "NAT gateway"]);
    account.assert_failed("d-1");
}
