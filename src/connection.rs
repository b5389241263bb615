//! Connections to a deployment, and commands that outlast an election.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::{Document, doc};
use mongodb::Client;
use mongodb::action::{Action, RunCommand};
use mongodb::error::{Error as DriverError, ErrorKind as DriverKind, Result as DriverResult};
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria, Tls};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use self::cause::cause;
use self::heartbeats::{Asked, Heartbeats};
use self::tunnel::Tunnel;
use crate::server_error::{answer, driver_error, is_transient, is_unauthorized};
use crate::{Error, ErrorKind, MongoUri, Result};

mod cause;
mod heartbeats;
mod tls;
mod tunnel;

/// How long to look for a server that answers before giving up, unless the connection string says otherwise
/// (`serverSelectionTimeoutMS`). The driver's own 30 s are too long for a hook that must answer; once a server has answered
/// they hold, and are longer than any election.
pub const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the driver's monitor waits for an answer before it gives the server up, and all work with it, unless the
/// connection string says otherwise. The driver's own 10 seconds are too short for a server that creates or drops thousands
/// of collections on a busy disk. A host that does not answer at first is noticed by [`FIRST_ANSWER_TIMEOUT`].
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the answer to one command may take before it is sent again, unless the connection string says otherwise
/// (`socketTimeoutMS`). Work that rightly takes longer (index builds, drops) has no such limit: there the driver's monitor
/// ends it when the server no longer answers at all.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// How often an answer that did not come in time is asked for again.
const TIMEOUTS_REPEATED: u32 = 1;

/// How long a command is repeated while servers refuse it for an election or connections break: several times what the
/// death of a primary takes (about 12 s). The driver's own 30 s of looking for a server come on top of each attempt.
const ELECTION_PATIENCE: Duration = Duration::from_mins(1);

/// Pause before a command is repeated; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long the driver may take to tell why it has given up on all servers; it tells at once.
const TELL_TIMEOUT: Duration = Duration::from_millis(100);

/// How long answers that are on their way may take when nobody waits for them any more: what they bring (a cursor) is given
/// back before the connections close. A server that answers later than this gives its cursors up itself.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the connections may take to close.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A deployment that has answered: what [`dump`](crate::dump::dump) reads and [`restore`](crate::restore::restore) writes.
#[derive(Clone)]
pub struct Deployment {
    uri: MongoUri,
    client: Client,
    answer_timeout: Duration,
    /// Answers that are awaited, whether anybody still wants them or not.
    answers: TaskTracker,
    /// Ends with the last clone.
    _tunnel: Option<Arc<Tunnel>>,
}

impl Deployment {
    /// Connects, and waits until a server has answered. One host without a replica-set name is connected to directly, as
    /// mongodump does. No primary is needed yet: an election under way is waited for when one is.
    ///
    /// # Errors
    /// [`ErrorKind::Connection`] when no server answers within [`FIRST_ANSWER_TIMEOUT`], none that answers can be used (too
    /// old, another replica set), or TLS does not come about; the message says why of each server.
    /// [`ErrorKind::Authentication`] when the server refuses the credentials; [`ErrorKind::InvalidInput`] when a file that the
    /// connection string names cannot be used.
    ///
    /// # Cancellation
    /// Dropping the future gives the attempt up; nothing is left behind.
    pub async fn connect(uri: &MongoUri) -> Result<Self> {
        let mut options = uri.client_options().await?;
        // The driver bounds the search by the connection string; what is found may take its time to answer.
        let first_answer = options.server_selection_timeout.unwrap_or_default().max(FIRST_ANSWER_TIMEOUT);
        let answer_timeout = uri.socket_timeout().unwrap_or(ANSWER_TIMEOUT);
        options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
        options.app_name.get_or_insert_with(|| "mongoark".to_owned());
        let heartbeats = Heartbeats::default();
        options.sdam_event_handler = Some(heartbeats.handler());
        let tunnel = tunnel(&mut options, &heartbeats).await?;
        let asked = Asked::of(&options);
        let client = Client::with_options(options).map_err(|error| uri.unusable(&error))?;
        let deployment = Self {
            uri: uri.clone(),
            client,
            answer_timeout,
            answers: TaskTracker::new(),
            _tunnel: tunnel.map(Arc::new),
        };
        match deployment.first_ping(first_answer).await {
            Ok(()) => Ok(deployment),
            Err(error) => {
                if matches!(error.kind.as_ref(), DriverKind::ServerSelection { .. }) {
                    timeout(TELL_TIMEOUT, heartbeats.until_too_old()).await.ok();
                }
                Err(deployment.unreachable(&error, &heartbeats, &asked))
            }
        }
    }

