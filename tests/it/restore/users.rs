//! Users and roles: merged last, and no collection with credentials is left whatever ends a restore.

use std::sync::Arc;

use bytes::Bytes;
use mongoark::ErrorKind;
use mongoark::progress::{Monitor, Silent};
use mongoark::restore::{RestoreOptions, restore};
use mongoark::storage::Source;
use mongodb::Client;
use mongodb::bson::{Document, RawDocumentBuf, doc, rawdoc};
use tokio_util::sync::CancellationToken;

use super::super::support::mongod::{Mongod, Options, ROOT, Version};
use super::super::support::proxy::{Fault, Proxy, Rule};
use super::made::Made;
use super::{connect, heard, no_temporaries, restored, with_drop};

const AUTH: Options = Options { auth: true, replica_set: true, arguments: &[] };

/// An archive of the server's own users and some data.
async fn archive(client: &Client) -> Bytes {
    let users = client.database("admin").collection::<RawDocumentBuf>("system.users");
    let users: Vec<_> = futures::TryStreamExt::try_collect(users.find(doc! {}).await.unwrap()).await.unwrap();
    Made::of("6.0.5")
        .with("admin", "system.users", users)
        .with("admin", "system.roles", [])
        .with("admin", "system.version", [rawdoc! { "_id": "authSchema", "currentVersion": 5.0 }])
        .with("shop", "orders", (0..10).map(|id| rawdoc! { "_id": id }))
        .bytes()
}

async fn user(client: &Client, name: &str) {
    let command = doc! { "createUser": name, "pwd": "hunter2hunter2", "roles": ["read"] };
    client.database("shop").run_command(command).await.unwrap();
}

async fn names(client: &Client) -> Vec<String> {
    let users = client.database("admin").collection::<Document>("system.users");
    let found: Vec<Document> =
        futures::TryStreamExt::try_collect(users.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap())
            .await
            .unwrap();
    found.iter().map(|user| user.get_str("_id").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn users_are_merged_when_everything_else_is_in_place() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    user(&client, "ann").await;
    let archive = archive(&client).await;
    user(&client, "new").await;
    let report = restored(&server.uri(), &archive, &RestoreOptions::default()).await.unwrap();
    assert_eq!((report.users, report.roles, report.versions, report.documents), (1, 0, 1, 10));
    assert_eq!(names(&client).await, ["shop.ann", "shop.new"]);
    let report = restored(&server.uri(), &archive, &with_drop()).await.unwrap();
    assert_eq!((report.users, report.documents), (1, 10));
    assert_eq!(names(&client).await, ["shop.ann"]);
    no_temporaries(&client).await;
}

#[tokio::test]
async fn an_archive_that_is_cut_touches_no_users_and_leaves_no_credentials() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    user(&client, "ann").await;
    let archive = archive(&client).await;
    user(&client, "new").await;
    for missing in [1, 40, 200] {
        let cut = archive.slice(..archive.len() - missing);
        let error = restored(&server.uri(), &cut, &with_drop()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Archive, "{missing}: {}", error.report());
        no_temporaries(&client).await;
        assert_eq!(names(&client).await, ["shop.ann", "shop.new"]);
    }
}

#[tokio::test]
async fn users_of_a_schema_that_no_server_takes_are_refused_before_any_data() {
    let server = Mongod::start(Version::V6_0_5).await;
    let archive = Made::of("2.6.0")
        .with("admin", "system.users", [rawdoc! { "_id": "shop.ann" }])
        .with("admin", "system.version", [rawdoc! { "_id": "authSchema", "currentVersion": 1 }])
        .with("shop", "orders", [rawdoc! { "_id": 1 }])
        .bytes();
    let error = restored(&server.uri(), &archive, &with_drop()).await.unwrap_err();
    assert!(error.to_string().contains("schema 1"), "{}", error.report());
    assert!(!server.client().await.list_database_names().await.unwrap().contains(&"shop".to_owned()));
}

