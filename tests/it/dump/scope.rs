use mongodb::bson::{Document, doc};

use super::super::support::mongod::{Mongod, Options, Version};
use super::{Dump, insert};

const AUTH: Options = Options { auth: true, replica_set: true, arguments: &[] };

/// A server with data in `shop` and `crm`, and a user with this role.
async fn with_user(version: Version, role: Document) -> (Mongod, String) {
    let server = Mongod::start_with(version, AUTH).await;
    let client = server.client().await;
    for db in ["shop", "crm"] {
        insert(&client.database(db), "things", 0..10, 10).await;
    }
    let user = doc! { "createUser": "ann", "pwd": "hunter2hunter2", "roles": [role] };
    client.database("admin").run_command(user).await.unwrap();
    let uri = server.uri_for("ann", "hunter2hunter2", "admin");
    (server, uri)
}

async fn an_account_that_sees_a_part_dumps_nothing_unless_it_names_it(version: Version) {
    let (_server, uri) = with_user(version, doc! { "role": "read", "db": "shop" }).await;
    Dump::start(&uri, &[]).fails(&["grant it listDatabases", "--db"]).await;
    let (_, found) = Dump::start(&uri, &["--db=shop"]).succeeds().await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["shop.things"]);
    Dump::start(&uri, &["--db=crm"]).fails(&["crm", "cannot list the collections"]).await;
}

#[tokio::test]
async fn an_account_that_sees_a_part_dumps_nothing_on_4_4() {
    an_account_that_sees_a_part_dumps_nothing_unless_it_names_it(Version::V4_4_2).await;
}

#[tokio::test]
async fn an_account_that_sees_a_part_dumps_nothing_on_6_0() {
    an_account_that_sees_a_part_dumps_nothing_unless_it_names_it(Version::V6_0_5).await;
}

#[tokio::test]
async fn the_role_backup_dumps_everything() {
    let (_server, uri) = with_user(Version::V6_0_5, doc! { "role": "backup", "db": "admin" }).await;
    let (_, found) = Dump::start(&uri, &[]).succeeds().await;
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        ["admin.system.users", "admin.system.version", "crm.things", "shop.things"]
    );
}

#[tokio::test]
async fn an_account_that_may_not_ask_for_transactions_dumps_large_collections_in_one_part() {
    let (server, uri) = with_user(Version::V6_0_5, doc! { "role": "readAnyDatabase", "db": "admin" }).await;
    insert(&server.client().await.database("shop"), "large", 0..10_000, 4000).await;
    let (said, found) = Dump::start(&uri, &["--db=shop", "--snapshot=off"]).succeeds().await;
    assert!(said.contains("serverStatus, which the role clusterMonitor grants"), "{said}");
    assert_eq!(super::numbers(&found["shop.large"]), (0..10_000).collect::<Vec<_>>());

    // At one moment, transactions do not matter.
    let (said, found) = Dump::start(&uri, &["--db=shop", "--snapshot=required"]).succeeds().await;
    assert!(!said.contains("serverStatus"), "{said}");
    let mut found = super::numbers(&found["shop.large"]);
    assert!(!found.is_sorted(), "read in parts");
    found.sort_unstable();
    assert_eq!(found, (0..10_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn w29_what_is_left_out_is_told_once_and_what_matters_even_to_the_quiet() {
    let server = Mongod::start(Version::V6_0_27).await;
    let client = server.client().await;
    for (db, collection) in [("shop", "orders"), ("admin", "tempusers"), ("admin", "temproles")] {
        insert(&client.database(db), collection, 0..3, 10).await;
    }
    let note = doc! { "insert": "notes", "documents": [{ "_id": 1 }] };
    client.database("local").run_command(note).await.unwrap();
    let lost = client.database("lost");
    lost.run_command(doc! { "create": "series", "timeseries": { "timeField": "t" } }).await.unwrap();
    // A client may not write there; a change that was replicated may.
    let delete = doc! { "op": "d", "ns": "lost.system.views", "o": { "_id": "lost.series" } };
    client.database("admin").run_command(doc! { "applyOps": [delete] }).await.unwrap();

    let (said, found) = Dump::start(&server.uri(), &[]).succeeds().await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["admin.system.version", "shop.orders"]);
    for name in ["admin.temproles, admin.tempusers", "local.notes", "lost.system.buckets.series"] {
        assert_eq!(said.matches(name).count(), 1, "{name}: {said}");
    }
    let (said, _) = Dump::start(&server.uri(), &["--quiet"]).succeeds().await;
    for name in ["local.notes", "lost.system.buckets.series"] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(!said.contains("tempusers"), "{said}");
}
