//! What each server answered last to the driver's heartbeat: the useful cause when none can be used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bson::Document;
use mongodb::error::ErrorKind as DriverKind;
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;
use mongodb::options::ClientOptions;
use tokio::sync::Notify;

use super::cause::cause;

/// MongoDB 4.4, the oldest that the driver and this program speak to.
const OLDEST_WIRE_VERSION: i32 = 9;

/// The versions before it, by the wire version that they report.
const OLDER_VERSIONS: [(i32, &str); 6] =
    [(3, "3.0"), (4, "3.2"), (5, "3.4"), (6, "3.6"), (7, "4.0"), (8, "4.2")];

/// The last answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Heartbeats(Arc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// By host and port.
    last: Mutex<BTreeMap<String, Heartbeat>>,
    changed: Notify,
}

/// What the connection string asks for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    hosts: Vec<String>,
    set: Option<String>,
}

impl Asked {
    pub(super) fn of(options: &ClientOptions) -> Self {
        // The driver sends no heartbeats through a load balancer.
        let silent = options.load_balanced == Some(true);
        let hosts = options.hosts.iter().filter(|_| !silent).map(ToString::to_string);
        Self { hosts: hosts.collect(), set: options.repl_set_name.clone() }
    }
}

#[derive(Debug)]
enum Heartbeat {
    Failed(String),
    Answered(Answer),
}

/// The parts of a `hello` that decide whether a server can be used.
#[derive(Debug)]
struct Answer {
    wire_version: i32,
    set: Option<String>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// A primary, a secondary, a router, or a server without a set.
    Serves,
    /// Started with `--replSet`, and `replSetInitiate` has not been run.
    Uninitiated,
    /// Starting, recovering, or an arbiter.
    Other,
}

impl Heartbeats {
    /// What listens to the driver.
    pub(super) fn handler(&self) -> EventHandler<SdamEvent> {
        let heartbeats = self.clone();
        EventHandler::callback(move |event: SdamEvent| match event {
            // The tunnel has noted why it did not reach the server.
            SdamEvent::ServerHeartbeatFailed(failed)
                if matches!(failed.failure.kind.as_ref(), DriverKind::ProxyConnect { .. })
                    && heartbeats.knows(&failed.server_address.to_string()) => {}
            SdamEvent::ServerHeartbeatFailed(failed) => {
                heartbeats.note(failed.server_address.to_string(), Heartbeat::Failed(cause(&failed.failure)));
            }
            SdamEvent::ServerHeartbeatSucceeded(succeeded) => {
                let answer = Heartbeat::Answered(Answer::read(&succeeded.reply));
                heartbeats.note(succeeded.server_address.to_string(), answer);
            }
            _ => {}
        })
    }

    /// What a server failed with when the driver cannot see it.
    pub(super) fn failed(&self, address: String, cause: String) {
        self.note(address, Heartbeat::Failed(cause));
    }

    /// Waits until a server that is too old has been heard of: the driver acts first and tells later.
    pub(super) async fn until_too_old(&self) {
        while self.too_old().is_none() {
            self.0.changed.notified().await;
        }
    }

