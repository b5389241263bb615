//! What a function works on, and what it leaves alone.

use mongodb::Client;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use super::{Account, DEAD_DATABASE, assert_says, hook_event};
use crate::support::fingerprint::{Fingerprint, assert_same, fingerprint_of};
use crate::support::mongod::{self, Mongod, Options, ROOT, ROOT_PASSWORD, Version};

fn event(application: &str, action: &str) -> Value {
    json!({"ApplicationName": application, "Action": action, "DeploymentId": "before"})
}

/// A server with access control and two tenants, each with data, a user and a role.
async fn two_tenants() -> (Mongod, Client) {
    let server = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let client = server.client().await;
    for tenant in ["shop", "crm"] {
        let database = client.database(tenant);
        let documents = (0..50).map(|number| doc! { "_id": number, "of": tenant });
        database.collection("things").insert_many(documents).await.expect("documents");
        let role =
            doc! { "createRole": "clerk", "privileges": [], "roles": [{ "role": "read", "db": tenant }] };
        database.run_command(role).await.expect("a role");
        let user = doc! { "createUser": "owner", "pwd": ROOT_PASSWORD, "roles": [{ "role": "dbOwner", "db": tenant }] };
        database.run_command(user).await.expect("a user");
    }
    (server, client)
}

/// The connection string of an account whose path names a tenant.
fn uri(server: &Mongod, user: &str, tenant: &str) -> String {
    let source = if user == ROOT { "admin" } else { tenant };
    server.uri_for(user, ROOT_PASSWORD, source).replace("/?", &format!("/{tenant}?"))
}

/// Everything of a deployment but one tenant's data.
async fn others(client: &Client, tenant: &str) -> (Fingerprint, Vec<Document>) {
    let other = if tenant == "shop" { "crm" } else { "shop" };
    let mut accounts = Vec::new();
    for name in ["system.users", "system.roles", "system.version"] {
        let collection = client.database("admin").collection::<Document>(name);
        let mut cursor = collection.find(doc! {}).sort(doc! { "_id": 1 }).await.expect("a cursor");
        while cursor.advance().await.expect("a document") {
            accounts.push(cursor.deserialize_current().expect("a document"));
        }
    }
    (fingerprint_of(&client.database(other)).await, accounts)
}

/// Backup and restore of `shop` under this account leave everything else as it was changed in between.
async fn leaves_others_alone(user: &str) {
    let (server, client) = two_tenants().await;
    let account = Account::with_database(&uri(&server, user, "shop")).await;
    let function = account.function().await;
    let shop = fingerprint_of(&client.database("shop")).await;
    let result = function.invoke(&event("shop", "backup")).await.result();
    assert_eq!(
        (&result["scope"], &result["left_out"]),
        (&json!("shop"), &json!(["other databases", "users and roles"]))
    );
    let labels = account.labels("backups/shop/before.archive").await;
    assert_eq!(labels.get("mongoark-scope").map(String::as_str), Some("shop"));

    let crm = client.database("crm");
    crm.collection("things").insert_one(doc! { "_id": "new" }).await.expect("a document");
    crm.run_command(doc! { "createUser": "new", "pwd": ROOT_PASSWORD, "roles": [] }).await.expect("a user");
    client
        .database("shop")
        .run_command(doc! { "createUser": "new", "pwd": ROOT_PASSWORD, "roles": [] })
        .await
        .expect("a user");
    client.database("shop").collection::<Document>("things").drop().await.expect("damage");
    let before = others(&client, "shop").await;

    let result = function.invoke(&event("shop", "restore")).await.result();
    assert_eq!((&result["scope"], &result["failures"]), (&json!("shop"), &json!(0)), "{result}");
    let after = others(&client, "shop").await;
    assert_same(&before.0, &after.0);
    assert_eq!(before.1, after.1);
    assert_same(&shop, &fingerprint_of(&client.database("shop")).await);
    assert_says(&function.log(), &["\"scope\":\"shop\""]);
}

#[tokio::test]
async fn a_tenants_backup_and_restore_touch_nobody_else_even_as_root() {
    leaves_others_alone(ROOT).await;
}

#[tokio::test]
async fn a_tenants_backup_and_restore_do_with_the_rights_of_its_owner() {
    leaves_others_alone("owner").await;
}