#[tokio::test]
async fn a_merge_that_is_refused_or_disturbed_leaves_no_credentials() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    user(&client, "ann").await;
    let archive = archive(&client).await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    proxy.inject(Rule::once("_mergeAuthzCollections", Fault::RefuseAfter(96, "OperationFailed")));
    let error = restored(&proxy.uri(), &archive, &with_drop()).await.unwrap_err();
    assert!(error.to_string().contains("refused the users and roles"), "{}", error.report());
    no_temporaries(&client).await;
    for fault in [Fault::CutRequest, Fault::CutReply] {
        for command in ["_mergeAuthzCollections", "drop"] {
            proxy.inject(Rule::once(command, fault.clone()));
            let report = restored(&proxy.uri(), &archive, &with_drop()).await.unwrap();
            assert_eq!(report.users, 1);
            assert_eq!(names(&client).await, ["shop.ann"]);
            no_temporaries(&client).await;
        }
    }
}

#[tokio::test]
async fn a_restore_that_is_cancelled_or_dropped_while_it_merges_cleans_up() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    user(&client, "ann").await;
    let archive = archive(&client).await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    let monitor: Arc<dyn Monitor> = Arc::new(Silent);
    for dropped in [false, true] {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let is_temporary =
            |request: &super::super::support::proxy::Request<'_>| request.collection() == "tempusers";
        proxy.inject(Rule::once("insert", Fault::Hold(Arc::clone(&gate))).when(is_temporary));
        let (before, drops) = (proxy.requests("insert"), proxy.replies("drop"));
        let deployment = connect(&proxy.uri()).await;
        let cancel = CancellationToken::new();
        let (options, source) = (with_drop(), Source::memory([archive.clone()]));
        let mut work = Box::pin(restore(&deployment, &options, source, &monitor, &cancel));
        // One insert of the data, then the one of the users.
        tokio::select! {
            result = &mut work => panic!("it waits: {result:?}"),
            () = proxy.arrived("insert", before + 2) => (),
        }
        cancel.cancel();
        if dropped {
            drop(work);
            gate.add_permits(1);
            // The collections before the merge, and both temporary ones before and after it.
            proxy.replied("drop", drops + 5).await;
        } else {
            gate.add_permits(1);
            assert!(work.await.unwrap_err().is_cancelled());
        }
        no_temporaries(&client).await;
        deployment.close().await;
    }
}

#[tokio::test]
async fn the_account_of_the_restore_may_be_replaced_by_the_archives() {
    let server = Mongod::start_with(Version::V6_0_5, AUTH).await;
    let client = server.client().await;
    let archive = archive(&client).await;
    // The same name and password: another account all the same.
    let admin = client.database("admin");
    let second = doc! { "createUser": "second", "pwd": "hunter2hunter2", "roles": ["root"] };
    admin.run_command(second).await.unwrap();
    // `second` is not in the archive: it is gone after the merge, and where the server does not tell who it is, it cannot clean
    // up.
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
    proxy.inject(Rule::always("connectionStatus", Fault::RefuseAfter(96, "OperationFailed")));
    let through = proxy.uri().replace("mongodb://", "mongodb://second:hunter2hunter2@") + "&authSource=admin";
    let error = restored(&through, &archive, &with_drop()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.to_string().contains("drop admin.tempusers"), "{}", error.report());

    admin.run_command(doc! { "updateUser": ROOT, "mechanisms": ["SCRAM-SHA-256"] }).await.unwrap();
    let report = restored(&server.uri(), &archive, &with_drop())
        .await
        .unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(report.users, 1);
    no_temporaries(&server.client().await).await;
}

#[tokio::test]
async fn w36_an_account_that_the_archive_does_not_have_restores_to_the_end_and_goes_last() {
    let server = Mongod::start_with(Version::V6_0_5, AUTH).await;
    let client = server.client().await;
    user(&client, "ann").await;
    let archive = archive(&client).await;
    let admin = client.database("admin");
    for _ in 0..2 {
        let account = doc! { "createUser": "restorer", "pwd": "hunter2hunter2", "roles": ["restore"] };
        admin.run_command(account).await.unwrap();
        let uri = server.uri_for("restorer", "hunter2hunter2", "admin");
        let (report, listener) = heard(&uri, &archive, &with_drop()).await;
        let report = report.unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!((report.users, report.documents), (2, 10));
        listener.was_warned_once("admin.restorer go");
        let client = server.client().await;
        assert_eq!(names(&client).await, ["admin.root", "shop.ann"]);
        no_temporaries(&client).await;
    }
}
