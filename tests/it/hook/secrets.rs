//! Secrets are in no output of the function, whatever it is told to log.

use serde_json::{Value, json};

use super::{Account, hook_event};
use crate::secrets::{Forms, encoded};
use crate::support::mongod::{Mongod, Options, Version};
use crate::support::runtime_api::Function;

const PASSWORD: &str = "Gr3at+S3cr3t%41@:/?#[]&=;,.*^$(x)|\\\"'`{}<é名🦀";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "FwoGZXIvYXdzEBYaDHqa0AP/+token==";

/// The function, told to log everything, with credentials that are to stay hidden.
async fn talkative(account: &Account) -> Function {
    let mut environment = account.environment();
    environment.insert("RUST_LOG", "trace,aws_smithy_runtime=trace,mongodb=trace,hyper=trace".to_owned());
    environment.insert("RUST_BACKTRACE", "full".to_owned());
    environment.insert("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned());
    environment.insert("AWS_SESSION_TOKEN", TOKEN.to_owned());
    Function::start(environment).await
}

async fn hides(account: &Account, function: &Function, event: &Value, case: &str) {
    let answer = function.invoke(event).await;
    let shown = format!("{}\n{answer:?}\n{:?}", function.log(), account.codedeploy.calls());
    for secret in [PASSWORD, SECRET_KEY, TOKEN] {
        Forms::of(secret).assert_hidden(&shown, case);
    }
    assert!(!shown.contains("Gr3at"), "{case}: {shown}");
}

#[tokio::test]
async fn the_log_at_its_most_talkative_holds_no_secret() {
    let options = Options { auth: true, ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_5, options).await;
    let account = Account::with_database(&server.uri()).await;
    let function = talkative(&account).await;
    let by_hand = json!({"ApplicationName": "shop", "DeploymentId": "d-1"});
    function.invoke(&by_hand).await.result();
    let log = function.log();
    assert!(log.contains("\"level\":\"INFO\""), "it logs: {log}");
    for secret in [SECRET_KEY, TOKEN] {
        Forms::of(secret).assert_hidden(&log, "a backup");
    }
    let password = encoded(PASSWORD);
    for (case, secret) in [
        ("a wrong password", json!({"mongo_uri": server.uri_for("ann", PASSWORD, "admin")}).to_string()),
        ("a dead server", json!({"mongo_uri": format!("mongodb://ann:{password}@127.0.0.1:9")}).to_string()),
        ("a bad option", json!({"mongo_uri": format!("mongodb://ann:{password}@h/?tls=x")}).to_string()),
        ("not encoded", json!({"mongo_uri": format!("mongodb://ann:{PASSWORD}@h/")}).to_string()),
        ("cut in a letter", json!({"mongo_uri": "mongodb://ann:Gr3at%aé@h"}).to_string()),
        ("of another driver", json!({"mongo_uri": format!("postgres://ann:{password}@h")}).to_string()),
        ("another field", json!({"uri": PASSWORD}).to_string()),
        ("no JSON", format!("{{\"mongo_uri\": \"{PASSWORD}")),
        ("no object", json!(PASSWORD).to_string()),
    ] {
        let manager = account.moto.secrets_manager();
        manager
            .put_secret_value()
            .secret_id(&account.name)
            .secret_string(secret)
            .send()
            .await
            .expect("a secret");
        hides(&account, &function, &hook_event("d-2"), case).await;
    }
}

#[tokio::test]
async fn services_that_cannot_be_reached_are_told_without_the_credentials() {
    let account = Account::with_database("mongodb://127.0.0.1:9").await;
    for (service, endpoint) in [
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "no endpoint"),
    ] {
        let mut environment = account.environment();
        for (name, value) in [
            ("RUST_LOG", "trace"),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_SESSION_TOKEN", TOKEN),
            (service, endpoint),
        ] {
            environment.insert(name, value.to_owned());
        }
        let function = Function::start(environment).await;
        hides(&account, &function, &hook_event("d-1"), service).await;
    }
}
