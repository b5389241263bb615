//! The target is asked what it is before the first write; nothing outside the scope is touched; what is left out is said.

use mongoark::restore::RestoreOptions;
use mongoark::{ErrorKind, Scope};
use mongodb::bson::{Document, RawDocumentBuf, doc, rawdoc};

use super::super::support::mongod::{Mongod, Options, Version};
use super::super::support::proxy::{Fault, Proxy, Request, Rule};
use super::made::Made;
use super::{count, heard, restored, with_drop};

/// Asserts that the error says this and that the database was not made.
async fn nothing_written(server: &Mongod, db: &str, archive: &bytes::Bytes, part: &str) {
    let error = restored(&server.uri(), archive, &with_drop()).await.unwrap_err();
    assert!(error.to_string().contains(part), "{}", error.report());
    let names = server.client().await.list_database_names().await.unwrap();
    assert!(!names.contains(&db.to_owned()), "{names:?}");
}

#[tokio::test]
async fn what_the_target_does_not_have_is_refused_before_anything_is_written() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let haystack = r#"{"options":{},"indexes":[{"v":2,"key":{"p":"geoHaystack","t":1},"name":"p","bucketSize":{"$numberInt":"1"}}]}"#;
    let one = || [rawdoc! { "_id": 1 }];
    let archive =
        Made::of("4.4.2").with("too-new", "a", one()).with_metadata("too-new", "z", haystack, one()).bytes();
    nothing_written(server, "too-new", &archive, "geoHaystack").await;
    let damaged =
        Made::of("6.0.5").with("too-new", "a", one()).with_metadata("too-new", "z", "{", one()).bytes();
    nothing_written(server, "too-new", &damaged, "too-new.z").await;

    let old = Mongod::shared(Version::V4_4_2).await;
    let series = r#"{"options":{"timeseries":{"timeField":"at"}},"indexes":[]}"#;
    let archive =
        Made::of("6.0.5").with("too-old", "a", one()).with_metadata("too-old", "z", series, []).bytes();
    nothing_written(old, "too-old", &archive, "time series").await;
    let clustered =
        r#"{"options":{"clusteredIndex":{"v":2,"key":{"_id":1},"name":"_id_","unique":true}},"indexes":[]}"#;
    let archive =
        Made::of("6.0.5").with("too-old", "a", one()).with_metadata("too-old", "z", clustered, []).bytes();
    nothing_written(old, "too-old", &archive, "clustered collections").await;
}

/// Requests of the restore itself: the driver's own come without a session.
fn ours(request: &Request<'_>) -> bool {
    request.command.get_document("lsid").is_ok()
}

#[tokio::test]
async fn routing_tables_are_not_replaced_by_the_way() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let mut hello = client.database("admin").run_command(doc! { "isMaster": 1 }).await.unwrap();
    for field in ["setName", "hosts", "me", "primary", "setVersion", "electionId"] {
        hello.remove(field);
    }
    hello.insert("msg", "isdbgrid");
    let router = RawDocumentBuf::try_from(&hello).unwrap();
    proxy.inject(Rule::always("isMaster", Fault::Answer(router)).when(ours));
    client.database("config").collection("shards").insert_one(doc! { "_id": "mine" }).await.unwrap();
    let archive = Made::of("6.0.5")
        .with("shop", "orders", [rawdoc! { "_id": 1 }])
        .with("config", "shards", [rawdoc! { "_id": "theirs" }])
        .bytes();
    let error = restored(&proxy.uri(), &archive, &with_drop()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("config.shards"), "{error}");
    assert_eq!(count(&client, "shop", "orders").await, 0);
    let kept =
        client.database("config").collection::<Document>("shards").find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(kept.get_str("_id").unwrap(), "mine");

    let options = RestoreOptions { scope: Scope::database("shop").unwrap(), ..with_drop() };
    assert_eq!(restored(&proxy.uri(), &archive, &options).await.unwrap().documents, 1);
    let options = RestoreOptions { scope: Scope::database("config").unwrap(), ..RestoreOptions::default() };
    assert_eq!(restored(&proxy.uri(), &archive, &options).await.unwrap().documents, 1);
}

