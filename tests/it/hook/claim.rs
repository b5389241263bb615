//! Many deliveries of one event: one dump, one archive, one answer.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use mongodb::bson::doc;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Account, GET, REPORT, STOP, assert_says, hook_event, report};
use crate::support::mongod::{Mongod, Options, Version};
use crate::support::runtime_api::{Answer, Function};
use crate::support::s3::{Fault, Operation, Rule};

const TIMEOUT: Duration = Duration::from_mins(2);

const KEY: &str = "backups/shop/d-1.archive";

/// Deliveries at once.
const MANY: usize = 50;

/// A server that the test may break, and an account with an S3 of its own.
async fn start() -> (Mongod, Account) {
    let options = Options { arguments: &["--setParameter", "enableTestCommands=1"], ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_5, options).await;
    let orders = server.client().await.database("shop").collection("orders");
    orders.insert_many((0..1_000).map(|number| doc! { "_id": number })).await.expect("documents");
    let account = Account::with_store(&server.uri()).await;
    (server, account)
}

/// How many queries the server has answered for the orders: each dump asks the same number.
async fn queries(server: &Mongod) -> i64 {
    let top = server.client().await.database("admin").run_command(doc! { "top": 1 }).await.expect("top");
    let orders = top.get_document("totals").and_then(|totals| totals.get_document("shop.orders"));
    let queries = orders.expect("the orders").get_document("queries").expect("queries");
    queries.get_i32("count").map(i64::from).or_else(|_| queries.get_i64("count")).expect("a count")
}

/// Sends the hook call and returns when its archive is about to be there, which waits for the gate.
async fn hold_at_completion(account: &Account, function: Function) -> (Arc<Semaphore>, JoinHandle<Answer>) {
    let gate = Arc::new(Semaphore::new(0));
    let rule = Rule::once(Operation::PutObject, Fault::Hold(Arc::clone(&gate)));
    account.store().inject(Rule { containing: "d-1.archive?", ..rule });
    let answer = tokio::spawn(async move { function.invoke_as("r-1", TIMEOUT, &hook_event("d-1")).await });
    account.store().arrived_at(Operation::PutObject, "d-1.archive?").await;
    (gate, answer)
}

/// What CodeDeploy was told, without repetitions.
fn told(account: &Account) -> Vec<(String, Value)> {
    let mut calls = account.calls_but_get();
    calls.dedup();
    calls
}

fn by_hand(deployment: &str) -> Value {
    json!({"ApplicationName": "shop", "DeploymentId": deployment})
}

#[tokio::test]
async fn fifty_deliveries_of_a_hook_call_make_one_dump_and_give_one_answer() {
    let (server, account) = start().await;
    let before = queries(&server).await;
    account.function().await.invoke(&hook_event("d-0")).await.result();
    let after = queries(&server).await;
    let of_one_dump = after - before;
    assert!(of_one_dump > 0);
    account.assert_succeeded("d-0");

    let functions = join_all((0..MANY).map(|_| account.function())).await;
    let event = hook_event("d-1");
    let calls = functions.iter().enumerate().map(|(number, function)| {
        // As Lambda runs one event again and as a sender sends it again.
        let request = if number % 2 == 0 { "r-1".to_owned() } else { format!("r-{number}") };
        let event = event.clone();
        async move { function.invoke_as(&request, TIMEOUT, &event).await.result() }
    });
    let results = join_all(calls).await;
    assert_eq!(queries(&server).await - after, of_one_dump, "more than one dump, or none");
    assert_eq!(results.iter().filter(|result| result["existing"] != true).count(), 1, "{results:?}");
    for result in &results {
        assert_eq!((&result["key"], &result["bytes"]), (&json!(KEY), &results[0]["bytes"]));
    }
    let calls = account.calls_but_get();
    assert_eq!(calls, vec![report("d-1", "Succeeded"); MANY]);
    let puts = account.store().seen(Operation::PutObject);
    assert_eq!(puts.iter().filter(|put| put.uri.contains("d-1.archive?")).count(), 1);
}

