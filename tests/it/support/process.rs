//! Server processes that cannot outlive the tests.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Runs a server, sends it the signals it reads from stdin, and acknowledges each on stderr.
///
/// Stdin closes when the test drops the [`Process`], and also when the test process is gone for whatever reason (a
/// static is never dropped, a killed process drops nothing): then the server is killed and its folder removed. Only
/// the server holds stdout, so its end is the server's end.
const KEEPER: &str = r#"
trap : HUP INT TERM
home=$1; shift
"$@" </dev/null 2>&1 & server=$!
exec >&-
while read -r signal; do
    kill -"$signal" "$server" 2>/dev/null
    case $signal in KILL | TERM) wait "$server" 2>/dev/null ;; esac
    echo sent >&2
done
kill -KILL "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf "$home"
"#;

/// Longer than any server needs on a loaded machine; only a broken one gets there.
const START_LIMIT: Duration = Duration::from_mins(2);

/// A running server with a folder of its own, both gone when this is dropped.
#[derive(Debug)]
pub struct Process {
    keeper: Child,
    acknowledgements: Mutex<BufReader<ChildStderr>>,
    log: Arc<(Mutex<Log>, Condvar)>,
}

#[derive(Debug, Default)]
struct Log {
    text: String,
    ended: bool,
}

impl Process {
    /// Starts a program that works in `home`, a folder which it may fill and which is removed after it.
    pub fn start(
        home: impl AsRef<Path>,
        command: impl IntoIterator<Item = impl Into<OsString>>,
        environment: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> Self {
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(home.as_ref())
            .args(command.into_iter().map(Into::into))
            .envs(environment)
            .current_dir(home.as_ref())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let acknowledgements = Mutex::new(BufReader::new(keeper.stderr.take().expect("piped")));
        let output = BufReader::new(keeper.stdout.take().expect("piped"));
        let log = Arc::<(Mutex<Log>, Condvar)>::default();
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                let mut log = written.0.lock().unwrap();
                log.text.push_str(&String::from_utf8_lossy(&line));
                log.text.push('\n');
                written.1.notify_all();
            }
            written.0.lock().unwrap().ended = true;
            written.1.notify_all();
        });
        Self { keeper, acknowledgements, log }
    }

    /// Waits until the server has written this.
    ///
    /// # Errors
    ///
    /// The last lines of its log, when it ended without.
    pub fn wait_for(&self, text: &str) -> Result<(), String> {
        let waiting = |log: &mut Log| !log.ended && !log.text.contains(text);
        let (log, timeout) =
            self.log.1.wait_timeout_while(self.log.0.lock().unwrap(), START_LIMIT, waiting).unwrap();
        if log.text.contains(text) {
            return Ok(());
        }
        let how = if timeout.timed_out() { "did not write" } else { "ended without writing" };
        let lines: Vec<_> = log.text.lines().collect();
        Err(format!(
            "the server {how} {text}; its last lines:\n{}",
            lines[lines.len().saturating_sub(20)..].join("\n")
        ))
    }

    /// Sends a signal (`TERM`, `KILL`, `STOP`, `CONT`). After the first two the server has ended.
    pub fn signal(&self, signal: &str) {
        let mut line = String::new();
        let mut acknowledgements = self.acknowledgements.lock().unwrap();
        writeln!(self.keeper.stdin.as_ref().expect("piped"), "{signal}").expect("the keeper reads");
        acknowledgements.read_line(&mut line).expect("the keeper answers");
        assert_eq!(line, "sent\n");
    }

    /// All that the server has written.
    pub fn log(&self) -> String {
        self.log.0.lock().unwrap().text.clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}

/// A new folder for one server, under `target/`.
pub fn new_home(name: &str) -> PathBuf {
    let parent = env!("CARGO_TARGET_TMPDIR");
    std::fs::create_dir_all(parent).expect("target/tmp can be made");
    tempfile::Builder::new().prefix(name).tempdir_in(parent).expect("target/tmp can be written").keep()
}

/// A port that nothing listens on at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback").port()
}
