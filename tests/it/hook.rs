//! The Lambda binary under a runtime API, with S3, Secrets Manager and CodeDeploy over HTTP and a real server.

mod by_hand;
mod claim;
mod deployment;
mod drill;
mod lease;
mod refusals;
mod scope;
mod secrets;
mod swap;
mod verify;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::support::codedeploy::CodeDeploy;
use super::support::moto::Moto;
use super::support::runtime_api::Function;
use super::support::s3::{BUCKET, S3Server};

/// A password that must not be seen anywhere, in a connection string to a port where nothing listens.
const DEAD_DATABASE: &str = "mongodb://ann:hunter2hunter2@127.0.0.1:9/?authSource=admin";

const GET: &str = "GetDeployment";
const REPORT: &str = "PutLifecycleEventHookExecutionStatus";
const STOP: &str = "StopDeployment";

/// An account of its own for one test: a bucket, a secret, and CodeDeploy.
pub(super) struct Account {
    moto: &'static Moto,
    codedeploy: CodeDeploy,
    name: String,
    /// An S3 of its own instead of moto's, which can be broken and decides about one write after the other.
    store: Option<S3Server>,
}

impl Account {
    async fn new() -> Self {
        static MOTO: OnceCell<Moto> = OnceCell::const_new();
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let moto = MOTO.get_or_init(Moto::start).await;
        let name = format!("account-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        moto.create_bucket(&name).await;
        Self { moto, codedeploy: CodeDeploy::start().await, name, store: None }
    }

    /// With a secret that holds this connection string.
    async fn with_database(uri: &str) -> Self {
        let account = Self::new().await;
        account.moto.create_secret(&account.name, &json!({"mongo_uri": uri}).to_string()).await;
        account
    }

    /// With a secret that holds this connection string, and an S3 of its own.
    pub(super) async fn with_store(uri: &str) -> Self {
        Self { store: Some(S3Server::start()), ..Self::with_database(uri).await }
    }

    pub(super) fn store(&self) -> &S3Server {
        self.store.as_ref().expect("an account with a store")
    }

    fn s3(&self) -> aws_sdk_s3::Client {
        self.store.as_ref().map_or_else(|| self.moto.s3(), S3Server::client)
    }

    fn bucket(&self) -> &str {
        if self.store.is_some() { BUCKET } else { &self.name }
    }

    fn environment(&self) -> BTreeMap<&'static str, String> {
        let mut environment: BTreeMap<_, _> = self.moto.environment().into_iter().collect();
        environment.insert("AWS_ENDPOINT_URL_CODEDEPLOY", self.codedeploy.endpoint());
        environment.insert("BUCKET_NAME", self.bucket().to_owned());
        environment.insert("MONGO_URI_SECRET_ID", self.name.clone());
        // The secret is in the account's own region.
        let store = self.store.iter().flat_map(S3Server::environment);
        for (name, value) in store.filter(|(name, _)| *name != "AWS_REGION") {
            let name = if name == "AWS_ENDPOINT_URL" { "AWS_ENDPOINT_URL_S3" } else { name };
            environment.insert(name, value);
        }
        environment
    }

    pub(super) async fn function(&self) -> Function {
        Function::start(self.environment()).await
    }

    /// Starts the function with a variable set to something else, or not set.
    async fn function_with(&self, variable: &'static str, value: Option<&str>) -> Function {
        let mut environment = self.environment();
        match value {
            Some(value) => environment.insert(variable, value.to_owned()),
            None => environment.remove(variable),
        };
        Function::start(environment).await
    }

    /// A function of the same account whose secret holds another connection string.
    async fn function_for(&self, tenant: &str, uri: &str) -> Function {
        let secret = format!("{}-{tenant}", self.name);
        self.moto.create_secret(&secret, &json!({"mongo_uri": uri}).to_string()).await;
        self.function_with("MONGO_URI_SECRET_ID", Some(&secret)).await
    }

    /// The keys of the archives in the bucket, each with the hash of its object.
    async fn objects(&self) -> BTreeMap<String, String> {
        let listing = self.s3().list_objects_v2().bucket(self.bucket()).prefix("backups/");
        let listed = listing.send().await.expect("a listing");
        let objects = listed.contents().iter();
        let objects = objects
            .map(|object| (object.key().unwrap().to_owned(), object.e_tag().unwrap_or_default().to_owned()));
        objects.filter(|(key, _)| key.ends_with(".archive")).collect()
    }

