use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::super::fields::FIELDS;
use super::*;

/// 2026-08-01T10:20:30.040Z.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_785_579_630_040)
}

fn event(name: &str) -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/events").join(name).with_extension("json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn parsed(name: &str) -> Request {
    Request::parse(&event(name), now()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn given(text: &str) -> Name {
    Name::new("a test", text).unwrap()
}

fn backup_of(application: &str, deployment: &str) -> Request {
    Request::Backup { application: given(application), deployment: given(deployment), overwrite: false }
}

#[track_caller]
fn assert_refused(event: &Value, words: &[&str]) {
    let error = Request::parse(event, now()).expect_err(&event.to_string());
    let message = error.report();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{message}");
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

#[test]
fn codedeploy_sends_two_fields() {
    assert_eq!(
        parsed("hook-backup"),
        Request::CodeDeploy { deployment: given("d-5UGC6PTGF"), fallback: None }
    );
    let hook = HookCall::find(&event("hook-backup")).unwrap();
    assert_eq!(hook.deployment_id(), "d-5UGC6PTGF");
    assert_eq!(hook.execution_id(), "eyJlbmNyeXB0ZWREYXRhIjoiTnc9PSJ9");
}

#[test]
fn the_application_name_of_a_hook_call_is_a_fallback() {
    let fallback = Some(given("shop"));
    assert_eq!(
        parsed("hook-backup-with-fallback"),
        Request::CodeDeploy { deployment: given("d-5UGC6PTGF"), fallback }
    );
}

#[test]
fn a_backup_without_a_deployment_id_is_named_by_the_time() {
    let request = backup_of("shop", "2026-08-01T10:20:30.040Z");
    assert_eq!(parsed("manual-backup"), request);
    assert_eq!(parsed("manual-backup-with-nulls"), request);
    assert_eq!(HookCall::find(&event("manual-backup-with-nulls")), None);
}

#[test]
fn the_time_has_three_decimals_even_if_they_are_zero() {
    for (milliseconds, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_782_400_900, "2000-02-29T00:00:00.900Z"),
        (1_785_579_630_007, "2026-08-01T10:20:30.007Z"),
    ] {
        assert_eq!(timestamp(UNIX_EPOCH + Duration::from_millis(milliseconds)).unwrap(), text);
    }
}

#[test]
fn a_deployment_id_is_honoured_and_an_action_trimmed_and_lowered() {
    assert_eq!(parsed("manual-backup-named"), backup_of("shop", "before-the-move"));
    let deployment = given("2026-08-01T10:20:30.400Z");
    assert_eq!(parsed("manual-restore"), Request::Restore { application: given("shop"), deployment, swap: false, exact: false });
}

#[test]
fn what_is_missing_is_named() {
    assert_refused(&event("manual-without-application"), &["no ApplicationName", "send"]);
    assert_refused(&event("manual-restore-without-deployment"), &["no DeploymentId", "send"]);
    assert_refused(&event("hook-without-deployment"), &["no DeploymentId", "send both"]);
    let event = json!({"ApplicationName": "shop", "LifecycleEventHookExecutionId": ""});
    assert_refused(&event, &["LifecycleEventHookExecutionId is empty"]);
}

#[test]
fn an_unknown_action_is_no_backup() {
    assert_refused(&event("unknown-action"), &["\"delete\"", "\"verify\" or \"drill\""]);
    assert_refused(&event("misspelt-action"), &["field action", "write it Action"]);
    assert_refused(&json!({"ApplicationName": "shop", "Action": ""}), &["Action is \"\""]);
    let long = json!({"ApplicationName": "shop", "Action": "x".repeat(10_000)});
    assert!(Request::parse(&long, now()).unwrap_err().report().len() < 200);
}

#[test]
fn a_hook_never_restores() {
    assert_refused(&event("hook-restore"), &["hook cannot restore", "by hand"]);
}

#[test]
fn a_malformed_hook_call_can_still_be_answered() {
    let event = event("hook-with-malformed-action");
    assert_refused(&event, &["Action is an array", "send a string"]);
    assert!(HookCall::find(&event).is_some());
}

#[test]
fn an_event_is_an_object_of_strings() {
    for event in [json!(null), json!([]), json!("backup"), json!(7), json!(true)] {
        assert_refused(&event, &["the event is ", "send a JSON object"]);
        assert_eq!(HookCall::find(&event), None);
    }
    for field in FIELDS {
        let mut event = json!({"ApplicationName": "shop"});
        event[field] = json!(7);
        let wanted = if FLAGS.iter().any(|(flag, ..)| *flag == field) { "send true or false" } else { "send a string" };
        assert_refused(&event, &[field, "is a number", wanted]);
    }
}

#[test]
fn a_word_is_no_flag() {
    let event = json!({"ApplicationName": "shop", "Overwrite": "true"});
    assert_refused(&event, &["Overwrite is a string", "send true or false"]);
}

#[test]
fn only_a_backup_by_hand_overwrites() {
    let mut event = json!({"ApplicationName": "shop", "DeploymentId": "d-1", "Overwrite": true});
    let request = Request::parse(&event, now()).unwrap();
    assert!(matches!(request, Request::Backup { overwrite: true, .. }), "{request:?}");
    for action in ["restore", "verify", "drill"] {
        event["Action"] = json!(action);
        assert_refused(&event, &[action, "cannot overwrite", "leave it out"]);
    }
    event["Action"] = json!("backup");
    event["LifecycleEventHookExecutionId"] = json!("h-1");
    assert_refused(&event, &["a deployment hook cannot overwrite"]);
    event["Overwrite"] = json!(false);
    assert!(Request::parse(&event, now()).is_ok());
}

#[test]
fn only_a_restore_by_hand_swaps_or_is_exact() {
    for (field, what) in [("Swap", "cannot swap"), ("Exact", "cannot restore exactly")] {
        let mut event = json!({"ApplicationName": "shop", "DeploymentId": "d-1", "Action": "restore"});
        event[field] = json!(true);
        let request = Request::parse(&event, now()).unwrap();
        let (swap, exact) = (field == "Swap", field == "Exact");
        let (application, deployment) = (given("shop"), given("d-1"));
        assert_eq!(request, Request::Restore { application, deployment, swap, exact });
        for action in ["backup", "verify", "drill"] {
            event["Action"] = json!(action);
            assert_refused(&event, &[action, what, field, "restore by hand", "leave it out"]);
            event[field] = json!(false);
            assert!(Request::parse(&event, now()).is_ok());
            event[field] = json!(true);
        }
        event["LifecycleEventHookExecutionId"] = json!("h-1");
        event["Action"] = json!("backup");
        assert_refused(&event, &["a deployment hook", what, field]);
        event["Action"] = json!("restore");
        event[field] = json!("true");
        assert_refused(&event, &[field, "is a string", "send true or false"]);
    }
    let event = json!({"ApplicationName": "shop", "DeploymentId": "d-1", "Action": "restore", "swap": true});
    assert_refused(&event, &["field swap", "write it Swap"]);
}

#[test]
fn an_archive_is_verified_and_drilled_by_hand_only() {
    let named = |action: &str| json!({"ApplicationName": "shop", "DeploymentId": "d-1", "Action": action});
    let (application, deployment) = (given("shop"), given("d-1"));
    assert_eq!(
        Request::parse(&named(" Verify"), now()).unwrap(),
        Request::Verify { application: application.clone(), deployment: deployment.clone() }
    );
    assert_eq!(
        Request::parse(&named("drill"), now()).unwrap(),
        Request::Drill { application: application.clone(), deployment: Some(deployment) }
    );
    let newest = json!({"ApplicationName": "shop", "Action": "drill"});
    assert_eq!(Request::parse(&newest, now()).unwrap(), Request::Drill { application, deployment: None });
    assert_refused(
        &json!({"ApplicationName": "shop", "Action": "verify"}),
        &["no DeploymentId", "to verify"],
    );
    for action in ["verify", "drill"] {
        let mut event = named(action);
        event["LifecycleEventHookExecutionId"] = json!("h-1");
        assert_refused(&event, &["a deployment hook cannot", action, "by hand"]);
    }
}

#[test]
fn fields_of_others_do_not_matter() {
    let event = json!({"ApplicationName": "shop", "detail": {"Action": 7}, "DeploymentId": "d-1"});
    assert!(Request::parse(&event, now()).is_ok());
}

#[test]
fn a_name_must_make_one_component_of_a_key() {
    let long = "ä".repeat(128);
    for (name, problem) in [
        ("", "is empty"),
        ("a/b", "slash"),
        ("/", "slash"),
        ("..", "two in a row"),
        (".", "is a dot"),
        ("a..b", "two in a row"),
        ("a\nb", "control character"),
        ("a\u{7f}", "control character"),
        ("a\\b", "slash"),
        ("a\u{2215}b", "slash"),
        ("a\u{ff0f}b", "slash"),
        ("a\u{202e}b", "not seen"),
        ("a\u{200b}", "not seen"),
        ("\u{feff}a", "not seen"),
        ("a\u{2028}b", "not seen"),
        (&long, "longer than 255 bytes"),
    ] {
        assert_refused(&json!({"ApplicationName": name}), &["ApplicationName", problem, "send"]);
        assert_refused(
            &json!({"ApplicationName": "a", "DeploymentId": name}),
            &["DeploymentId", problem, "send"],
        );
    }
    for name in ["a", "a.b", " a b ", ".a", "Zürich", &"x".repeat(255)] {
        assert!(Request::parse(&json!({"ApplicationName": name}), now()).is_ok(), "{name}");
    }
}