#[tokio::test]
async fn a_shared_tier_gets_the_data_and_a_line_about_users() {
    let server = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let admin = server.client().await.database("admin");
    let user = doc! { "createUser": "shop", "pwd": "hunter2hunter2", "roles": [{ "role": "readWrite", "db": "shop" }] };
    admin.run_command(user).await.unwrap();
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    proxy.inject(Rule::always(
        "atlasVersion",
        Fault::Answer(rawdoc! { "ok": 1.0, "atlasVersion": "20261101" }),
    ));
    let uri = proxy.uri().replace("mongodb://", "mongodb://shop:hunter2hunter2@") + "&authSource=admin";
    let archive = Made::of("6.0.5")
        .with("admin", "system.users", [rawdoc! { "_id": "admin.other", "user": "other", "db": "admin" }])
        .with("admin", "system.version", [rawdoc! { "_id": "authSchema", "currentVersion": 5 }])
        .with("admin", "mine", [rawdoc! { "_id": 1 }])
        .with("shop", "orders", (0..10).map(|id| rawdoc! { "_id": id }))
        .bytes();
    let (report, listener) = heard(&uri, &archive, &RestoreOptions::default()).await;
    let report = report.unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!((report.documents, report.collections, report.users), (10, 1, 0));
    listener.was_warned_once("a shared tier of Atlas");
}

#[tokio::test]
async fn what_is_left_out_is_said_once() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    let shop = client.database("shop");
    shop.run_command(doc! { "create": "view" }).await.unwrap();
    let archive = Made::of("4.4.2")
        .with("shop", "$admin.system.users", [rawdoc! { "_id": "shop.ann" }])
        .with("admin", "tempusers", [rawdoc! { "_id": "admin.gone", "user": "gone", "db": "admin" }])
        .with("admin", "temproles", [rawdoc! { "_id": "admin.gone" }])
        .with("shop", "odd.$name", [rawdoc! { "_id": 1 }])
        .with_options("shop", "view", r#"{"viewOn":"orders","pipeline":[]}"#, [])
        .with("shop", "orders", [rawdoc! { "_id": 1 }])
        .with("", "oplog", [rawdoc! { "op": "n" }])
        .bytes();
    let (report, listener) = heard(&server.uri(), &archive, &RestoreOptions::default()).await;
    let report = report.unwrap();
    assert_eq!((report.collections, report.documents), (2, 1));
    for part in [
        "without its oplog",
        "shop.view",
        "admin.tempusers",
        "$ in their name",
        "WARNING: This archive came from MongoDB `4.4.2`",
    ] {
        listener.was_warned_once(part);
    }
    assert!(listener.notes.lock().unwrap().iter().any(|note| note.contains("$admin.system.users")));
    super::no_temporaries(&client).await;
    let names = shop.list_collection_names().await.unwrap();
    assert!(names.iter().all(|name| !name.contains('$')), "{names:?}");
    let read = listener.archive.lock().unwrap().clone();
    assert_eq!(read.last(), Some(&(archive.len() as u64, Some(archive.len() as u64))));
}

