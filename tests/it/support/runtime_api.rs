//! The Lambda binary under a runtime API of the test's own, over HTTP as on Lambda.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::body::Bytes;
use hyper::{Method, Request};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::loopback::{self, Loopback, answer};
use super::process::{Process, new_home};
use super::secrets::assert_none_in;

const VERSION: &str = "/2018-06-01/runtime";

/// More than any invocation of a test takes; only a broken one gets there.
const ANSWER_LIMIT: Duration = Duration::from_mins(3);

/// The function's time unless a test says otherwise.
const TIMEOUT: Duration = Duration::from_mins(2);

/// A function that runs; ended when dropped.
#[derive(Debug)]
pub struct Function {
    process: Process,
    api: Arc<Api>,
    _server: Loopback,
}

#[derive(Debug)]
struct Api {
    send: mpsc::UnboundedSender<Invocation>,
    /// One runtime asks for one invocation at a time.
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    answers: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
}

#[derive(Debug)]
struct Invocation {
    request_id: String,
    deadline: Duration,
    event: String,
}

/// What the function returned.
#[derive(Clone, Debug)]
pub enum Answer {
    Result(Value),
    Error { kind: String, message: String },
}

impl Function {
    /// Starts the binary with this environment, and nothing else, beside what Lambda sets.
    pub async fn start(environment: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let (send, receive) = mpsc::unbounded_channel();
        let api =
            Arc::new(Api { send, waiting: tokio::sync::Mutex::new(receive), answers: Mutex::default() });
        let shared = Arc::clone(&api);
        let listening = Loopback::start(move |request| {
            let api = Arc::clone(&shared);
            async move { api.serve(request).await }
        })
        .await;
        let mut command: Vec<OsString> = vec!["env".into(), "-i".into()];
        let lambda = [
            ("AWS_LAMBDA_RUNTIME_API", listening.address()),
            ("AWS_LAMBDA_FUNCTION_NAME", "mongoark".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ];
        command.extend(
            lambda.into_iter().chain(environment).map(|(name, value)| format!("{name}={value}").into()),
        );
        command.push(env!("CARGO_BIN_EXE_mongoark-lambda").into());
        let nothing: [(&'static str, OsString); 0] = [];
        let process = Process::start(new_home("lambda-"), command, nothing);
        Self { process, api, _server: listening }
    }

    /// Sends an event and waits for the answer.
    pub async fn invoke(&self, event: &Value) -> Answer {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let request_id = format!("00000000-0000-4000-8000-{:012}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.invoke_as(&request_id, TIMEOUT, event).await
    }

    /// Sends an event in a request of this id, which Lambda would end after `timeout`.
    pub async fn invoke_as(&self, request_id: &str, timeout: Duration, event: &Value) -> Answer {
        let (answered, answer) = oneshot::channel();
        self.api.answers.lock().unwrap().insert(request_id.to_owned(), answered);
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + timeout;
        let invocation = Invocation { request_id: request_id.to_owned(), deadline, event: event.to_string() };
        self.api.send.send(invocation).expect("the server runs");
        let answer = tokio::time::timeout(ANSWER_LIMIT, answer).await;
        let log = self.log();
        let Ok(Ok(answer)) = answer else { panic!("the function did not answer {event}:\n{log}") };
        assert_none_in("the function's answer", format!("{answer:?}"));
        assert_none_in("the function's log", &log);
        answer
    }

    /// Ends the process where it stands.
    pub fn kill(&self) {
        self.process.signal("KILL");
    }

    /// All that the function has written to standard output and standard error.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_none_in("the function's log", self.log());
        }
    }
}

impl Api {
    async fn serve(&self, request: Request<Bytes>) -> loopback::Answer {
        let path =
            request.uri().path().strip_prefix(VERSION).expect("the version of the runtime API").to_owned();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (request.method(), parts.as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => {
                self.settle(id, Answer::Result(serde_json::from_slice(request.body()).expect("JSON")))
            }
            (&Method::POST, ["invocation", id, "error"]) => {
                let error: Value = serde_json::from_slice(request.body()).expect("JSON");
                let text = |field: &str| error[field].as_str().expect("a string").to_owned();
                self.settle(id, Answer::Error { kind: text("errorType"), message: text("errorMessage") })
            }
            other => panic!("not a call of the runtime API: {other:?}"),
        }
    }

    async fn next(&self) -> loopback::Answer {
        let invocation = self.waiting.lock().await.recv().await.expect("the function is dropped first");
        let mut answer = answer(200, invocation.event);
        for (name, value) in [
            ("lambda-runtime-aws-request-id", invocation.request_id),
            ("lambda-runtime-deadline-ms", invocation.deadline.as_millis().to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:eu-central-1:1:function:mongoark".to_owned(),
            ),
        ] {
            answer.headers_mut().insert(name, value.parse().expect("a header's value"));
        }
        answer
    }

    fn settle(&self, id: &str, given: Answer) -> loopback::Answer {
        let waiting = self.answers.lock().unwrap().remove(id).expect("one answer for each invocation");
        waiting.send(given).ok();
        answer(202, "")
    }
}

impl Answer {
    /// The result document.
    #[track_caller]
    pub fn result(self) -> Value {
        match self {
            Self::Result(result) => result,
            Self::Error { kind, message } => panic!("the function failed: {kind}: {message}"),
        }
    }

    /// The message of an error of this kind.
    #[track_caller]
    pub fn error(self, expected: &str) -> String {
        match self {
            Self::Error { kind, message } => {
                assert_eq!(kind, expected, "{message}");
                assert!(!message.contains('\n'), "more than one line: {message}");
                message
            }
            Self::Result(result) => panic!("the function succeeded: {result}"),
        }
    }
}
