//! A restore given up at any moment, and done again.

use std::sync::Arc;

use futures::FutureExt;
use mongoark::progress::{Monitor, Silent};
use mongoark::restore::restore;
use mongoark::storage::Source;
use mongodb::bson::{Document, doc, rawdoc};
use tokio_util::sync::CancellationToken;

use super::super::support::mongod::{Mongod, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::made::Made;
use super::{connect, count, restored, with_drop};

#[tokio::test]
async fn a_restore_that_was_given_up_at_any_moment_can_be_done_again() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = server.uri();
    let metadata = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1"}]}"#;
    let archive = Made::of("6.0.5")
        .with_metadata("given-up", "a", metadata, (0..2000).map(|id| rawdoc! { "_id": id, "n": id }))
        .with_metadata("given-up", "b", metadata, (0..2000).map(|id| rawdoc! { "_id": id, "n": id }))
        .bytes();
    let deployment = connect(&uri).await;
    let monitor: Arc<dyn Monitor> = Arc::new(Silent);
    let options = with_drop();
    for polls in 1..30_u32 {
        let cancel = CancellationToken::new();
        let mut work =
            Box::pin(restore(&deployment, &options, Source::memory([archive.clone()]), &monitor, &cancel));
        let mut ended = false;
        for _ in 0..polls {
            if work.as_mut().now_or_never().is_some() {
                ended = true;
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(work);
        if ended {
            break;
        }
    }
    let cancel = CancellationToken::new();
    cancel.cancel();
    let result = restore(&deployment, &options, Source::memory([archive.clone()]), &monitor, &cancel).await;
    assert!(result.unwrap_err().is_cancelled());
    deployment.close().await;

    let report = restored(&uri, &archive, &options).await.unwrap();
    assert_eq!((report.documents, report.failures), (4000, 0));
    assert_eq!(count(&server.client().await, "given-up", "a").await, 2000);
}

#[tokio::test]
async fn w37_what_makes_and_removes_collections_is_as_safe_as_the_documents() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let safe = server.client().await.database("as-safe");
    safe.create_collection("a").await.unwrap();
    safe.run_command(doc! { "profile": 2 }).await.unwrap();
    let metadata = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1"}]}"#;
    let archive =
        Made::of("6.0.5").with_metadata("as-safe", "a", metadata, [rawdoc! { "_id": 1, "n": 1 }]).bytes();
    restored(&server.uri(), &archive, &with_drop()).await.unwrap();
    safe.run_command(doc! { "profile": 0 }).await.unwrap();
    let profile = safe.collection::<Document>("system.profile");
    for command in ["drop", "create", "insert", "createIndexes"] {
        let sent = doc! { format!("command.{command}"): "a", "command.writeConcern.w": "majority" };
        assert!(profile.find_one(sent).await.unwrap().is_some(), "{command} without a write concern");
    }
    profile.drop().await.unwrap();
}

#[tokio::test]
async fn b50_index_builds_that_take_long_keep_no_document_waiting() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let metadata = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1"}]}"#;
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let archive = names
        .iter()
        .fold(Made::of("6.0.5"), |made, name| {
            made.with_metadata("builds", name, metadata, (0..500).map(|id| rawdoc! { "_id": id, "n": id }))
        })
        .bytes();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    proxy.inject(Rule::always("createIndexes", Fault::Hold(Arc::clone(&gate))));
    let uri = proxy.uri();
    let work = tokio::spawn(async move { restored(&uri, &archive, &with_drop()).await });
    proxy.arrived("createIndexes", 4).await;
    for name in names {
        assert_eq!(count(&client, "builds", name).await, 500, "{name}");
    }
    gate.add_permits(names.len());
    assert_eq!(work.await.unwrap().unwrap().documents, 4000);
}
