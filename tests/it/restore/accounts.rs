//! The users and roles of a single database, the schema of accounts, and which of them a restore takes away.

use bytes::Bytes;
use futures::TryStreamExt;
use mongoark::restore::{Accounts, RestoreOptions};
use mongoark::{ErrorKind, Filter, Scope};
use mongodb::Client;
use mongodb::bson::{Document, RawDocumentBuf, doc, rawdoc};

use super::super::support::mongoark::{archive as place, mongoark};
use super::super::support::mongod::{Mongod, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::made::Made;
use super::{heard, no_temporaries, restored, with_drop};

async fn make(client: &Client, db: &str, name: &str) {
    let user = doc! { "createUser": name, "pwd": "hunter2hunter2", "roles": [] };
    client.database(db).run_command(user).await.unwrap();
    let role = doc! { "createRole": format!("role of {name}"), "privileges": [], "roles": [] };
    client.database(db).run_command(role).await.unwrap();
}

async fn all(client: &Client, collection: &str, db: Option<&str>) -> Vec<RawDocumentBuf> {
    let collection = client.database("admin").collection::<RawDocumentBuf>(collection);
    let filter = db.map_or_else(Document::new, |db| doc! { "db": db });
    collection.find(filter).sort(doc! { "_id": 1 }).await.unwrap().try_collect().await.unwrap()
}

/// Users and roles by their names.
async fn names(client: &Client) -> Vec<String> {
    let mut names = Vec::new();
    for collection in ["system.users", "system.roles"] {
        let found = all(client, collection, None).await;
        names.extend(found.iter().map(|one| one.get_str("_id").unwrap().to_owned()));
    }
    names
}

const SCHEMA: &str = "$admin.system.version";

/// As `mongodump -d shop --dumpDbUsersAndRoles` makes it.
async fn archive_of_shop(client: &Client, version: Option<i32>) -> Bytes {
    let mut made = Made::of("6.0.5")
        .with("shop", "$admin.system.users", all(client, "system.users", Some("shop")).await)
        .with("shop", "$admin.system.roles", all(client, "system.roles", Some("shop")).await);
    if let Some(version) = version {
        made = made.with("shop", SCHEMA, [rawdoc! { "_id": "authSchema", "currentVersion": version }]);
    }
    made.with("shop", "orders", [rawdoc! { "_id": 1 }]).bytes()
}

fn of_shop(options: RestoreOptions) -> RestoreOptions {
    RestoreOptions {
        scope: Scope::database("shop").unwrap(),
        accounts: Accounts { of_database: true, ..Accounts::default() },
        ..options
    }
}

#[tokio::test]
async fn b71_the_accounts_of_one_database_are_merged_and_with_drop_replaced() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    make(&client, "shop", "ann").await;
    make(&client, "crm", "bob").await;
    let archive = archive_of_shop(&client, Some(5)).await;
    make(&client, "shop", "new").await;
    client.database("shop").run_command(doc! { "dropUser": "ann" }).await.unwrap();

    let report = restored(&server.uri(), &archive, &of_shop(RestoreOptions::default())).await.unwrap();
    assert_eq!((report.users, report.roles, report.documents), (1, 1, 1));
    let before =
        ["crm.bob", "shop.ann", "shop.new", "crm.role of bob", "shop.role of ann", "shop.role of new"];
    assert_eq!(names(&client).await, before);

    let options = RestoreOptions { dry_run: true, ..of_shop(with_drop()) };
    let report = restored(&server.uri(), &archive, &options).await.unwrap();
    let actions: Vec<String> = report.actions.iter().map(ToString::to_string).collect();
    for action in [
        "admin.system.users: remove shop.new, as the archive does not have it",
        "admin.system.roles: remove shop.role of new, as the archive does not have it",
    ] {
        assert!(actions.iter().any(|one| one == action), "{actions:?}");
    }
    assert!(!actions.iter().any(|one| one.contains("bob")), "{actions:?}");
    assert_eq!(names(&client).await, before);

    restored(&server.uri(), &archive, &of_shop(with_drop())).await.unwrap();
    assert_eq!(names(&client).await, ["crm.bob", "shop.ann", "crm.role of bob", "shop.role of ann"]);
    no_temporaries(&client).await;
}