#[tokio::test]
async fn who_waits_for_a_killed_invocation_takes_over() {
    let (_server, account) = start().await;
    let (gate, first) = hold_at_completion(&account, account.function().await).await;
    let waiting = account.function().await;
    first.abort();
    assert!(first.await.expect_err("the function was killed").is_cancelled());
    // Longer than the silence after which the first one counts as dead, shorter than its deadline.
    let event = hook_event("d-1");
    let result = waiting.invoke_as("r-1", Duration::from_secs(100), &event).await.result();
    assert_eq!(result.get("existing"), None, "{result}");
    account.assert_succeeded("d-1");
    let archive = account.objects().await;
    gate.add_permits(1);
    assert_eq!(waiting.invoke(&event).await.result()["existing"], true);
    assert_eq!(account.objects().await, archive);
}

#[tokio::test]
async fn a_delivery_that_can_wait_no_longer_leaves_the_answer_to_the_one_at_work() {
    let (_server, account) = start().await;
    let (gate, first) = hold_at_completion(&account, account.function().await).await;
    let other = account.function().await;
    let message =
        other.invoke_as("r-2", Duration::from_secs(8), &hook_event("d-1")).await.error("AlreadyExists");
    assert_says(&message, &[KEY, "the request r-1 is writing this archive", "CodeDeploy"]);
    assert_eq!(account.calls_but_get(), [], "the deployment waits");
    gate.add_permits(1);
    first.await.expect("no panic").result();
    account.assert_succeeded("d-1");
}

#[tokio::test]
async fn after_failed_no_archive_is_taken_for_the_deployment_any_more() {
    let (server, account) = start().await;
    let admin = server.client().await.database("admin");
    let broken = doc! { "failCommands": ["find"], "closeConnection": true };
    let point =
        |mode: &str| doc! { "configureFailPoint": "failCommand", "mode": mode, "data": broken.clone() };
    admin.run_command(point("alwaysOn")).await.expect("a fail point");
    let function = account.function().await;
    let first = function.invoke_as("r-1", TIMEOUT, &hook_event("d-1")).await.error("Connection");
    account.assert_failed("d-1");
    admin.run_command(point("off")).await.expect("a fail point");

    // CodeDeploy says that the deployment is in progress, as it may for a moment.
    let before = queries(&server).await;
    for request in ["r-1", "r-2"] {
        let again = function.invoke_as(request, TIMEOUT, &hook_event("d-1")).await.error("Connection");
        assert_says(&again, &["answered the first time", "start a new deployment"]);
        assert!(
            again.contains(&first.chars().take(100).collect::<String>()),
            "{again:?} is another answer than {first:?}"
        );
        account.assert_failed("d-1");
    }
    assert_eq!(queries(&server).await, before);
    account.assert_empty().await;
    function.invoke(&hook_event("d-2")).await.result();
    account.assert_succeeded("d-2");
}

#[tokio::test]
async fn an_archive_that_is_gone_after_succeeded_is_not_taken_once_more() {
    let (server, account) = start().await;
    let function = account.function().await;
    function.invoke(&hook_event("d-1")).await.result();
    account.assert_succeeded("d-1");
    account.s3().delete_object().bucket(account.bucket()).key(KEY).send().await.expect("removed");
    let before = queries(&server).await;
    let message = function.invoke(&hook_event("d-1")).await.error("NotFound");
    assert_says(&message, &[KEY, "was there and is gone", "start a new deployment"]);
    assert_eq!(queries(&server).await, before);
    assert_eq!(account.store().object(KEY), None);
    assert_eq!(told(&account), [], "the hook has been answered");
}

#[tokio::test]
async fn a_delivery_that_fails_after_succeeded_does_not_stop_the_deployment() {
    let (_server, account) = start().await;
    account.function().await.invoke(&hook_event("d-1")).await.result();
    account.assert_succeeded("d-1");
    let refused = Rule::once(Operation::HeadObject, Fault::Refuse(403, "AccessDenied"));
    account.store().inject(Rule { containing: "d-1.archive", ..refused });
    account.function().await.invoke(&hook_event("d-1")).await.error("Storage");
    let calls = account.calls_but_get();
    assert!(calls.iter().all(|(operation, _)| ![REPORT, STOP].contains(&operation.as_str())), "{calls:?}");
}

