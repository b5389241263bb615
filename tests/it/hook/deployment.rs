//! Hook calls: what CodeDeploy asks for and hears.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use serde_json::json;

use super::{Account, DEAD_DATABASE, GET, REPORT, STOP, assert_says, hook_event, report, stop};
use crate::support::mongod::{Mongod, Options, Version};
use crate::support::s3::{Fault, Operation, Rule};

/// A server that the test may break, with 1,000 documents.
async fn server() -> Mongod {
    let options = Options { arguments: &["--setParameter", "enableTestCommands=1"], ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_5, options).await;
    let collection = server.client().await.database("shop").collection("orders");
    collection.insert_many((0..1_000).map(|number| doc! { "_id": number })).await.expect("documents");
    server
}

/// From now on the server does this to every `find`.
async fn break_finds(server: &Mongod, how: Document) {
    let mut data = doc! { "failCommands": ["find", "getMore"] };
    data.extend(how);
    let point = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data };
    server.client().await.database("admin").run_command(point).await.expect("a fail point");
}

#[tokio::test]
async fn a_deployment_goes_on_when_its_archive_is_complete() {
    let server = server().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    let result = function.invoke(&hook_event("d-1")).await.result();
    assert_eq!(result["action"], "backup");
    assert_eq!(result["bucket"], account.name.as_str());
    assert_eq!(result["key"], "backups/shop/d-1.archive");
    assert!(result["documents"].as_u64() >= Some(1_000), "{result}");
    assert!(result["collections"].as_u64() >= Some(1), "{result}");
    assert!(result["seconds"].as_f64() > Some(0.0), "{result}");
    let head = account.moto.s3().head_object().bucket(&account.name).key("backups/shop/d-1.archive");
    let head = head.send().await.expect("the archive");
    assert_eq!(result["bytes"].as_i64(), head.content_length(), "{result}");

    let calls = account.codedeploy.calls();
    assert_eq!(calls, [(GET.to_owned(), json!({"deploymentId": "d-1"})), report("d-1", "Succeeded")]);
    for line in function.log().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[tokio::test]
async fn an_event_that_comes_again_finds_the_archive_and_leaves_it() {
    let server = server().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    function.invoke(&hook_event("d-1")).await.result();
    account.assert_succeeded("d-1");
    let archive = account.objects().await;

    let orders = server.client().await.database("shop").collection::<Document>("orders");
    orders.delete_many(doc! {}).await.expect("the migration");
    account.codedeploy.refuse(REPORT, "LifecycleEventAlreadyCompletedException");
    let result = function.invoke(&hook_event("d-1")).await.result();
    assert_eq!((&result["existing"], result.get("documents")), (&json!(true), None), "{result}");
    account.assert_succeeded("d-1");
    assert_eq!(account.objects().await, archive);
}

#[tokio::test]
async fn an_archive_that_was_not_reported_is_reported_by_the_next_attempt() {
    let server = server().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    account.codedeploy.refuse(REPORT, "InvalidLifecycleEventHookExecutionIdException");
    let message = function.invoke(&hook_event("d-1")).await.error("Service");
    assert_says(&message, &["d-1.archive is complete", "send the same event again", "InvalidLifecycleEvent"]);
    assert_eq!(account.calls_but_get(), [report("d-1", "Succeeded")], "neither Failed nor stopped");

    let result = function.invoke(&hook_event("d-1")).await.result();
    assert_eq!(result["existing"], true, "{result}");
    account.assert_succeeded("d-1");
}

#[tokio::test]
async fn a_busy_codedeploy_is_asked_again() {
    let server = server().await;
    let account = Account::with_database(&server.uri()).await;
    for _ in 0..2 {
        account.codedeploy.answer(REPORT, 500, json!({"__type": "InternalFailure"}));
    }
    account.function().await.invoke(&hook_event("d-1")).await.result();
    assert_eq!(account.calls_but_get(), vec![report("d-1", "Succeeded"); 3]);
}

#[tokio::test]
async fn an_archive_of_somebody_else_is_left_alone() {
    let account = Account::with_database(DEAD_DATABASE).await;
    account.put("backups/shop/d-1.archive", &[]).await;
    account.put("backups/shop/d-2.archive", &[("mongoark-deployment", "d-1".to_owned())]).await;
    let before = account.objects().await;
    let function = account.function().await;
    for deployment in ["d-1", "d-2"] {
        let message = function.invoke(&hook_event(deployment)).await.error("AlreadyExists");
        assert_says(
            &message,
            &[&format!("backups/shop/{deployment}.archive"), "not taken for this deployment"],
        );
        account.assert_failed(deployment);
    }
    assert_eq!(account.objects().await, before);
}

#[tokio::test]
async fn a_deployment_that_has_ended_gets_no_archive() {
    let account = Account::with_database(DEAD_DATABASE).await;
    let known = json!({"deploymentInfo": {"applicationName": "shop", "status": "Stopped"}});
    account.codedeploy.answer(GET, 200, known);
    account.codedeploy.refuse(REPORT, "LifecycleEventAlreadyCompletedException");
    account.codedeploy.refuse(STOP, "DeploymentAlreadyCompletedException");
    let message = account.function().await.invoke(&hook_event("d-1")).await.error("InvalidInput");
    assert_says(&message, &["d-1 has ended (Stopped)", "start a new deployment"]);
    account.assert_failed("d-1");
    account.assert_empty().await;
}

#[tokio::test]
async fn the_events_application_name_stands_in_for_codedeploys() {
    let server = server().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    account.codedeploy.refuse(GET, "AccessDeniedException");
    let mut event = hook_event("d-1");
    event["ApplicationName"] = json!("fallback");
    let result = function.invoke(&event).await.result();
    assert_eq!(result["key"], "backups/fallback/d-1.archive");
    assert_says(&function.log(), &["allow codedeploy:GetDeployment", "using the event's ApplicationName"]);
    account.assert_succeeded("d-1");
}

#[tokio::test]
async fn without_any_application_name_the_deployment_is_stopped() {
    let account = Account::with_database(DEAD_DATABASE).await;
    account.codedeploy.refuse(GET, "DeploymentDoesNotExistException");
    let message = account.function().await.invoke(&hook_event("d-1")).await.error("Service");
    assert_says(&message, &["d-1", "DeploymentDoesNotExistException", "send ApplicationName"]);
    account.assert_failed("d-1");
    account.assert_empty().await;
}

#[tokio::test]
async fn a_deployment_is_stopped_even_if_codedeploy_refuses_the_report() {
    let account = Account::with_database(DEAD_DATABASE).await;
    account.codedeploy.refuse(REPORT, "InvalidDeploymentIdException");
    account.codedeploy.refuse(STOP, "DeploymentAlreadyCompletedException");
    let function = account.function().await;
    function.invoke(&hook_event("d-1")).await.error("Connection");
    assert_eq!(account.calls_but_get(), [report("d-1", "Failed"), stop("d-1")]);
    assert_says(&function.log(), &["could not report Failed", "InvalidDeploymentIdException"]);
}

#[tokio::test]
async fn a_server_that_breaks_off_leaves_no_archive_and_is_reported() {
    let server = server().await;
    break_finds(&server, doc! { "closeConnection": true }).await;
    let account = Account::with_database(&server.uri()).await;
    account.function().await.invoke(&hook_event("d-1")).await.error("Connection");
    account.assert_failed("d-1");
    account.assert_empty().await;
}

#[tokio::test]
async fn a_dump_that_takes_too_long_is_aborted_and_reported_in_time() {
    let server = server().await;
    break_finds(&server, doc! { "blockConnection": true, "blockTimeMS": 600_000 }).await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    let answer = function.invoke_as("r-1", Duration::from_secs(8), &hook_event("d-1")).await;
    assert_says(&answer.error("Cancelled"), &["time ended while dumping", "no archive was kept", "timeout"]);
    account.assert_failed("d-1");
    account.assert_empty().await;
}

#[tokio::test]
async fn a_dump_that_cannot_end_in_time_is_given_up_early_and_says_what_it_takes() {
    let server = server().await;
    let large = server.client().await.database("shop").collection("large");
    for thousand in 0..20 {
        let documents =
            (0..1_000).map(|number| doc! { "_id": thousand * 1_000 + number, "text": "t".repeat(4_000) });
        large.insert_many(documents).await.expect("documents");
    }
    break_finds(&server, doc! { "blockConnection": true, "blockTimeMS": 1_500 }).await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    let answer = function.invoke_as("r-1", Duration::from_secs(40), &hook_event("d-1")).await;
    let message = answer.error("Cancelled");
    assert_says(
        &message,
        &["cannot end in time and was given up", "no archive was kept", "needs about", "has 40"],
    );
    assert_says(&message, &["MB of memory instead of 1024", "raise its timeout to"]);
    account.assert_failed("d-1");
    account.assert_empty().await;
}

#[tokio::test]
async fn even_the_most_verbose_log_shows_no_secret() {
    let server = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function_with("RUST_LOG", Some("trace")).await;
    function.invoke(&hook_event("d-1")).await.result();
    assert_says(&function.log(), &["\"level\":\"DEBUG\"", "the archive is proven"]);
    // What others say is not shown below a warning: requests and their answers are in it.
    assert!(!function.log().contains("GetSecretValue"), "{}", function.log());
}

#[tokio::test]
async fn a_store_that_refuses_the_archive_stops_the_deployment() {
    let server = server().await;
    let account = Account::with_store(&server.uri()).await;
    let store = account.store();
    let rule = Rule::always(Operation::PutObject, Fault::Refuse(403, "AccessDenied"));
    store.inject(Rule { containing: "d-1.archive?", ..rule });
    let function = account.function().await;
    let message = function.invoke(&hook_event("d-1")).await.error("Storage");
    assert_says(&message, &["backups/shop/d-1.archive"]);
    account.assert_failed("d-1");
    assert_eq!((store.object("backups/shop/d-1.archive"), store.open_uploads()), (None, Vec::new()));
}