#[tokio::test]
async fn w36_the_accounts_that_drop_takes_away_are_told_before_and_when_they_go() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    make(&client, "shop", "ann").await;
    let archive = Made::of("6.0.5")
        .with("admin", "system.users", all(&client, "system.users", None).await)
        .with("admin", "system.version", [rawdoc! { "_id": "authSchema", "currentVersion": 5 }])
        .bytes();
    make(&client, "crm", "bob").await;
    let (report, listener) =
        heard(&server.uri(), &archive, &RestoreOptions { dry_run: true, ..with_drop() }).await;
    let actions: Vec<String> = report.unwrap().actions.iter().map(ToString::to_string).collect();
    // Of the roles there are none in the archive: they stay.
    assert_eq!(
        actions,
        [
            "admin.system.users: replace all that are there by 1",
            "admin.system.users: remove crm.bob, as the archive does not have it"
        ]
    );
    assert!(listener.warnings.lock().unwrap().is_empty());
    let (report, listener) = heard(&server.uri(), &archive, &with_drop()).await;
    report.unwrap();
    listener.was_warned_once("admin.system.users: crm.bob go, as the archive does not have them");
    assert_eq!(names(&client).await, ["shop.ann", "crm.role of bob", "shop.role of ann"]);
    // Nothing is left that would go.
    let (report, listener) = heard(&server.uri(), &archive, &with_drop()).await;
    report.unwrap();
    assert!(listener.warnings.lock().unwrap().is_empty());
}

#[tokio::test]
async fn b71_without_accounts_in_the_archive_or_with_another_name_they_cannot_be_asked_for() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    make(&client, "shop", "ann").await;
    let archive = archive_of_shop(&client, Some(5)).await;
    let without = Made::of("6.0.5").with("shop", "orders", [rawdoc! { "_id": 1 }]).bytes();
    let rename = Filter::default().rename("shop.*", "copy.*").unwrap();
    let renamed = RestoreOptions { filter: rename, ..of_shop(RestoreOptions::default()) };
    let one = Scope::collection("shop", "orders").unwrap();
    let of_one = RestoreOptions { scope: one, ..of_shop(RestoreOptions::default()) };
    for (archive, options, words) in [
        (&without, of_shop(RestoreOptions::default()), "no users or roles found"),
        (&archive, of_one, "no users or roles found"),
        (&archive, renamed, "the database is renamed"),
        (
            &archive,
            RestoreOptions { scope: Scope::Everything, ..of_shop(RestoreOptions::default()) },
            "without a specified database",
        ),
    ] {
        let error = restored(&server.uri(), archive, &options).await.unwrap_err();
        assert!(error.to_string().contains(words), "{}", error.report());
        assert!(!client.list_database_names().await.unwrap().contains(&"shop".to_owned()));
    }
}

#[tokio::test]
async fn b72_accounts_of_a_schema_that_the_server_does_not_take_are_refused_before_any_data() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    make(&client, "shop", "ann").await;
    let users = all(&client, "system.users", None).await;
    let of = |version: &str, schema: Option<RawDocumentBuf>| {
        let made = Made::of(version).with("admin", "system.users", users.clone());
        let made = match schema {
            Some(schema) => made.with("admin", "system.version", [schema]),
            None => made,
        };
        made.with("data", "c", [rawdoc! { "_id": 1 }]).bytes()
    };
    let schema = |version: i32| Some(rawdoc! { "_id": "authSchema", "currentVersion": version });
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    for (archive, server_schema, taken) in [
        (of("6.0.5", schema(5)), 5, true),
        (of("2.6.0", schema(3)), 5, true),
        (of("2.6.0", schema(3)), 3, true),
        (of("2.4.0", schema(1)), 1, true),
        (of("2.4.0", schema(1)), 5, false),
        (of("2.6.0", schema(2)), 5, false),
        (of("2.6.0", schema(4)), 5, false),
        (of("6.0.5", schema(5)), 3, false),
        (of("6.0.5", schema(5)), 4, false),
        // Nothing says it: that of 2.4. From 8.1 on nothing needs to.
        (of("6.0.5", None), 5, false),
        (of("8.1.0", None), 5, true),
        (of("6.0.5", Some(rawdoc! { "_id": "featureCompatibilityVersion", "version": "6.0" })), 5, false),
    ] {
        client.database("data").drop().await.unwrap();
        let answer = rawdoc! { "ok": 1.0, "authSchemaVersion": server_schema };
        proxy.inject(Rule::once("getParameter", Fault::Answer(answer)));
        let result = restored(&proxy.uri(), &archive, &RestoreOptions::default()).await;
        assert_eq!(result.is_ok(), taken, "{server_schema}: {result:?}");
        let is_there = client.list_database_names().await.unwrap().contains(&"data".to_owned());
        assert_eq!(is_there, taken, "nothing is written before it is known");
    }
    // Without the users nobody minds.
    let options = RestoreOptions {
        filter: Filter::default().exclude("admin.system.users").unwrap(),
        ..RestoreOptions::default()
    };
    restored(&server.uri(), &of("6.0.5", None), &options).await.unwrap();
}

