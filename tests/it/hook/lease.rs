//! Restores and backups at the same time, and events that come again.

use std::sync::Arc;
use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Account, assert_says, hook_event};
use crate::support::mongod::{Mongod, Options, Version};
use crate::support::runtime_api::{Answer, Function};
use crate::support::s3::{Fault, Operation, Rule, Seen};

const TIMEOUT: Duration = Duration::from_mins(2);

/// Milliseconds between the two calls of a pair.
const APART: [u64; 10] = [0, 0, 0, 1, 5, 20, 50, 100, 150, 200];

/// Documents in the archive.
const ARCHIVED: u64 = 2_000;

/// Documents after the damage.
const LEFT: u64 = 10;

fn event(action: &str, deployment: &str) -> Value {
    json!({"ApplicationName": "shop", "Action": action, "DeploymentId": deployment})
}

async fn orders(server: &Mongod) -> Collection<Document> {
    server.client().await.database("shop").collection("orders")
}

async fn count(server: &Mongod) -> u64 {
    orders(server).await.count_documents(doc! {}).await.expect("a count")
}

/// Leaves a few of the documents: nobody takes that for the archive's state.
async fn damage(server: &Mongod) {
    let orders = orders(server).await;
    let most = i64::try_from(LEFT).expect("few");
    orders.delete_many(doc! { "_id": { "$gte": most } }).await.expect("damage");
}

/// A server, and an account with an S3 of its own that has the server's archive `before`, restored nowhere yet.
async fn archived() -> (Mongod, Account) {
    let options = Options { arguments: &["--setParameter", "enableTestCommands=1"], ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_5, options).await;
    let documents = (0..i64::try_from(ARCHIVED).expect("few")).map(|number| doc! { "_id": number });
    orders(&server).await.insert_many(documents).await.expect("documents");
    let account = Account::with_store(&server.uri()).await;
    account.function().await.invoke(&event("backup", "before")).await.result();
    damage(&server).await;
    (server, account)
}

/// Holds the next restore of the archive `before`, which has a proof, when it has the lease and reads the archive.
fn hold_restore(account: &Account) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    let rule = Rule::once(Operation::GetObject, Fault::Hold(Arc::clone(&gate)));
    account.store().inject(Rule { containing: "shop/before.archive?", ..rule });
    gate
}

