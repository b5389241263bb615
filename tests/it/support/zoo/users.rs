//! Users and roles, with passwords that can be tried afterwards.

use mongodb::Database;
use mongodb::bson::{Document, doc};

use super::super::mongod::{Mongod, client};
use super::{ZOO, run};

/// Name, password and database of every user of the zoo.
const USERS: [(&str, &str, &str); 3] = [
    ("zookeeper", "Ze6ra/cross:ing@", ZOO),
    ("director", "0kapi-stripes", "admin"),
    ("старый", "Quagga-1883", ZOO),
];

pub(super) async fn fill(zoo: &Database, admin: &Database) {
    let [keeper, director, old] = USERS;
    let animals = doc! { "db": ZOO, "collection": "types" };
    let feed = doc! { "resource": animals, "actions": ["find", "insert"] };
    run(zoo, doc! { "createRole": "feeder", "privileges": [feed], "roles": [] }).await;
    run(
        zoo,
        doc! { "createRole": "chief", "privileges": [], "roles": ["feeder", { "role": "read", "db": ZOO }] },
    )
    .await;
    let whole = doc! { "resource": { "cluster": true }, "actions": ["listDatabases"] };
    run(admin, doc! { "createRole": "visitor", "privileges": [whole], "roles": [] }).await;

    run(zoo, user(keeper, doc! { "roles": ["chief"], "customData": { "badge": 7 } })).await;
    let restrictions = [doc! { "clientSource": ["127.0.0.0/8"] }];
    run(
        admin,
        user(director, doc! { "roles": ["root", "visitor"], "authenticationRestrictions": restrictions }),
    )
    .await;
    run(zoo, user(old, doc! { "roles": ["dbOwner"], "mechanisms": ["SCRAM-SHA-1"] })).await;
}

fn user((name, password, _): (&str, &str, &str), rest: Document) -> Document {
    let mut command = doc! { "createUser": name, "pwd": password };
    command.extend(rest);
    command
}

/// Asserts that every user of the zoo can log in with the old password.
pub async fn assert_users_can_log_in(server: &Mongod) {
    for (name, password, database) in USERS {
        let client = client(&server.uri_for(name, password, database)).await;
        let reply = client.database(database).run_command(doc! { "connectionStatus": 1 }).await;
        let reply = reply.unwrap_or_else(|error| panic!("{name} cannot log in: {error}"));
        let users =
            reply.get_document("authInfo").expect("there").get_array("authenticatedUsers").expect("there");
        assert_eq!(users, &[doc! { "user": name, "db": database }.into()], "{name} is not logged in");
    }
}