    /// Proves that no archive is in the bucket, and no part of one.
    async fn assert_empty(&self) {
        assert_eq!(self.objects().await, BTreeMap::new());
        let open = self.s3().list_multipart_uploads().bucket(self.bucket()).send().await.expect("a listing");
        assert!(open.uploads().is_empty(), "an upload was left open: {:?}", open.uploads());
    }

    /// Puts an object that this function has not written.
    async fn put(&self, key: &str, labels: &[(&str, String)]) {
        let mut put = self.s3().put_object().bucket(self.bucket()).key(key).body(b"precious".to_vec().into());
        for (name, value) in labels {
            put = put.metadata(*name, value.as_str());
        }
        put.send().await.expect("an object");
    }

    /// Removes an object, if there is one.
    async fn remove(&self, key: &str) {
        self.s3().delete_object().bucket(self.bucket()).key(key).send().await.expect("removed");
    }

    /// The one lease of a deployment in the bucket: its key and what it holds.
    async fn lease(&self) -> (String, Value) {
        let listing = self.s3().list_objects_v2().bucket(self.bucket()).prefix("locks/");
        let listed = listing.send().await.expect("a listing");
        let keys = listed.contents().iter().map(|object| object.key().expect("a key"));
        let leases: Vec<_> = keys.filter(|key| !key.starts_with("locks/backups/")).collect();
        let [lease] = leases.as_slice() else { panic!("not one lease: {listed:?}") };
        let key = (*lease).to_owned();
        let lease = self.s3().get_object().bucket(self.bucket()).key(&key).send().await.expect("the lease");
        let bytes = lease.body.collect().await.expect("all of it").into_bytes();
        (key, serde_json::from_slice(&bytes).expect("JSON"))
    }

    /// Replaces an object's bytes.
    async fn overwrite(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let put = self.s3().put_object().bucket(self.bucket()).key(key).body(bytes.into().into());
        put.send().await.expect("an object");
    }

    /// An object's bytes.
    async fn bytes(&self, key: &str) -> Vec<u8> {
        let got = self.s3().get_object().bucket(self.bucket()).key(key).send().await.expect("an object");
        got.body.collect().await.expect("all of it").to_vec()
    }

    /// The proof record under this key, if there is one.
    async fn record(&self, key: &str) -> Option<Value> {
        let got = self.s3().get_object().bucket(self.bucket()).key(key).send().await.ok()?;
        let bytes = got.body.collect().await.expect("all of it").into_bytes();
        Some(serde_json::from_slice(&bytes).expect("JSON"))
    }

    /// The labels of an object.
    async fn labels(&self, key: &str) -> HashMap<String, String> {
        let head = self.s3().head_object().bucket(self.bucket()).key(key).send().await.expect("an object");
        head.metadata.unwrap_or_default()
    }

    /// Proves that CodeDeploy heard `Failed` and then `StopDeployment`, once each.
    fn assert_failed(&self, deployment: &str) {
        let calls = self.calls_but_get();
        assert_eq!(calls, [report(deployment, "Failed"), stop(deployment)]);
    }

    /// Proves that CodeDeploy heard `Succeeded` once and nothing else.
    fn assert_succeeded(&self, deployment: &str) {
        assert_eq!(self.calls_but_get(), [report(deployment, "Succeeded")]);
    }

    /// What CodeDeploy has been told of this deployment since the last time.
    pub(super) fn reports(&self, deployment: &str) -> Vec<String> {
        let told = self.calls_but_get().into_iter().filter(|(operation, _)| operation == REPORT);
        let told = told.filter(|(_, parameters)| parameters["deploymentId"] == deployment);
        told.map(|(_, parameters)| parameters["status"].as_str().expect("a status").to_owned()).collect()
    }

    fn calls_but_get(&self) -> Vec<(String, Value)> {
        let mut calls = self.codedeploy.calls();
        calls.retain(|(operation, _)| operation != GET);
        calls
    }
}

/// What CodeDeploy sends.
pub(super) fn hook_event(deployment: &str) -> Value {
    json!({"DeploymentId": deployment, "LifecycleEventHookExecutionId": format!("hook-of-{deployment}")})
}

fn report(deployment: &str, status: &str) -> (String, Value) {
    let execution = format!("hook-of-{deployment}");
    let parameters =
        json!({"deploymentId": deployment, "lifecycleEventHookExecutionId": execution, "status": status});
    (REPORT.to_owned(), parameters)
}

fn stop(deployment: &str) -> (String, Value) {
    (STOP.to_owned(), json!({"deploymentId": deployment, "autoRollbackEnabled": false}))
}

#[track_caller]
fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}
