//! Drills that are stopped, killed, or not alone.

use std::sync::Arc;

use tokio::process::Child;
use tokio::sync::Semaphore;

use super::super::support::fingerprint::{assert_same, fingerprint};
use super::super::support::mongoark::{finish, mongoark, start};
use super::super::support::mongod::Version;
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::{Kept, assert_nothing_left, drilled, kept, shop, with_a_shop};

/// A drill that stands still when all its documents are there.
async fn stalled(proxy: &Proxy, kept: &Kept) -> (Child, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let before = proxy.requests("createIndexes");
    proxy.inject(Rule::once("createIndexes", Fault::Hold(Arc::clone(&permits))));
    let arguments =
        ["drill".to_owned(), format!("--uri={}", proxy.uri()), format!("--archive={}", kept.path.display())];
    let child = start(arguments, &[]);
    proxy.arrived("createIndexes", before + 1).await;
    (child, permits)
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("runs").to_string();
    assert!(tokio::process::Command::new("kill").args([name, &pid]).status().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_drill_and_the_scratch_is_gone() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let before = fingerprint(&client).await;
    let kept = kept(&shop().bytes());
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    for name in ["-INT", "-TERM"] {
        let (child, _permits) = stalled(&proxy, &kept).await;
        signal(&child, name).await;
        let finished = finish(child).await;
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains("cancelled; nothing of the drill was kept"), "{}", finished.stderr);
        assert_nothing_left(&client).await;
        assert_same(&before, &fingerprint(&client).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_drills_another_is_refused_whatever_its_prefix() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let kept = kept(&shop().bytes());
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let (first, permits) = stalled(&proxy, &kept).await;
    let (uri, place) = (format!("--uri={}", server.uri()), format!("--archive={}", kept.path.display()));
    for more in [&[][..], &["--prefix=other_"]] {
        let arguments = ["drill", &uri, &place].into_iter().chain(more.iter().copied());
        let second = mongoark(arguments).await;
        assert_eq!(second.code, Some(1), "{}", second.stderr);
        assert!(second.stderr.contains("another drill is at work"), "{}", second.stderr);
    }
    permits.add_permits(1);
    finish(first).await.success();
    assert_nothing_left(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_begin_at_the_same_moment_one_drills() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let kept = kept(&shop().bytes());
    let uri = server.uri();
    for _ in 0..5 {
        let (one, other) = tokio::join!(drilled(&uri, &kept.path), drilled(&uri, &kept.path));
        let outcomes = [one.0, other.0];
        // One may begin when the other has ended.
        assert!(outcomes.iter().any(Result::is_ok), "{outcomes:?}");
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(error.report().contains("another drill is at work"), "{}", error.report());
        }
        assert_nothing_left(&client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_drill_leaves_the_next_one_removes_whatever_it_drills() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let before = fingerprint(&client).await;
    let kept_shop = kept(&shop().bytes());
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let (mut child, _permits) = stalled(&proxy, &kept_shop).await;
    child.kill().await.unwrap();
    let names = client.list_database_names().await.unwrap();
    assert!(names.iter().any(|name| name == "mongoark_drill_shop"), "{names:?}");
    // Another archive: nothing of the first one's names is its own.
    let other = super::Made::of("6.0.5").with("else", "c", [mongodb::bson::rawdoc! { "_id": 1 }]);
    let (report, _) = drilled(&server.uri(), &kept(&other.bytes()).path).await;
    report.unwrap_or_else(|error| panic!("{}", error.report()));
    assert_nothing_left(&client).await;
    assert_same(&before, &fingerprint(&client).await);
}
