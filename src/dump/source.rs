//! Where a dump reads: one member of the deployment, and the only maker of read commands.
//!
//! Everything a dump asks follows the client's read preference, which selects a member once; from then on all goes to that
//! member, for positions in a collection are a member's own, and members differ in how far they have replicated. It is held
//! to by the name it gives itself. Routers and load balancers choose for themselves, and a direct connection has no choice.

use std::sync::Arc;

use bson::oid::ObjectId;
use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use futures::StreamExt;
use mongodb::action::{Action, RunCursorCommand};
use mongodb::error::Result as DriverResult;
use mongodb::options::{SelectionCriteria, ServerAddress};
use mongodb::raw_batch_cursor::RawBatchCursor;

use super::moment::Moment;
use crate::progress::Monitor;
use crate::server_error::driver_error;
use crate::{Deployment, Error, ErrorKind, Result};

mod lag;

/// One member of the deployment, or what stands before all of them.
pub(super) struct Source {
    deployment: Deployment,
    criteria: Option<SelectionCriteria>,
    held: Option<Held>,
    is_router: bool,
    /// The newest write that was known in the set when the dump began.
    newest: Option<Timestamp>,
    /// When everything is read, if that is one moment.
    moment: Option<Moment>,
    /// Whether the oplog of the time of reading is captured, too.
    is_followed: bool,
}

/// What tells whether a member still is what it was when the dump began.
struct Held {
    name: String,
    process: ObjectId,
    /// Changes with the member's state, elections and the set's configuration.
    counter: i64,
    /// Changes when the member takes back what it has written; `None` where it is not told.
    rollbacks: Option<i32>,
    is_in_set: bool,
}

impl Source {
    /// Selects the member, and waits until it has everything that was written before now.
    ///
    /// # Errors
    /// No member answers that the read preference allows, or it lags behind by more than it makes up in a minute.
    pub(super) async fn connect(deployment: &Deployment, monitor: &Arc<dyn Monitor>) -> Result<Self> {
        let is_direct = deployment.uri().client_options().await?.direct_connection == Some(true);
        let criteria = deployment.client().selection_criteria().cloned();
        let mut source = Self {
            deployment: deployment.clone(),
            criteria,
            held: None,
            is_router: false,
            newest: None,
            moment: None,
            is_followed: false,
        };
        let hello = source.hello().await.map_err(|error| {
            driver_error("no member answers that the read preference allows to read from", &error)
        })?;
        let is_router = hello.get_str("msg").is_ok_and(|message| message == "isdbgrid");
        if is_router || hello.contains_key("serviceId") {
            source.is_router = true;
            return Ok(source);
        }
        let is_in_set = hello.contains_key("setName");
        if let (true, false, Ok(me)) = (is_in_set, is_direct, hello.get_str("me")) {
            source.criteria = member(me);
            source.newest = source.wait_for_newest(&hello, me, monitor).await?;
        }
        if let Some((process, counter)) = version(&hello) {
            let name = hello.get_str("me").unwrap_or(deployment.uri().hosts()).to_owned();
            let rollbacks = if is_in_set { source.rollbacks().await } else { None };
            source.held = Some(Held { name, process, counter, rollbacks, is_in_set });
        }
        Ok(source)
    }

    /// Runs a command, through elections and broken connections.
    pub(super) async fn command(&self, db: &str, command: Document) -> DriverResult<Document> {
        self.deployment.command(db, command, self.criteria.as_ref()).await
    }

    /// Every document of a command's cursor, as the server's bytes.
    pub(super) async fn documents(&self, db: &str, command: Document) -> DriverResult<Vec<RawDocumentBuf>> {
        self.deployment
            .repeated(|| async {
                let mut cursor = self.open(db, &command, None).await?;
                let mut documents = Vec::new();
                while let Some(batch) = cursor.next().await {
                    for document in batch?.doc_slices()? {
                        documents.extend(document?.as_document().map(ToOwned::to_owned));
                    }
                }
                Ok(documents)
            })
            .await
    }

    /// A cursor with its first reply; `batch_size` is for those that follow.
    pub(super) async fn cursor(
        &self,
        db: &str,
        command: &Document,
        batch_size: Option<u32>,
    ) -> DriverResult<RawBatchCursor> {
        self.deployment.repeated(|| self.open(db, command, batch_size)).await
    }

    /// Asks for a cursor. One that comes when it is no longer wanted is dropped as a cursor, so that the server closes it.
    async fn open(
        &self,
        db: &str,
        command: &Document,
        batch_size: Option<u32>,
    ) -> DriverResult<RawBatchCursor> {
        let (db, command) = (self.deployment.client().database(db), command.clone());
        let criteria = self.criteria.clone();
        let asked = async move {
            let action = db.run_cursor_command(command);
            let action = action.optional(criteria, RunCursorCommand::selection_criteria);
            action.optional(batch_size, RunCursorCommand::batch_size).batch().await
        };
        self.deployment.to_its_end(asked).await
    }

