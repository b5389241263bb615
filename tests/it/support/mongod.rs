//! Real `mongod` servers.

use std::ffi::OsString;
use std::path::Path;

pub use super::secrets::ROOT_PASSWORD;

use mongodb::Client;
use mongodb::bson::doc;
use mongodb::options::ClientOptions;
use tokio::sync::OnceCell;

use super::process::{Process, free_port, new_home};

/// The servers that `tests/setup` fetches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    V4_4_2,
    V5_0_4,
    V6_0_5,
    V6_0_27,
}

impl Version {
    /// The oldest minor release of each series, and the youngest there is.
    pub const MATRIX: [Self; 3] = [Self::V4_4_2, Self::V5_0_4, Self::V6_0_27];

    /// As in `6.0.5`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4_4_2 => "4.4.2",
            Self::V5_0_4 => "5.0.4",
            Self::V6_0_5 => "6.0.5",
            Self::V6_0_27 => "6.0.27",
        }
    }

    pub fn has_time_series(self) -> bool {
        self != Self::V4_4_2
    }

    pub fn has_clustered_collections(self) -> bool {
        matches!(self, Self::V6_0_5 | Self::V6_0_27)
    }
}

/// How to start a server. The default is a replica set of one node without access control.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// With access control; [`ROOT`] may do everything.
    pub auth: bool,
    /// As a replica set of one node, which has an oplog, transactions and snapshot reads; otherwise standalone.
    pub replica_set: bool,
    /// More arguments, such as `--setParameter enableTestCommands=1`.
    pub arguments: &'static [&'static str],
}

impl Default for Options {
    fn default() -> Self {
        Self { auth: false, replica_set: true, arguments: &[] }
    }
}

/// The user of a server with `auth`.
pub const ROOT: &str = "root";

/// Written by every server from 4.4 on when it listens, and when it may be written to.
pub(super) const LISTENS: &str = r#""id":23016"#;
const IS_PRIMARY: &str = r#""id":21331"#;

/// A running server; killed, and its data removed, when dropped.
#[derive(Debug)]
pub struct Mongod {
    process: Process,
    version: Version,
    options: Options,
    port: u16,
}

impl Mongod {
    /// Starts a server that nobody else uses.
    pub async fn start(version: Version) -> Self {
        Self::start_with(version, Options::default()).await
    }

    /// Starts a server in a way of its own.
    pub async fn start_with(version: Version, options: Options) -> Self {
        // Another process may take the free port before the server does.
        let mut failure = String::new();
        for _ in 0..3 {
            let (process, port) =
                tokio::task::spawn_blocking(move || spawn(version, options, free_port(), &[]))
                    .await
                    .expect("no panic");
            let server = Self { process, version, options, port };
            match server.wait_for(LISTENS).await {
                Ok(server) => return server.initiate().await,
                Err(log) => failure = log,
            }
        }
        panic!("mongod {}: {failure}", version.name())
    }

    /// The server of this version that all tests share: use a database of your own.
    pub async fn shared(version: Version) -> &'static Self {
        static SHARED: [OnceCell<Mongod>; 4] = [const { OnceCell::const_new() }; 4];
        SHARED[version as usize].get_or_init(|| Self::start(version)).await
    }

    async fn wait_for(self, line: &'static str) -> Result<Self, String> {
        let waited = tokio::task::spawn_blocking(move || self.process.wait_for(line).map(|()| self));
        waited.await.expect("no panic")
    }

    async fn initiate(self) -> Self {
        let direct = client(&format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port)).await;
        let admin = direct.database("admin");
        let mut server = self;
        if server.options.replica_set {
            let member = doc! { "_id": 0, "host": format!("127.0.0.1:{}", server.port) };
            let configuration = doc! { "_id": "rs0", "members": [member] };
            admin.run_command(doc! { "replSetInitiate": configuration }).await.expect("a replica set of one");
            server = server.wait_for(IS_PRIMARY).await.expect("becomes primary");
        }
        if server.options.auth {
            let user = doc! { "createUser": ROOT, "pwd": ROOT_PASSWORD, "roles": ["root"] };
            admin.run_command(user).await.expect("the first user may be made without logging in");
        }
        server
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The connection string of a client that may do everything.
    pub fn uri(&self) -> String {
        if self.options.auth {
            return self.uri_for(ROOT, ROOT_PASSWORD, "admin");
        }
        format!("mongodb://127.0.0.1:{}/?{}", self.port, self.topology())
    }

    /// The connection string of a user of the database `source`.
    pub fn uri_for(&self, user: &str, password: &str, source: &str) -> String {
        let (user, password) = (percent_encoded(user), percent_encoded(password));
        format!(
            "mongodb://{user}:{password}@127.0.0.1:{}/?{}&authSource={source}",
            self.port,
            self.topology()
        )
    }

    fn topology(&self) -> &'static str {
        if self.options.replica_set { "replicaSet=rs0" } else { "directConnection=true" }
    }

    /// A new client, which belongs to the runtime of the test that asks.
    pub async fn client(&self) -> Client {
        client(&self.uri()).await
    }

    /// Stops the server in an orderly way and waits until it has ended.
    pub fn stop(&self) {
        self.process.signal("TERM");
    }

    /// Kills the server and waits until it has ended.
    pub fn kill(&self) {
        self.process.signal("KILL");
    }

    /// Makes the server hang: connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// All that the server has written to its log.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// A client for a connection string, which gives up soon when there is no server.
///
/// # Panics
///
/// When the string cannot be parsed.
pub async fn client(uri: &str) -> Client {
    let mut options = ClientOptions::parse(uri).await.expect("a connection string");
    options.server_selection_timeout = Some(std::time::Duration::from_secs(10));
    Client::with_options(options).expect("a client")
}

pub(super) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded + &char::from(byte).to_string()
        } else {
            format!("{encoded}%{byte:02X}")
        }
    })
}

/// Starts a process that listens on `port`; `arguments` come after those of `options`.
pub(super) fn spawn(version: Version, options: Options, port: u16, arguments: &[&str]) -> (Process, u16) {
    let program = super::cached(&format!("mongod/{}/mongod", version.name()));
    let home = new_home("mongod-");
    std::fs::create_dir(home.join("data")).expect("a new folder");
    let mut command: Vec<OsString> = vec![program.into()];
    command.extend(["--bind_ip", "127.0.0.1", "--nounixsocket", "--dbpath", "data"].map(Into::into));
    command.extend(["--port".into(), port.to_string().into()]);
    // Small and quiet: several servers run side by side.
    command.extend(["--wiredTigerCacheSizeGB", "0.25", "--noscripting"].map(Into::into));
    command.extend(["--setParameter", "diagnosticDataCollectionEnabled=false"].map(Into::into));
    if version != Version::V4_4_2 {
        // An orderly stop need not wait for clients to find another server: there is none.
        command.extend(["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"].map(Into::into));
    }
    if options.replica_set {
        command.extend(["--replSet", "rs0", "--oplogSize", "256"].map(Into::into));
    }
    if options.auth {
        command.push("--auth".into());
    }
    if options.auth && options.replica_set {
        write_key(&home.join("key"));
        command.extend(["--keyFile", "key"].map(Into::into));
    }
    command.extend(options.arguments.iter().chain(arguments).map(Into::into));
    let libraries = [("LD_LIBRARY_PATH", super::cached("openssl-1.1").into_os_string())];
    (Process::start(&home, command, libraries), port)
}

/// The members' common secret, which a replica set with access control must have.
fn write_key(path: &Path) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).expect("a new file");
    file.write_all(b"onlyForTestsOnLoopback").expect("written");
}
