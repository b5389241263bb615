//! Server processes that cannot outlive the tests.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Runs a server, sends it the signals it reads from stdin, and acknowledges each on stderr.
///
/// Stdin closes when the test drops the [`Process`], and also when the test process is gone for whatever reason (a
/// static is never dropped, a killed process drops nothing): then the server is killed and its folder removed, unless
/// `LEAVE` (no signal) has said that it belongs to a later keeper. Only the server holds stdout, so its end is the
/// server's end.
const KEEPER: &str = r#"
trap : HUP INT TERM
home=$1; shift
"$@" </dev/null 2>&1 & server=$!
exec >&-
while read -r signal; do
    case $signal in LEAVE) home= ;; *) kill -"$signal" "$server" 2>/dev/null ;; esac
    case $signal in KILL | TERM) wait "$server" 2>/dev/null ;; esac
    echo sent >&2
done
kill -KILL "$server" 2>/dev/null
wait "$server" 2>/dev/null
[ -z "$home" ] || rm -rf "$home"
"#;

/// Longer than any server needs on a loaded machine; only a broken one gets there.
const START_LIMIT: Duration = Duration::from_mins(2);

/// A running server with a folder of its own, both gone when this is dropped.
#[derive(Debug)]
pub struct Process {
    program: Program,
    keeper: Mutex<Keeper>,
    log: Arc<(Mutex<Log>, Condvar)>,
}

/// What is run, and where.
#[derive(Debug)]
struct Program {
    home: PathBuf,
    command: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
}

#[derive(Debug)]
struct Keeper {
    child: Child,
    acknowledgements: BufReader<ChildStderr>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Log {
    text: String,
    /// Where the lines of the latest start begin.
    started: usize,
    ended: bool,
}

impl Process {
    /// Starts a program that works in `home`, a folder which it may fill and which is removed after it.
    pub fn start(
        home: impl AsRef<Path>,
        command: impl IntoIterator<Item = impl Into<OsString>>,
        environment: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> Self {
        let program = Program {
            home: home.as_ref().to_owned(),
            command: command.into_iter().map(Into::into).collect(),
            environment: environment.into_iter().collect(),
        };
        let log = Arc::<(Mutex<Log>, Condvar)>::default();
        let keeper = Mutex::new(program.start(&log));
        Self { program, keeper, log }
    }

    /// Starts the same program again in the same folder; what still runs of it is killed first.
    pub fn restart(&self) {
        let mut keeper = self.keeper.lock().unwrap();
        keeper.say("KILL");
        keeper.reader.take().expect("one reader").join().expect("no panic");
        {
            let mut log = self.log.0.lock().unwrap();
            log.started = log.text.len();
            log.ended = false;
        }
        let next = self.program.start(&self.log);
        let mut last = std::mem::replace(&mut *keeper, next);
        // Only now, so that the folder has a keeper at any time.
        last.say("LEAVE");
    }

    /// Waits until the server has written this since it was last started.
    ///
    /// # Errors
    ///
    /// The last lines of its log, when it ended without.
    pub fn wait_for(&self, text: &str) -> Result<(), String> {
        let waiting = |log: &mut Log| !log.ended && !log.latest().contains(text);
        let (log, timeout) =
            self.log.1.wait_timeout_while(self.log.0.lock().unwrap(), START_LIMIT, waiting).unwrap();
        if log.latest().contains(text) {
            return Ok(());
        }
        let how = if timeout.timed_out() { "did not write" } else { "ended without writing" };
        let lines: Vec<_> = log.latest().lines().collect();
        Err(format!(
            "the server {how} {text}; its last lines:\n{}",
            lines[lines.len().saturating_sub(20)..].join("\n")
        ))
    }

    /// Sends a signal (`TERM`, `KILL`, `STOP`, `CONT`). After the first two the server has ended.
    pub fn signal(&self, signal: &str) {
        self.keeper.lock().unwrap().say(signal);
    }

    /// All that the server has written.
    pub fn log(&self) -> String {
        self.log.0.lock().unwrap().text.clone()
    }
}

impl Program {
    fn start(&self, log: &Arc<(Mutex<Log>, Condvar)>) -> Keeper {
        let mut child = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&self.home)
            .args(&self.command)
            .envs(self.environment.iter().cloned())
            .current_dir(&self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let acknowledgements = BufReader::new(child.stderr.take().expect("piped"));
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let written = Arc::clone(log);
        let reader = std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                let mut log = written.0.lock().unwrap();
                log.text.push_str(&String::from_utf8_lossy(&line));
                log.text.push('\n');
                written.1.notify_all();
            }
            written.0.lock().unwrap().ended = true;
            written.1.notify_all();
        });
        Keeper { child, acknowledgements, reader: Some(reader) }
    }
}

impl Keeper {
    fn say(&mut self, word: &str) {
        let mut line = String::new();
        writeln!(self.child.stdin.as_ref().expect("piped"), "{word}").expect("the keeper reads");
        self.acknowledgements.read_line(&mut line).expect("the keeper answers");
        assert_eq!(line, "sent\n");
    }
}

impl Log {
    fn latest(&self) -> &str {
        &self.text[self.started..]
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

/// A new folder for one server, under `target/`.
pub fn new_home(name: &str) -> PathBuf {
    let parent = env!("CARGO_TARGET_TMPDIR");
    std::fs::create_dir_all(parent).expect("target/tmp can be made");
    tempfile::Builder::new().prefix(name).tempdir_in(parent).expect("target/tmp can be written").keep()
}

/// A port that nothing listens on at this moment, and that no outgoing connection is given either: the server finds it
/// free again after a restart.
pub fn lasting_port() -> u16 {
    /// Below the ports of outgoing connections (from 32768 on, as Linux has it).
    const PORTS: std::ops::Range<u32> = 20_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Test processes that run side by side begin at different places.
        let step = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + step % (PORTS.end - PORTS.start);
        let port = u16::try_from(port).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A port that nothing listens on at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback").port()
}
