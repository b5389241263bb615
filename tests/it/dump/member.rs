use std::time::Duration;

use mongodb::bson::doc;

use super::super::support::mongod::{Options, Version};
use super::super::support::replica_set::ReplicaSet;
use super::{Dump, insert, numbers};

const TEST: Options =
    Options { auth: false, replica_set: true, arguments: &["--setParameter", "enableTestCommands=1"] };

/// Members apply in an order of their own what was written at once.
fn sorted(documents: &[Vec<u8>]) -> Vec<i32> {
    let mut numbers = numbers(documents);
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_member_that_lags_is_waited_for() {
    let set = ReplicaSet::start_with(Version::V6_0_5, TEST).await;
    let client = set.client().await;
    insert(&client.database("d"), "things", 0..10, 10).await;
    set.caught_up().await;
    let secondaries = set.secondaries().await;
    for member in &secondaries {
        set.lag(*member, true).await;
    }
    let late = (10..200).map(|number| doc! { "_id": number, "n": number });
    let options = mongodb::options::CollectionOptions::builder()
        .write_concern(mongodb::options::WriteConcern::nodes(1))
        .build();
    let things = client.database("d").collection_with_options("things", options.clone());
    things.insert_many(late).await.unwrap();
    let more = client.database("d").collection_with_options("more", options);
    more.insert_one(doc! { "n": 1 }).await.unwrap();
    let dump = Dump::start(&set.uri_with("readPreference=secondary"), &["--db=d"]);
    // Longer than the dump would take.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for member in secondaries {
        set.lag(member, false).await;
    }
    let (said, found) = dump.succeeds().await;
    assert!(said.contains("to catch up with its replica set"), "{said}");
    assert_eq!(sorted(&found["d.things"]), (0..200).collect::<Vec<_>>());
    assert_eq!(numbers(&found["d.more"]), [1]);
}

#[tokio::test]
async fn a_set_without_a_primary_is_dumped_from_a_secondary() {
    let set = ReplicaSet::start_with(Version::V4_4_2, TEST).await;
    insert(&set.client().await.database("d"), "things", 0..10, 10).await;
    set.caught_up().await;
    set.without_primary().await;
    for preference in ["secondary", "primaryPreferred", "nearest", "secondary&maxStalenessSeconds=120"] {
        let uri = set.uri_with(&format!("readPreference={preference}"));
        let (_, found) = Dump::start(&uri, &[]).succeeds().await;
        assert_eq!(sorted(&found["d.things"]), (0..10).collect::<Vec<_>>(), "{preference}");
    }
}

#[tokio::test]
async fn a_hidden_member_that_is_reached_directly_is_read_in_parts() {
    let set = ReplicaSet::start_with(Version::V6_0_5, TEST).await;
    let client = set.client().await;
    insert(&client.database("d"), "things", 0..12_000, 4000).await;
    set.caught_up().await;
    let hidden = set.secondaries().await[0];
    let admin = client.database("admin");
    let mut config = admin
        .run_command(doc! { "replSetGetConfig": 1 })
        .await
        .unwrap()
        .get_document("config")
        .unwrap()
        .clone();
    config.insert("version", config.get_i32("version").unwrap() + 1);
    for member in config.get_array_mut("members").unwrap() {
        let member = member.as_document_mut().unwrap();
        if member.get_str("host").unwrap() == set.address(hidden) {
            member.insert("priority", 0);
            member.insert("hidden", true);
        }
    }
    admin.run_command(doc! { "replSetReconfig": config }).await.unwrap();
    let (_, found) = Dump::start(&set.direct_uri(hidden), &["--db=d"]).succeeds().await;
    let mut found = numbers(&found["d.things"]);
    assert!(!found.is_sorted(), "read in parts");
    found.sort_unstable();
    assert_eq!(found, (0..12_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_goes_on_through_a_step_down() {
    let set = ReplicaSet::start_with(Version::V6_0_5, TEST).await;
    insert(&set.client().await.database("d"), "things", 0..18_000, 4000).await;
    set.caught_up().await;
    for _ in 0..3 {
        set.settled().await;
        let dump = Dump::start(&set.uri(), &["--db=d", "--gzip"]);
        set.step_down(5).await;
        let finished = dump.running.await.unwrap();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert!(finished.stderr.contains("dumped 18000 document(s)"), "{}", finished.stderr);
    }
}