    fn last(&self) -> MutexGuard<'_, BTreeMap<String, Heartbeat>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, address: &str) -> bool {
        self.last().contains_key(address)
    }

    fn note(&self, address: String, heartbeat: Heartbeat) {
        self.last().insert(address, heartbeat);
        self.0.changed.notify_one();
    }

    /// A server whose version is too old, if one has answered.
    pub(super) fn too_old(&self) -> Option<String> {
        self.last().iter().find_map(|(address, heartbeat)| match heartbeat {
            Heartbeat::Answered(Answer { wire_version, .. }) if *wire_version < OLDEST_WIRE_VERSION => {
                let version = OLDER_VERSIONS.iter().find(|(wire, _)| wire == wire_version);
                let version = version.map_or("older than 3.0", |(_, version)| version);
                Some(format!(
                    "{address} is MongoDB {version} (wire version {wire_version}); supported are 4.4 and newer"
                ))
            }
            _ => None,
        })
    }

    /// Why none of the servers can be used, in one line.
    pub(super) fn reasons(&self, asked: &Asked) -> Option<String> {
        let last = self.last();
        let silent = asked.hosts.iter().filter(|host| !last.contains_key(*host));
        let silent = silent.map(|host| format!("{host}: no answer in time"));
        let set = asked.set.as_deref();
        let reasons =
            last.iter().filter_map(|(host, heartbeat)| Some(format!("{host}: {}", heartbeat.reason(set)?)));
        let reasons: Vec<_> = reasons.chain(silent).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

impl Heartbeat {
    fn reason(&self, asked: Option<&str>) -> Option<String> {
        let answer = match self {
            Self::Failed(cause) => return Some(cause.clone()),
            Self::Answered(answer) => answer,
        };
        match (answer.state, answer.set.as_deref(), asked) {
            (State::Uninitiated, ..) => {
                Some("it was started as a member of a replica set, and the set is not initiated".to_owned())
            }
            (_, Some(set), Some(asked)) if set != asked => {
                Some(format!("the set is called {set}; the connection string asks for {asked}"))
            }
            (State::Serves, None, Some(asked)) => {
                Some(format!("it is no member of a replica set; the connection string asks for {asked}"))
            }
            (State::Other, ..) => {
                Some("it is starting, recovering or an arbiter, and serves no reads".to_owned())
            }
            (State::Serves, ..) => None,
        }
    }
}

impl Answer {
    fn read(reply: &Document) -> Self {
        // The driver reports the whole reply, or what it has made of it.
        let hello = reply.get_document("response").unwrap_or(reply);
        let is = |name| hello.get_bool(name).unwrap_or(false);
        let set = hello.get_str("setName").ok().map(str::to_owned);
        let state = if is("isreplicaset") {
            State::Uninitiated
        } else if set.is_some() && !["isWritablePrimary", "ismaster", "secondary"].into_iter().any(is) {
            State::Other
        } else {
            State::Serves
        };
        Self { wire_version: hello.get_i32("maxWireVersion").unwrap_or_default(), set, state }
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn heard(reply: &Document) -> Heartbeats {
        let heartbeats = Heartbeats::default();
        heartbeats.note("h:27017".to_owned(), Heartbeat::Answered(Answer::read(reply)));
        heartbeats
    }

    #[test]
    fn an_old_version_is_named() {
        let old = heard(&doc! { "ok": 1.0, "ismaster": true, "maxWireVersion": 8 });
        assert_eq!(
            old.too_old().unwrap(),
            "h:27017 is MongoDB 4.2 (wire version 8); supported are 4.4 and newer"
        );
        assert!(heard(&doc! { "maxWireVersion": 9 }).too_old().is_none());
    }

    #[test]
    fn a_server_that_answers_and_cannot_be_used_says_why() {
        for (reply, asked, reason) in [
            (doc! { "setName": "rs0", "secondary": true }, Some("rs1"), "the set is called rs0"),
            (doc! { "isWritablePrimary": true }, Some("rs1"), "no member of a replica set"),
            (doc! { "isreplicaset": true }, Some("rs1"), "not initiated"),
            (doc! { "setName": "rs0" }, Some("rs0"), "serves no reads"),
        ] {
            let asked = Asked { set: asked.map(str::to_owned), ..Asked::default() };
            let reasons = heard(&reply).reasons(&asked).unwrap();
            assert!(reasons.starts_with("h:27017: ") && reasons.contains(reason), "{reasons}");
        }
        let asked = Asked { set: Some("rs0".to_owned()), ..Asked::default() };
        assert!(heard(&doc! { "setName": "rs0", "secondary": true }).reasons(&asked).is_none());
    }
}
