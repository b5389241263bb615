//! What the real services cannot be made to do: hang for minutes, panic, refuse one call and not the next.

use std::future::pending;
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use lambda_runtime::Context;
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::MongoUri;
use crate::storage::Storage;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Panic,
    Hang,
    RefuseReports,
    HangInReports,
}

/// Services whose calls do what the test says, and note that they were made.
#[derive(Debug, Default)]
struct Faulty {
    faults: &'static [Fault],
    storage: Storage,
    calls: Mutex<Vec<String>>,
}

impl Faulty {
    fn with(faults: &'static [Fault]) -> Self {
        Self { faults, ..Self::default() }
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    fn note(&self, call: impl Into<String>) {
        self.calls.lock().unwrap().push(call.into());
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl Services for Faulty {
    fn bucket(&self) -> Result<&str> {
        assert!(!self.has(Fault::Panic), "the bucket's name made the hook panic");
        Ok("vault")
    }

    fn database(&self) -> Option<&str> {
        None
    }

    fn storage(&self) -> Result<&Storage> {
        Ok(&self.storage)
    }

    async fn mongo_uri(&self) -> Result<MongoUri> {
        pending().await
    }

    async fn deployment(&self, _: &str) -> Result<DeploymentInfo> {
        if self.has(Fault::Hang) {
            pending::<()>().await;
        }
        Ok(DeploymentInfo { application: Some("shop".to_owned()), ended: None })
    }

    async fn report(&self, hook: &HookCall, verdict: Verdict) -> Result<()> {
        self.note(format!("{} {verdict:?}", hook.deployment_id()));
        if self.has(Fault::HangInReports) {
            pending::<()>().await;
        }
        if self.has(Fault::RefuseReports) { Err(Error::new(ErrorKind::Service, "refused")) } else { Ok(()) }
    }

    async fn stop(&self, deployment: &str) -> Result<()> {
        self.note(format!("{deployment} stopped"));
        Ok(())
    }
}

const FAILED: [&str; 2] = ["d-1 Failed", "d-1 stopped"];

fn hook_event() -> Value {
    json!({"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "h-1"})
}

fn in_seconds(seconds: u64) -> u64 {
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(seconds);
    u64::try_from(end.as_millis()).unwrap()
}

async fn call(services: Faulty, event: Value) -> (Diagnostic, Vec<String>) {
    let services = Arc::new(services);
    let mut context = Context::default();
    context.request_id = "r-1".to_owned();
    context.deadline = in_seconds(900);
    let error = handle(&services, LambdaEvent::new(event, context)).await.expect_err("a fault");
    (error, services.calls())
}

#[tokio::test]
async fn a_panic_is_reported_like_any_failure() {
    let (error, calls) = call(Faulty::with(&[Fault::Panic]), hook_event()).await;
    assert_eq!(error.error_type, "Internal");
    assert!(error.error_message.contains("defect of mongoark"), "{}", error.error_message);
    assert_eq!(calls, FAILED);
}

#[tokio::test]
async fn a_hook_call_that_cannot_be_read_is_reported() {
    let mut event = hook_event();
    event["Action"] = json!("restore");
    let (error, calls) = call(Faulty::default(), event).await;
    assert_eq!(error.error_type, "InvalidInput");
    assert_eq!(calls, FAILED);
}

#[tokio::test]
async fn a_call_by_hand_reports_nothing() {
    let (error, calls) = call(Faulty::default(), json!({"ApplicationName": "shop", "DeploymentId": 1})).await;
    assert_eq!(error.error_type, "InvalidInput");
    assert_eq!(calls, [""; 0]);
}

#[tokio::test]
async fn a_deployment_is_stopped_even_if_failed_cannot_be_reported() {
    let (error, calls) = call(Faulty::with(&[Fault::Panic, Fault::RefuseReports]), hook_event()).await;
    assert_eq!(error.error_type, "Internal", "the first error is the function's error");
    assert_eq!(calls, FAILED);
}

#[tokio::test(start_paused = true)]
async fn work_that_hangs_is_reported_before_lambda_ends_it() {
    let began = Instant::now();
    let (error, calls) = call(Faulty::with(&[Fault::Hang]), hook_event()).await;
    assert_eq!(error.error_type, "Cancelled");
    let message = error.error_message;
    assert!(message.contains("asking CodeDeploy") && message.contains("interface endpoint"), "{message}");
    assert_eq!(calls, FAILED);
    assert!(began.elapsed() < Duration::from_secs(890), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_report_that_hangs_leaves_time_to_stop_the_deployment() {
    let began = Instant::now();
    let faults = Faulty::with(&[Fault::Hang, Fault::HangInReports]);
    let (error, calls) = call(faults, hook_event()).await;
    assert_eq!(error.error_type, "Cancelled");
    assert_eq!(calls, FAILED);
    assert!(began.elapsed() < Duration::from_secs(899), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_complete_archive_is_never_reported_as_a_failure() {
    let services = Faulty::with(&[Fault::RefuseReports]);
    let name = |text| name::Name::new("a test", text).unwrap();
    let archive = Archive::new("vault", &name("shop"), &name("d-1"));
    let outcome = Outcome::existing(event::Action::Backup, &archive, None, 1);
    let deadline = Deadline::new(in_seconds(60), SystemTime::now());
    let caller = Caller::find(&hook_event());
    let error = caller.answer(&services, deadline, None, Ok(outcome)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Service);
    let message = error.report();
    assert!(message.contains("s3://vault/backups/shop/d-1.archive is complete"), "{message}");
    assert!(message.contains("send the same event again: refused"), "{message}");
    assert_eq!(services.calls(), ["d-1 Succeeded"]);
}
