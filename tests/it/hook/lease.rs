//! Restores and backups at the same time, and events that come again.

use std::sync::Arc;
use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Account, assert_says, hook_event};
use crate::support::mongod::{Mongod, Version};
use crate::support::runtime_api::{Answer, Function};
use crate::support::s3::{Fault, Operation, Rule};

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
    let server = Mongod::start(Version::V6_0_5).await;
    let documents = (0..i64::try_from(ARCHIVED).expect("few")).map(|number| doc! { "_id": number });
    orders(&server).await.insert_many(documents).await.expect("documents");
    let account = Account::with_store(&server.uri()).await;
    account.function().await.invoke(&event("backup", "before")).await.result();
    damage(&server).await;
    (server, account)
}

/// Holds the next restore of the archive `before` when it has the lease and reads the archive.
fn hold_restore(account: &Account) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    let rule = Rule::once(Operation::GetObject, Fault::Hold(Arc::clone(&gate)));
    account.store().inject(Rule { containing: "before.archive", ..rule });
    gate
}

/// Sends the restore of `before` as this request and returns when it reads the archive.
async fn begin_restore(account: &Account, function: Function, request: &'static str) -> JoinHandle<Answer> {
    let answer =
        tokio::spawn(async move { function.invoke_as(request, TIMEOUT, &event("restore", "before")).await });
    account.store().arrived_at(Operation::GetObject, "before.archive").await;
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
    account.store().inject(Rule { containing: ".lease", skip: 1, ..rule });
    let backup = account.function().await;
    let looks = account.store().seen(Operation::GetObject).len() + 2;
    let backing_up = tokio::spawn(async move { backup.invoke(&hook_event("d-1")).await });
    account.store().arrived(Operation::GetObject, looks).await;
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
    account.store().heal();
    for (tenant, uri) in [
        ("direct", format!("mongodb://localhost:{}/?directConnection=true", server.port())),
        ("shop", format!("mongodb://127.0.0.1:{}/shop", server.port())),
    ] {
        let function = account.function_for(tenant, &uri).await;
        let archive = account.store().object("backups/shop/before.archive").expect("the archive");
        std::fs::create_dir_all(account.store().bucket_dir().join("backups/other")).expect("a folder");
        std::fs::write(account.store().bucket_dir().join("backups/other/before.archive"), archive)
            .expect("written");
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
    let rule = Rule::once(Operation::GetObject, Fault::Refuse(403, "AccessDenied"));
    account.store().inject(Rule { containing: "before.archive", ..rule });
    let restore = event("restore", "before");
    let first = function.invoke_as("r-1", TIMEOUT, &restore).await.error("Storage");
    let again = function.invoke_as("r-1", TIMEOUT, &restore).await.error("Storage");
    assert_says(&again, &["access was denied", "not repeated by itself", "new request"]);
    assert!(again.contains(&first), "{again:?} is not the answer of the first time: {first:?}");
    assert_eq!(count(&server).await, LEFT, "what was there stays");
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
    let put = account.s3().put_object().bucket(account.bucket()).key(key);
    put.body(lease.to_string().into_bytes().into()).send().await.expect("an older lease");
    let message = function.invoke_as("r-1", TIMEOUT, &restore).await.error("Cancelled");
    assert_says(&message, &["was ended from outside", "part of the data", "new request"]);
    assert_eq!(count(&server).await, LEFT);
    function.invoke_as("r-2", TIMEOUT, &restore).await.result();
    assert_eq!(count(&server).await, ARCHIVED);
}

#[tokio::test]
async fn a_damaged_archive_is_named_and_the_lease_given_back() {
    let (server, account) = archived().await;
    let path = account.store().bucket_dir().join("backups/shop/before.archive");
    let whole = std::fs::read(&path).expect("the archive");
    std::fs::write(&path, &whole[..whole.len() - 40]).expect("written");
    let function = account.function().await;
    let restore = event("restore", "before");
    let message = function.invoke_as("r-1", TIMEOUT, &restore).await.error("Archive");
    assert_says(&message, &["backups/shop/before.archive"]);
    std::fs::write(&path, &whole).expect("written");
    function.invoke_as("r-1", TIMEOUT, &restore).await.error("Archive");
    function.invoke_as("r-2", TIMEOUT, &restore).await.result();
    assert_eq!(count(&server).await, ARCHIVED);
}

#[tokio::test]
async fn the_second_of_two_hook_calls_waits_for_the_first_ones_archive() {
    let (_server, account) = archived().await;
    let gate = Arc::new(Semaphore::new(0));
    let hold = Rule::once(Operation::PutObject, Fault::Hold(Arc::clone(&gate)));
    let refuse = Rule::once(Operation::PutObject, Fault::Refuse(409, "ConditionalRequestConflict"));
    account.store().inject(Rule { containing: "d-1.archive", ..hold });
    account.store().inject(Rule { containing: "d-1.archive", ..refuse });
    let (one, other) = (account.function().await, account.function().await);
    let first = tokio::spawn(async move { one.invoke(&hook_event("d-1")).await });
    account.store().arrived_at(Operation::PutObject, "d-1.archive").await;
    let puts = account.store().seen(Operation::PutObject).len();
    let second = tokio::spawn(async move { other.invoke(&hook_event("d-1")).await });
    account.store().arrived(Operation::PutObject, puts + 1).await;
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
    account.store().inject(Rule { containing: "d-1.archive", ..rule });
    let function = account.function().await;
    let result = function.invoke_as("r-1", Duration::from_secs(8), &hook_event("d-1")).await.result();
    assert_eq!(result["existing"], true, "{result}");
    account.assert_succeeded("d-1");
}

#[tokio::test]
async fn a_completion_of_which_nobody_knows_is_no_success_and_not_said_to_have_left_nothing() {
    let (_server, account) = archived().await;
    let gate = Arc::new(Semaphore::new(0));
    let rule = Rule::once(Operation::PutObject, Fault::Hold(Arc::clone(&gate)));
    account.store().inject(Rule { containing: "d-1.archive", ..rule });
    let function = account.function().await;
    let answer = function.invoke_as("r-1", Duration::from_secs(8), &hook_event("d-1")).await;
    let message = answer.error("Cancelled");
    assert_says(&message, &["while completing the archive", "look before starting again"]);
    assert!(!message.contains("no archive was kept"), "{message}");
    account.assert_failed("d-1");
}