/// Returns when this many requests whose URI contains this have arrived.
async fn arrived(account: &Account, operation: Operation, containing: &str, requests: usize) {
    let fits = |seen: &Seen| seen.uri.contains(containing);
    while account.store().seen(operation).iter().filter(|seen| fits(seen)).count() < requests {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends the restore of `before`, which is held, as this request and returns when it has the lease and reads the archive.
async fn begin_restore(account: &Account, function: Function, request: &'static str) -> JoinHandle<Answer> {
    let answer =
        tokio::spawn(async move { function.invoke_as(request, TIMEOUT, &event("restore", "before")).await });
    account.store().arrived_at(Operation::GetObject, "shop/before.archive?").await;
    answer
}

#[tokio::test]
async fn of_two_restores_a_few_milliseconds_apart_never_both_are_at_work() {
    let (server, account) = archived().await;
    let (one, other) = (account.function().await, account.function().await);
    let event = event("restore", "before");
    for apart in APART {
        damage(&server).await;
        let late = async {
            tokio::time::sleep(Duration::from_millis(apart)).await;
            other.invoke(&event).await
        };
        let answers = tokio::join!(one.invoke(&event), late);
        let mut restored = 0;
        for answer in [answers.0, answers.1] {
            match answer {
                Answer::Result(result) => {
                    assert_eq!(result["failures"], 0, "{apart} ms apart: {result}");
                    restored += 1;
                }
                error @ Answer::Error { .. } => {
                    assert_says(&error.error("AlreadyExists"), &["is restoring everything", "wait"]);
                }
            }
        }
        assert!(restored >= 1, "{apart} ms apart nobody restored");
        assert_eq!(count(&server).await, ARCHIVED, "{apart} ms apart");
    }
}

#[tokio::test]
async fn of_two_deliveries_of_one_request_one_restores() {
    let (server, account) = archived().await;
    let (one, other) = (account.function().await, account.function().await);
    let event = event("restore", "before");
    for request in ["r-1", "r-2", "r-3", "r-4", "r-5"] {
        damage(&server).await;
        let answers =
            tokio::join!(one.invoke_as(request, TIMEOUT, &event), other.invoke_as(request, TIMEOUT, &event));
        let mut restored = 0;
        for answer in [answers.0, answers.1] {
            match answer {
                Answer::Result(result) if result["existing"] == true => {}
                Answer::Result(_) => restored += 1,
                error @ Answer::Error { .. } => {
                    assert_says(&error.error("AlreadyExists"), &["another delivery of the request", request]);
                }
            }
        }
        assert_eq!(restored, 1, "{request}");
        assert_eq!(count(&server).await, ARCHIVED);
    }
}

#[tokio::test]
async fn a_backup_close_to_a_restore_holds_the_state_before_or_after_it() {
    let (server, account) = archived().await;
    let (one, other) = (account.function().await, account.function().await);
    for (number, apart) in APART.into_iter().enumerate() {
        damage(&server).await;
        let deployment = format!("d-{number}");
        let pause = tokio::time::sleep(Duration::from_millis(apart));
        // Half of the time the backup is the later one.
        let restore_event = event("restore", "before");
        let backup_event = hook_event(&deployment);
        let (restored, backed_up) = if number % 2 == 0 {
            let late = async {
                pause.await;
                other.invoke(&backup_event).await
            };
            tokio::join!(one.invoke(&restore_event), late)
        } else {
            let late = async {
                pause.await;
                one.invoke(&restore_event).await
            };
            let (backed_up, restored) = tokio::join!(other.invoke(&backup_event), late);
            (restored, backed_up)
        };
        assert_eq!(restored.result()["failures"], 0, "a backup is in no restore's way");
        assert_eq!(count(&server).await, ARCHIVED);
        let key = format!("backups/shop/{deployment}.archive");
        match backed_up {
            Answer::Result(result) => {
                account.assert_succeeded(&deployment);
                // Beside the orders the version document.
                let documents = result["documents"].as_u64().expect("a number");
                assert!([LEFT, ARCHIVED].contains(&(documents - 1)), "{apart} ms apart: {result}");
            }
            error @ Answer::Error { .. } => {
                assert_says(&error.error("AlreadyExists"), &["restor"]);
                account.assert_failed(&deployment);
                assert_eq!(account.store().object(&key), None);
            }
        }
    }
}

#[tokio::test]
async fn a_backup_during_a_restore_fails_and_leaves_no_archive() {
    let (server, account) = archived().await;
    let gate = hold_restore(&account);
    let restoring = begin_restore(&account, account.function().await, "r-1").await;
    let message = account.function().await.invoke(&hook_event("d-1")).await.error("AlreadyExists");
    assert_says(&message, &["the request r-1 is restoring everything", "wait", "locks/rs0-"]);
    account.assert_failed("d-1");
    gate.add_permits(1);
    restoring.await.expect("no panic").result();
    assert_eq!(count(&server).await, ARCHIVED);
    assert_eq!(account.objects().await.into_keys().collect::<Vec<_>>(), ["backups/shop/before.archive"]);
    account.function().await.invoke(&hook_event("d-2")).await.result();
    account.assert_succeeded("d-2");
}

#[tokio::test]
async fn a_restore_that_comes_and_goes_during_a_backup_fails_it() {
    let (server, account) = archived().await;
    let gate = Arc::new(Semaphore::new(0));
    let rule = Rule::once(Operation::GetObject, Fault::Hold(Arc::clone(&gate)));
    // The second look at the lease, when everything has been read.
    account.store().inject(Rule { containing: "locks/rs0-", skip: 1, ..rule });
    let backup = account.function().await;
    let looks = |seen: Vec<Seen>| seen.iter().filter(|seen| seen.uri.contains("locks/rs0-")).count();
    let before = looks(account.store().seen(Operation::GetObject));
    let backing_up = tokio::spawn(async move { backup.invoke(&hook_event("d-1")).await });
    arrived(&account, Operation::GetObject, "locks/rs0-", before + 2).await;
    account.function().await.invoke_as("r-1", TIMEOUT, &event("restore", "before")).await.result();
    gate.add_permits(1);
    let message = backing_up.await.expect("no panic").error("AlreadyExists");
    assert_says(&message, &["a restore was at work", "r-1", "nothing was kept"]);
    account.assert_failed("d-1");
    assert_eq!(account.store().object("backups/shop/d-1.archive"), None);
    assert_eq!(count(&server).await, ARCHIVED);
}

#[tokio::test]
async fn applications_and_connection_strings_of_one_deployment_share_its_lease() {
    let (server, account) = archived().await;
    let gate = hold_restore(&account);
    let restoring = begin_restore(&account, account.function().await, "r-1").await;
    let archive = account.store().object("backups/shop/before.archive").expect("the archive");
    account.overwrite("backups/other/before.archive", archive).await;
    for (tenant, uri) in [
        ("direct", format!("mongodb://localhost:{}/?directConnection=true", server.port())),
        ("shop", format!("mongodb://127.0.0.1:{}/shop", server.port())),
    ] {
        let function = account.function_for(tenant, &uri).await;
        let other = json!({"ApplicationName": "other", "Action": "restore", "DeploymentId": "before"});
        let message = function.invoke(&other).await.error("AlreadyExists");
        assert_says(&message, &["the request r-1 is restoring everything"]);
    }
    gate.add_permits(1);
    restoring.await.expect("no panic").result();
}

#[tokio::test]
async fn restores_of_different_databases_do_not_wait_for_each_other() {
    let (server, account) = archived().await;
    let crm = server.client().await.database("crm").collection("people");
    crm.insert_one(doc! { "_id": 1 }).await.expect("a document");
    let uri = |database: &str| format!("mongodb://127.0.0.1:{}/{database}", server.port());
    let crm_function = account.function_for("crm", &uri("crm")).await;
    crm_function.invoke(&event("backup", "crm-only")).await.result();
    let gate = hold_restore(&account);
    let shop_function = account.function_for("shop", &uri("shop")).await;
    let restoring = begin_restore(&account, shop_function, "r-1").await;
    crm.delete_many(doc! {}).await.expect("damage");
    crm_function.invoke(&event("restore", "crm-only")).await.result();
    assert_eq!(crm.count_documents(doc! {}).await.expect("a count"), 1);
    crm_function.invoke(&event("backup", "crm-again")).await.result();
    gate.add_permits(1);
    restoring.await.expect("no panic").result();
    assert_eq!(count(&server).await, ARCHIVED);
}

#[tokio::test]
async fn a_failed_restore_that_lambda_runs_again_is_not_repeated() {
    let (server, account) = archived().await;
    let function = account.function().await;
    let admin = server.client().await.database("admin");
    let broken = doc! { "failCommands": ["insert"], "errorCode": 2 };
    let point =
        |mode: &str| doc! { "configureFailPoint": "failCommand", "mode": mode, "data": broken.clone() };
    admin.run_command(point("alwaysOn")).await.expect("a fail point");
    let restore = event("restore", "before");
    let first = function.invoke_as("r-1", TIMEOUT, &restore).await.error("Server");
    admin.run_command(point("off")).await.expect("a fail point");
    let again = function.invoke_as("r-1", TIMEOUT, &restore).await.error("Server");
    assert_says(&again, &["not repeated by itself", "new request"]);
    let first: String = first.chars().take(100).collect();
    assert!(again.contains(&first), "{again:?} is not the answer of the first time: {first:?}");
    assert_eq!(count(&server).await, 0, "what was left stays");
    function.invoke_as("r-2", TIMEOUT, &restore).await.result();
    assert_eq!(count(&server).await, ARCHIVED);
}

#[tokio::test]
async fn a_restore_past_its_deadline_says_so_each_time_and_gives_the_lease_back() {
    let (server, account) = archived().await;
    let function = account.function().await;
    let gate = hold_restore(&account);
    let restore = event("restore", "before");
    let first = function.invoke_as("r-1", Duration::from_secs(8), &restore).await.error("Cancelled");
    assert_says(&first, &["time ended while restoring", "part of the data is in place", "timeout"]);
    gate.add_permits(1);
    let again = function.invoke_as("r-1", TIMEOUT, &restore).await.error("Cancelled");
    assert!(again.starts_with(first.trim_end_matches('.')) || again.contains(&first), "{again}");
    assert_eq!(count(&server).await, LEFT);
    let result = function.invoke(&event("backup", "after")).await.result();
    assert_says(&result["warnings"].to_string(), &["r-1", "failed", "half-restored"]);
    function.invoke_as("r-2", TIMEOUT, &restore).await.result();
    assert_eq!(count(&server).await, ARCHIVED);
}

#[tokio::test]
async fn a_killed_restore_is_said_to_be_one_and_is_repeated_by_a_new_request_only() {
    let (server, account) = archived().await;
    let _gate = hold_restore(&account);
    let restoring = begin_restore(&account, account.function().await, "r-1").await;
    restoring.abort();
    assert!(restoring.await.expect_err("the function was killed").is_cancelled());
    let function = account.function().await;
    let restore = event("restore", "before");
    let message = function.invoke_as("r-1", TIMEOUT, &restore).await.error("AlreadyExists");
    assert_says(&message, &["another delivery of the request r-1", "wait"]);
    let message = function.invoke_as("r-2", TIMEOUT, &restore).await.error("AlreadyExists");
    assert_says(&message, &["the request r-1 is restoring", "if it was killed"]);

    // As if its deadline had passed.
    let (key, mut lease) = account.lease().await;
    lease["restores"][0]["until"] = json!(1);
    account.overwrite(&key, lease.to_string()).await;
    let message = function.invoke_as("r-1", TIMEOUT, &restore).await.error("Cancelled");
    assert_says(&message, &["was ended from outside", "part of the data", "new request"]);
    assert_eq!(count(&server).await, LEFT);
    function.invoke_as("r-2", TIMEOUT, &restore).await.result();
    assert_eq!(count(&server).await, ARCHIVED);
}

#[tokio::test]
async fn a_damaged_archive_is_named_and_the_lease_given_back() {
    let (server, account) = archived().await;
    let key = "backups/shop/before.archive";
    let whole = account.store().object(key).expect("the archive");
    account.overwrite(key, &whole[..whole.len() - 40]).await;
    let function = account.function().await;
    let restore = event("restore", "before");
    let message = function.invoke_as("r-1", TIMEOUT, &restore).await.error("Archive");
    assert_says(&message, &[key]);
    account.overwrite(key, whole).await;
    // It was read before anything was touched, so the same request may try again.
    function.invoke_as("r-1", TIMEOUT, &restore).await.result();
    assert_eq!(count(&server).await, ARCHIVED);
}

#[tokio::test]
async fn the_second_of_two_hook_calls_waits_for_the_first_ones_archive() {
    let (_server, account) = archived().await;
    let gate = Arc::new(Semaphore::new(0));
    let hold = Rule::once(Operation::PutObject, Fault::Hold(Arc::clone(&gate)));
    account.store().inject(Rule { containing: "d-1.archive?", ..hold });
    let (one, other) = (account.function().await, account.function().await);
    let first = tokio::spawn(async move { one.invoke(&hook_event("d-1")).await });
    account.store().arrived_at(Operation::PutObject, "d-1.archive?").await;
    let looks = account.store().seen(Operation::GetObject);
    let looks = looks.iter().filter(|seen| seen.uri.contains("d-1.lease")).count();
    let second = tokio::spawn(async move { other.invoke(&hook_event("d-1")).await });
    // It looks whether the hook was answered, who is at work, and again after a pause.
    arrived(&account, Operation::GetObject, "d-1.lease", looks + 3).await;
    gate.add_permits(1);
    let results = [first.await.expect("no panic").result(), second.await.expect("no panic").result()];
    assert_eq!(results.iter().filter(|result| result["existing"] == true).count(), 1, "{results:?}");
    let calls = account.calls_but_get();
    assert!(calls.iter().all(|call| *call == super::report("d-1", "Succeeded")), "{calls:?}");
}

#[tokio::test]
async fn a_completion_that_took_effect_is_a_success_even_at_the_deadline() {
    let (_server, account) = archived().await;
    let gate = Arc::new(Semaphore::new(0));
    let rule = Rule::once(Operation::PutObject, Fault::HoldAfter(Arc::clone(&gate)));
    account.store().inject(Rule { containing: "d-1.archive?", ..rule });
    let function = account.function().await;
    let result = function.invoke_as("r-1", Duration::from_secs(20), &hook_event("d-1")).await.result();
    assert_eq!(result["existing"], true, "{result}");
    account.assert_succeeded("d-1");
}

#[tokio::test]
async fn a_completion_of_which_nobody_knows_is_no_success_and_not_said_to_have_left_nothing() {
    let (_server, account) = archived().await;
    let gate = Arc::new(Semaphore::new(0));
    let rule = Rule::once(Operation::PutObject, Fault::Hold(Arc::clone(&gate)));
    account.store().inject(Rule { containing: "d-1.archive?", ..rule });
    let function = account.function().await;
    let answer = function.invoke_as("r-1", Duration::from_secs(8), &hook_event("d-1")).await;
    let message = answer.error("Cancelled");
    assert_says(&message, &["while completing the archive", "look before starting again"]);
    assert!(!message.contains("no archive was kept"), "{message}");
    account.assert_failed("d-1");
}

#[tokio::test]
async fn a_restore_whose_lease_was_removed_is_no_success() {
    let (_server, account) = archived().await;
    let gate = hold_restore(&account);
    let restoring = begin_restore(&account, account.function().await, "r-1").await;
    let (key, _) = account.lease().await;
    account.s3().delete_object().bucket(account.bucket()).key(key).send().await.expect("removed");
    gate.add_permits(1);
    let message = restoring.await.expect("no panic").error("AlreadyExists");
    assert_says(&message, &["the lease was removed", "restore again"]);
}
