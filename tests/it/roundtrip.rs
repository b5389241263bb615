//! Dumped and restored: everything is as it was, on every server of the matrix, plain and compressed.

use super::support::fingerprint::{Fingerprint, assert_same, fingerprint, load};
use super::support::mongoark::{archive, mongoark};
use super::support::mongod::{Mongod, Options, ROOT, ROOT_PASSWORD, Version};
use super::support::{testdata, zoo};
use mongodb::bson::{Document, doc};

/// A server with one of everything, and what it holds.
async fn filled(version: Version) -> (Mongod, Fingerprint) {
    let server = Mongod::start(version).await;
    let client = server.client().await;
    zoo::fill(&client, version).await;
    let expected = fingerprint(&client).await;
    assert!(expected.len() > 20, "the zoo has more than 20 collections: {}", expected.len());
    (server, expected)
}

/// Restores into a fresh server and compares.
async fn restores_to(archive: &std::path::Path, version: Version, expected: &Fingerprint) {
    let target = Mongod::start(version).await;
    let archive = format!("--archive={}", archive.display());
    for drop in [&[][..], &["--drop".to_owned()][..]] {
        let uri = format!("--uri={}", target.uri());
        let arguments = ["restore".to_owned(), uri, archive.clone()];
        let finished = mongoark(arguments.iter().chain(drop)).await.success();
        let last = finished.stderr.lines().last().unwrap_or_default().to_owned();
        assert!(last.ends_with(" 0 document(s) failed to restore."), "{}", finished.stderr);
        assert_same(expected, &fingerprint(&target.client().await).await);
    }
}

async fn golden(version: Version) {
    let file = |ending: &str| testdata(&format!("archives/100.18.0/zoo-{}.{ending}", version.name()));
    restores_to(&file("archive.gz"), version, &load(file("fingerprint.json"))).await;
}

#[tokio::test]
async fn mongodumps_zoo_of_4_4_is_restored() {
    golden(Version::V4_4_2).await;
}

#[tokio::test]
async fn mongodumps_zoo_of_5_0_is_restored() {
    golden(Version::V5_0_4).await;
}

#[tokio::test]
async fn mongodumps_zoo_of_6_0_is_restored() {
    golden(Version::V6_0_27).await;
}

async fn own(version: Version) {
    let (source, expected) = filled(version).await;
    for gzip in [&[][..], &["--gzip".to_owned()][..]] {
        let (_folder, path) = archive("zoo.archive");
        let arguments =
            ["dump".to_owned(), format!("--uri={}", source.uri()), format!("--archive={}", path.display())];
        mongoark(arguments.iter().chain(gzip)).await.success();
        restores_to(&path, version, &expected).await;
    }
}

#[tokio::test]
async fn our_zoo_of_4_4_is_restored() {
    own(Version::V4_4_2).await;
}

#[tokio::test]
async fn our_zoo_of_5_0_is_restored() {
    own(Version::V5_0_4).await;
}

#[tokio::test]
async fn our_zoo_of_6_0_is_restored() {
    own(Version::V6_0_27).await;
}

#[tokio::test]
async fn users_log_in_with_their_old_passwords_afterwards() {
    let options = Options { auth: true, ..Options::default() };
    let source = Mongod::start_with(Version::V6_0_5, options).await;
    let admin = source.client().await;
    let user = doc! { "createUser": "reader", "pwd": "hunter2hunter2", "roles": ["read", { "role": "clerk", "db": "shop" }] };
    let role = doc! { "createRole": "clerk", "privileges": [{ "resource": { "db": "shop", "collection": "orders" }, "actions": ["insert"] }], "roles": [] };
    admin.database("shop").run_command(role).await.unwrap();
    admin.database("shop").run_command(user).await.unwrap();
    admin.database("shop").collection("orders").insert_one(doc! { "_id": 1 }).await.unwrap();
    let (_folder, path) = archive("users.archive");
    let place = format!("--archive={}", path.display());
    mongoark(["dump".to_owned(), format!("--uri={}", source.uri()), place.clone(), "--gzip".to_owned()])
        .await
        .success();

    let target = Mongod::start_with(Version::V6_0_5, options).await;
    mongoark(["restore".to_owned(), format!("--uri={}", target.uri()), place, "--drop".to_owned()])
        .await
        .success();
    let reader = super::support::mongod::client(&target.uri_for("reader", "hunter2hunter2", "shop")).await;
    let orders = reader.database("shop").collection::<Document>("orders");
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), 1, "the old password is good for reading");
    orders.insert_one(doc! { "_id": 2 }).await.expect("the restored role allows inserting");
    let root = super::support::mongod::client(&target.uri_for(ROOT, ROOT_PASSWORD, "admin")).await;
    let left = root.database("admin").list_collection_names().await.unwrap();
    assert!(!left.iter().any(|name| name.starts_with("temp")), "{left:?}");
}
