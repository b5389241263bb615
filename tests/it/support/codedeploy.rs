//! A CodeDeploy that answers what the test says and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::loopback::{Answer, Loopback, answer};

/// A running recorder; ended when dropped.
#[derive(Debug)]
pub struct CodeDeploy {
    server: Loopback,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    calls: Vec<(String, Value)>,
    script: HashMap<String, VecDeque<(u16, Value)>>,
}

impl CodeDeploy {
    /// Starts a recorder; the deployments it knows are in progress and install the application `shop`.
    pub async fn start() -> Self {
        let memory = Arc::<Mutex<Memory>>::default();
        let shared = Arc::clone(&memory);
        let server = Loopback::start(move |request| std::future::ready(serve(&shared, &request))).await;
        Self { server, memory }
    }

    /// The next call of this operation gets this error.
    pub fn refuse(&self, operation: &str, error: &str) {
        let body =
            json!({"__type": format!("com.amazonaws.codedeploy#{error}"), "message": "the test says so"});
        self.answer(operation, 400, body);
    }

    /// The next call of this operation gets this answer.
    pub fn answer(&self, operation: &str, status: u16, body: Value) {
        self.memory.lock().unwrap().script.entry(operation.to_owned()).or_default().push_back((status, body));
    }

    /// What `AWS_ENDPOINT_URL_CODEDEPLOY` has to be.
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// The operations and their parameters since the last time, in their order.
    pub fn calls(&self) -> Vec<(String, Value)> {
        let calls = std::mem::take(&mut self.memory.lock().unwrap().calls);
        super::secrets::assert_none_in("what CodeDeploy was told", format!("{calls:?}"));
        calls
    }
}

fn serve(memory: &Mutex<Memory>, request: &Request<Bytes>) -> Answer {
    assert_eq!(request.headers()["content-type"], "application/x-amz-json-1.1");
    assert!(request.headers().contains_key("authorization"), "the call is signed");
    let target = request.headers()["x-amz-target"].to_str().expect("text");
    let operation = target.strip_prefix("CodeDeploy_20141006.").expect("CodeDeploy's API").to_owned();
    let parameters: Value = serde_json::from_slice(request.body()).expect("JSON");
    let mut memory = memory.lock().unwrap();
    let scripted = memory.script.get_mut(&operation).and_then(VecDeque::pop_front);
    let (status, body) = scripted.unwrap_or_else(|| (200, usual(&operation, &parameters)));
    memory.calls.push((operation, parameters));
    answer(status, body.to_string())
}

fn usual(operation: &str, parameters: &Value) -> Value {
    match operation {
        "GetDeployment" => json!({"deploymentInfo": {
            "applicationName": "shop",
            "deploymentGroupName": "production",
            "deploymentId": parameters["deploymentId"],
            "computePlatform": "ECS",
            "status": "InProgress",
        }}),
        "PutLifecycleEventHookExecutionStatus" => {
            json!({"lifecycleEventHookExecutionId": parameters["lifecycleEventHookExecutionId"]})
        }
        "StopDeployment" => json!({"status": "Succeeded", "statusMessage": "stopped"}),
        other => panic!("{other} is none of the hook's operations"),
    }
}