#[tokio::test]
async fn an_archive_of_a_killed_invocation_is_read_before_it_counts() {
    let (_server, account) = start().await;
    let function = account.function().await;
    function.invoke(&hook_event("d-1")).await.result();
    account.assert_succeeded("d-1");
    account.remove(&format!("{KEY}.proof.json")).await;
    let result = function.invoke(&hook_event("d-1")).await.result();
    assert_eq!(result["existing"], true, "{result}");
    account.assert_succeeded("d-1");
    let reads = account.store().seen(Operation::GetObject);
    assert!(reads.iter().any(|read| read.uri.contains("d-1.archive?")), "nobody has read the archive");
}

#[tokio::test]
async fn a_damaged_archive_of_a_killed_invocation_is_no_success_and_stays() {
    let (_server, account) = start().await;
    let function = account.function().await;
    function.invoke(&hook_event("d-1")).await.result();
    account.assert_succeeded("d-1");
    account.remove(&format!("{KEY}.proof.json")).await;
    account.remove("locks/backups/shop/d-1.lease").await;
    let mut damaged = account.store().object(KEY).expect("the archive");
    damaged[100] ^= 0x40;
    std::fs::write(account.store().bucket_dir().join(KEY), &damaged).expect("damage");
    let message = function.invoke(&hook_event("d-1")).await.error("Archive");
    assert_says(&message, &[KEY]);
    account.assert_failed("d-1");
    assert_eq!(account.store().object(KEY), Some(damaged), "the archive was touched");
}

#[tokio::test]
async fn a_damaged_proof_record_is_made_anew_by_the_next_delivery() {
    let (server, account) = start().await;
    let function = account.function().await;
    function.invoke(&hook_event("d-1")).await.result();
    account.assert_succeeded("d-1");
    let (archive, before) = (account.objects().await, queries(&server).await);
    let record = format!("{KEY}.proof.json");
    let first = account.record(&record).await.expect("a record");
    for damaged in ["{}", "{\"format\":1,\"checksum\":\"0000000000000000\"}", "", "no JSON"] {
        account.overwrite(&record, damaged).await;
        let result = function.invoke(&hook_event("d-1")).await.result();
        assert_eq!(result["existing"], true, "{result}");
        account.assert_succeeded("d-1");
        let made = account.record(&record).await.expect("a record");
        assert_eq!((&made["crc64"], &made["namespaces"]), (&first["crc64"], &first["namespaces"]));
    }
    assert_eq!((account.objects().await, queries(&server).await), (archive, before), "nothing is dumped");
}

#[tokio::test]
async fn a_deployment_that_has_ended_keeps_its_archive_though_the_record_is_missing() {
    let (_server, account) = start().await;
    let function = account.function().await;
    function.invoke(&hook_event("d-1")).await.result();
    account.assert_succeeded("d-1");
    let ended =
        json!({"deploymentInfo": {"applicationName": "shop", "deploymentId": "d-1", "status": "Succeeded"}});
    let record = format!("{KEY}.proof.json");
    for damaged in [None, Some("{}")] {
        match damaged {
            Some(bytes) => account.overwrite(&record, bytes).await,
            None => account.remove(&record).await,
        }
        account.codedeploy.answer(GET, 200, ended.clone());
        let result = function.invoke(&hook_event("d-1")).await.result();
        assert_eq!(result["existing"], true, "{result}");
        account.assert_succeeded("d-1");
    }
}

#[tokio::test]
async fn an_archive_that_cannot_be_read_in_time_is_not_called_proven() {
    let (_server, account) = start().await;
    let function = account.function().await;
    function.invoke(&hook_event("d-1")).await.result();
    account.assert_succeeded("d-1");
    account.overwrite(&format!("{KEY}.proof.json"), "{}").await;
    let gate = Arc::new(Semaphore::new(0));
    let hold = Rule::once(Operation::GetObject, Fault::Hold(Arc::clone(&gate)));
    account.store().inject(Rule { containing: "d-1.archive?", ..hold });
    let short = Duration::from_secs(8);
    let message = function.invoke_as("r-1", short, &hook_event("d-1")).await.error("Cancelled");
    assert_says(&message, &["while reading the archive to prove it", "nothing was changed", "timeout"]);
    assert_eq!(told(&account), [], "the hook has been answered");
    gate.add_permits(1);
    assert_eq!(function.invoke(&hook_event("d-1")).await.result()["existing"], true);
}

