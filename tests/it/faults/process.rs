//! The command as a process: signals at a known moment, limits of the system, outputs that are full or gone.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::case::{Case, Claim, Ending, Wrong};
use super::judge::{Before, PRECIOUS, judge, no_upload_is_open};
use super::lane::Lane;
use crate::support::mongoark::{finish, left_beside};
use crate::support::proxy::{self, Proxy};
use crate::support::s3::{self, BUCKET, Operation, S3Server};

/// A dump as a process, started by this script, whose `$@` it is with its arguments.
fn start(script: &str, uri: &str, lane: &Lane, archive: &str, store: Option<&S3Server>) -> Child {
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash", env!("CARGO_BIN_EXE_mongoark"), "dump"]);
    command.args(["--uri", uri, "--db", &lane.name, &format!("--archive={archive}"), "--s3PartSize=5"]);
    command.env_clear().envs(store.iter().flat_map(|store| store.environment()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn().expect("a shell")
}

const PLAIN: &str = "exec \"$@\"";

async fn signal(child: &Child, signal: &str) {
    let pid = child.id().expect("runs").to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().await.expect("kill").success());
}

/// The next run, without help: it succeeds and leaves nothing.
async fn next_to_file(lane: &Lane, path: &Path, ending: &mut Ending) {
    let place = path.display().to_string();
    let finished = finish(start(PLAIN, &lane.source_uri(), lane, &place, None)).await;
    let left = left_beside(path);
    ending.ensure(finished.code == Some(0) && left == ["a"], Wrong::Left, || {
        format!("after the next run, which said {:?}: {left:?}", finished.stderr)
    });
}

/// A signal to a dump whose second getMore is not answered.
fn signalled(name: &'static str, before: Before) -> Case {
    Case::new(
        format!("dump to a file as a process: {name} in the middle, {before}"),
        move |lane: Arc<Lane>| async move {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path().join("a");
            if let Some(bytes) = before.bytes() {
                std::fs::write(&path, bytes).expect("a file");
            }
            let proxy = stalling(&lane).await;
            let child = start(PLAIN, &proxy.uri(), &lane, &path.display().to_string(), None);
            proxy.arrived("getMore", 2).await;
            signal(&child, name).await;
            let finished = finish(child).await;
            let killed = name == "-KILL";
            let mut ending =
                judge(&lane, Claim::exit(&finished), std::fs::read(&path).ok(), before, &lane.scope()).await;
            let left: Vec<_> = left_beside(&path).into_iter().filter(|name| name != "a").collect();
            ending.ensure(killed || left.is_empty(), Wrong::Left, || format!("{left:?}"));
            next_to_file(&lane, &path, &mut ending).await;
            ending
        },
    )
}

async fn stalling(lane: &Lane) -> Proxy {
    let proxy = lane.before_source().await;
    proxy.inject(proxy::Rule::once("getMore", proxy::Fault::Swallow).after(1));
    proxy
}

/// A signal to a dump when the store has this request.
fn signalled_at(name: &'static str, operation: Operation, skip: usize) -> Case {
    let title = format!("dump to S3 as a process: {name} at {operation:?}, {skip} before it");
    Case::new(title, move |lane: Arc<Lane>| async move {
        let store = S3Server::start();
        let gate = Arc::new(Semaphore::new(0));
        store.inject(s3::Rule { skip, ..s3::Rule::once(operation, s3::Fault::Hold(Arc::clone(&gate))) });
        let (uri, place) = (lane.source_uri(), format!("s3://{BUCKET}/a"));
        let child = start(PLAIN, &uri, &lane, &place, Some(&store));
        store.arrived(operation, skip + 1).await;
        signal(&child, name).await;
        let finishing = tokio::spawn(finish(child));
        if operation == Operation::CompleteUpload {
            // A completion is waited for. The answer may come when nobody is left to hear it.
            gate.add_permits(1);
        }
        let claim = Claim::exit(&finishing.await.expect("no panic"));
        store.heal();
        let mut ending = judge(&lane, claim, store.object("a"), Before::Unseen, &lane.scope()).await;
        let killed = name == "-KILL";
        let open = store.open_uploads();
        ending.ensure(killed || open.is_empty(), Wrong::OpenUpload, || format!("{open:?}"));
        no_upload_is_open(&store, &mut ending, || async {
            Claim::exit(&finish(start(PLAIN, &uri, &lane, &place, Some(&store))).await)
        })
        .await;
        ending
    })
}

/// A dump to a file under a limit.
fn limited(name: &str, script: &'static str, before: Before) -> Case {
    Case::new(format!("dump to a file as a process: {name}, {before}"), move |lane: Arc<Lane>| async move {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a");
        if let Some(bytes) = before.bytes() {
            std::fs::write(&path, bytes).expect("a file");
        }
        let place = path.display().to_string();
        let finished = finish(start(script, &lane.source_uri(), &lane, &place, None)).await;
        let ended = finished.code.is_some();
        let mut ending =
            judge(&lane, Claim::exit(&finished), std::fs::read(&path).ok(), before, &lane.scope()).await;
        let left: Vec<_> = left_beside(&path).into_iter().filter(|name| name != "a").collect();
        // Who is killed cleans nothing up.
        ending.ensure(!ended || left.is_empty(), Wrong::Left, || format!("{left:?}"));
        next_to_file(&lane, &path, &mut ending).await;
        ending
    })
}

/// A dump whose output cannot take it: whatever it says, success is not among it.
fn lost(name: &str, script: &'static str, archive: &'static str) -> Case {
    Case::new(format!("dump as a process: {name}"), move |lane: Arc<Lane>| async move {
        let claim = Claim::exit(&finish(start(script, &lane.source_uri(), &lane, archive, None)).await);
        judge(&lane, claim, None, Before::Nothing, &lane.scope()).await
    })
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["-INT", "-TERM", "-HUP", "-KILL"] {
        for before in [Before::Nothing, Before::Replaceable(PRECIOUS)] {
            let quick = name == "-KILL" || (name == "-TERM" && before == Before::Nothing);
            cases.push(signalled(name, before).quick(quick));
        }
        for (operation, skip) in [
            (Operation::CreateUpload, 0),
            (Operation::UploadPart, 0),
            (Operation::UploadPart, 2),
            (Operation::CompleteUpload, 0),
        ] {
            let case = signalled_at(name, operation, skip).quick(name == "-KILL" && skip == 2);
            cases.push(case);
        }
    }
    for before in [Before::Nothing, Before::Replaceable(PRECIOUS)] {
        let full = "trap '' XFSZ; ulimit -f 6000; exec \"$@\"";
        cases.push(limited("the disk is full", full, before).quick(true));
        cases.push(limited("killed at the limit of a file's size", "ulimit -f 6000; exec \"$@\"", before));
        cases.push(limited("little memory", "ulimit -v 300000; exec \"$@\"", before));
        cases.push(limited("hardly any memory", "ulimit -v 60000; exec \"$@\"", before));
        cases.push(limited("few open files", "ulimit -n 9; exec \"$@\"", before));
        cases.push(limited("no threads", "ulimit -s 64; exec \"$@\"", before));
    }
    cases.push(lost("a full device", PLAIN, "/dev/full").quick(true));
    cases.push(lost("a closed standard output", "exec \"$@\" >&-", "-"));
    cases.push(lost("standard output is full", "exec \"$@\" >/dev/full", "-").quick(true));
    let pipe = "set -o pipefail; \"$@\" | head -c 100000 >/dev/null";
    cases.push(lost("the reader of the pipe goes away", pipe, "-"));
    cases.push(lost("a directory that is not there", PLAIN, "/no/such/folder/a"));
    cases
}
