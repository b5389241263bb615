//! A TCP proxy on loopback that knows MongoDB's messages well enough to break a certain one.
//!
//! Whoever comes through it has to use `directConnection=true`: the members of a set name their own addresses.

pub(super) mod message;
mod rule;

pub use rule::{Fault, Request, Rule};

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use message::Message;
use mongodb::bson::{RawBsonRef, RawDocumentBuf, rawdoc};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Pieces in which a reply drips.
const PIECES: usize = 5;

/// A running proxy; it and its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
}

/// What went through one connection.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// How many requests with each command have arrived.
    pub requests: BTreeMap<String, usize>,
    /// How many of them have been answered to the client.
    pub replies: BTreeMap<String, usize>,
    /// Whether both sides still have it.
    pub open: bool,
}

#[derive(Debug)]
struct Shared {
    server: String,
    rules: Mutex<Vec<Rule>>,
    struck: AtomicUsize,
    state: watch::Sender<State>,
    /// The command that opened each cursor.
    cursors: Mutex<HashMap<i64, RawDocumentBuf>>,
    /// Bytes that still go to the server, and to the client, before a connection breaks.
    up: Budget,
    down: Budget,
    /// Ends the connections that there are.
    cut: Mutex<CancellationToken>,
    end: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    refusing: bool,
    refused: usize,
    connections: Vec<Connection>,
}

impl Proxy {
    /// Stands before the server at `HOST:PORT`.
    pub async fn start(server: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            server: server.into(),
            rules: Mutex::default(),
            struck: AtomicUsize::new(0),
            state: watch::Sender::default(),
            cursors: Mutex::default(),
            up: Budget::default(),
            down: Budget::default(),
            cut: Mutex::default(),
            end: CancellationToken::new(),
        });
        let accepting = tokio::spawn(Arc::clone(&shared).accept(listener));
        Self { address, shared, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// The connection string of the server behind it, without a login.
    pub fn uri(&self) -> String {
        format!("mongodb://{}/?directConnection=true", self.address)
    }

    /// `HOST:PORT` of the proxy.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Breaks requests from now on.
    pub fn inject(&self, rule: Rule) {
        self.shared.rules.lock().unwrap().push(rule);
    }

    /// Breaks the connection that carries this byte of the requests, counted from now on over all of them.
    pub fn cut_requests_at(&self, byte: usize) {
        self.shared.up.set(byte);
    }

    /// Breaks the connection that carries this byte of the replies, counted from now on over all of them.
    pub fn cut_replies_at(&self, byte: usize) {
        self.shared.down.set(byte);
    }

    /// Breaks nothing from now on; what is held stays held.
    pub fn heal(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// From now on, or no longer, new connections are reset at once.
    pub fn refuse(&self, refuses: bool) {
        self.shared.state.send_modify(|state| state.refusing = refuses);
    }

    /// Breaks every connection that there is.
    pub fn cut(&self) {
        std::mem::take(&mut *self.shared.cut.lock().unwrap()).cancel();
    }

    /// How often something has been broken.
    pub fn struck(&self) -> usize {
        self.shared.struck.load(Ordering::Relaxed) + self.shared.up.spent() + self.shared.down.spent()
    }

    /// What went through each connection so far, in the order in which they came.
    pub fn connections(&self) -> Vec<Connection> {
        self.shared.state.borrow().connections.clone()
    }

    /// Connections that were refused.
    pub fn refused(&self) -> usize {
        self.shared.state.borrow().refused
    }

    /// How many requests with this command have arrived.
    pub fn requests(&self, command: &str) -> usize {
        sum(self.shared.state.borrow().connections.iter().map(|connection| &connection.requests), command)
    }

    /// How many replies to this command were handed on.
    pub fn replies(&self, command: &str) -> usize {
        sum(self.shared.state.borrow().connections.iter().map(|connection| &connection.replies), command)
    }

    /// Waits until so many requests with this command have arrived.
    pub async fn arrived(&self, command: &str, requests: usize) {
        self.wait(&format!("{requests} of {command}"), |proxy| proxy.requests(command) >= requests).await;
    }

    /// Waits until so many replies to this command were handed on.
    pub async fn replied(&self, command: &str, replies: usize) {
        self.wait(&format!("{replies} replies to {command}"), |proxy| proxy.replies(command) >= replies)
            .await;
    }

    async fn wait(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let mut changes = self.shared.state.subscribe();
        let waiting = async {
            while !reached(self) {
                changes.changed().await.expect("the proxy runs");
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("{what} should have come by now"));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.end.cancel();
    }
}

fn sum<'a>(counts: impl Iterator<Item = &'a BTreeMap<String, usize>>, command: &str) -> usize {
    counts.filter_map(|counts| counts.get(command)).sum()
}

impl Shared {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            if self.state.borrow().refusing {
                self.state.send_modify(|state| state.refused += 1);
                reset(&client);
                continue;
            }
            let mut number = 0;
            self.state.send_modify(|state| {
                number = state.connections.len();
                state.connections.push(Connection { open: true, ..Connection::default() });
            });
            let cut = self.cut.lock().unwrap().child_token();
            tokio::spawn(Arc::clone(&self).serve(client, number, cut));
        }
    }

    async fn serve(self: Arc<Self>, client: TcpStream, number: usize, cut: CancellationToken) {
        let Ok(server) = TcpStream::connect(&self.server).await else {
            self.state.send_modify(|state| state.connections[number].open = false);
            return reset(&client);
        };
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("TCP");
            reset(stream);
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let connection = Wire { shared: &self, number, pending: Mutex::default() };
        tokio::select! {
            () = connection.requests(from_client, to_server) => {}
            () = connection.replies(from_server, to_client) => {}
            () = cut.cancelled() => {}
            () = self.end.cancelled() => {}
        }
        self.state.send_modify(|state| state.connections[number].open = false);
    }

    fn strike(&self, command: &RawDocumentBuf) -> Option<Fault> {
        let cursors = self.cursors.lock().unwrap();
        let opened = command.get_i64("getMore").ok().and_then(|cursor| cursors.get(&cursor));
        let request = Request { command, opened_by: opened.map(std::ops::Deref::deref) };
        let fault = self.rules.lock().unwrap().iter_mut().find_map(|rule| rule.strike(&request));
        if fault.is_some() {
            self.struck.fetch_add(1, Ordering::Relaxed);
        }
        fault
    }

    fn remember_cursor(&self, command: &RawDocumentBuf, reply: &RawDocumentBuf) {
        if let Ok(cursor) = reply.get_document("cursor")
            && let Ok(id) = cursor.get_i64("id")
            && id != 0
        {
            self.cursors.lock().unwrap().entry(id).or_insert_with(|| command.clone());
        }
    }
}