    /// How long one reply of a cursor may take.
    pub(super) fn answer_timeout(&self) -> std::time::Duration {
        self.deployment.answer_timeout()
    }

    /// Whether all commands reach one member, so that positions in a collection mean something.
    pub(super) fn is_one_member(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the member belongs to a replica set, and so may have transactions.
    pub(super) fn is_in_set(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.is_in_set)
    }

    /// Whether it chooses for itself which members it asks.
    pub(super) fn is_router(&self) -> bool {
        self.is_router
    }

    /// The newest write that was known in the set when the dump began, where there is a set.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// The member's newest write by now, where it tells.
    pub(super) async fn operation_time(&self) -> Result<Option<Timestamp>> {
        let hello = self.hello().await;
        let hello =
            hello.map_err(|error| driver_error("the member to dump from no longer answers", &error))?;
        Ok(hello.get_timestamp("operationTime").ok())
    }

    /// From now on everything is read at this moment.
    pub(super) fn read_at(&mut self, moment: Moment) {
        self.moment = Some(moment);
    }

    /// When everything is read, if that is one moment.
    pub(super) fn moment(&self) -> Option<&Moment> {
        self.moment.as_ref()
    }

    /// From now on, what becomes of collections while they are read is captured, and is no error.
    pub(super) fn follow(&mut self) {
        self.is_followed = true;
    }

    /// Whether the oplog says what becomes of collections while they are read.
    pub(super) fn is_followed(&self) -> bool {
        self.is_followed
    }

    /// # Errors
    /// The member has taken back what was read from it, as far as the account may know.
    pub(super) async fn has_not_rolled_back(&self) -> Result<()> {
        let Some(held) = self.held.as_ref().filter(|held| held.rollbacks.is_some()) else { return Ok(()) };
        if self.rollbacks().await == held.rollbacks {
            return Ok(());
        }
        let message =
            format!("{} has taken back what it had written, or was restarted; dump again", held.name);
        Err(Error::new(ErrorKind::Server, message))
    }

    /// Whether positions that were read before still mean the same: it is the same process, and it has not taken back
    /// what it had written. A primary that has become a secondary, or the reverse, is as good as before.
    ///
    /// # Errors
    /// It is not, or does not answer.
    pub(super) async fn has_not_changed(&self) -> Result<()> {
        let Some(held) = &self.held else {
            return Err(Error::new(
                ErrorKind::Server,
                "the cursor was lost, and the server does not tell whether it could go on from there; dump again",
            ));
        };
        let failed = |message: &str| {
            Err(Error::new(ErrorKind::Server, format!("{} {message}; dump again", held.name)))
        };
        let hello = self.hello().await.map_err(|error| {
            driver_error("the member that the dump reads from no longer answers; dump again", &error)
        })?;
        let Some((process, counter)) = version(&hello) else {
            return failed("no longer tells which process it is");
        };
        if process != held.process {
            return failed("was restarted while it was read from");
        }
        let is = |name| hello.get_bool(name).unwrap_or(false);
        if held.is_in_set && !is("isWritablePrimary") && !is("secondary") {
            return failed("is neither primary nor secondary any more");
        }
        let is_same = if held.rollbacks.is_some() {
            held.rollbacks == self.rollbacks().await
        } else {
            counter == held.counter
        };
        if is_same {
            return Ok(());
        }
        failed(
            "lost its cursor and may have rolled writes back, or the set has changed and this account may not ask \
             (find on local.system.rollback.id)",
        )
    }

    async fn hello(&self) -> DriverResult<Document> {
        self.command("admin", doc! { "hello": 1 }).await
    }

    /// How often the member has rolled back, as far as the account may know.
    async fn rollbacks(&self) -> Option<i32> {
        if let Ok(reply) = self.command("admin", doc! { "replSetGetRBID": 1 }).await {
            return reply.get_i32("rbid").ok();
        }
        let find = doc! { "find": "system.rollback.id", "limit": 1, "singleBatch": true };
        let found = self.documents("local", find).await.ok()?;
        found.first()?.get_i32("rollbackId").ok()
    }
}

/// The one member that calls itself so.
fn member(name: &str) -> Option<SelectionCriteria> {
    let address = ServerAddress::parse(name).ok()?;
    Some(SelectionCriteria::Predicate(Arc::new(move |server| *server.address() == address)))
}

fn version(hello: &Document) -> Option<(ObjectId, i64)> {
    let version = hello.get_document("topologyVersion").ok()?;
    Some((version.get_object_id("processId").ok()?, version.get("counter").and_then(Bson::as_i64)?))
}