#[tokio::test]
async fn an_archive_of_everything_gives_a_tenant_back_its_own_part() {
    let (server, client) = two_tenants().await;
    let account = Account::with_database(&server.uri()).await;
    account.function().await.invoke(&event("shop", "backup")).await.result();
    let labels = account.labels("backups/shop/before.archive").await;
    assert_eq!(labels.get("mongoark-scope").map(String::as_str), Some("everything"));
    for tenant in ["shop", "crm"] {
        client.database(tenant).collection::<Document>("things").delete_many(doc! {}).await.expect("damage");
    }
    let before = others(&client, "shop").await;
    let function = account.function_for("shop", &uri(&server, "owner", "shop")).await;
    let result = function.invoke(&event("shop", "restore")).await.result();
    assert_says(&result["warnings"].to_string(), &["holds everything", "shop alone is restored"]);
    let after = others(&client, "shop").await;
    assert_same(&before.0, &after.0);
    assert_eq!(before.1, after.1);
    let things = client.database("shop").collection::<Document>("things");
    assert_eq!(things.count_documents(doc! {}).await.expect("a count"), 50);
}

#[tokio::test]
async fn a_tenants_archive_is_no_archive_of_another_tenant() {
    let (server, client) = two_tenants().await;
    let account = Account::with_database(&uri(&server, ROOT, "crm")).await;
    account.function().await.invoke(&event("shop", "backup")).await.result();
    let function = account.function_for("shop", &uri(&server, ROOT, "shop")).await;
    let before = others(&client, "crm").await;
    let message = function.invoke(&event("shop", "restore")).await.error("InvalidInput");
    assert_says(&message, &["holds crm", "works on shop only"]);
    assert_same(&before.0, &others(&client, "crm").await.0);
}

#[tokio::test]
async fn a_deployment_comes_back_with_its_users_and_without_copies_of_their_passwords() {
    let (server, client) = two_tenants().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function().await;
    let result = function.invoke(&event("all", "backup")).await.result();
    assert_eq!((&result["scope"], result.get("left_out")), (&json!("everything"), None));

    // The function's account is another one now, of the same name: the restored one replaces it in the middle of its work.
    let create = |name: &str| doc! { "createUser": name, "pwd": ROOT_PASSWORD, "roles": ["root"] };
    client.database("admin").run_command(create("other")).await.expect("a user");
    let other = mongod::client(&server.uri_for("other", ROOT_PASSWORD, "admin")).await;
    other.database("admin").run_command(doc! { "dropUser": ROOT }).await.expect("dropped");
    other.database("admin").run_command(create(ROOT)).await.expect("a user");
    other.database("crm").run_command(doc! { "dropUser": "owner" }).await.expect("damage");

    let result = function.invoke(&event("all", "restore")).await.result();
    assert_eq!(result["failures"], 0, "{result}");
    let client = server.client().await;
    let owner = client.database("crm").run_command(doc! { "usersInfo": "owner" }).await.expect("users");
    assert_eq!(owner.get_array("users").expect("users").len(), 1, "{owner}");
    let names = client.database("admin").list_collection_names().await.expect("names");
    assert!(!names.iter().any(|name| name.starts_with("temp")), "credentials stay behind: {names:?}");
}

#[tokio::test]
async fn a_path_of_admin_is_refused_with_what_to_write() {
    let account = Account::with_database(&DEAD_DATABASE.replace("/?", "/admin?")).await;
    let message = account.function().await.invoke(&hook_event("d-1")).await.error("InvalidInput");
    assert_says(&message, &["/?authSource=admin", "variable DATABASE"]);
    account.assert_failed("d-1");
    account.assert_empty().await;

    let function = account.function_with("DATABASE", Some("shop")).await;
    // The deployment d-1 has been answered.
    let mut other = hook_event("d-2");
    other["ApplicationName"] = "shop".into();
    let message = function.invoke(&other).await.error("InvalidInput");
    assert_says(&message, &["different databases", "DATABASE"]);
    account.assert_failed("d-2");
}

#[tokio::test]
async fn the_variable_names_a_database_where_the_connection_string_does_not() {
    let (server, client) = two_tenants().await;
    let account = Account::with_database(&server.uri()).await;
    let function = account.function_with("DATABASE", Some("shop")).await;
    let result = function.invoke(&event("shop", "backup")).await.result();
    assert_eq!(result["scope"], "shop");
    client.database("crm").drop().await.expect("dropped");
    function.invoke(&event("shop", "restore")).await.result();
    assert_eq!(fingerprint_of(&client.database("crm")).await.len(), 0, "the archive holds shop alone");

    let function = account.function_with("DATABASE", Some("admin")).await;
    let result = function.invoke(&event("admin", "backup")).await.result();
    assert_eq!((&result["scope"], &result["left_out"]), (&json!("admin"), &json!(["other databases"])));
}

#[tokio::test]
async fn a_database_that_holds_nothing_is_backed_up_with_a_word() {
    let server = Mongod::start(Version::V6_0_5).await;
    let uri = server.uri().replace("/?", "/test?");
    let account = Account::with_database(&uri).await;
    let result = account.function().await.invoke(&hook_event("d-1")).await.result();
    assert_eq!(result["collections"], 0);
    assert_says(&result["warnings"].to_string(), &["no collection", "test"]);
    account.assert_succeeded("d-1");
}
