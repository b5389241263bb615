use std::collections::HashSet;
use std::sync::Arc;

use mongodb::bson::RawDocument;
use tokio::sync::Semaphore;

use super::super::support::mongod::{Mongod, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::super::support::replica_set::ReplicaSet;
use super::{Dump, insert, numbers};

const NOT_PRIMARY: Fault = Fault::RefuseAfter(10107, "NotWritablePrimary");
const SHUTTING_DOWN: Fault = Fault::RefuseAfter(91, "ShutdownInProgress");

/// A server with `d.things` of this many documents of 4,000 bytes.
async fn filled(version: Version, count: i32) -> (Mongod, Proxy) {
    let server = Mongod::start(version).await;
    insert(&server.client().await.database("d"), "things", 0..count, 4000).await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    (server, proxy)
}

async fn holds_each_once(dump: Dump, count: i32) {
    let (_, found) = dump.succeeds().await;
    let found = numbers(&found["d.things"]);
    let once: HashSet<i32> = found.iter().copied().collect();
    assert_eq!((once.len(), found.len()), (usize::try_from(count).unwrap(), once.len()));
}

#[tokio::test]
async fn a_command_is_asked_again_when_it_is_not_answered_or_refused_for_the_moment() {
    let (_server, proxy) = filled(Version::V6_0_5, 10).await;
    let commands = ["buildInfo", "listDatabases", "listCollections", "listIndexes", "dataSize", "find"];
    let broken = commands.into_iter().map(|command| (command, Fault::CutReply));
    // The driver takes a server that refuses for gone, for seconds.
    for (command, fault) in broken.chain([("listCollections", NOT_PRIMARY), ("find", SHUTTING_DOWN)]) {
        let before = proxy.requests(command);
        proxy.inject(Rule::once(command, fault));
        holds_each_once(Dump::start(&proxy.uri(), &[]), 10).await;
        assert!(proxy.requests(command) > before);
    }
}

async fn a_cursor_that_is_lost_goes_on(version: Version) {
    // Read in one part, and in four.
    for count in [3000, 18_000] {
        let (_server, proxy) = filled(version, count).await;
        for fault in [
            Fault::CutRequest,
            Fault::CutReply,
            Fault::CutAfter,
            Fault::RefuseAfter(43, "CursorNotFound"),
            Fault::RefuseAfter(237, "CursorKilled"),
            SHUTTING_DOWN,
        ] {
            proxy.inject(Rule::once("getMore", fault).after(5));
            holds_each_once(Dump::start(&proxy.uri(), &["--db=d"]), count).await;
        }
        proxy.inject(Rule::once("getMore", Fault::Swallow).after(5));
        let impatient = format!("{}&socketTimeoutMS=1000", proxy.uri());
        holds_each_once(Dump::start(&impatient, &["--db=d"]), count).await;
    }
}

#[tokio::test]
async fn a_cursor_that_is_lost_goes_on_on_4_4() {
    a_cursor_that_is_lost_goes_on(Version::V4_4_2).await;
}

#[tokio::test]
async fn a_cursor_that_is_lost_goes_on_on_6_0() {
    a_cursor_that_is_lost_goes_on(Version::V6_0_27).await;
}

#[tokio::test]
async fn a_cursor_that_is_lost_again_and_again_ends_the_dump() {
    let (_server, proxy) = filled(Version::V6_0_5, 3000).await;
    proxy.inject(Rule::always("getMore", Fault::Swallow).after(5));
    proxy.inject(
        Rule::always("find", Fault::Swallow)
            .when(|request| request.command.get("$_resumeAfter").unwrap().is_some()),
    );
    let impatient = format!("{}&socketTimeoutMS=500", proxy.uri());
    Dump::start(&impatient, &["--db=d"]).fails(&["d.things", "reading its documents failed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_does_not_go_on_in_another_process() {
    let set = ReplicaSet::start(Version::V6_0_5).await;
    insert(&set.client().await.database("d"), "things", 0..3000, 4000).await;
    let primary = set.primary().await;
    let proxy = Proxy::start(set.address(primary)).await;
    let gate = Arc::new(Semaphore::new(0));
    proxy.inject(Rule::always("getMore", Fault::Hold(Arc::clone(&gate))).after(3));
    let dump = Dump::start(&proxy.uri(), &["--db=d"]);
    proxy.arrived("getMore", 4).await;
    set.kill(primary);
    set.restart(primary).await;
    set.settled().await;
    proxy.heal();
    gate.add_permits(100);
    dump.fails(&["d.things", "was restarted while it was read from"]).await;
}

#[tokio::test]
async fn a_server_that_refuses_positions_or_the_hint_is_read_without() {
    let (_server, proxy) = filled(Version::V6_0_5, 18_000).await;
    let refuse = Fault::RefuseAfter(9, "FailedToParse");
    for option in ["$_requestResumeToken", "hint"] {
        let has = move |command: &RawDocument| command.get(option).unwrap().is_some();
        proxy.inject(Rule::always("find", refuse.clone()).when(move |request| has(request.command)));
        holds_each_once(Dump::start(&proxy.uri(), &["--db=d"]), 18_000).await;
    }
}