    /// Waits until any member has answered, through elections and restarts.
    async fn first_ping(&self, limit: Duration) -> DriverResult<()> {
        let any = SelectionCriteria::ReadPreference(ReadPreference::Nearest { options: None });
        let admin = self.client.database("admin");
        let last = Mutex::new(None);
        let ping = repeated(None, || async {
            let answer = admin.run_command(doc! { "ping": 1 }).selection_criteria(any.clone()).await;
            *last.lock().unwrap_or_else(PoisonError::into_inner) = answer.as_ref().err().cloned();
            answer.map(drop)
        });
        if let Ok(answered) = timeout(limit, ping).await {
            return answered;
        }
        let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
        Err(last.unwrap_or_else(|| std::io::ErrorKind::TimedOut.into()))
    }

    /// The connection string that it was reached with.
    pub fn uri(&self) -> &MongoUri {
        &self.uri
    }

    /// Closes the connections and, before that, the cursors of work that was given up, those that the server was only just
    /// asked for included. False when that took too long.
    ///
    /// # Cancellation
    /// The connections close when the last clone is dropped, in their own time.
    pub async fn close(self) -> bool {
        self.answers.close();
        let answered = timeout(LAST_ANSWERS_TIMEOUT, self.answers.wait()).await.is_ok();
        // What the answers brought has registered with the client, which waits for its end.
        let closed = Box::pin(async { self.client.shutdown().await });
        timeout(DISCONNECT_TIMEOUT, closed).await.is_ok() && answered
    }

    /// The same deployment by new connections, logged in anew.
    pub(crate) async fn reconnect(&self) -> Result<Self> {
        Self::connect(&self.uri).await
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// How long one answer may take; see [`ANSWER_TIMEOUT`].
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// Runs a command that does no harm when it is sent twice, on the primary or as `criteria` say, through elections and
    /// broken connections.
    pub(crate) async fn command(
        &self,
        db: &str,
        command: Document,
        criteria: Option<&SelectionCriteria>,
    ) -> DriverResult<Document> {
        let db = self.client.database(db);
        self.repeated(|| {
            let run = db.run_command(command.clone());
            async { run.optional(criteria.cloned(), RunCommand::selection_criteria).await }
        })
        .await
    }

    /// Makes an attempt again for as long as it fails for reasons that pass: an election, a broken connection, an answer
    /// that does not come (see [`ANSWER_TIMEOUT`]). What is attempted must do no harm when it takes effect twice.
    pub(crate) async fn repeated<T, F>(&self, attempt: impl FnMut() -> F) -> DriverResult<T>
    where
        F: Future<Output = DriverResult<T>>,
    {
        repeated(Some(self.answer_timeout), attempt).await
    }

    /// As [`repeated`](Self::repeated), for work that may rightly take hours.
    pub(crate) async fn repeated_patiently<T, F>(&self, attempt: impl FnMut() -> F) -> DriverResult<T>
    where
        F: Future<Output = DriverResult<T>>,
    {
        repeated(None, attempt).await
    }

    /// Waits for what the server makes for whoever asks, a cursor, to the answer's end even when nobody wants it any more:
    /// the driver hangs up on a question whose future is dropped, the server then keeps what it has made, and only who has
    /// heard its number can have it removed. [`close`](Self::close) waits for such answers.
    pub(crate) async fn to_its_end<T>(
        &self,
        asked: impl Future<Output = DriverResult<T>> + Send + 'static,
    ) -> DriverResult<T>
    where
        T: Send + 'static,
    {
        let answer = self.answers.spawn(asked).await;
        answer.unwrap_or_else(|error| Err(DriverError::custom(error.to_string())))
    }

    /// The server's version as it tells it.
    pub(crate) async fn server_version(&self, criteria: Option<&SelectionCriteria>) -> Result<String> {
        let info = self
            .command("admin", doc! { "buildInfo": 1 }, criteria)
            .await
            .map_err(|error| driver_error("the server does not tell its version", &error))?;
        Ok(info.get_str("version").unwrap_or_default().to_owned())
    }

    fn unreachable(&self, error: &DriverError, heartbeats: &Heartbeats, asked: &Asked) -> Error {
        let (kind, message, source) = if is_unauthorized(error) {
            let message =
                "the server refused the credentials; check the user name, the password and authSource";
            (ErrorKind::Authentication, message, answer(error))
        } else if let Some(version) = heartbeats.too_old() {
            (ErrorKind::Connection, "its version is not supported", version)
        } else {
            let reasons = heartbeats.reasons(asked).unwrap_or_else(|| cause(error));
            (ErrorKind::Connection, "no usable server answered", reasons)
        };
        Error::new(kind, message).at(format_args!("mongodb at {}", self.uri)).with_source(source)
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deployment").field(&self.uri).finish()
    }
}

/// TLS that the driver cannot do is done for it.
async fn tunnel(options: &mut ClientOptions, heartbeats: &Heartbeats) -> Result<Option<Tunnel>> {
    let patience = options.connect_timeout.filter(|limit| !limit.is_zero()).unwrap_or(CONNECT_TIMEOUT);
    let Some(Tls::Enabled(tls)) = &mut options.tls else { return Ok(None) };
    tls::check(tls)?;
    let Some(config) = tls::for_trusted_servers(tls)? else { return Ok(None) };
    if options.socks5_proxy.is_some() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "proxyHost does not go together with a server's own certificate as tlsCAFile",
        ));
    }
    let tunnel = Tunnel::start(config, patience, heartbeats).await?;
    options.socks5_proxy = Some(tunnel.proxy());
    options.tls = Some(Tls::Disabled);
    Ok(Some(tunnel))
}

