//! An S3 server on a loopback port: `s3s-fs` behind a layer that breaks requests by script and writes them all down.
//!
//! The layer also does what `s3s-fs` 0.14 leaves out: it refuses buckets that do not exist, knows ended uploads
//! (`NoSuchUpload`) and lists the open ones, minds `If-Match` of a GET and of a DELETE, decides about one conditional
//! write after the other, and checks the checksum of a part and the promised size and checksum of the whole.

mod answer;
mod fault;
mod request;
mod server;
mod sums;
mod uploads;

pub use super::secrets::S3_SECRET_KEY as SECRET_KEY;
pub use fault::{Fault, Rule};

use super::secrets::assert_none_below;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use hyper::HeaderMap;
use mongoark::storage::{Location, Storage};
use server::Layer;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The bucket every server starts with.
pub const BUCKET: &str = "backups";

/// The account that every bucket belongs to.
pub const OWNER: &str = "123456789012";

const ACCESS_KEY: &str = "AKIATESTTESTTESTTEST";

/// Longer than anything takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What a request asks for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    HeadBucket,
    HeadObject,
    GetObject,
    PutObject,
    DeleteObject,
    ListObjects,
    CopyObject,
    CopyPart,
    CreateUpload,
    ListUploads,
    UploadPart,
    ListParts,
    CompleteUpload,
    AbortUpload,
    Other,
}

/// What a store does with the checksum CRC64NVME.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Checksums {
    /// Compares it before an object is visible, and tells it.
    #[default]
    Known,
    /// Refuses it; knows CRC32.
    Refused,
    /// Ignores it.
    Ignored,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub operation: Operation,
    pub uri: String,
    pub headers: HeaderMap,
}

impl Seen {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("an ASCII header"))
    }
}

/// A server with a root of its own, gone when this is dropped. It runs in threads of its own, so that it serves
/// subprocesses while the test waits for them.
#[derive(Debug)]
pub struct S3Server {
    pub endpoint: String,
    root: tempfile::TempDir,
    layer: Arc<Layer>,
    runtime: Option<Runtime>,
}

impl S3Server {
    /// Starts a server with the empty bucket [`BUCKET`].
    pub fn start() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(root.path().join(BUCKET)).expect("a bucket");
        let layer = Layer::new(root.path(), (ACCESS_KEY, SECRET_KEY));
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
        listener.set_nonblocking(true).expect("a listener for tokio");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("s3-server")
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.spawn(Arc::clone(&layer).serve(listener));
        Self { endpoint, root, layer, runtime: Some(runtime) }
    }

    /// The environment under which a subprocess finds this server.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// A client as the program makes it, only with short pauses between retries.
    pub fn client(&self) -> Client {
        impatient(&client_of(&self.endpoint))
    }

    /// Storage that reaches this server.
    pub fn storage(&self) -> Storage {
        Storage::with_s3(self.client())
    }

    /// The folder that holds the bucket's objects as files.
    pub fn bucket_dir(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }

    /// A complete object's bytes.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        std::fs::read(self.bucket_dir().join(key)).ok()
    }

    /// What is left of multipart uploads that have not ended: their records and their parts. This store may keep the parts of
    /// one that was completed and aborted at the same moment; S3 has no parts without an upload.
    pub fn open_uploads(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.path()).expect("the root");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        let names: Vec<String> = names.collect();
        let record = |name: &str| name.strip_prefix(".upload-")?.strip_suffix(".json").map(ToOwned::to_owned);
        let open: BTreeSet<String> = names.iter().filter_map(|name| record(name)).collect();
        let of = |name: &str| Some(name.strip_prefix(".upload_id-")?.split_once(".part-")?.0.to_owned());
        let is_open = |name: &String| record(name).or_else(|| of(name)).is_some_and(|id| open.contains(&id));
        names.into_iter().filter(is_open).collect()
    }

    /// Breaks requests from now on.
    pub fn inject(&self, rule: Rule) {
        self.layer.inject(rule);
    }

    /// Is another kind of store from now on.
    pub fn know(&self, checksums: Checksums) {
        self.layer.know(checksums);
    }

    /// Works as it should from now on.
    pub fn heal(&self) {
        self.layer.heal();
    }

    /// How many requests have been broken.
    pub fn struck(&self) -> usize {
        self.layer.struck()
    }

    /// The requests that arrived so far.
    pub fn all_seen(&self) -> Vec<Seen> {
        self.layer.seen()
    }

    /// The requests of one kind that arrived so far.
    pub fn seen(&self, operation: Operation) -> Vec<Seen> {
        self.layer.seen().into_iter().filter(|seen| seen.operation == operation).collect()
    }

    /// Most requests of one kind that were in work at the same time.
    pub fn most_at_once(&self, operation: Operation) -> usize {
        self.layer.most_at_once(operation)
    }

    /// Waits until this many requests of one kind have arrived.
    pub async fn arrived(&self, operation: Operation, requests: usize) {
        self.layer
            .wait(|layer| layer.seen().iter().filter(|seen| seen.operation == operation).count() >= requests)
            .await;
    }

    /// Waits until a request of one kind whose URI contains this has arrived.
    pub async fn arrived_at(&self, operation: Operation, containing: &str) {
        let fits = |seen: &Seen| seen.operation == operation && seen.uri.contains(containing);
        self.layer.wait(|layer| layer.seen().iter().any(fits)).await;
    }

    /// Waits until this many requests of one kind have been answered.
    pub async fn answered(&self, operation: Operation, requests: usize) {
        self.layer.wait(|layer| layer.answered(operation) >= requests).await;
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_none_below(self.root.path());
        }
        // Waiting for the runtime is not allowed inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A key in [`BUCKET`].
pub fn location(key: &str) -> Location {
    Location::s3(BUCKET, key).expect("a location")
}

/// A client for any endpoint, made by the program's own hands.
pub fn client_of(endpoint: &str) -> Client {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .build();
    Storage::s3_client(&config).expect("a client")
}

/// The same client with pauses of milliseconds between its retries.
pub fn impatient(client: &Client) -> Client {
    let attempts = client.config().retry_config().expect("retries").max_attempts();
    let retries =
        RetryConfig::standard().with_max_attempts(attempts).with_initial_backoff(Duration::from_millis(5));
    Client::from_conf(client.config().to_builder().retry_config(retries).build())
}
