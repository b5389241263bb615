//! TLS with real servers: what is trusted, what is not, and keys that are encrypted.

use std::path::Path;
use std::sync::Arc;

use mongoark::ErrorKind;
use mongodb::bson::doc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_util::task::AbortOnDropHandle;

use super::{connect, refusal};
use crate::support::mongoark::{archive, mongoark};
use crate::support::mongod::{Mongod, Options, Version};
use crate::support::tls::{Certificates, Encryption, KEY_PASSWORD, text};

const HERE: &str = "IP:127.0.0.1";

/// A standalone server that takes TLS, and for its own set-up the other, too.
async fn server(certificate: &Path, arguments: &[&str]) -> Mongod {
    let all = ["--tlsMode", "preferTLS", "--tlsCertificateKeyFile", text(certificate)];
    let all = all.iter().chain(arguments).map(|argument| &*argument.to_string().leak()).collect::<Vec<_>>();
    let options = Options { replica_set: false, arguments: all.leak(), ..Options::default() };
    Mongod::start_with(Version::V6_0_5, options).await
}

/// The options that trust the certificates of this file.
fn trusting(port: u16, authority: &Path) -> String {
    format!(
        "mongodb://127.0.0.1:{port}/?tls=true&tlsCAFile={}&serverSelectionTimeoutMS=2000",
        text(authority)
    )
}

async fn refused_for(uri: &str, cause: &str) {
    let error = refusal(uri).await;
    assert_eq!(error.kind(), ErrorKind::Connection, "{}", error.report());
    assert!(error.report().contains(cause), "{}", error.report());
}

#[tokio::test]
async fn an_authority_is_trusted_and_another_is_not() {
    let made = Certificates::new();
    let (authority, other) = (made.authority("authority"), made.authority("other"));
    let certificate = made.server("server", "authority", HERE);
    let server = server(&certificate, &[]).await;
    connect(&trusting(server.port(), &authority)).await.unwrap();
    refused_for(&trusting(server.port(), &other), "unknown issuer").await;
    // The server's own certificate is enough, whoever signed it.
    connect(&trusting(server.port(), &certificate)).await.unwrap();
    let elsewhere = trusting(server.port(), &authority).replace("127.0.0.1", "localhost");
    refused_for(&elsewhere, "for another host name").await;
}

#[tokio::test]
async fn a_certificate_that_is_its_own_authority_is_trusted_and_only_that_one() {
    let made = Certificates::new();
    let (certificate, other) = (made.self_signed("server", HERE), made.self_signed("other", HERE));
    let server = server(&certificate, &[]).await;
    connect(&trusting(server.port(), &certificate)).await.unwrap();
    refused_for(&trusting(server.port(), &other), "authority").await;
    let elsewhere = trusting(server.port(), &certificate).replace("127.0.0.1", "localhost");
    refused_for(&elsewhere, "for another host name").await;
}

#[tokio::test]
async fn what_has_expired_is_not_trusted_though_it_be_named() {
    let made = Certificates::new();
    let authority = made.authority("authority");
    let signed = Handshakes::start(&made.expired_server("signed", "authority", HERE)).await;
    refused_for(&trusting(signed.port, &authority), "has expired").await;
    let own = made.expired_self_signed("own", HERE);
    let server = Handshakes::start(&own).await;
    refused_for(&trusting(server.port, &own), "has expired").await;
}

#[tokio::test]
async fn a_whole_dump_and_restore_through_a_certificate_of_its_own() {
    let made = Certificates::new();
    let certificate = made.self_signed("server", HERE);
    let server = server(&certificate, &[]).await;
    let collection = server.client().await.database("shop").collection("orders");
    let documents = (0..20_000).map(|n| doc! { "_id": n, "text": "x".repeat(500) });
    collection.insert_many(documents).await.unwrap();
    let (_folder, path) = archive("a.archive");
    let (uri, path) =
        (format!("--uri={}", trusting(server.port(), &certificate)), format!("--archive={}", path.display()));
    mongoark(["dump", "--db=shop", &uri, &path]).await.success();
    collection.drop().await.unwrap();
    mongoark(["restore", &uri, &path]).await.success();
    assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 20_000);
}

#[tokio::test]
async fn a_clients_key_may_be_encrypted() {
    let made = Certificates::new();
    let authority = made.authority("authority");
    let certificate = made.server("server", "authority", HERE);
    let server = server(&certificate, &["--tlsCAFile", text(&authority)]).await;
    let trusting = trusting(server.port(), &authority);
    for encryption in [Encryption::TripleDes, Encryption::Aes] {
        let client = made.client(&format!("{encryption:?}"), "authority", encryption);
        let with_key = format!("{trusting}&tlsCertificateKeyFile={}", text(&client));
        connect(&format!("{with_key}&tlsCertificateKeyFilePassword={KEY_PASSWORD}")).await.unwrap();
        for (more, cause) in
            [("", "is encrypted: give"), ("&tlsCertificateKeyFilePassword=other", "cannot be decrypted")]
        {
            let error = refusal(&format!("{with_key}{more}")).await;
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.report().contains(cause), "{}", error.report());
        }
    }
    let old = made.client("old", "authority", Encryption::Traditional);
    let error = refusal(&format!(
        "{trusting}&tlsCertificateKeyFile={}&tlsCertificateKeyFilePassword={KEY_PASSWORD}",
        text(&old)
    ))
    .await;
    assert!(error.report().contains("openssl pkcs8 -topk8"), "{}", error.report());
    refused_for(&trusting, "client").await;
}

#[tokio::test]
async fn an_encrypted_key_goes_with_a_server_that_is_its_own_authority() {
    let made = Certificates::new();
    let (certificate, authority) = (made.self_signed("server", HERE), made.authority("authority"));
    let client = made.client("client", "authority", Encryption::TripleDes);
    let server = server(&certificate, &["--tlsCAFile", text(&authority)]).await;
    let trusting = trusting(server.port(), &certificate);
    connect(&format!(
        "{trusting}&tlsCertificateKeyFile={}&tlsCertificateKeyFilePassword={KEY_PASSWORD}",
        text(&client)
    ))
    .await
    .unwrap();
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    for (option, cause) in [("tlsCAFile", "cannot be read"), ("tlsCertificateKeyFile", "cannot be read")] {
        let error = refusal(&format!("mongodb://127.0.0.1/?tls=true&{option}=/nowhere.pem")).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.report().contains(&format!("{option} /nowhere.pem: it {cause}")), "{}", error.report());
    }
}

/// Makes connections and no more: mongod itself refuses to start with a certificate that has expired.
struct Handshakes {
    port: u16,
    _accepting: AbortOnDropHandle<()>,
}

impl Handshakes {
    async fn start(certificate: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(certificate).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                acceptor.accept(stream).await.ok();
            }
        });
        Self { port, _accepting: AbortOnDropHandle::new(accepting) }
    }
}
