use std::sync::Arc;

use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use tokio::sync::Semaphore;

use super::super::support::mongod::{Mongod, Options, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::{Dump, insert, numbers};

/// What may happen to the collection `orders`, and what the dump's error says of it.
#[derive(Clone, Copy, Debug)]
enum Event {
    Renamed,
    RenamedAndCreated,
    Dropped,
    DroppedAndCreated,
    RenamedOver,
    Replaced,
    Capped,
    Changed,
}

impl Event {
    const ALL: [Self; 8] = [
        Self::Renamed,
        Self::RenamedAndCreated,
        Self::Dropped,
        Self::DroppedAndCreated,
        Self::RenamedOver,
        Self::Replaced,
        Self::Capped,
        Self::Changed,
    ];

    fn words(self) -> &'static str {
        match self {
            Self::Renamed | Self::RenamedAndCreated => "was renamed to shop.orders_2025 while it was dumped",
            Self::Dropped => "was dropped",
            Self::DroppedAndCreated | Self::Replaced | Self::Capped => "was replaced by another",
            // Of the two that are no longer what they were, either may be found first.
            Self::RenamedOver => "while it was dumped",

            Self::Changed => "was changed in its options",
        }
    }

    async fn happens(self, client: &Client) {
        let (shop, admin) = (client.database("shop"), client.database("admin"));
        let rename = |from: &str, to: &str| {
            let command = doc! { "renameCollection": from, "to": to, "dropTarget": true };
            let admin = admin.clone();
            async move { admin.run_command(command).await.map(drop) }
        };
        let create = async || {
            shop.collection::<Document>("orders").insert_one(doc! { "_id": 1, "n": 1 }).await.unwrap();
        };
        match self {
            Self::Renamed => rename("shop.orders", "shop.orders_2025").await.unwrap(),
            Self::RenamedAndCreated => {
                rename("shop.orders", "shop.orders_2025").await.unwrap();
                create().await;
            }
            Self::Dropped => shop.collection::<Document>("orders").drop().await.unwrap(),
            Self::DroppedAndCreated => {
                shop.collection::<Document>("orders").drop().await.unwrap();
                create().await;
            }
            Self::RenamedOver => rename("shop.other", "shop.orders").await.unwrap(),
            Self::Replaced => {
                let pipeline = vec![doc! { "$out": "orders" }];
                shop.collection::<Document>("other").aggregate(pipeline).await.unwrap();
            }
            Self::Capped => {
                let command = doc! { "convertToCapped": "orders", "size": 1 << 20 };
                shop.run_command(command).await.unwrap();
            }
            Self::Changed => {
                let command = doc! { "collMod": "orders", "validator": { "n": { "$gte": 0 } } };
                shop.run_command(command).await.unwrap();
            }
        }
    }
}

/// A server with `shop.orders` of this many documents, beside others.
async fn filled(version: Version, orders: i32, size: usize) -> (Mongod, Database, Proxy) {
    let server = Mongod::start(version).await;
    let shop = server.client().await.database("shop");
    insert(&shop, "orders", 0..orders, size).await;
    insert(&shop, "other", 0..5, 10).await;
    // Read before and after the small one.
    insert(&shop, "middling", 0..100, 2000).await;
    insert(&shop, "large", 0..2000, 2000).await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    (server, shop, proxy)
}

/// The dump stands when this command is about `collection`, until the returned gate opens.
fn hold(proxy: &Proxy, command: &'static str, collection: &'static str) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    proxy.inject(Rule::once(command, Fault::Hold(Arc::clone(&gate))).on(collection));
    gate
}

async fn a_change_before_it_is_read_is_told(version: Version, orders: i32, size: usize) {
    for event in Event::ALL {
        let (server, _, proxy) = filled(version, orders, size).await;
        let gate = hold(&proxy, "find", "middling");
        let dump = Dump::start(&proxy.uri(), &["--db=shop", "-j=1"]);
        // After the one that chooses the moment, or finds that there is none.
        proxy.arrived("find", 2).await;
        event.happens(&server.client().await).await;
        gate.add_permits(1);
        dump.fails(&["shop.orders", event.words(), "dump again"]).await;
    }
}

#[tokio::test]
async fn a_small_collection_that_changes_before_it_is_read_fails_the_dump_by_name() {
    a_change_before_it_is_read_is_told(Version::V6_0_27, 10, 10).await;
}

#[tokio::test]
async fn a_small_collection_that_changes_before_it_is_read_fails_the_dump_of_4_4_by_name() {
    a_change_before_it_is_read_is_told(Version::V4_4_2, 10, 10).await;
}

#[tokio::test]
async fn a_larger_collection_that_changes_before_it_is_read_fails_the_dump_by_name() {
    a_change_before_it_is_read_is_told(Version::V6_0_27, 2500, 2000).await;
}

async fn a_change_while_it_is_read_is_told(version: Version) {
    for event in Event::ALL {
        let (server, _, proxy) = filled(version, 2500, 2000).await;
        let gate = hold(&proxy, "getMore", "orders");
        let dump = Dump::start(&proxy.uri(), &["--db=shop", "-j=1"]);
        proxy.arrived("getMore", 1).await;
        event.happens(&server.client().await).await;
        gate.add_permits(1);
        dump.fails(&["shop.orders", event.words(), "dump again"]).await;
    }
}