/// Bytes in one direction until a connection breaks; once.
#[derive(Debug, Default)]
struct Budget {
    left: Mutex<Option<usize>>,
    spent: AtomicUsize,
}

impl Budget {
    fn set(&self, bytes: usize) {
        *self.left.lock().unwrap() = Some(bytes);
    }

    fn spent(&self) -> usize {
        self.spent.load(Ordering::Relaxed)
    }

    /// Counts a message. Where it is the one that breaks, writes what still goes of it.
    async fn exhausted(&self, to: &mut OwnedWriteHalf, message: &Message) -> bool {
        let most = {
            let mut left = self.left.lock().unwrap();
            let Some(bytes) = *left else { return false };
            *left = bytes.checked_sub(message.bytes().len());
            if left.is_some() {
                return false;
            }
            bytes
        };
        self.spent.fetch_add(1, Ordering::Relaxed);
        to.write_all(message.first(most)).await.ok();
        true
    }
}

/// Closing the socket breaks the connection instead of ending it.
fn reset(stream: &TcpStream) {
    stream.set_zero_linger().expect("TCP");
}

/// Both directions of one connection.
struct Wire<'a> {
    shared: &'a Shared,
    number: usize,
    pending: Mutex<HashMap<i32, (RawDocumentBuf, Option<Fault>)>>,
}

