//! The flow that this project replaces, modelled: the harness has to catch it, or it would catch nobody.
//!
//! A Lambda in Node.js spawned `mongodump --archive --gzip`, never read its exit code, uploaded what came with an
//! unconditional request and answered `Succeeded`. A failed asynchronous event was run again, which uploaded again.

use std::sync::Arc;

use mongodb::bson::{Document, doc};

use super::case::{Case, Claim, Ending, Wrong};
use super::judge::{Before, judge};
use super::lane::Lane;
use super::{lanes, run};
use crate::support::mongoark::{finish, start};
use crate::support::proxy::{Fault, Proxy, Rule};
use crate::support::s3::{BUCKET, S3Server};

const KEY: &str = "backups/shop/d-1.archive";

/// One invocation. Our own dump to standard output stands for mongodump: it fails as that does, with its exit code.
async fn old_backup(uri: &str, database: &str, store: &S3Server) -> Claim {
    let arguments = ["dump", "--uri", uri, "--db", database, "--archive", "--gzip"];
    let came = finish(start(arguments, &[])).await.stdout;
    let put = store.client().put_object().bucket(BUCKET).key(KEY).body(came.into()).send().await;
    Claim { succeeded: put.is_ok(), said: "Succeeded".to_owned() }
}

/// A backup during which the proxy does this.
fn backup(name: &str, breaks: impl Fn(&Proxy) + Clone + Send + Sync + 'static) -> Case {
    Case::new(format!("old flow: {name}"), move |lane: Arc<Lane>| {
        let breaks = breaks.clone();
        async move {
            let (store, proxy) = (S3Server::start(), lane.before_source().await);
            breaks(&proxy);
            let uri = format!("{}&serverSelectionTimeoutMS=1000", proxy.uri());
            let claim = old_backup(&uri, &lane.name, &store).await;
            judge(&lane, claim, store.object(KEY), Before::Nothing, &lane.scope()).await
        }
    })
}

/// A second run of the same event, when the migration has begun.
async fn run_again(lane: Arc<Lane>) -> Ending {
    let store = S3Server::start();
    let first = old_backup(&lane.source_uri(), &lane.name, &store).await;
    assert!(first.succeeded);
    let archive = store.object(KEY);
    let lines = lane.database().collection::<Document>("lines");
    lines.insert_one(doc! { "_id": "migrated", "n": "new" }).await.expect("the migration");
    let second = old_backup(&lane.source_uri(), &lane.name, &store).await;
    lines.delete_one(doc! { "_id": "migrated" }).await.expect("taken back");
    let mut ending = Ending::of(second);
    ending.ensure(store.object(KEY) == archive, Wrong::OverwrittenArchive, || {
        "the archive from before the migration is gone".to_owned()
    });
    ending
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flow_that_was_replaced_is_caught() {
    let dead = |proxy: &Proxy| proxy.refuse(true);
    let cut = |proxy: &Proxy| proxy.inject(Rule::always("getMore", Fault::RefuseAfter(13, "Unauthorized")));
    let denied = |proxy: &Proxy| proxy.inject(Rule::always("find", Fault::RefuseAfter(13, "Unauthorized")));
    let cases = vec![
        backup("nothing happens", |_| {}),
        backup("a dead database", dead),
        backup("the database dies in the middle", cut),
        backup("a collection that may not be read", denied),
        Case::new("old flow: the event is run again after the migration", run_again),
    ];
    let tally = run(cases, &lanes().await).await;
    assert_eq!(tally.of(Wrong::FalseSuccess), 3, "{tally}");
    assert_eq!(tally.of(Wrong::OverwrittenArchive), 1, "{tally}");
    assert_eq!(tally.failures().len(), 4, "without a fault it works: {tally}");
}
