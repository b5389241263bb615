//! `only` and `--salvage`: what is whole of a damaged archive.

use mongoark::ErrorKind;
use mongoark::restore::RestoreOptions;
use mongodb::bson::rawdoc;

use super::super::support::mongoark::{archive as place, mongoark};
use super::super::support::mongod::{Mongod, Version};
use super::made::Made;
use super::{count, restored};

fn made(db: &str) -> Made {
    ["a", "b", "c"].iter().fold(Made::of("6.0.5"), |made, name| {
        made.with(
            db,
            name,
            (0..10).map(|id| rawdoc! { "_id": id, "text": "some words to find and to damage" }),
        )
    })
}

#[tokio::test]
async fn some_collections_are_restored_of_an_archive_that_is_damaged_behind_them() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    client.database("only").drop().await.unwrap();
    let whole = made("only").bytes();
    let cut = whole.slice(..whole.len() - 100);
    let only = |names: &[&str]| RestoreOptions {
        only: Some(names.iter().map(|name| format!("only.{name}")).collect()),
        drop: true,
        ..RestoreOptions::default()
    };
    let report = restored(&server.uri(), &cut, &only(&["a", "b"])).await.unwrap();
    assert_eq!((report.collections, report.documents), (2, 20));
    assert_eq!(count(&client, "only", "c").await, 0);
    let error = restored(&server.uri(), &cut, &only(&["a", "c"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Archive);
}

#[tokio::test]
async fn the_command_restores_what_is_whole_and_names_what_is_missing() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    client.database("salvaged").drop().await.unwrap();
    let whole = made("salvaged").bytes();
    let (_folder, path) = place("a");
    std::fs::write(&path, whole.slice(..whole.len() - 100)).unwrap();
    let uri = format!("--uri={}", server.uri());
    let archive = format!("--archive={}", path.display());
    let finished = mongoark(["restore", &uri, &archive, "--salvage", "--swap"]).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("missing: salvaged.c"), "{}", finished.stderr);
    for (name, expected) in [("a", 10), ("b", 10), ("c", 0)] {
        assert_eq!(count(&client, "salvaged", name).await, expected, "{name}");
    }
    std::fs::write(&path, &whole).unwrap();
    mongoark(["restore", &uri, &archive, "--salvage", "--drop"]).await.success();
    assert_eq!(count(&client, "salvaged", "c").await, 10);
}
