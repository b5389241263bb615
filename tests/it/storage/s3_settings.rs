//! The standard AWS settings: checksums, certificates, addresses.

use super::{PART, noise, write};
use crate::support::mongoark::{finish, start};
use crate::support::s3::{BUCKET, Operation, S3Server, location};
use aws_config::SdkConfig;
use aws_sdk_s3::config::{BehaviorVersion, RequestChecksumCalculation};
use mongoark::storage::{CreateOptions, Storage};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// What every other setting is the same in.
fn config(endpoint: &str) -> aws_types::sdk_config::Builder {
    let credentials =
        aws_sdk_s3::config::Credentials::new("AKIATESTTESTTESTTEST", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
}

/// Accepts one connection at a time, reads a request's head through `wrap` and answers that nothing is there; gives
/// the request lines.
fn requests<S: Read + Write>(
    listener: TcpListener,
    wrap: impl Fn(std::net::TcpStream) -> S + Send + 'static,
) -> std::sync::mpsc::Receiver<String> {
    let (tell, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut stream = BufReader::new(wrap(socket.unwrap()));
            let mut line = String::new();
            // A client that does not trust the certificate goes away.
            if stream.read_line(&mut line).is_err() || tell.send(line.trim().to_owned()).is_err() {
                continue;
            }
            let mut head = String::from("more");
            while head.trim() != "" {
                head.clear();
                stream.read_line(&mut head).unwrap();
            }
            let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
            stream.get_mut().flush().unwrap();
        }
    });
    lines
}

#[tokio::test]
async fn checksums_are_left_out_where_the_settings_want_none() {
    let server = S3Server::start();
    let environment = server.environment();
    let value = |name| environment.iter().find(|(key, _)| *key == name).unwrap().1.as_str();
    let (key, secret) = (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"));
    let credentials = aws_sdk_s3::config::Credentials::new(key, secret, None, None, "test");
    let config = config(&server.endpoint)
        .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(credentials))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .build();
    let storage = Storage::with_s3(Storage::s3_client(&config).unwrap());
    for length in [5, PART + 5] {
        write(&storage, &location("a"), &CreateOptions::default(), &noise(length, 1)).await.unwrap();
    }
    for operation in
        [Operation::PutObject, Operation::CreateUpload, Operation::UploadPart, Operation::CompleteUpload]
    {
        let seen = server.seen(operation);
        assert!(!seen.is_empty());
        for header in seen.iter().flat_map(|request| request.headers.keys()) {
            assert!(
                !header.as_str().contains("checksum") && header != "x-amz-trailer",
                "{operation:?}: {header}"
            );
        }
    }
}

#[tokio::test]
async fn an_endpoint_may_have_a_path() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}/gateway/s3", listener.local_addr().unwrap());
    let lines = requests(listener, |socket| socket);
    let storage = Storage::with_s3(Storage::s3_client(&config(&endpoint).build()).unwrap());
    storage.stat(&location("a/b.archive")).await.unwrap_err();
    assert_eq!(lines.recv().unwrap(), format!("HEAD /gateway/s3/{BUCKET}/a/b.archive HTTP/1.1"));
}

/// A certificate authority and a server it vouches for, as files in this folder.
fn make_certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
        let output = output.expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -subj /CN=authority -days 30 -out ca.pem"));
    openssl(&format!("req {key} -keyout server.key -subj /CN=localhost -out server.csr"));
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem",
    );
}

#[tokio::test]
async fn certificates_of_the_settings_are_trusted_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let certificates: Vec<_> = CertificateDer::pem_file_iter(folder.path().join("server.pem"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(folder.path().join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let server = Arc::new(server.unwrap().with_no_client_auth().with_single_cert(certificates, key).unwrap());
    let listener = TcpListener::bind(("localhost", 0)).unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let _lines = requests(listener, move |socket| {
        rustls::StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&server)).unwrap(), socket)
    });

    let bundle = folder.path().join("ca.pem").display().to_string();
    let profile = folder.path().join("config").display().to_string();
    std::fs::write(&profile, format!("[default]\nca_bundle = {bundle}\n")).unwrap();
    let cases = [
        ("AWS_CA_BUNDLE", bundle.as_str(), "the bucket does not exist"),
        ("AWS_CONFIG_FILE", profile.as_str(), "the bucket does not exist"),
        ("AWS_CA_BUNDLE", "", "cannot be reached"),
        ("AWS_CA_BUNDLE", "/nowhere/ca.pem", "/nowhere/ca.pem: the bundle of certificates cannot be read"),
    ];
    for (name, value, words) in cases {
        let environment = [
            (name, value),
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
        ];
        let place = format!("--archive=s3://{BUCKET}/a");
        let finished = finish(start(["restore", "--uri=mongodb://127.0.0.1:9", &place], &environment)).await;
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains(words), "{words:?} is not in {}", finished.stderr);
    }
}

#[tokio::test]
async fn an_access_point_is_addressed_by_its_host_also_behind_an_endpoint() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let lines = requests(listener, |socket| socket);
    let environment = [
        ("HTTP_PROXY", proxy.as_str()),
        ("AWS_ENDPOINT_URL", "http://store.test"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
    ];
    let place = "--archive=s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/backups/a.archive";
    let finished = finish(start(["restore", "--uri=mongodb://127.0.0.1:9", place], &environment)).await;
    assert_eq!(finished.code, Some(1));
    let line = lines.try_recv().unwrap_or_else(|_| panic!("nothing was asked: {}", finished.stderr));
    assert_eq!(line, "HEAD http://backups-123456789012.store.test/a.archive HTTP/1.1");
}
