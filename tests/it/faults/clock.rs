//! The command while the machine's clock is set, as it reads it through libfaketime.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::case::{Case, Claim, Ending, Wrong};
use super::judge::{Before, PRECIOUS, judge, no_upload_is_open};
use super::lane::Lane;
use crate::support::cached;
use crate::support::mongoark::{finish, left_beside};
use crate::support::proxy::{Fault, Rule};
use crate::support::s3::{BUCKET, S3Server};

/// How far the clock is set, in libfaketime's words.
const JUMPS: [&str; 4] = ["+1h", "-1h", "+400d", "-20y"];

/// Long enough for the clock to be set before the answer.
const PAUSE: Duration = Duration::from_millis(300);

/// A dump as a process whose clock is what this file says.
fn start(lane: &Lane, uri: &str, archive: &str, clock: &Path, store: Option<&S3Server>) -> Child {
    let library: PathBuf = cached("python").join("libfaketime/vendor/libfaketime/src/libfaketime.so.1");
    assert!(library.is_file(), "{} is missing: tests/setup python", library.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_mongoark"));
    command.args(["dump", "--uri", uri, "--db", &lane.name, "--s3PartSize=5"]);
    command.arg(format!("--archive={archive}"));
    command.env_clear().envs(store.iter().flat_map(|store| store.environment()));
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", clock);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn().expect("started")
}

/// The clock is set in the middle of a dump; the file and the store's objects are of the time before.
async fn jumps(lane: &Lane, jump: &str, before: Before, store: Option<&S3Server>) -> Ending {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (clock, path) = (folder.path().join("clock"), folder.path().join("archives/a"));
    std::fs::create_dir(path.parent().expect("a folder")).expect("created");
    let place = match store {
        Some(_) => format!("s3://{BUCKET}/a"),
        None => path.display().to_string(),
    };
    let object = match store {
        Some(store) => store.bucket_dir().join("a"),
        None => path.clone(),
    };
    if let Some(bytes) = before.bytes() {
        std::fs::write(&object, bytes).expect("written");
    }
    std::fs::write(&clock, "+0").expect("written");
    let proxy = lane.before_source().await;
    proxy.inject(Rule::always("getMore", Fault::Delay(PAUSE)));
    let child = start(lane, &proxy.uri(), &place, &clock, store);
    proxy.arrived("getMore", 2).await;
    std::fs::write(&clock, jump).expect("written");
    let finished = finish(child).await;
    let told = finished.stderr.lines().filter_map(|line| line.get(..4)?.parse::<u16>().ok());
    let years: std::collections::BTreeSet<u16> = told.collect();
    let claim = Claim::exit(&finished);
    let mut ending = judge(lane, claim, std::fs::read(&object).ok(), before, &lane.scope()).await;
    // That it reads the clock which was set.
    let far = jump.ends_with('d') || jump.ends_with('y');
    ending.ensure(!far || years.len() > 1, Wrong::NoEnd, || format!("all lines are of {years:?}"));
    if let Some(store) = store {
        no_upload_is_open(store, &mut ending, || async {
            Claim::exit(&finish(start(lane, &lane.source_uri(), &place, &clock, Some(store))).await)
        })
        .await;
    } else {
        let left: Vec<_> = left_beside(&path).into_iter().filter(|name| name != "a").collect();
        ending.ensure(left.is_empty(), Wrong::Left, || format!("{left:?}"));
    }
    ending
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for jump in JUMPS {
        for before in [Before::Nothing, Before::Replaceable(PRECIOUS)] {
            let quick = before == Before::Nothing && jump == "-1h";
            let to_file = format!("dump to a file as a process: the clock is set by {jump}, {before}");
            cases.push(
                Case::new(
                    to_file,
                    move |lane: Arc<Lane>| async move { jumps(&lane, jump, before, None).await },
                )
                .quick(quick),
            );
            let to_s3 = format!("dump to S3 as a process: the clock is set by {jump}, {before}");
            cases.push(
                Case::new(to_s3, move |lane: Arc<Lane>| async move {
                    jumps(&lane, jump, before, Some(&S3Server::start())).await
                })
                .quick(quick),
            );
        }
    }
    cases
}
