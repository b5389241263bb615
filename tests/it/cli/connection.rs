//! Connections that cannot be made: what is wrong, and never the credentials.

use std::path::Path;

use super::fails;
use crate::support::mongoark::{archive, left_beside};
use crate::support::mongod::{Mongod, Options, ROOT, Version};

#[tokio::test]
async fn a_wrong_connection_string_says_so_and_never_repeats_it() {
    let archive = "--archive=/nonexistent/x";
    fails(
        &["dump", "--uri=mongodb://ann:hunter2hunter2@", archive],
        &["--uri", "connection string", "mongodb://USER"],
    )
    .await;
    fails(&["dump", "--uri=http://ann:hunter2hunter2@h", archive], &["--uri", "connection string"]).await;
    fails(&["dump", "--uri=mongodb://ann:hunter2hunter2@h/?tls=maybe", archive], &["--uri"]).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    fails(
        &["dump", "--uri=mongodb://ann:hunter2hunter2@127.0.0.1:1", "--archive=x"],
        &["127.0.0.1:1", "no usable server answered", "connection refused"],
    )
    .await;
    assert!(!Path::new("x").exists());
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_permission_are_told_apart_from_a_dead_server() {
    let server = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    let wrong = format!("--uri={}", server.uri_for(ROOT, "hunter2hunter2", "admin"));
    fails(&["dump", &wrong, &place], &["refused the credentials", "authSource"]).await;
    let nobody = format!("--uri=mongodb://127.0.0.1:{}/?directConnection=true", server.port());
    fails(&["dump", &nobody, &place], &["may not list all databases", "requires authentication"]).await;
    assert!(left_beside(&path).is_empty());
}

#[tokio::test]
async fn tls_to_a_server_without_it_is_an_error_soon() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = format!("--uri=mongodb://127.0.0.1:{}/?tls=true&directConnection=true", server.port());
    fails(&["dump", &uri, "--archive=/dev/null"], &["no usable server answered", "TLS"]).await;
}
