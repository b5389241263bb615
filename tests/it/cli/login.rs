//! Who logs in, and how, by the options of the tools, with real servers.

use mongodb::bson::doc;

use super::fails;
use crate::support::mongoark::mongoark;
use crate::support::mongod::{Mongod, Options, ROOT, ROOT_PASSWORD, Version};
use crate::support::tls::{Certificates, Encryption, KEY_PASSWORD, text};

const NOWHERE: &str = "--archive=/dev/null";

#[tokio::test]
async fn a_user_logs_in_by_the_options_of_the_tools() {
    let server = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let user = doc! { "createUser": "ann", "pwd": ROOT_PASSWORD, "roles": ["read"], "mechanisms": ["SCRAM-SHA-256"] };
    let shop = server.client().await.database("shop");
    shop.run_command(doc! { "create": "orders" }).await.unwrap();
    shop.run_command(user).await.unwrap();
    let host = format!("-h127.0.0.1:{}", server.port());
    let password = format!("--password={ROOT_PASSWORD}");
    for login in [
        &["-u", ROOT, "-p", ROOT_PASSWORD][..],
        &["--username", ROOT, &password, "--authenticationDatabase=admin", "-d", "shop"],
        &["-u", ROOT, &password, "--authenticationMechanism=SCRAM-SHA-256"],
        // Where nothing else says it, a user is looked for in the database that is dumped.
        &["-u", "ann", &password, "-d", "shop", "-c", "orders", "--snapshot=off"],
        &[
            "-u",
            "ann",
            &password,
            "--authenticationDatabase",
            "shop",
            "--db=shop",
            "--authenticationMechanism=SCRAM-SHA-256",
        ],
    ] {
        let said = mongoark(["dump", &host, NOWHERE].into_iter().chain(login.iter().copied()))
            .await
            .success()
            .stderr;
        assert!(said.contains("others on this machine can see the password in --password"), "{said}");
    }
    let other = ["dump", &host, NOWHERE, "-u", ROOT, &password, "-d", "shop"];
    fails(&other, &["refused the credentials"]).await;
    let two = format!("--uri={}", server.uri_for(ROOT, ROOT_PASSWORD, "admin"));
    fails(&["dump", &two, NOWHERE, "-u", "somebody"], &["--username and --uri say different things"]).await;
    fails(&["dump", &two, NOWHERE, "--authenticationDatabase=shop"], &["--authenticationDatabase and --uri"])
        .await;
    mongoark(["dump", &two, NOWHERE, "-u", ROOT, &password]).await.success();
}

#[tokio::test]
async fn tls_and_a_certificate_log_in_by_the_options_of_the_tools() {
    let made = Certificates::new();
    let authority = made.authority("authority");
    let certificate = made.server("server", "authority", "IP:127.0.0.1");
    let client = made.client("ann", "authority", Encryption::Aes);
    let all: [&'static str; 6] = [
        "--tlsMode=preferTLS",
        "--tlsAllowConnectionsWithoutCertificates",
        "--tlsCertificateKeyFile",
        certificate.to_str().unwrap().to_owned().leak(),
        "--tlsCAFile",
        authority.to_str().unwrap().to_owned().leak(),
    ];
    let options = Options { replica_set: false, arguments: Vec::from(all).leak(), ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_5, options).await;
    let user = doc! { "createUser": "CN=ann", "roles": [{ "role": "backup", "db": "admin" }] };
    server.client().await.database("$external").run_command(user).await.unwrap();
    let host = format!("-h127.0.0.1:{}", server.port());
    let (authority, key) =
        (format!("--sslCAFile={}", text(&authority)), format!("--sslPEMKeyFile={}", text(&client)));
    let password = format!("--sslPEMKeyPassword={KEY_PASSWORD}");
    mongoark(["dump", &host, NOWHERE, "--ssl", &authority]).await.success();
    mongoark(["dump", &host, NOWHERE, "--tls", "--tlsInsecure"]).await.success();
    let said =
        mongoark(["dump", &host, NOWHERE, "--ssl", "--sslAllowInvalidHostnames"]).await.success().stderr;
    assert!(
        said.contains("WARNING: --sslAllowInvalidCertificates and --sslAllowInvalidHostnames are deprecated"),
        "{said}"
    );
    fails(&["dump", &host, NOWHERE, "--ssl"], &["unknown issuer"]).await;
    let x509 =
        ["--authenticationMechanism=MONGODB-X509", "-u", "CN=ann", "--authenticationDatabase=$external"];
    let login = ["dump", &host, NOWHERE, "--ssl", &authority, &key, &password];
    let said = mongoark(login.into_iter().chain(x509)).await.success().stderr;
    assert!(said.contains("others on this machine can see the password in --sslPEMKeyPassword"), "{said}");
    let one = format!("mongodb://127.0.0.1:{}/?tls=false", server.port());
    fails(&["dump", &one, NOWHERE, "--ssl"], &["--ssl and --uri say different things"]).await;
}
