//! Restores by hand that swap, or are exact.

use std::sync::Arc;
use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::by_hand::event;
use super::{Account, assert_says};
use crate::support::fingerprint::{assert_same, fingerprint_of};
use crate::support::mongod::{Mongod, Options, Version};
use crate::support::s3::{Fault, Operation, Rule};

const TIMEOUT: Duration = Duration::from_mins(2);

fn restore(flags: &[&str]) -> Value {
    let mut event = event("restore", "before");
    for flag in flags {
        event[*flag] = json!(true);
    }
    event
}

/// A shop that has been backed up, and has changed since: an order is new, the people are gone, and there is another
/// collection.
async fn changed_shop() -> (Mongod, Database, Account) {
    let options = Options { arguments: &["--setParameter", "enableTestCommands=1"], ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_5, options).await;
    let shop = server.client().await.database("shop");
    for name in ["orders", "people"] {
        let documents = (0..20).map(|id| doc! { "_id": id });
        shop.collection(name).insert_many(documents).await.expect("documents");
    }
    let index = doc! { "createIndexes": "orders", "indexes": [{ "key": { "n": 1 }, "name": "n_1" }] };
    shop.run_command(index).await.expect("an index");
    let account = Account::with_store(&server.uri()).await;
    account.function().await.invoke(&event("backup", "before")).await.result();
    shop.collection("orders").insert_one(doc! { "_id": "since" }).await.expect("a document");
    shop.collection::<Document>("people").drop().await.expect("dropped");
    shop.collection("invoices").insert_one(doc! { "_id": "since" }).await.expect("a document");
    (server, shop, account)
}

async fn names(shop: &Database) -> Vec<String> {
    let mut names = shop.list_collection_names().await.expect("names");
    names.sort_unstable();
    names
}

async fn orders(shop: &Database) -> u64 {
    shop.collection::<Document>("orders").count_documents(doc! {}).await.expect("a count")
}

async fn break_command(server: &Mongod, command: &str, mode: &str) {
    let data = doc! { "failCommands": [command], "errorCode": 2 };
    let point = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
    server.client().await.database("admin").run_command(point).await.expect("a fail point");
}

#[tokio::test]
async fn a_restore_by_swap_that_fails_leaves_everything_as_it_was() {
    let (server, shop, account) = changed_shop().await;
    let function = account.function().await;
    let before = fingerprint_of(&shop).await;
    for command in ["insert", "createIndexes"] {
        break_command(&server, command, "alwaysOn").await;
        function.invoke(&restore(&["Swap"])).await.error("Server");
        break_command(&server, command, "off").await;
        assert_same(&before, &fingerprint_of(&shop).await);
    }
    let result = function.invoke(&restore(&["Swap"])).await.result();
    assert_eq!((&result["action"], &result["failures"]), (&json!("restore"), &json!(0)), "{result}");
    assert_eq!(names(&shop).await, ["invoices", "orders", "people"], "and nothing hidden");
    assert_eq!(orders(&shop).await, 20);
}

#[tokio::test]
async fn a_restore_that_is_exact_removes_what_the_archive_does_not_have() {
    for flags in [&["Exact"][..], &["Exact", "Swap"]] {
        let (_server, shop, account) = changed_shop().await;
        account.function().await.invoke(&restore(flags)).await.result();
        assert_eq!(names(&shop).await, ["orders", "people"], "{flags:?}");
        assert_eq!(orders(&shop).await, 20);
    }
}

#[tokio::test]
async fn what_cannot_be_swapped_is_named_and_nothing_is_touched() {
    let (server, shop, account) = changed_shop().await;
    let function = account.function().await;
    let series = doc! { "create": "prices", "timeseries": { "timeField": "at" } };
    shop.run_command(series).await.expect("a time series");
    function.invoke(&event("backup", "series")).await.result();
    let before = fingerprint_of(&shop).await;
    let mut swap = event("restore", "series");
    swap["Swap"] = json!(true);
    let message = function.invoke(&swap).await.error("InvalidInput");
    assert_says(&message, &["shop.prices (a time series)", "nothing was touched"]);
    assert_same(&before, &fingerprint_of(&shop).await);

    swap["Swap"] = json!("yes");
    let message = function.invoke(&swap).await.error("InvalidInput");
    assert_says(&message, &["Swap is a string", "true or false"]);
    let mut backup = event("backup", "after");
    backup["Swap"] = json!(true);
    let message = function.invoke(&backup).await.error("InvalidInput");
    assert_says(&message, &["cannot swap", "restore by hand", "leave it out"]);
    assert_eq!(account.store().object("backups/shop/after.archive"), None);
    drop(server);
}

#[tokio::test]
async fn a_restore_by_swap_whose_time_runs_out_leaves_everything_as_it_was_and_says_so() {
    let (_server, shop, account) = changed_shop().await;
    let function = account.function().await;
    let before = fingerprint_of(&shop).await;
    let gate = Arc::new(Semaphore::new(0));
    let rule = Rule::once(Operation::GetObject, Fault::Hold(Arc::clone(&gate)));
    account.store().inject(Rule { containing: "shop/before.archive?", ..rule });
    let short = Duration::from_secs(8);
    let message = function.invoke_as("r-1", short, &restore(&["Swap"])).await.error("Cancelled");
    assert_says(&message, &["time ended while restoring by swap", "as they were", "timeout"]);
    assert!(!message.contains("part of the data"), "{message}");
    gate.add_permits(1);
    assert_same(&before, &fingerprint_of(&shop).await);
    function.invoke_as("r-2", TIMEOUT, &restore(&["Swap"])).await.result();
    assert_eq!(names(&shop).await, ["invoices", "orders", "people"], "and nothing hidden");
    assert_eq!(orders(&shop).await, 20);
}

/// The record is of the whole one, so that this one is read.
#[tokio::test]
async fn a_damaged_archive_is_read_before_a_swap_or_a_drop_and_named_with_what_is_whole() {
    let (_server, shop, account) = changed_shop().await;
    let function = account.function().await;
    let key = "backups/shop/before.archive";
    let before = fingerprint_of(&shop).await;
    let whole = account.bytes(key).await;
    account.overwrite(key, &whole[..whole.len() - 40]).await;
    for flags in [&[][..], &["Swap"], &["Exact"]] {
        let message = function.invoke(&restore(flags)).await.error("Archive");
        assert_says(&message, &[key, "damaged", "whole of it: "]);
        assert_same(&before, &fingerprint_of(&shop).await);
    }
}
