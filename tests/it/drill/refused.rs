//! What is refused before anything is touched.

use mongoark::ErrorKind;
use mongodb::Client;
use mongodb::bson::{Document, doc, rawdoc};

use super::super::restore::made::Made;
use super::super::support::fingerprint::{assert_same, fingerprint};
use super::super::support::mongod::Version;
use super::{assert_none_left, assert_nothing_left, drilled, kept, shop, with_a_shop};

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_archive_is_refused_and_nothing_is_touched() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let before = fingerprint(&client).await;
    let whole = shop().bytes();
    let mut flipped = whole.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for (what, bytes) in [
        ("cut", whole.slice(..whole.len() - 40)),
        ("flipped", flipped.into()),
        ("empty", bytes::Bytes::new()),
    ] {
        let (result, listener) = drilled(&server.uri(), &kept(&bytes).path).await;
        let error = result.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Archive, "{what}: {}", error.report());
        assert!(listener.notes.lock().unwrap().is_empty());
    }
    assert_same(&before, &fingerprint(&client).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_no_drill_has_made_is_never_touched() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let kept = kept(&shop().bytes());
    for name in ["mongoark_drill_shop", "mongoark_drill_crm", "MongoArk_Drill_CRM"] {
        let own = client.database(name);
        own.collection::<Document>("c").insert_one(doc! { "_id": 1 }).await.unwrap();
        let (result, _) = drilled(&server.uri(), &kept.path).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.report().contains(name), "{}", error.report());
        let mut names = client.list_database_names().await.unwrap();
        names.retain(|found| found != name);
        assert_none_left(&names);
        assert_eq!(own.list_collection_names().await.unwrap(), ["c"]);
        own.drop().await.unwrap();
    }
    drilled(&server.uri(), &kept.path).await.0.unwrap();
    assert_nothing_left(&client).await;
}

/// The names in the lease of a drill that died are no proof: one may have been taken since.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_a_dead_drills_lease_is_removed_only_with_that_drills_mark() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let lease = client.database("mongoark_drill").collection::<Document>("lease");
    let left =
        ["mongoark_drill_marked", "mongoark_drill_other", "mongoark_drill_plain", "mongoark_drill_gone"];
    lease
        .insert_one(
            doc! { "_id": "drill", "holder": "dead", "beats": 3_i64, "databases": left.to_vec(), "dead": [] },
        )
        .await
        .unwrap();
    fill_left(&client, left[0], Some("dead")).await;
    fill_left(&client, left[1], Some("another")).await;
    fill_left(&client, left[2], None).await;
    let (result, listener) = drilled(&server.uri(), &kept(&shop().bytes()).path).await;
    result.unwrap();
    let notes = listener.notes.lock().unwrap().clone();
    assert!(
        notes.iter().any(|note| note.contains("removed the scratch database mongoark_drill_marked")),
        "{notes:?}"
    );
    let mut names = client.list_database_names().await.unwrap();
    names.retain(|name| name.starts_with("mongoark_drill"));
    names.sort();
    assert_eq!(names, ["mongoark_drill_other", "mongoark_drill_plain"]);
}

async fn fill_left(client: &Client, name: &str, holder: Option<&str>) {
    let database = client.database(name);
    database.collection::<Document>("c").insert_one(doc! { "_id": 1 }).await.unwrap();
    if let Some(holder) = holder {
        let mark = database.collection::<Document>(&format!("mongoark_drill.{name}"));
        mark.insert_one(doc! { "_id": holder }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_server_takes_with_the_prefix_is_refused_first() {
    let (server, client) = with_a_shop(Version::V6_0_5).await;
    let long = "l".repeat(50);
    let archive =
        Made::of("6.0.5").with("ok", "c", [rawdoc! { "_id": 1 }]).with(&long, "c", [rawdoc! { "_id": 1 }]);
    let (result, _) = drilled(&server.uri(), &kept(&archive.bytes()).path).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.report().contains(&long) && error.report().contains("65 bytes"), "{}", error.report());
    assert_nothing_left(&client).await;
}
