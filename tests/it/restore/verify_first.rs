//! `--verifyFirst`: nothing is dropped before the archive is proven.

use mongodb::bson::{Document, doc, rawdoc};

use super::super::support::mongoark::{archive as place, mongoark, mongoark_with};
use super::super::support::mongod::{Mongod, Version};
use super::count;
use super::made::Made;

#[tokio::test]
async fn a_damaged_archive_drops_nothing() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let orders = client.database("first").collection::<Document>("orders");
    orders.drop().await.unwrap();
    orders.insert_one(doc! { "_id": "before" }).await.unwrap();
    let whole = Made::of("6.0.5").with("first", "orders", (0..10).map(|id| rawdoc! { "_id": id })).bytes();
    let (_folder, path) = place("a");
    let uri = format!("--uri={}", server.uri());
    let archive = format!("--archive={}", path.display());
    for cut in [1, 30, whole.len() / 2] {
        std::fs::write(&path, whole.slice(..whole.len() - cut)).unwrap();
        let finished = mongoark(["restore", &uri, &archive, "--drop", "--verifyFirst"]).await;
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(
            orders.find_one(doc! { "_id": "before" }).await.unwrap().is_some(),
            "{cut}: {}",
            finished.stderr
        );
    }
    std::fs::write(&path, &whole).unwrap();
    mongoark(["restore", &uri, &archive, "--drop", "--verifyFirst"]).await.success();
    assert_eq!(count(&client, "first", "orders").await, 10);
}

#[tokio::test]
async fn what_cannot_be_read_twice_is_refused() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let whole = Made::of("6.0.5").with("first-pipe", "orders", [rawdoc! { "_id": 1 }]).bytes();
    let uri = format!("--uri={}", server.uri());
    for option in ["--verifyFirst", "--salvage"] {
        let finished = mongoark_with(["restore", &uri, "--archive", option], &whole).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains("into a file"), "{}", finished.stderr);
    }
    let client = server.client().await;
    assert_eq!(count(&client, "first-pipe", "orders").await, 0);
    mongoark_with(["restore", &uri, "--archive", "--verifyFirst", "--swap"], &whole).await.success();
    assert_eq!(count(&client, "first-pipe", "orders").await, 1);
}
