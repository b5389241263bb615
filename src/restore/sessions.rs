//! Sessions for writes: a write that carries one, and a number, is made once however often it is sent.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bson::{Document, RawDocumentBuf};
use mongodb::error::Result as DriverResult;
use mongodb::options::SessionOptions;
use mongodb::{Client, ClientSession, Database};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, Result};

/// The number of the next write. It grows over all sessions of the process: the driver hands sessions out again, and a
/// server refuses a number below one that it has seen in the session.
static NEXT_NUMBER: AtomicI64 = AtomicI64::new(1);

/// The sessions of one restore: as many as writes may be in flight.
#[derive(Debug)]
pub(super) struct Sessions {
    client: Client,
    /// Whether the deployment makes a write once that is sent again.
    retries: bool,
    idle: Mutex<Vec<ClientSession>>,
    permits: Arc<Semaphore>,
}

/// The right to have one write in flight, and its session. It goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Session {
    /// `None` where writes are not sent again. An attempt that was given up has let go of it, so nobody ever waits.
    inner: Option<tokio::sync::Mutex<ClientSession>>,
    sessions: Arc<Sessions>,
    _permit: OwnedSemaphorePermit,
}

impl Sessions {
    pub(super) fn new(client: &Client, retries: bool, writes_in_flight: usize) -> Self {
        Self {
            client: client.clone(),
            retries,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(writes_in_flight)),
        }
    }

    /// Waits until another write may begin.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Session> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Error::hung_up())?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session =
            match idle {
                None if self.retries => {
                    let options = SessionOptions::builder().causal_consistency(false).build();
                    let started = self.client.start_session().with_options(options).await;
                    Some(started.map_err(|error| {
                        crate::server_error::driver_error("cannot begin a session", &error)
                    })?)
                }
                idle => idle,
            };
        let session = session.map(tokio::sync::Mutex::new);
        Ok(Session { inner: session, sessions: Arc::clone(self), _permit: permit })
    }
}

impl Session {
    /// A number for one write, the same every time it is sent. `None` where sending it again would make it twice.
    pub(super) fn number(&self) -> Option<i64> {
        self.inner.as_ref().map(|_| NEXT_NUMBER.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a command once.
    pub(super) async fn run(&self, db: &Database, command: RawDocumentBuf) -> DriverResult<Document> {
        let command = db.run_raw_command(command);
        match &self.inner {
            Some(session) => command.session(&mut *session.lock().await).await,
            None => command.await,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(session) = self.inner.take() {
            let mut idle = self.sessions.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(session.into_inner());
        }
    }
}