#[tokio::test]
async fn a_collection_that_changes_while_it_is_read_fails_the_dump_by_name() {
    a_change_while_it_is_read_is_told(Version::V6_0_27).await;
}

#[tokio::test]
async fn a_collection_of_4_4_that_changes_while_it_is_read_fails_the_dump_by_name() {
    a_change_while_it_is_read_is_told(Version::V4_4_2).await;
}

#[tokio::test]
async fn what_happens_to_a_collection_after_it_was_read_does_not_matter() {
    for event in Event::ALL {
        let (server, _, proxy) = filled(Version::V6_0_27, 10, 10).await;
        let gate = hold(&proxy, "getMore", "large");
        let dump = Dump::start(&proxy.uri(), &["--db=shop", "-j=1"]);
        proxy.arrived("getMore", 1).await;
        event.happens(&server.client().await).await;
        gate.add_permits(1);
        let (_, found) = dump.succeeds().await;
        assert_eq!(numbers(&found["shop.orders"]), (0..10).collect::<Vec<_>>(), "{event:?}");
        assert_eq!(found["shop.large"].len(), 2000);
    }
}

#[tokio::test]
async fn a_view_and_a_time_series_that_change_meanwhile_fail_the_dump_by_name() {
    for name in ["view", "series"] {
        let (server, shop, proxy) = filled(Version::V6_0_27, 10, 10).await;
        let create = |least: i32| doc! { "create": "view", "viewOn": "orders", "pipeline": [{ "$match": { "n": { "$gt": least } } }] };
        let series = doc! { "create": "series", "timeseries": { "timeField": "t" } };
        shop.run_command(create(1)).await.unwrap();
        shop.run_command(series.clone()).await.unwrap();
        let gate = hold(&proxy, "find", "middling");
        let dump = Dump::start(&proxy.uri(), &["--db=shop", "-j=1"]);
        // After the one that chooses the moment, or finds that there is none.
        proxy.arrived("find", 2).await;
        let shop = server.client().await.database("shop");
        shop.collection::<Document>(name).drop().await.unwrap();
        shop.run_command(if name == "view" { create(2) } else { series }).await.unwrap();
        gate.add_permits(1);
        dump.fails(&[&format!("shop.{name}"), "while it was dumped; dump again"]).await;
    }
}

#[tokio::test]
async fn a_unique_index_that_is_dropped_while_its_collection_is_read_fails_the_dump() {
    let (_server, shop, proxy) = filled(Version::V6_0_27, 2500, 2000).await;
    let index = doc! { "key": { "n": 1 }, "name": "by_n", "unique": true };
    shop.run_command(doc! { "createIndexes": "orders", "indexes": [index] }).await.unwrap();
    let gate = hold(&proxy, "getMore", "orders");
    let dump = Dump::start(&proxy.uri(), &["--db=shop", "-j=1", "--snapshot=off"]);
    proxy.arrived("getMore", 1).await;
    shop.run_command(doc! { "dropIndexes": "orders", "index": "by_n" }).await.unwrap();
    gate.add_permits(1);
    dump.fails(&["shop.orders", "unique index by_n"]).await;
}

/// An index whose build may yet fail is not in the archive, and the build does not keep the dump waiting.
async fn an_index_that_is_being_built_is_left_out(version: Version) {
    const TEST: Options =
        Options { auth: false, replica_set: true, arguments: &["--setParameter", "enableTestCommands=1"] };
    let server = Mongod::start_with(version, TEST).await;
    let client = server.client().await;
    let (shop, admin) = (client.database("shop"), client.database("admin"));
    insert(&shop, "orders", 0..10, 10).await;
    let fail_point = |mode: &str| doc! { "configureFailPoint": "hangAfterStartingIndexBuild", "mode": mode };
    admin.run_command(fail_point("alwaysOn")).await.unwrap();
    let build = {
        let shop = shop.clone();
        let index = doc! { "key": { "n": 1 }, "name": "by_n" };
        tokio::spawn(
            async move { shop.run_command(doc! { "createIndexes": "orders", "indexes": [index] }).await },
        )
    };
    let wait =
        doc! { "waitForFailPoint": "hangAfterStartingIndexBuild", "timesEntered": 1, "maxTimeMS": 60_000 };
    admin.run_command(wait).await.unwrap();
    let dump = Dump::start(&server.uri(), &["--db=shop"]);
    let path = dump.path.clone();
    let finished = dump.running.await.unwrap();
    admin.run_command(fail_point("off")).await.unwrap();
    build.await.unwrap().unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("shop.orders (by_n)"), "{}", finished.stderr);
    let archive = std::fs::read(path).unwrap();
    let contains = |text: &str| archive.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("_id_") && !contains("by_n"));
}

#[tokio::test]
async fn an_index_that_is_being_built_is_left_out_on_4_4() {
    an_index_that_is_being_built_is_left_out(Version::V4_4_2).await;
}

#[tokio::test]
async fn an_index_that_is_being_built_is_left_out_on_6_0() {
    an_index_that_is_being_built_is_left_out(Version::V6_0_27).await;
}
