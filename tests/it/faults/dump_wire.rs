//! Dumps to a file, with the fault between us and the server: at a command, or at a byte.

use std::sync::Arc;
use std::time::Duration;

use mongoark::dump::DumpOptions;
use mongoark::storage::{CreateOptions, Location, Storage};

use super::case::{Case, Claim, Ending, Wrong};
use super::judge::{Before, PRECIOUS, judge};
use super::lane::{Lane, dump_into};
use super::random;
use crate::support::mongoark::left_beside;
use crate::support::proxy::{Fault, Proxy, Rule};

/// What a dump asks for, in its order.
const COMMANDS: [&str; 5] = ["buildInfo", "listCollections", "listIndexes", "find", "getMore"];

/// A member that is about to go, and what one says that the dump cannot go on with.
const REFUSALS: [(i32, &str); 12] = [
    (6, "HostUnreachable"),
    (13, "Unauthorized"),
    (43, "CursorNotFound"),
    (50, "MaxTimeMSExpired"),
    (91, "ShutdownInProgress"),
    (175, "QueryPlanKilled"),
    (189, "PrimarySteppedDown"),
    (237, "CursorKilled"),
    (246, "SnapshotUnavailable"),
    (11_600, "InterruptedAtShutdown"),
    (11_602, "InterruptedDueToReplStateChange"),
    (14_031, "OutOfDiskSpace"),
];

/// All bytes of the replies, about.
const REPLIES: u64 = 10 << 20;

/// All bytes of the requests, about.
const REQUESTS: u64 = 4_000;

/// A dump through a proxy that does this.
fn case(
    name: impl Into<String>,
    before: Before,
    breaks: impl Fn(&Proxy) + Clone + Send + Sync + 'static,
) -> Case {
    let name = format!("dump to a file: {}", name.into());
    Case::new(name, move |lane| {
        let breaks = breaks.clone();
        async move { dump(&lane, before, breaks).await }
    })
}

async fn dump(lane: &Arc<Lane>, before: Before, breaks: impl Fn(&Proxy)) -> Ending {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a");
    if let Some(bytes) = before.bytes() {
        std::fs::write(&path, bytes).expect("a file");
    }
    let proxy = lane.before_source().await;
    breaks(&proxy);
    let uri = format!("{}&serverSelectionTimeoutMS=5000", proxy.uri());
    let create = CreateOptions { overwrite: !matches!(before, Before::Kept(_)), ..CreateOptions::default() };
    let options = DumpOptions { scope: lane.scope(), ..DumpOptions::default() };
    let dumped = dump_into(&uri, options, &Storage::local(), &Location::file(&path), &create).await;
    let claim = Claim::of(dumped);
    let left: Vec<_> = left_beside(&path).into_iter().filter(|name| name != "a").collect();
    let mut ending = judge(lane, claim, std::fs::read(&path).ok(), before, &lane.scope()).await;
    ending.ensure(left.is_empty(), Wrong::Left, || format!("{left:?}"));
    ending.ensure(proxy.struck() > 0, Wrong::NoEnd, || "the fault never came".to_owned());
    ending
}

fn nth(number: usize) -> String {
    match number {
        0 => "first".to_owned(),
        number => format!("{number} later"),
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut at = |command: &'static str, skip: usize, what: &str, fault: Fault, quick: bool| {
        let rule = Rule::once(command, fault).after(skip);
        let name = format!("{command}, {}: {what}", nth(skip));
        cases.push(case(name, Before::Nothing, move |proxy| proxy.inject(rule.clone())).quick(quick));
    };
    for command in COMMANDS {
        at(command, 0, "cut before the server has it", Fault::CutRequest, command == "find");
        at(command, 0, "cut in the middle of the request", Fault::CutInRequest(30), false);
        at(command, 0, "the answer is lost", Fault::CutReply, command == "getMore");
        at(command, 0, "cut in the middle of the answer", Fault::CutInReply(60), command == "getMore");
        at(command, 0, "cut after the answer", Fault::CutAfter, command == "find");
        at(command, 0, "slow", Fault::Drip(Duration::from_millis(20)), false);
    }
    for (command, skip) in [("find", 1), ("find", 2), ("getMore", 1), ("getMore", 5)] {
        at(command, skip, "the answer is lost", Fault::CutReply, false);
        at(command, skip, "stalls for two seconds", Fault::Delay(Duration::from_secs(2)), false);
    }
    for (code, name) in REFUSALS {
        let quick = [43, 246].contains(&code);
        at("getMore", 2, &format!("refused: {name}"), Fault::RefuseAfter(code, name), quick);
        at("find", 0, &format!("refused: {name}"), Fault::RefuseAfter(code, name), code == 91);
    }
    for number in 0..8 {
        let name = format!("cut at a byte of the answers, {}", nth(number));
        let byte = usize::try_from(random(&name).below(REPLIES)).expect("small");
        cases.push(case(name, Before::Nothing, move |proxy| proxy.cut_replies_at(byte)).quick(number < 2));
    }
    for number in 0..4 {
        let name = format!("cut at a byte of the requests, {}", nth(number));
        let byte = usize::try_from(random(&name).below(REQUESTS)).expect("small");
        cases.push(case(name, Before::Nothing, move |proxy| proxy.cut_requests_at(byte)).quick(number < 1));
    }
    for before in [Before::Replaceable(PRECIOUS), Before::Kept(PRECIOUS)] {
        let refuse = Rule::always("getMore", Fault::RefuseAfter(13, "Unauthorized"));
        let name = format!("getMore refused for good, {before}");
        // A file that must not be replaced is looked at before anything is read.
        let strikes = before != Before::Kept(PRECIOUS);
        if strikes {
            cases.push(case(name, before, move |proxy| proxy.inject(refuse.clone())).quick(true));
        }
    }
    let gone = Rule::always("getMore", Fault::CutReply);
    cases.push(case("every answer to a getMore is lost", Before::Nothing, move |proxy| {
        proxy.inject(gone.clone());
    }));
    cases
}