async fn repeated<T, F>(limit: Option<Duration>, mut attempt: impl FnMut() -> F) -> DriverResult<T>
where
    F: Future<Output = DriverResult<T>>,
{
    let mut pause = FIRST_PAUSE;
    let mut timeouts = 0;
    let mut failing_since = None;
    loop {
        let result = match limit {
            Some(limit) => match timeout(limit, attempt()).await {
                Ok(result) => result,
                Err(_) if timeouts < TIMEOUTS_REPEATED => {
                    timeouts += 1;
                    continue;
                }
                Err(_) => return Err(std::io::ErrorKind::TimedOut.into()),
            },
            None => attempt().await,
        };
        match result {
            Err(error) if is_transient(&error) => {
                // From the first failure on: what failed may have gone well for hours before.
                let since = *failing_since.get_or_insert_with(Instant::now);
                if since.elapsed() + pause > ELECTION_PATIENCE {
                    return Err(error);
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            settled => return settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn broken() -> DriverError {
        std::io::ErrorKind::ConnectionReset.into()
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for_and_what_does_not_is_told() {
        let attempts = Cell::new(0);
        let result = repeated(Some(ANSWER_TIMEOUT), || async {
            attempts.set(attempts.get() + 1);
            if attempts.get() < 20 { Err(broken()) } else { Ok(attempts.get()) }
        });
        assert_eq!(result.await.unwrap(), 20);

        let began = Instant::now();
        let result = repeated(Some(ANSWER_TIMEOUT), || async { Err::<(), _>(broken()) }).await;
        assert!(matches!(result.unwrap_err().kind.as_ref(), mongodb::error::ErrorKind::Io(_)));
        let waited = began.elapsed();
        assert!(waited <= ELECTION_PATIENCE && waited > ELECTION_PATIENCE / 2, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn work_of_hours_is_repeated_like_that_of_seconds() {
        let attempts = Cell::new(0);
        let result = repeated(None, || async {
            attempts.set(attempts.get() + 1);
            if attempts.get() == 1 {
                sleep(Duration::from_hours(2)).await;
                return Err(broken());
            }
            Ok(())
        });
        result.await.unwrap();
        assert_eq!(attempts.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_ends_in_the_documented_time() {
        let began = Instant::now();
        let result = repeated(Some(ANSWER_TIMEOUT), std::future::pending::<DriverResult<()>>).await;
        assert!(result.is_err());
        assert_eq!(began.elapsed(), ANSWER_TIMEOUT * (TIMEOUTS_REPEATED + 1));
    }
}