impl Wire<'_> {
    async fn requests(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        while let Some(message) = Message::read(&mut from).await {
            if let Some(command) = message.command() {
                let fault = self.shared.strike(&command);
                self.count(&command, |connection| &mut connection.requests);
                match fault {
                    Some(Fault::CutRequest) => return,
                    Some(Fault::CutInRequest(bytes)) => {
                        to.write_all(message.first(bytes)).await.ok();
                        return;
                    }
                    Some(Fault::Swallow) => continue,
                    fault => self.pending.lock().unwrap().insert(message.id(), (command, fault)),
                };
            }
            if self.shared.up.exhausted(&mut to, &message).await
                || to.write_all(message.bytes()).await.is_err()
            {
                return;
            }
        }
    }

    async fn replies(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        while let Some(mut message) = Message::read(&mut from).await {
            let asked = self.pending.lock().unwrap().remove(&message.answers());
            let Some((command, fault)) = asked else {
                // One more reply to a command that is answered again and again: hello.
                if to.write_all(message.bytes()).await.is_err() {
                    return;
                }
                continue;
            };
            if command.get_i64("getMore").is_err()
                && let Some(reply) = message.command()
            {
                self.shared.remember_cursor(&command, &reply);
            }
            match &fault {
                Some(Fault::CutReply) => return,
                Some(Fault::CutInReply(bytes)) => {
                    to.write_all(message.first(*bytes)).await.ok();
                    return;
                }
                Some(Fault::Drip(pause)) => {
                    let (head, rest) = message.bytes().split_at(message.bytes().len() / 2);
                    for piece in head.chunks(head.len().div_ceil(PIECES).max(1)) {
                        tokio::time::sleep(*pause).await;
                        if to.write_all(piece).await.is_err() {
                            return;
                        }
                    }
                    if to.write_all(rest).await.is_err() {
                        return;
                    }
                    self.count(&command, |connection| &mut connection.replies);
                    continue;
                }
                Some(Fault::Hold(gate)) => gate.acquire().await.expect("never closed").forget(),
                Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
                Some(Fault::RefuseAfter(code, name)) => {
                    let refusal =
                        rawdoc! { "ok": 0.0, "errmsg": "by script", "code": *code, "codeName": *name };
                    message = message.with_document(&refusal);
                }
                Some(Fault::Answer(reply)) => message = message.with_document(reply),
                _ => {}
            }
            if self.shared.down.exhausted(&mut to, &message).await
                || to.write_all(message.bytes()).await.is_err()
            {
                return;
            }
            self.count(&command, |connection| &mut connection.replies);
            if matches!(fault, Some(Fault::CutAfter)) {
                return;
            }
        }
    }

    fn count(
        &self,
        command: &RawDocumentBuf,
        counts: impl Fn(&mut Connection) -> &mut BTreeMap<String, usize>,
    ) {
        let name = name(command).to_owned();
        self.shared.state.send_modify(|state| {
            *counts(&mut state.connections[self.number]).entry(name).or_default() += 1;
        });
    }
}

/// A command's name is the name of its first field.
fn name(command: &RawDocumentBuf) -> &str {
    command.iter().next().and_then(Result::ok).map_or("", |(name, _): (_, RawBsonRef<'_>)| name.as_str())
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Document, doc};
    use tokio::sync::Semaphore;

    use super::super::mongod::{Mongod, Version, client};
    use super::*;

    #[tokio::test]
    async fn a_proxy_breaks_what_it_is_told_to_and_counts() {
        let server = Mongod::shared(Version::V6_0_5).await;
        let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await;
        let database = client(&proxy.uri()).await.database("proxy");
        let things = database.collection::<Document>("things");
        things.insert_many((0..30).map(|number| doc! { "_id": number })).await.unwrap();

        // The server has counted; the client asks once more.
        proxy.inject(Rule::once("distinct", Fault::CutReply).on("things"));
        let ids = things.distinct("_id", doc! {}).await.unwrap();
        assert_eq!((ids.len(), proxy.requests("distinct"), proxy.replies("distinct")), (30, 2, 1));
        assert!(proxy.connections().iter().any(|connection| !connection.open));

        // The third reply of a certain cursor waits; that of another does not.
        let gate = Arc::new(Semaphore::new(0));
        proxy.inject(
            Rule::once("getMore", Fault::Hold(Arc::clone(&gate)))
                .when(|request| request.opened_by.is_some_and(|find| find.get("sort").unwrap().is_some()))
                .after(1),
        );
        let count = |cursor: mongodb::Cursor<Document>| futures::StreamExt::count(cursor);
        let sorted = things.find(doc! {}).sort(doc! { "_id": 1 }).batch_size(10).await.unwrap();
        let held = tokio::spawn(count(sorted));
        proxy.arrived("getMore", 2).await;
        let plain = things.find(doc! {}).batch_size(10).await.unwrap();
        assert_eq!(count(plain).await, 30);
        assert!(!held.is_finished());
        gate.add_permits(1);
        assert_eq!(held.await.unwrap(), 30);

        proxy.inject(Rule::once("ping", Fault::Swallow));
        tokio::select! {
            _ = database.run_command(doc! { "ping": 1 }) => panic!("nobody answers"),
            () = proxy.arrived("ping", 1) => {}
        }

        proxy.inject(Rule::once("ping", Fault::RefuseAfter(91, "ShutdownInProgress")));
        let error = database.run_command(doc! { "ping": 1 }).await.unwrap_err();
        assert!(error.to_string().contains("by script"), "{error}");

        proxy.refuse(true);
        proxy.cut();
        assert!(database.run_command(doc! { "ping": 1 }).await.is_err());
        proxy.refuse(false);
        database.run_command(doc! { "ping": 1 }).await.unwrap();
        assert!(proxy.refused() > 0);
    }
}
