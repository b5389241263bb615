//! What the layer may do to a request.

use super::Operation;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An error instead of the operation: status and code.
    Refuse(u16, &'static str),
    /// The operation takes effect, the answer is an error all the same.
    RefuseAfter(u16, &'static str),
    /// An error inside a successful answer, as a completion gives it; nothing takes effect.
    RefuseInside200(&'static str),
    /// A success without a body; nothing takes effect.
    Pretend,
    /// The connection breaks before anything happens.
    Reset,
    /// The operation takes effect, then the connection breaks.
    ResetAfter,
    /// The answer's body breaks after this many bytes.
    Cut(usize),
    /// The answer's body ends cleanly after this many bytes, with a length and range to match.
    Shorten(usize),
    /// A bit of the body flips on its way to the store.
    CorruptRequest,
    /// A bit of the answer's body flips, at this byte or, where it is shorter, in its middle.
    CorruptAnswer(usize),
    /// The answer's body comes in pieces of this many bytes, with a pause before each.
    Drip(usize, Duration),
    /// The operation takes effect, the answer comes so much later.
    Delay(Duration),
    /// The operation takes effect whatever `If-Match` and `If-None-Match` say.
    Unconditional,
    /// The operation takes effect, the answer has this header instead of its own.
    Tell(&'static str, &'static str),
    /// The operation waits for a permit.
    Hold(Arc<Semaphore>),
    /// The operation takes effect, the answer waits for a permit.
    HoldAfter(Arc<Semaphore>),
    /// The request waits for a permit, then something else goes wrong.
    HoldThen(Arc<Semaphore>, Box<Fault>),
}

/// Which requests a fault befalls.
#[derive(Clone, Debug)]
pub struct Rule {
    pub operation: Operation,
    pub fault: Fault,
    /// A piece of the URI, such as `partNumber=2&`; empty fits every request.
    pub containing: &'static str,
    /// Fitting requests that pass before the first that breaks.
    pub skip: usize,
    /// Requests that break.
    pub times: usize,
}

impl Rule {
    /// Breaks every request of this kind.
    pub fn always(operation: Operation, fault: Fault) -> Self {
        Self { operation, fault, containing: "", skip: 0, times: usize::MAX }
    }

    /// Breaks the next request of this kind.
    pub fn once(operation: Operation, fault: Fault) -> Self {
        Self { times: 1, ..Self::always(operation, fault) }
    }

    /// The fault, if it befalls this request.
    pub fn strike(&mut self, operation: Operation, uri: &str) -> Option<Fault> {
        if self.operation != operation || !uri.contains(self.containing) || self.times == 0 {
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
