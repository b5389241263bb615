use mongodb::bson::{Document, doc};

use super::super::support::ferretdb::FerretDb;
use super::super::support::mongod::client;
use super::{Dump, insert, numbers};

#[tokio::test]
#[ignore = "needs FerretDB, which tests/setup builds where there is Go: use tests/run"]
async fn needs_ferretdb_a_server_that_ignores_the_read_concern_is_not_believed() {
    let server = FerretDb::start().await;
    let database = client(server.uri()).await.database("d");
    insert(&database, "things", 0..300, 100).await;

    // It takes what it does not do.
    let concern = doc! { "find": "things", "readConcern": { "level": "snapshot" } };
    let reply: Document = database.run_command(concern).await.unwrap();
    assert!(!reply.get_document("cursor").unwrap().contains_key("atClusterTime"));

    let (said, found) = Dump::start(server.uri(), &["--db=d"]).succeeds().await;
    assert!(said.contains("collections are of different moments"), "{said}");
    assert!(said.contains("without saying at which it has read (cursor.atClusterTime)"), "{said}");
    assert_eq!(numbers(&found["d.things"]).len(), 300);
    Dump::start(server.uri(), &["--db=d", "--snapshot=required"])
        .fails(&["a snapshot is required, and there is none", "nothing was dumped"])
        .await;
}