#[tokio::test]
async fn nothing_outside_the_scope_is_read_into_or_touched() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    let other = client.database("crm").collection::<Document>("people");
    other.insert_one(doc! { "_id": "mine" }).await.unwrap();
    let user = doc! { "createUser": "crm", "pwd": "hunter2hunter2", "roles": ["root"] };
    client.database("admin").run_command(user).await.unwrap();
    let archive = Made::of("6.0.5")
        .with("admin", "system.users", [rawdoc! { "_id": "admin.evil", "user": "evil", "db": "admin" }])
        .with("admin", "system.version", [rawdoc! { "_id": "authSchema", "currentVersion": 5 }])
        .with_metadata("crm", "people", "{ this is no metadata", [rawdoc! { "_id": "theirs" }])
        .with("shop", "carts", [rawdoc! { "_id": 1 }])
        .with("shop", "orders", [rawdoc! { "_id": 1 }])
        .bytes();
    for (scope, collections) in
        [(Scope::database("shop").unwrap(), 2), (Scope::collection("shop", "orders").unwrap(), 1)]
    {
        let options = RestoreOptions { scope: scope.clone(), ..with_drop() };
        let report = restored(&server.uri(), &archive, &options).await.unwrap();
        assert_eq!((report.collections, report.documents), (collections, collections as u64));
        assert_eq!((report.scope, report.users, report.versions), (scope, 0, 0));
        let kept = other.find_one(doc! {}).await.unwrap().unwrap();
        assert_eq!(kept.get_str("_id").unwrap(), "mine");
        let users = client.database("admin").collection::<Document>("system.users");
        assert_eq!(users.count_documents(doc! {}).await.unwrap(), 1);
    }
    let options = RestoreOptions { scope: Scope::database("nothing").unwrap(), ..with_drop() };
    let (report, listener) = heard(&server.uri(), &archive, &options).await;
    assert_eq!(report.unwrap().collections, 0);
    listener.was_warned_once("holds nothing of nothing");
}

#[tokio::test]
async fn options_that_the_server_refuses_are_told_before_anything_is_dropped() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = client.database("refused-options");
    for options in
        [r#"{"unheardOf":1}"#, r#"{"validator":{"$nonsense":1}}"#, r#"{"collation":{"locale":"xx"}}"#]
    {
        db.drop().await.unwrap();
        for name in ["a", "b"] {
            db.collection::<Document>(name).insert_one(doc! { "_id": "kept" }).await.unwrap();
        }
        let archive = Made::of("6.0.5")
            .with("refused-options", "a", [rawdoc! { "_id": 1 }])
            .with_options("refused-options", "b", options, [rawdoc! { "_id": 1 }])
            .bytes();
        let error = restored(&server.uri(), &archive, &with_drop()).await.unwrap_err();
        assert!(error.to_string().contains("nothing was dropped"), "{options}: {error}");
        let mut names = db.list_collection_names().await.unwrap();
        names.sort();
        assert_eq!(names, ["a", "b"], "and nothing is left behind");
        for name in ["a", "b"] {
            let kept = db.collection::<Document>(name).find_one(doc! { "_id": "kept" }).await.unwrap();
            assert!(kept.is_some(), "{options}: {name}");
        }
    }
}

#[tokio::test]
async fn b53_a_view_comes_back_and_documents_for_one_are_an_error() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let view = r#"{"viewOn":"c","pipeline":[{"$match":{"_id":{"$gt":{"$numberInt":"1"}}}}]}"#;
    let three = || (0..3).map(|id| rawdoc! { "_id": id });
    let archive = Made::of("6.0.5").with("b53", "c", three()).with_options("b53", "v", view, []).bytes();
    restored(&server.uri(), &archive, &with_drop()).await.unwrap();
    assert_eq!(count(&client, "b53", "v").await, 1);
    let wrong = Made::of("6.0.5").with_options("b53", "w", view, three()).bytes();
    let error = restored(&server.uri(), &wrong, &with_drop()).await.unwrap_err();
    assert!(error.to_string().contains("documents for a view"), "{error}");
    assert_eq!(count(&client, "b53", "c").await, 3);
}

#[tokio::test]
async fn b52_system_js_is_not_dropped_and_its_documents_are_replaced_one_by_one() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    let functions = client.database("b52js").collection::<Document>("system.js");
    functions
        .insert_many([doc! { "_id": "f", "value": 1 }, doc! { "_id": "own", "value": 1 }])
        .await
        .unwrap();
    let archive = Made::of("6.0.5").with("b52js", "system.js", [rawdoc! { "_id": "f", "value": 2 }]).bytes();
    let report = restored(&server.uri(), &archive, &with_drop()).await.unwrap();
    assert_eq!((report.documents, report.failures), (1, 0));
    assert_eq!(
        functions.find_one(doc! { "_id": "f" }).await.unwrap().unwrap().get_i32("value").ok(),
        Some(2)
    );
    assert!(functions.find_one(doc! { "_id": "own" }).await.unwrap().is_some());
}
