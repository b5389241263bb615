use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::super::support::mongod::{Mongod, Version};
use super::super::support::proxy::{Fault, Proxy, Request, Rule};
use super::{Dump, insert, numbers};

/// Large enough for four parts of 5,000 documents.
const COUNT: i32 = 20_000;
const SIZE: usize = 4000;

async fn filled(version: Version) -> (Mongod, Client, Proxy) {
    let server = Mongod::start(version).await;
    let client = server.client().await;
    insert(&client.database("d"), "things", 0..COUNT, SIZE).await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    (server, client, proxy)
}

/// Without a snapshot, which would make all of this easy.
fn dump(proxy: &Proxy) -> Dump {
    Dump::start(&proxy.uri(), &["--db=d", "-c=things", "--snapshot=off"])
}

/// Replies to the first part wait for permits.
fn hold_first_part(proxy: &Proxy, after: usize) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    let is_first = |request: &Request<'_>| {
        request.opened_by.is_some_and(|find| find.get("$_resumeAfter").unwrap().is_none())
    };
    proxy.inject(Rule::always("getMore", Fault::Hold(Arc::clone(&gate))).when(is_first).after(after));
    gate
}

/// Deletes these documents and inserts them again, each hundred in one transaction: they are there at every moment.
async fn replace(client: &Client, numbers: impl IntoIterator<Item = i32>) {
    let things = client.database("d").collection::<Document>("things");
    let numbers: Vec<i32> = numbers.into_iter().collect();
    for some in numbers.chunks(100) {
        let mut session = client.start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        things.delete_many(doc! { "_id": { "$in": some.to_vec() } }).session(&mut session).await.unwrap();
        let again = some.iter().map(|number| doc! { "_id": number, "n": number, "text": "again" });
        things.insert_many(again).session(&mut session).await.unwrap();
        session.commit_transaction().await.unwrap();
    }
}

/// Waits until nothing more comes through the proxy.
async fn settled(proxy: &Proxy, at_least: usize) {
    proxy.replied("getMore", at_least).await;
    let mut before = 0;
    while before != proxy.replies("getMore") {
        before = proxy.replies("getMore");
        sleep(Duration::from_millis(300)).await;
    }
}

async fn holds_all(dump: Dump, expected: impl IntoIterator<Item = i32>) -> Vec<i32> {
    let (_, found) = dump.succeeds().await;
    let found = numbers(&found["d.things"]);
    let set: HashSet<i32> = found.iter().copied().collect();
    let missing: Vec<i32> = expected.into_iter().filter(|number| !set.contains(number)).collect();
    assert!(missing.is_empty(), "{} documents are missing, such as {:?}", missing.len(), missing.first());
    found
}

/// The first part is slow; when all others have ended, documents of it move behind the collection's end.
async fn a_document_that_moves_behind_parts_that_have_ended_is_not_missed(version: Version) {
    let (_server, client, proxy) = filled(version).await;
    let gate = hold_first_part(&proxy, 0);
    let dump = dump(&proxy);
    settled(&proxy, 40).await;
    replace(&client, 1000..1500).await;
    gate.add_permits(1000);
    holds_all(dump, 0..COUNT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_moves_is_not_missed_on_4_4() {
    a_document_that_moves_behind_parts_that_have_ended_is_not_missed(Version::V4_4_2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_moves_is_not_missed_on_5_0() {
    a_document_that_moves_behind_parts_that_have_ended_is_not_missed(Version::V5_0_4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_moves_is_not_missed_on_6_0() {
    a_document_that_moves_behind_parts_that_have_ended_is_not_missed(Version::V6_0_27).await;
}

/// While each part has had its first reply only, documents before and behind every border move or go.
async fn borders_may_move_and_go(version: Version) {
    let (_server, client, proxy) = filled(version).await;
    let gate = Arc::new(Semaphore::new(0));
    proxy.inject(Rule::always("getMore", Fault::Hold(Arc::clone(&gate))));
    let dump = dump(&proxy);
    proxy.arrived("getMore", 4).await;
    let quarter = COUNT / 4;
    let distance = |number: i32| {
        let distance = number.rem_euclid(quarter);
        distance.min(quarter - distance)
    };
    let goes = |number: &i32| distance(*number) < 20 || (distance(*number) < 300 && number % 3 == 0);
    let gone: Vec<i32> = (0..COUNT).filter(goes).collect();
    let things = client.database("d").collection::<Document>("things");
    things.delete_many(doc! { "_id": { "$in": gone } }).await.unwrap();
    replace(&client, (0..COUNT).filter(|number| !goes(number) && distance(*number) < 400)).await;
    insert(&client.database("d"), "things", COUNT..COUNT + 100, 10).await;
    gate.add_permits(100_000);
    holds_all(dump, (0..COUNT).filter(|number| !goes(number))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn borders_may_move_and_go_on_4_4() {
    borders_may_move_and_go(Version::V4_4_2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn borders_may_move_and_go_on_5_0() {
    borders_may_move_and_go(Version::V5_0_4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn borders_may_move_and_go_on_6_0() {
    borders_may_move_and_go(Version::V6_0_27).await;
}

/// All connections break while the records that the first part has met are gone: it goes on behind them all the same, with
/// every document once.
async fn a_cursor_goes_on_where_its_records_are_gone(version: Version) {
    let (_server, client, proxy) = filled(version).await;
    let gate = hold_first_part(&proxy, 8);
    let dump = dump(&proxy);
    settled(&proxy, 48).await;
    let things = client.database("d").collection::<Document>("things");
    let gone = doc! { "_id": { "$gte": 100, "$lt": 4000 }, "n": { "$mod": [100, 99] } };
    let all_but = doc! { "_id": { "$gte": 100, "$lt": 4000 }, "$nor": [{ "n": { "$mod": [100, 7] } }, gone] };
    things.delete_many(all_but).await.unwrap();
    proxy.heal();
    proxy.cut();
    gate.add_permits(1000);
    let found =
        holds_all(dump, (0..COUNT).filter(|number| !(100..4000).contains(number) || number % 100 == 7)).await;
    let once: HashSet<i32> = found.iter().copied().collect();
    assert_eq!(once.len(), found.len(), "nothing comes twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_where_its_records_are_gone_on_4_4() {
    a_cursor_goes_on_where_its_records_are_gone(Version::V4_4_2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_where_its_records_are_gone_on_6_0() {
    a_cursor_goes_on_where_its_records_are_gone(Version::V6_0_27).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_transaction_is_open_a_collection_is_read_in_one_part() {
    let (_server, client, proxy) = filled(Version::V6_0_5).await;
    let things = client.database("d").collection::<Document>("things");
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    things.delete_one(doc! { "_id": 10_000 }).session(&mut session).await.unwrap();
    things.insert_one(doc! { "_id": 10_000, "n": 10_000 }).session(&mut session).await.unwrap();
    // Behind what the transaction holds, so that the last record is one that can be seen.
    insert(&client.database("d"), "things", COUNT..COUNT + 10, 10).await;
    let (said, found) = dump(&proxy).succeeds().await;
    assert!(said.contains("d.things is read in one part"), "{said}");
    assert_eq!(numbers(&found["d.things"]), (0..COUNT + 10).collect::<Vec<_>>());
    session.commit_transaction().await.unwrap();
}
