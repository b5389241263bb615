//! `dry_run`: the whole archive is read, every action is listed, and no command that writes reaches the server.

use mongoark::ErrorKind;
use mongoark::restore::RestoreOptions;
use mongodb::bson::{Document, doc, rawdoc};

use super::super::support::fingerprint::{assert_same, fingerprint_of};
use super::super::support::mongoark::{archive as place, mongoark};
use super::super::support::mongod::{Mongod, Version};
use super::super::support::proxy::Proxy;
use super::made::Made;
use super::restored;

const INDEX: &str = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1"}]}"#;

fn made() -> Made {
    Made::of("6.0.5")
        .with("admin", "system.users", [rawdoc! { "_id": "admin.ann", "user": "ann", "db": "admin" }])
        .with("admin", "system.version", [rawdoc! { "_id": "authSchema", "currentVersion": 5 }])
        .with_metadata("dry", "orders", INDEX, (0..12).map(|id| rawdoc! { "_id": id, "n": id }))
        .with_options("dry", "view", r#"{"viewOn":"orders","pipeline":[]}"#, [])
}

#[tokio::test]
async fn every_action_is_listed_and_nothing_is_written() {
    let server = Mongod::start(Version::V6_0_5).await;
    let db = server.client().await.database("dry");
    for name in ["orders", "migrated"] {
        db.collection::<Document>(name).insert_one(doc! { "_id": "before" }).await.unwrap();
    }
    let before = fingerprint_of(&db).await;
    let plain = ["dry.orders: insert 12 documents", "dry.view: create", "dry.orders: build 1 indexes"];
    let drop = [
        "dry.orders: drop",
        "dry.orders: create",
        "dry.orders: insert 12 documents",
        "dry.view: create",
        "dry.orders: build 1 indexes",
    ];
    let swap = [
        "dry.orders: create under a hidden name",
        "dry.orders: insert 12 documents",
        "dry.view: create under a hidden name",
        "dry.orders: build 1 indexes",
        "dry.orders: rename into place, over what is there",
    ];
    let (gone, view) =
        ("dry.migrated: remove, as the archive does not have it", "dry.view: rename into place");
    let (merged, replaced) = (
        "admin.system.users: merge 1 into those that are there",
        "admin.system.users: replace all that are there by 1",
    );
    let exact: Vec<&str> = drop.iter().copied().chain([gone, replaced]).collect();
    let swapped: Vec<&str> = swap.iter().copied().chain([gone, view, replaced]).collect();
    let cases = [
        (RestoreOptions::default(), plain.iter().copied().chain([merged]).collect::<Vec<_>>()),
        (RestoreOptions { exact: true, ..RestoreOptions::default() }, exact),
        (RestoreOptions { exact: true, swap: true, ..RestoreOptions::default() }, swapped),
    ];
    for (options, expected) in cases {
        let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
        let options = RestoreOptions { dry_run: true, ..options };
        let report = restored(&proxy.uri(), &made().bytes(), &options).await.unwrap();
        let actions: Vec<String> = report.actions.iter().map(ToString::to_string).collect();
        assert_eq!(actions, expected);
        assert_eq!(report.documents, 0);
        let mut sent: Vec<String> =
            proxy.connections().into_iter().flat_map(|connection| connection.requests.into_keys()).collect();
        let reads = [
            "hello",
            "isMaster",
            "ismaster",
            "ping",
            "buildInfo",
            "atlasVersion",
            "getParameter",
            "listCollections",
            "find",
            "endSessions",
        ];
        sent.retain(|command| !reads.contains(&command.as_str()));
        assert!(sent.is_empty(), "{sent:?}");
        assert_same(&before, &fingerprint_of(&db).await);
    }
}

#[tokio::test]
async fn the_archive_is_read_to_its_end() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let whole = made().bytes();
    let options = RestoreOptions { dry_run: true, ..RestoreOptions::default() };
    let error = restored(&server.uri(), &whole.slice(..whole.len() - 4), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Archive);
}

#[tokio::test]
async fn the_command_prints_actions_to_standard_output() {
    let server = Mongod::shared(Version::V6_0_5).await;
    server.client().await.database("dry").drop().await.unwrap();
    let (_folder, path) = place("a");
    std::fs::write(&path, made().bytes()).unwrap();
    let uri = format!("--uri={}", server.uri());
    let archive = format!("--archive={}", path.display());
    let finished =
        mongoark(["restore", &uri, &archive, "--dryRun", "--swap", "--verifyFirst"]).await.success();
    let printed = String::from_utf8(finished.stdout).unwrap();
    assert!(printed.lines().any(|line| line == "dry.orders: insert 12 documents"), "{printed}");
    assert!(finished.stderr.contains("nothing was written"), "{}", finished.stderr);
    assert!(finished.stderr.contains("needs no reading of its own"), "{}", finished.stderr);
    let names = server.client().await.list_database_names().await.unwrap();
    assert!(!names.contains(&"dry".to_owned()), "{names:?}");
}