#[tokio::test]
async fn of_two_backups_by_hand_at_the_same_moment_the_second_is_refused_before_it_dumps() {
    let (server, account) = start().await;
    let gate = Arc::new(Semaphore::new(0));
    let rule = Rule::once(Operation::PutObject, Fault::Hold(Arc::clone(&gate)));
    account.store().inject(Rule { containing: "d-1.archive?", ..rule });
    let (one, other) = (account.function().await, account.function().await);
    let first = tokio::spawn(async move { one.invoke_as("r-1", TIMEOUT, &by_hand("d-1")).await });
    account.store().arrived_at(Operation::PutObject, "d-1.archive?").await;
    let before = queries(&server).await;
    let message = other.invoke_as("r-2", TIMEOUT, &by_hand("d-1")).await.error("AlreadyExists");
    assert_says(&message, &[KEY, "the request r-1 is writing this archive", "send another DeploymentId"]);
    assert_eq!(queries(&server).await, before);
    gate.add_permits(1);
    first.await.expect("no panic").result();
    let message = other.invoke_as("r-2", TIMEOUT, &by_hand("d-1")).await.error("AlreadyExists");
    assert_says(&message, &[KEY, "there is an archive already", "Overwrite"]);
}

#[tokio::test]
async fn a_backup_by_hand_that_failed_is_done_by_the_next_request() {
    let (server, account) = start().await;
    let broken = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn",
    "data": { "failCommands": ["find"], "closeConnection": true } };
    let admin = server.client().await.database("admin");
    admin.run_command(broken).await.expect("a fail point");
    let function = account.function().await;
    function.invoke_as("r-1", TIMEOUT, &by_hand("d-1")).await.error("Connection");
    admin
        .run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" })
        .await
        .expect("a fail point");
    let result = function.invoke_as("r-1", TIMEOUT, &by_hand("d-1")).await.result();
    assert_eq!(result.get("existing"), None, "{result}");
}

#[tokio::test]
async fn an_archive_is_replaced_where_that_was_asked_for_and_nowhere_else() {
    let (server, account) = start().await;
    let function = account.function().await;
    function.invoke_as("r-1", TIMEOUT, &by_hand("d-1")).await.result();
    let first = account.store().object(KEY).expect("the archive");
    let orders = server.client().await.database("shop").collection("orders");
    orders.insert_one(doc! { "_id": "new" }).await.expect("a document");
    let mut overwriting = by_hand("d-1");
    overwriting["Overwrite"] = json!(true);

    let mut hook = hook_event("d-1");
    hook["Overwrite"] = json!(true);
    let message = function.invoke(&hook).await.error("InvalidInput");
    assert_says(&message, &["hook cannot overwrite"]);
    account.assert_failed("d-1");
    assert_eq!(account.store().object(KEY).as_ref(), Some(&first));

    let result = function.invoke_as("r-2", TIMEOUT, &overwriting).await.result();
    assert_eq!(result.get("existing"), None, "{result}");
    let second = account.store().object(KEY).expect("the archive");
    assert_ne!(first, second);
    let again = function.invoke_as("r-2", TIMEOUT, &overwriting).await.result();
    assert_eq!(again["existing"], true, "the same request once more: {again}");
    assert_eq!(account.store().object(KEY), Some(second));
}

#[tokio::test]
async fn an_archive_that_is_to_be_replaced_stays_where_the_new_one_fails() {
    let (server, account) = start().await;
    let function = account.function().await;
    function.invoke_as("r-1", TIMEOUT, &by_hand("d-1")).await.result();
    let first = account.store().object(KEY);
    let broken = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn",
    "data": { "failCommands": ["find"], "closeConnection": true } };
    server.client().await.database("admin").run_command(broken).await.expect("a fail point");
    let mut overwriting = by_hand("d-1");
    overwriting["Overwrite"] = json!(true);
    function.invoke_as("r-2", TIMEOUT, &overwriting).await.error("Connection");
    assert_eq!(account.store().object(KEY), first);
}
