//! A server that is none: it announces a version, answers from a table and keeps what it was asked. It stands for servers of
//! which there is no binary.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, RawDocumentBuf, doc};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::proxy::message::Message;

/// What it answers to a command in a database; nothing where there is no such command.
type Table = dyn Fn(&str, &Document) -> Option<Document> + Send + Sync;

/// A running server; it ends when it is dropped.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
}

struct Shared {
    version: String,
    process: ObjectId,
    table: Box<Table>,
    asked: Mutex<Vec<(String, Document)>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("version", &self.version).finish_non_exhaustive()
    }
}

impl ScriptedServer {
    /// A standalone server of this version. `table` is asked with the database and the command; where it answers nothing, the
    /// server says that it does not know the command. What every client asks first it answers by itself, and
    /// adds to its `hello` what the table says of it.
    pub async fn start(
        version: &str,
        table: impl Fn(&str, &Document) -> Option<Document> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            version: version.to_owned(),
            process: ObjectId::new(),
            table: Box::new(table),
            asked: Mutex::default(),
        });
        let server = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&server).serve(client));
            }
        });
        Self { address, shared, _accepting: AbortOnDropHandle::new(accepting) }
    }

    pub fn uri(&self) -> String {
        format!("mongodb://{}/?directConnection=true", self.address)
    }

    /// The commands of this name so far, without what the driver adds to every command.
    pub fn asked(&self, name: &str) -> Vec<Document> {
        let asked = self.shared.asked.lock().unwrap();
        asked
            .iter()
            .filter(|(_, command)| first(command) == name)
            .map(|(_, command)| command.clone())
            .collect()
    }
}

/// An answer that is a cursor's only batch. What is asked of a database and not of a collection has `database.` for a name.
pub fn batch(namespace: &str, documents: impl IntoIterator<Item = Document>) -> Document {
    let documents: Vec<Document> = documents.into_iter().collect();
    let namespace = if namespace.ends_with('.') { format!("{namespace}$cmd") } else { namespace.to_owned() };
    doc! { "cursor": { "firstBatch": documents, "id": 0_i64, "ns": namespace }, "ok": 1 }
}

/// An answer that refuses the command.
pub fn refused(code: i32, name: &str, message: &str) -> Document {
    doc! { "ok": 0, "code": code, "codeName": name, "errmsg": message }
}

fn first(command: &Document) -> &str {
    command.keys().next().map_or("", String::as_str)
}

impl Shared {
    async fn serve(self: Arc<Self>, client: TcpStream) {
        let (mut from, mut to) = client.into_split();
        while let Some(request) = Message::read(&mut from).await {
            let command = request.command().expect("a command");
            let mut command: Document = RawDocumentBuf::try_into(command).expect("readable");
            let answer = self.answer(&mut command).await;
            let reply = request.reply(&RawDocumentBuf::try_from(&answer).expect("an answer"));
            if to.write_all(reply.bytes()).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, command: &mut Document) -> Document {
        let name = first(command).to_owned();
        let db = command.get_str("$db").unwrap_or("admin").to_owned();
        match name.as_str() {
            "hello" | "ismaster" | "isMaster" => {
                // The driver waits for a change of the topology, and there is none.
                if let Ok(millis) =
                    command.get_i64("maxAwaitTimeMS").or(command.get_i32("maxAwaitTimeMS").map(Into::into))
                {
                    tokio::time::sleep(Duration::from_millis(millis.try_into().unwrap())).await;
                }
                let mut hello = self.hello();
                hello.extend((self.table)(&db, command).unwrap_or_default());
                hello
            }
            "buildInfo" => {
                let numbers = self.version.split(['.', '-']).map_while(|number| number.parse::<i32>().ok());
                doc! { "version": &self.version, "versionArray": numbers.collect::<Vec<_>>(), "ok": 1 }
            }
            "ping" | "endSessions" | "killCursors" => doc! { "ok": 1 },
            _ => {
                for added in ["$db", "lsid", "$readPreference", "$clusterTime", "txnNumber", "apiVersion"] {
                    command.remove(added);
                }
                self.asked.lock().unwrap().push((db.clone(), command.clone()));
                let unknown = || refused(59, "CommandNotFound", "no such command");
                (self.table)(&db, command).unwrap_or_else(unknown)
            }
        }
    }

    fn hello(&self) -> Document {
        // Nothing here depends on the exact number: any that the driver takes.
        doc! {
            "helloOk": true, "ismaster": true, "isWritablePrimary": true,
            "topologyVersion": { "processId": self.process, "counter": 0_i64 },
            "maxBsonObjectSize": 16 << 20, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
            "localTime": DateTime::from_millis(0), "logicalSessionTimeoutMinutes": 30,
            "minWireVersion": 0, "maxWireVersion": 25, "readOnly": false, "ok": 1,
        }
    }
}
