//! A target that does not keep what it was given, and one on which documents would expire meanwhile.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{DateTime, Document, doc, rawdoc};
use mongodb::error::ErrorKind;
use mongodb::{Client, Database};
use tokio::sync::Semaphore;

use super::super::restore::made::Made;
use super::super::support::mongod::{Mongod, Options, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::{assert_nothing_left, drilled, kept, shop, with_a_shop};

/// Drills through a proxy that holds the drill when all documents are there, until `meanwhile` is over.
async fn drilled_while<F: Future<Output = ()>>(
    server: &Mongod,
    path: &std::path::Path,
    meanwhile: impl FnOnce(Client) -> F,
) -> mongoark::Result<mongoark::drill::DrillReport> {
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let permits = Arc::new(Semaphore::new(0));
    proxy.inject(Rule::once("createIndexes", Fault::Hold(Arc::clone(&permits))));
    let uri = proxy.uri();
    let changes = async {
        proxy.arrived("createIndexes", 1).await;
        meanwhile(server.client().await).await;
        permits.add_permits(1);
    };
    let ((result, _), ()) = tokio::join!(drilled(&uri, path), changes);
    result
}

/// Runs a command; one that drops an index waits until that has been built, because dropping it sooner ends the build.
async fn run(database: &Database, command: Document) {
    while command.contains_key("dropIndexes") && !is_built(database, "n_1").await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    loop {
        match database.run_command(command.clone()).await {
            Err(error) if is_refused(&error, BEING_BUILT) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => return drop(done.expect("done")),
        }
    }
}

/// The answer to a change of a collection whose index is still being built.
const BEING_BUILT: i32 = 12587;

fn is_refused(error: &mongodb::error::Error, code: i32) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(error) if error.code == code)
}

async fn is_built(database: &Database, name: &str) -> bool {
    let listed =
        database.run_command(doc! { "listIndexes": "orders", "includeBuildUUIDs": true }).await.unwrap();
    let indexes = listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    let ready = |index: &Document| {
        index.get_str("name").is_ok_and(|there| there == name) && !index.contains_key("buildUUID")
    };
    indexes.iter().filter_map(|index| index.as_document()).any(ready)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_target_changes_is_found_and_named() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let kept = kept(&shop().bytes());
    let set = |q: Document, u: Document| doc! { "update": "orders", "updates": [{ "q": q, "u": u }] };
    for (change, words) in [
        (
            set(doc! { "_id": 7 }, doc! { "$set": { "n": 8 } }),
            "shop.orders: its documents are not those of the archive",
        ),
        (set(doc! { "_id": 7 }, doc! { "$set": { "n": 7_i64 } }), "shop.orders: its documents"),
        (
            doc! { "delete": "orders", "deletes": [{ "q": { "_id": 7 }, "limit": 1 }] },
            "shop.orders: the archive holds 500 document(s), and after the restore there are 499",
        ),
        (doc! { "insert": "orders", "documents": [{ "_id": 1000, "n": 1 }] }, "there are 501"),
        (doc! { "insert": "more", "documents": [{ "_id": 1 }] }, "shop.more: it is not in the archive"),
        (doc! { "drop": "few" }, "shop.few: it is in the archive and was not restored"),
        (
            doc! { "collMod": "few", "viewOn": "other", "pipeline": [] },
            "shop.few: restored, the option `viewOn`",
        ),
        (doc! { "collMod": "orders", "validator": {} }, "shop.orders: restored, the option `validator`"),
        (
            doc! { "createIndexes": "orders", "indexes": [{ "key": { "x": 1 }, "name": "x" }] },
            "the index `x` is not",
        ),
        (doc! { "dropIndexes": "orders", "index": "n_1" }, "the index `n_1` is missing"),
    ] {
        let command = change.clone();
        let result = drilled_while(&server, &kept.path, |client| async move {
            run(&client.database("mongoark_drill_shop"), command).await;
        });
        let error = result.await.expect_err(words).report();
        assert!(error.contains(words), "{change}: {error}");
        assert_nothing_left(&client).await;
    }
    assert_eq!(
        client.database("shop").collection::<Document>("orders").count_documents(doc! {}).await.unwrap(),
        50
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_cannot_be_built_is_an_error_and_the_scratch_goes() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let unique = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1","unique":true}]}"#;
    let same = (0..10).map(|id| rawdoc! { "_id": id, "n": 1 });
    let archive = Made::of("6.0.5").with_metadata("shop", "c", unique, same);
    let (result, _) = drilled(&server.uri(), &kept(&archive.bytes()).path).await;
    let error = result.unwrap_err().report();
    assert!(error.contains("its indexes are not"), "{error}");
    assert_nothing_left(&client).await;
}

/// Documents, time series and clustered collections that are long past their time.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_since_the_dump_is_compared_all_the_same() {
    let options = Options { arguments: &["--setParameter", "ttlMonitorSleepSecs=1"], ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_5, options).await;
    let index = r#"{"options":{},"indexes":[{"v":2,"key":{"at":1},"name":"at_1","expireAfterSeconds":1}]}"#;
    let clustered = r#"{"options":{"clusteredIndex":{"v":2,"key":{"_id":1},"name":"_id_","unique":true},"expireAfterSeconds":{"$numberLong":"1"}},"indexes":[]}"#;
    let old = |id: i32| DateTime::from_millis(1_000_000_000_000 + i64::from(id));
    let archive = Made::of("6.0.5")
        .with_metadata("logs", "lines", index, (0..50).map(|id| rawdoc! { "_id": id, "at": old(id) }))
        .with_metadata("logs", "days", clustered, (0..50).map(|id| rawdoc! { "_id": old(id) }));
    let kept = kept(&archive.bytes());
    let result = drilled_while(&server, &kept.path, |client| async move {
        let admin = client.database("admin");
        let passes = async || {
            let status = admin.run_command(doc! { "serverStatus": 1 }).await.unwrap();
            let ttl = status.get_document("metrics").unwrap().get_document("ttl").unwrap();
            ttl.get_i64("passes").unwrap()
        };
        let before = passes().await;
        while passes().await < before + 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let report = result.await;
    assert_eq!(report.unwrap_or_else(|error| panic!("{}", error.report())).documents, 100);
    assert_nothing_left(&server.client().await).await;
}
