//! What the proxy may do to a request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{RawDocument, RawDocumentBuf};
use tokio::sync::Semaphore;

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection breaks before the server has the request.
    CutRequest,
    /// The server has done what was asked, but the connection breaks before the client hears of it.
    CutReply,
    /// The reply arrives, then the connection breaks.
    CutAfter,
    /// The connection breaks when so many bytes of the request have gone to the server.
    CutInRequest(usize),
    /// The connection breaks when so many bytes of the reply have gone to the client.
    CutInReply(usize),
    /// The reply comes in pieces, with a pause before each.
    Drip(Duration),
    /// The server never gets the request and the client never an answer; the connection stays.
    Swallow,
    /// The reply waits for a permit.
    Hold(Arc<Semaphore>),
    /// The reply comes so much later.
    Delay(Duration),
    /// The server has done what was asked, but the answer is an error: its code and the code's name.
    RefuseAfter(i32, &'static str),
    /// The server has done what was asked, and this is the answer.
    Answer(RawDocumentBuf),
}

/// A request, as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its document; those that are in a sequence of their own (of `insert`) are not in it.
    pub command: &'a RawDocument,
    /// The command that opened the cursor of a `getMore`.
    pub opened_by: Option<&'a RawDocument>,
}

impl Request<'_> {
    /// The collection that it is about; empty where that does not mean anything.
    pub fn collection(&self) -> &str {
        let first = self.command.iter().next().and_then(Result::ok).and_then(|(_, value)| value.as_str());
        first.or_else(|| self.command.get_str("collection").ok()).unwrap_or_default()
    }
}

type Condition = dyn Fn(&Request<'_>) -> bool + Send + Sync;

/// Which requests a fault befalls.
#[derive(Clone)]
pub struct Rule {
    command: &'static str,
    condition: Option<Arc<Condition>>,
    fault: Fault,
    skip: usize,
    times: usize,
}

impl Rule {
    /// Befalls every request with this command.
    pub fn always(command: &'static str, fault: Fault) -> Self {
        Self { command, condition: None, fault, skip: 0, times: usize::MAX }
    }

    /// Befalls the next request with this command.
    pub fn once(command: &'static str, fault: Fault) -> Self {
        Self { times: 1, ..Self::always(command, fault) }
    }

    /// So many fitting requests pass before the first that breaks.
    pub fn after(self, requests: usize) -> Self {
        Self { skip: requests, ..self }
    }

    /// Befalls so many requests.
    pub fn times(self, requests: usize) -> Self {
        Self { times: requests, ..self }
    }

    /// Befalls only requests about this collection.
    pub fn on(self, collection: &'static str) -> Self {
        self.when(move |request| request.collection() == collection)
    }

    /// Befalls only requests for which this holds.
    pub fn when(self, condition: impl Fn(&Request<'_>) -> bool + Send + Sync + 'static) -> Self {
        let before = self.condition.clone();
        let both = move |request: &Request<'_>| {
            before.as_ref().is_none_or(|before| before(request)) && condition(request)
        };
        Self { condition: Some(Arc::new(both)), ..self }
    }

    /// The fault, if it befalls this request.
    pub(super) fn strike(&mut self, request: &Request<'_>) -> Option<Fault> {
        let name = request.command.iter().next().and_then(Result::ok).map(|(name, _)| name);
        let fits = name.is_some_and(|name| name.as_str() == self.command)
            && self.condition.as_ref().is_none_or(|condition| condition(request));
        if !fits || self.times == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.fault.clone())
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Rule");
        fields.field("command", &self.command).field("fault", &self.fault);
        fields.field("skip", &self.skip).field("times", &self.times).finish_non_exhaustive()
    }
}
