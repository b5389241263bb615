//! Restores that are only a test, by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use serde_json::json;

use super::by_hand::{event, small_server};
use super::{Account, assert_says};
use crate::support::mongod::{Mongod, Options, Version};
use crate::support::proxy::{Fault, Proxy, Rule};

/// The store tells the time of completion in whole seconds.
const A_SECOND: Duration = Duration::from_millis(1_100);

impl Account {
    /// The tags of an object.
    async fn tags(&self, key: &str) -> BTreeMap<String, String> {
        let asked = self.s3().get_object_tagging().bucket(self.bucket()).key(key).send().await.expect("tags");
        asked.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect()
    }

    async fn assert_restored_ok(&self, key: &str) {
        let tags = self.tags(key).await;
        let day = tags.get("restored-ok").unwrap_or_else(|| panic!("{key}: {tags:?}"));
        let is_day = day.len() == 10 && day.chars().all(|letter| letter.is_ascii_digit() || letter == '-');
        assert!(is_day, "{day}");
    }
}

async fn assert_nothing_left(client: &Client) {
    let names = client.list_database_names().await.expect("names");
    assert!(!names.iter().any(|name| name.starts_with("mongoark_drill")), "{names:?}");
}

#[tokio::test]
async fn a_named_archive_is_restored_compared_and_tagged() {
    let server = small_server().await;
    let client = server.client().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    let backup = function.invoke(&event("backup", "before")).await.result();
    client
        .database("shop")
        .collection("orders")
        .insert_one(doc! { "_id": "since" })
        .await
        .expect("a document");
    let result = function.invoke(&event("drill", "before")).await.result();
    assert_eq!((&result["action"], &result["key"]), (&json!("drill"), &backup["key"]), "{result}");
    // The version of the schema of users is left out.
    assert_eq!((&result["documents"], &result["collections"]), (&json!(3), &json!(1)), "{result}");
    assert_eq!((&result["bytes"], &result["scope"]), (&backup["bytes"], &json!("everything")), "{result}");
    assert!(result["restore_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{result}");
    assert_eq!(result.get("warnings"), None, "{result}");
    account.assert_restored_ok("backups/shop/before.archive").await;
    assert_nothing_left(&client).await;
    let orders = client.database("shop").collection::<Document>("orders");
    assert_eq!(orders.count_documents(doc! {}).await.expect("a count"), 4, "what is there is not touched");
    assert_eq!(account.codedeploy.calls(), []);
}

#[tokio::test]
async fn where_none_is_named_the_newest_proven_one_is_drilled() {
    let server = small_server().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    let newest = json!({"ApplicationName": "shop", "Action": "drill"});
    let message = function.invoke(&newest).await.error("NotFound");
    assert_says(&message, &["backups/shop/", "no proven archive"]);
    // By name the older one is the last.
    for deployment in ["z-old", "a-new"] {
        function.invoke(&event("backup", deployment)).await.result();
        tokio::time::sleep(A_SECOND).await;
    }
    // What a killed backup has left, one of another application, and what is no archive of this function.
    account.put("backups/shop/younger.archive", &[]).await;
    account.put("backups/shop/notes.txt", &[]).await;
    function.invoke(&json!({"ApplicationName": "shopping", "DeploymentId": "other"})).await.result();
    let result = function.invoke(&newest).await.result();
    assert_eq!(result["key"], "backups/shop/a-new.archive", "{result}");
    let warnings = result["warnings"].to_string();
    assert_says(&warnings, &["passed over as not proven", "backups/shop/younger.archive"]);
    assert!(!warnings.contains("notes.txt"), "{warnings}");
    account.assert_restored_ok("backups/shop/a-new.archive").await;
    for untouched in ["z-old", "younger"] {
        assert_eq!(account.tags(&format!("backups/shop/{untouched}.archive")).await, BTreeMap::new());
    }
}

#[tokio::test]
async fn a_drill_is_refused_where_a_database_has_the_name_of_its_scratch() {
    let server = small_server().await;
    let client = server.client().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    function.invoke(&event("backup", "before")).await.result();
    let own = client.database("mongoark_drill_shop").collection("mine");
    own.insert_one(doc! { "_id": 1 }).await.expect("a document");
    let message = function.invoke(&event("drill", "before")).await.error("AlreadyExists");
    assert_says(&message, &["mongoark_drill_shop", "exists already", "drop it"]);
    assert_eq!(own.count_documents(doc! {}).await.expect("a count"), 1);
    assert_eq!(account.tags("backups/shop/before.archive").await, BTreeMap::new());
    own.drop().await.expect("dropped");
    function.invoke(&event("drill", "before")).await.result();
    assert_nothing_left(&client).await;
}

#[tokio::test]
async fn a_damaged_archive_fails_the_drill_before_anything_is_made() {
    let server = small_server().await;
    let client = server.client().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    function.invoke(&event("backup", "before")).await.result();
    let key = "backups/shop/before.archive";
    let whole = account.bytes(key).await;
    account.overwrite(key, &whole[..whole.len() - 40]).await;
    let message = function.invoke(&event("drill", "before")).await.error("Archive");
    assert_says(&message, &[key]);
    assert_nothing_left(&client).await;
    assert_eq!(account.tags(key).await, BTreeMap::new());
}

#[tokio::test]
async fn drills_run_on_the_deployment_of_their_own_secret_which_is_shown_nowhere() {
    let server = small_server().await;
    let account = Account::with_database(&server.uri()).await;
    account.function().await.invoke(&event("backup", "before")).await.result();
    // The deployment that was backed up is not there any more.
    drop(server);
    let other = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let secret = format!("{}-drills", account.name);
    let mut environment = account.environment();
    environment.insert("DRILL_URI_SECRET_ID", secret.clone());
    environment.insert("RUST_LOG", "trace,aws_smithy_runtime=trace,mongodb=trace,hyper=info".to_owned());
    let function = super::Function::start(environment).await;
    let message = function.invoke(&event("drill", "before")).await.error("NotFound");
    assert_says(&message, &[&secret, "no such secret", "DRILL_URI_SECRET_ID"]);
    assert!(!message.contains("MONGO_URI"), "{message}");
    account.moto.create_secret(&secret, "{\"mongo_uri\": \"mongodb://ann:hunter2hunter2@h/?tls=x\"}").await;
    let message = function.invoke(&event("drill", "before")).await.error("InvalidInput");
    assert_says(&message, &[&secret, "cannot be used"]);

    let put = account.moto.secrets_manager().put_secret_value().secret_id(&secret);
    let text = json!({"mongo_uri": other.uri()}).to_string();
    put.secret_string(text).send().await.expect("a secret");
    let result = function.invoke(&event("drill", "before")).await.result();
    assert_eq!(result["documents"], 3, "{result}");
    assert!(function.log().contains("drilling"), "it logs");
    assert_nothing_left(&other.client().await).await;
    account.assert_restored_ok("backups/shop/before.archive").await;
}

#[tokio::test]
async fn a_drill_whose_time_runs_out_drops_what_it_has_made() {
    let server = small_server().await;
    let client = server.client().await;
    let index = doc! { "createIndexes": "orders", "indexes": [{ "key": { "n": 1 }, "name": "n_1" }] };
    client.database("shop").run_command(index).await.expect("an index");
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let account = Account::with_database(&proxy.uri()).await;
    let function = account.function().await;
    function.invoke(&event("backup", "before")).await.result();
    proxy.inject(Rule::always("createIndexes", Fault::Swallow));
    let short = Duration::from_secs(12);
    let message = function.invoke_as("r-1", short, &event("drill", "before")).await.error("Cancelled");
    assert_says(&message, &["time ended while drilling", "only scratch databases", "timeout"]);
    assert!(proxy.requests("createIndexes") > 0, "it had restored");
    assert_nothing_left(&client).await;
    assert_eq!(account.tags("backups/shop/before.archive").await, BTreeMap::new());
    proxy.heal();
    function.invoke(&event("drill", "before")).await.result();
    assert_nothing_left(&client).await;
}
