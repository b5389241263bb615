//! Servers that do not answer, or not as is needed: one line that says why.

use bson::{Document, doc};
use mongoark::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::refusal;
use crate::support::mongoark::{archive, mongoark};
use crate::support::mongod::{Mongod, Options, Version};
use crate::support::process::free_port;

#[tokio::test]
async fn a_port_that_nobody_listens_on_refuses_the_connection() {
    let port = free_port();
    let error = refusal(&format!("mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=500")).await;
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert_eq!(
        error.report(),
        format!(
            "mongodb at 127.0.0.1:{port}: no usable server answered: 127.0.0.1:{port}: connection refused"
        )
    );
}

#[tokio::test]
async fn each_server_of_a_set_has_its_own_cause() {
    let (refusing, silent) = (free_port(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let silent_port = silent.local_addr().unwrap().port();
    let hosts = format!("127.0.0.1:{refusing},127.0.0.1:{silent_port},nowhere.invalid:27017");
    let options = "replicaSet=rs0&serverSelectionTimeoutMS=1000";
    let report = refusal(&format!("mongodb://{hosts}/?{options}")).await.report();
    for cause in [
        format!("127.0.0.1:{refusing}: connection refused"),
        format!("127.0.0.1:{silent_port}: no answer in time"),
        "nowhere.invalid:27017: the host name cannot be resolved".to_owned(),
    ] {
        assert!(report.contains(&cause), "{report}");
    }
    assert!(!report.contains('\n'));
}

#[tokio::test]
async fn the_command_says_it_in_one_line_and_leaves_no_archive() {
    let (_folder, path) = archive("a.archive");
    let uri =
        format!("mongodb://127.0.0.1:{}/?serverSelectionTimeoutMS=500&useNewUrlParser=true", free_port());
    let dumped =
        mongoark(["dump".into(), format!("--uri={uri}"), format!("--archive={}", path.display())]).await;
    assert_eq!(dumped.code, Some(1), "{}", dumped.stderr);
    assert!(dumped.stderr.trim_end().ends_with("connection refused"), "{}", dumped.stderr);
    assert!(!path.exists());
}

#[tokio::test]
async fn the_name_of_the_set_is_said_when_another_was_asked_for() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let options = "replicaSet=shop&serverSelectionTimeoutMS=500";
    let error = refusal(&format!("mongodb://127.0.0.1:{}/?{options}", server.port())).await;
    let said = "the set is called rs0; the connection string asks for shop";
    assert!(error.report().contains(said), "{}", error.report());
    let direct = format!("mongodb://127.0.0.1:{}/?{options}&directConnection=true", server.port());
    let error = refusal(&direct).await;
    assert!(error.report().contains(said), "{}", error.report());
}

#[tokio::test]
async fn a_set_that_was_asked_for_is_missed_on_a_standalone_server() {
    let options = Options { replica_set: false, ..Options::default() };
    let server = Mongod::start_with(Version::V6_0_5, options).await;
    let options = "replicaSet=shop&serverSelectionTimeoutMS=500";
    let error = refusal(&format!("mongodb://127.0.0.1:{}/?{options}", server.port())).await;
    assert!(error.report().contains("it is no member of a replica set"), "{}", error.report());
}

#[tokio::test]
async fn a_version_that_is_not_supported_is_named_before_anything_else() {
    let server = Scripted::start(hello(8), doc! {}).await;
    let error = refusal(&format!("mongodb://127.0.0.1:{}", server.port)).await;
    assert_eq!(
        error.report(),
        format!(
            "mongodb at 127.0.0.1:{0}: its version is not supported: \
             127.0.0.1:{0} is MongoDB 4.2 (wire version 8); supported are 4.4 and newer",
            server.port
        )
    );
}

#[tokio::test]
async fn a_server_that_shuts_down_while_it_is_logged_into_has_not_refused_the_password() {
    let refusal_of_login =
        doc! { "ok": 0.0, "code": 91, "codeName": "ShutdownInProgress", "errmsg": "shutting down" };
    let server = Scripted::start(hello(17), refusal_of_login).await;
    let error = refusal(&format!("mongodb://ann:hunter2hunter2@127.0.0.1:{}", server.port)).await;
    assert_eq!(error.kind(), ErrorKind::Connection, "{}", error.report());
    assert!(error.report().contains("shutting down"), "{}", error.report());
}

fn hello(wire_version: i32) -> Document {
    doc! {
        "ismaster": true, "maxBsonObjectSize": 16 << 20, "maxMessageSizeBytes": 48_000_000,
        "minWireVersion": 0, "maxWireVersion": wire_version, "ok": 1.0,
    }
}

/// A server that answers every log-in with one document and everything else with another, in the protocol that it was asked in.
struct Scripted {
    port: u16,
    _accepting: AbortOnDropHandle<()>,
}

impl Scripted {
    async fn start(hello: Document, login: Document) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = [hello, login].map(|answer| answer.to_vec().unwrap());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, answers.clone()));
            }
        });
        Self { port, _accepting: AbortOnDropHandle::new(accepting) }
    }
}

async fn answer(mut stream: TcpStream, [hello, login]: [Vec<u8>; 2]) -> Option<()> {
    const OP_REPLY: i32 = 1;
    const OP_MSG: i32 = 2013;
    loop {
        let mut header = [0; 4];
        for field in &mut header {
            *field = stream.read_i32_le().await.ok()?;
        }
        let [length, request, _, code] = header;
        let mut body = vec![0; usize::try_from(length).ok()? - 16];
        stream.read_exact(&mut body).await.ok()?;
        // The name of the command follows the flags, the kind, the length and the type.
        let answer =
            if body.get(10..).is_some_and(|rest| rest.starts_with(b"saslStart")) { &login } else { &hello };
        let (code, before) = if code == OP_MSG { (OP_MSG, vec![0; 5]) } else { (OP_REPLY, reply_head()) };
        let length = i32::try_from(16 + before.len() + answer.len()).ok()?;
        let head = [length, 1, request, code].map(i32::to_le_bytes).concat();
        stream.write_all(&[head, before, answer.clone()].concat()).await.ok()?;
    }
}

/// Flags, cursor, start and number of documents.
fn reply_head() -> Vec<u8> {
    [8_i32, 0, 0, 0, 1].map(i32::to_le_bytes).concat()
}
