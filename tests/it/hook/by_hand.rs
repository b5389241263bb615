//! Calls by hand: backups and restores.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use super::{Account, assert_says};
use crate::support::fingerprint::{assert_same, fingerprint};
use crate::support::mongod::{Mongod, Version};
use crate::support::zoo;

const TIMEOUT: Duration = Duration::from_mins(2);

pub(super) fn event(action: &str, deployment: &str) -> Value {
    json!({"ApplicationName": "shop", "Action": action, "DeploymentId": deployment})
}

/// A server with three orders.
pub(super) async fn small_server() -> Mongod {
    let server = Mongod::start(Version::V6_0_5).await;
    let orders = server.client().await.database("shop").collection("orders");
    orders.insert_many((0..3).map(|number| doc! { "_id": number })).await.expect("documents");
    server
}

pub(super) async fn orders(server: &Mongod) -> u64 {
    let orders = server.client().await.database("shop").collection::<Document>("orders");
    orders.count_documents(doc! {}).await.expect("a count")
}

async fn lose_orders(server: &Mongod) {
    server.client().await.database("shop").collection::<Document>("orders").drop().await.expect("dropped");
}

async fn backup_and_restore(version: Version) {
    let server = Mongod::start(version).await;
    let client = server.client().await;
    zoo::fill(&client, version).await;
    let expected = fingerprint(&client).await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    let result = function.invoke(&event("backup", "before")).await.result();
    assert_eq!(result["key"], "backups/shop/before.archive");

    for database in expected.keys().map(|namespace| namespace.split_once('.').expect("a dot").0) {
        client.database(database).drop().await.expect("damage");
    }
    let result = function.invoke(&event("restore", "before")).await.result();
    assert_eq!((&result["action"], &result["failures"]), (&json!("restore"), &json!(0)), "{result}");
    assert_same(&expected, &fingerprint(&client).await);
    assert_eq!(account.codedeploy.calls(), []);
}

#[tokio::test]
async fn a_damaged_zoo_of_4_4_comes_back() {
    backup_and_restore(Version::V4_4_2).await;
}

#[tokio::test]
async fn a_damaged_zoo_of_5_0_comes_back() {
    backup_and_restore(Version::V5_0_4).await;
}

#[tokio::test]
async fn a_damaged_zoo_of_6_0_comes_back() {
    backup_and_restore(Version::V6_0_27).await;
}

#[tokio::test]
async fn a_backup_without_a_deployment_id_is_named_by_the_time() {
    let server = small_server().await;
    let account = Account::with_database(&server.uri()).await;
    let result = account.function().await.invoke(&json!({"ApplicationName": "shop"})).await.result();
    let key = result["key"].as_str().expect("a key").to_owned();
    let time =
        key.strip_prefix("backups/shop/").and_then(|rest| rest.strip_suffix(".archive")).expect("a time");
    let shape: String =
        time.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
    assert_eq!(account.objects().await.into_keys().collect::<Vec<_>>(), [key]);
}

#[tokio::test]
async fn an_archive_is_never_overwritten_by_hand() {
    let server = small_server().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    let first = function.invoke_as("r-1", TIMEOUT, &event("backup", "before")).await.result();
    let archive = account.objects().await;
    lose_orders(&server).await;

    let message = function.invoke_as("r-2", TIMEOUT, &event("backup", "before")).await.error("AlreadyExists");
    assert_says(&message, &["backups/shop/before.archive", "send another DeploymentId"]);
    let again = function.invoke_as("r-1", TIMEOUT, &event("backup", "before")).await.result();
    assert_eq!((&again["existing"], &again["bytes"]), (&json!(true), &first["bytes"]), "{again}");
    assert_eq!(account.objects().await, archive);
}

#[tokio::test]
async fn of_two_backups_at_once_one_is_kept() {
    let server = small_server().await;
    let account = Account::with_database(&server.uri()).await;
    let (one, other) = tokio::join!(account.function(), account.function());
    let event = event("backup", "before");
    let answers = tokio::join!(one.invoke(&event), other.invoke(&event));
    let kept =
        [answers.0, answers.1].iter().filter(|answer| format!("{answer:?}").starts_with("Result")).count();
    assert_eq!(kept, 1);
    assert_eq!(account.objects().await.len(), 1);
}

#[tokio::test]
async fn a_restore_that_is_delivered_twice_is_done_once() {
    let server = small_server().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    function.invoke(&event("backup", "before")).await.result();
    lose_orders(&server).await;
    let result = function.invoke_as("r-1", TIMEOUT, &event("restore", "before")).await.result();
    assert_eq!(orders(&server).await, 3, "{result}");

    lose_orders(&server).await;
    let result = function.invoke_as("r-1", TIMEOUT, &event("restore", "before")).await.result();
    assert_eq!(result["existing"], true, "{result}");
    assert_eq!(orders(&server).await, 0, "what was written since stays as it is");
    function.invoke_as("r-2", TIMEOUT, &event("restore", "before")).await.result();
    assert_eq!(orders(&server).await, 3, "a new call restores");
}

#[tokio::test]
async fn an_archive_that_is_none_is_named() {
    let server = small_server().await;
    let account = Account::with_database(&server.uri()).await;
    account.put("backups/shop/before.archive", &[]).await;
    let message = account.function().await.invoke(&event("restore", "before")).await.error("Archive");
    assert_says(&message, &["backups/shop/before.archive"]);
    assert_eq!(orders(&server).await, 3, "nothing was dropped");
}

#[tokio::test]
async fn documents_older_than_their_validator_come_back() {
    let server = small_server().await;
    let database = server.client().await.database("shop");
    let validator = doc! { "collMod": "orders", "validator": { "paid": { "$exists": true } } };
    database.run_command(validator).await.expect("a validator");
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    function.invoke(&event("backup", "before")).await.result();
    lose_orders(&server).await;
    let result = function.invoke(&event("restore", "before")).await.result();
    assert_eq!(result["failures"], 0, "{result}");
    assert_eq!(orders(&server).await, 3);
}