#[tokio::test]
async fn b72_the_schema_of_a_database_s_accounts_is_assumed_where_nothing_says_it() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    make(&client, "shop", "ann").await;
    let archive = archive_of_shop(&client, None).await;
    let (report, listener) = heard(&server.uri(), &archive, &of_shop(with_drop())).await;
    assert_eq!(report.unwrap().users, 1);
    listener.was_warned_once("assumed to be of auth version 3");
    let archive = archive_of_shop(&client, Some(1)).await;
    let error = restored(&server.uri(), &archive, &of_shop(with_drop())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Archive);
}

#[tokio::test]
async fn the_schema_is_read_where_only_the_users_are_included() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    make(&client, "shop", "ann").await;
    let archive = Made::of("6.0.5")
        .with("admin", "system.users", all(&client, "system.users", None).await)
        .with("admin", "system.version", [rawdoc! { "_id": "authSchema", "currentVersion": 5 }])
        .with("shop", "orders", [rawdoc! { "_id": 1 }])
        .bytes();
    client.database("shop").run_command(doc! { "dropUser": "ann" }).await.unwrap();
    let filter = Filter::default().include("admin.system.users").unwrap();
    let options = RestoreOptions { filter, ..RestoreOptions::default() };
    let report = restored(&server.uri(), &archive, &options).await.unwrap();
    assert_eq!((report.users, report.documents), (1, 0));
    // Under another name they would be nobody's users.
    let filter = Filter::default().rename("$d$.$c$", "copy.$d$_$c$").unwrap();
    let options = RestoreOptions { filter, ..RestoreOptions::default() };
    let (report, listener) = heard(&server.uri(), &archive, &options).await;
    assert_eq!((report.as_ref().unwrap().users, report.unwrap().documents), (0, 1));
    listener.was_warned_once("users and roles are left out");
    assert_eq!(client.database("copy").list_collection_names().await.unwrap(), ["shop_orders"]);
}

#[tokio::test]
async fn temporary_collections_of_another_name_are_never_somebody_s_own() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    make(&client, "shop", "ann").await;
    let (_folder, path) = place("a");
    std::fs::write(&path, archive_of_shop(&client, Some(5)).await).unwrap();
    let uri = format!("--uri={}", server.uri());
    let archive = format!("--archive={}", path.display());
    let arguments = [
        "restore",
        &uri,
        &archive,
        "--drop",
        "-d",
        "shop",
        "--restoreDbUsersAndRoles",
        "--tempUsersColl=mine",
    ];
    mongoark(arguments).await.success();
    assert!(!client.database("admin").list_collection_names().await.unwrap().contains(&"mine".to_owned()));
    let mine = client.database("admin").collection::<Document>("mine");
    mine.insert_one(doc! { "_id": 1 }).await.unwrap();
    let finished = mongoark(arguments).await;
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("admin.mine"), "{}", finished.stderr);
    assert!(mine.find_one(doc! {}).await.unwrap().is_some());
}
