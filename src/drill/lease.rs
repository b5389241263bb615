//! One drill at a time on a deployment, and the names of what a drill that died has left there.
//!
//! A document says who drills and into which databases, and its beats are counted while that one lives. Who finds it with
//! beats that stand still takes it over, together with the names. No clock is compared: each side counts in its own time.

use std::time::Duration;

use bson::{Bson, Document, doc};
use mongodb::error::Result as DriverResult;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::own_names::DRILL_LEASE;
use crate::server_error::{DUPLICATE_KEY, NAMESPACE_NOT_FOUND, code, driver_error};
use crate::{Deployment, Error, ErrorKind, Result};

/// The database of the lease. No scratch database may have this name.
pub(super) const DATABASE: &str = DRILL_LEASE.0;

const COLLECTION: &str = DRILL_LEASE.1;
const ID: &str = "drill";

/// Between two beats.
const BEAT: Duration = Duration::from_secs(1);

/// Beats that have to be missing one after the other before a drill is taken for dead: an election takes about twelve seconds,
/// and whoever counts cannot read during one either.
const BEATS_MISSED: u32 = 15;

/// A reading that took so long may have waited for an election: what was counted before is no sign of death.
const SLOW: Duration = Duration::from_secs(2);

/// Attempts to take the lease while others come and go.
const ATTEMPTS: usize = 50;

/// Pause after an attempt that met another drill's end.
const PAUSE: Duration = Duration::from_millis(200);

/// The answer while a database is being dropped.
const DROP_PENDING: i32 = 215;

/// The right to drill on this deployment.
#[derive(Debug)]
pub(super) struct Lease {
    deployment: Deployment,
    /// Who holds it.
    pub(super) holder: String,
    /// Drills that died, and the databases that they may have left.
    pub(super) dead: Vec<String>,
    pub(super) left: Vec<String>,
    beating: Option<AbortOnDropHandle<()>>,
}

impl Lease {
    /// Takes the lease for a drill into these databases; `lost` fires when another takes it over.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] while another drill is at work.
    ///
    /// # Cancellation
    /// When `cancel` fires, waiting ends. A dropped future may leave a lease that the next drill takes over.
    pub(super) async fn take(
        deployment: &Deployment,
        databases: &[String],
        lost: &CancellationToken,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let mut lease = Self {
            deployment: deployment.clone(),
            holder: bson::oid::ObjectId::new().to_hex(),
            dead: Vec::new(),
            left: Vec::new(),
            beating: None,
        };
        let fresh = doc! { "holder": &lease.holder, "beats": 0_i64, "databases": databases, "dead": [] };
        for _ in 0..ATTEMPTS {
            if cancel.is_cancelled() {
                return Err(Error::cancelled());
            }
            let taken = doc! {
                "findAndModify": COLLECTION, "query": { "_id": ID }, "update": { "$setOnInsert": fresh.clone() },
                "upsert": true, "new": true,
            };
            let found = match lease.modify(taken).await {
                Ok(found) => found,
                Err(error) if matches!(code(&error), Some(DUPLICATE_KEY | DROP_PENDING)) => {
                    sleep(PAUSE).await;
                    continue;
                }
                Err(error) => {
                    return Err(driver_error("cannot take the lease of the drill", &error).at(DATABASE));
                }
            };
            let Some(found) = found else { continue };
            if is_of(&found, &lease.holder) {
                return Ok(lease.beat(lost));
            }
            if !lease.is_dead(&found, cancel).await? {
                continue;
            }
            let (dead, left) = heirloom(&found);
            let mut kept = left.clone();
            kept.extend(databases.iter().filter(|database| !left.contains(database)).cloned());
            let heir = doc! { "holder": &lease.holder, "beats": 0_i64, "databases": kept, "dead": &dead };
            let inherited = doc! {
                "findAndModify": COLLECTION,
                "query": { "_id": ID, "$or": [
                    { "holder": field(&found, "holder"), "beats": field(&found, "beats") },
                    { "holder": &lease.holder },
                ] },
                "update": { "$set": heir },
            };
            let inherited = lease.modify(inherited).await;
            if inherited
                .map_err(|error| driver_error("cannot take over the lease of a drill", &error).at(DATABASE))?
                .is_some()
            {
                (lease.dead, lease.left) = (dead, left);
                return Ok(lease.beat(lost));
            }
        }
        Err(busy())
    }

    /// Whether the one that holds this lease no longer counts. Another drill that lives is an error.
    async fn is_dead(&self, found: &Document, cancel: &CancellationToken) -> Result<bool> {
        let mut missed = 0;
        while missed < BEATS_MISSED {
            cancel.run_until_cancelled(sleep(BEAT)).await.ok_or_else(Error::cancelled)?;
            let asked = Instant::now();
            let now = self.read().await?;
            match now {
                None => return Ok(false),
                Some(now) if field(&now, "holder") != field(found, "holder") => return Ok(false),
                Some(now) if field(&now, "beats") != field(found, "beats") => return Err(busy()),
                Some(_) if asked.elapsed() > SLOW => missed = 0,
                Some(_) => missed += 1,
            }
        }
        Ok(true)
    }

    /// Counts while this lives.
    fn beat(mut self, lost: &CancellationToken) -> Self {
        let (deployment, lost) = (self.deployment.clone(), lost.clone());
        let update = doc! { "q": { "_id": ID, "holder": &self.holder }, "u": { "$inc": { "beats": 1_i64 } } };
        let beats = async move {
            let mut tick = interval(BEAT);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let command = doc! { "update": COLLECTION, "updates": [update.clone()] };
                // One that fails is no sign that the lease is lost; the next will tell.
                if let Ok(reply) = deployment.command(DATABASE, command, None).await
                    && matches!(reply.get_i32("n"), Ok(0))
                {
                    lost.cancel();
                    return;
                }
            }
        };
        self.beating = Some(AbortOnDropHandle::new(tokio::spawn(beats)));
        self
    }

    /// Gives the lease back; nothing of it stays.
    ///
    /// # Errors
    /// Failures of the deployment: then the next drill waits until it can take the lease over.
    pub(super) async fn give_back(mut self) -> Result<()> {
        self.beating = None;
        let given = self.deployment.repeated_patiently(|| async {
            // Looked at before every attempt: after an answer that was lost, it may be another's.
            let found = self.find().await?;
            if found.is_some_and(|found| is_of(&found, &self.holder)) {
                self.deployment.client().database(DATABASE).run_command(doc! { "drop": COLLECTION }).await?;
            }
            Ok(())
        });
        match given.await {
            Err(error) if code(&error) != Some(NAMESPACE_NOT_FOUND) => {
                Err(driver_error("the lease of the drill cannot be given back: drop this database", &error)
                    .at(DATABASE))
            }
            _ => Ok(()),
        }
    }

    async fn read(&self) -> Result<Option<Document>> {
        let read = self.deployment.repeated(|| self.find()).await;
        read.map_err(|error| driver_error("cannot read the lease of the drill", &error).at(DATABASE))
    }

    async fn find(&self) -> DriverResult<Option<Document>> {
        let command = doc! { "find": COLLECTION, "filter": { "_id": ID }, "singleBatch": true };
        let reply = self.deployment.client().database(DATABASE).run_command(command).await?;
        let batch = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        Ok(batch.ok().and_then(|batch| batch.first()).and_then(Bson::as_document).cloned())
    }

    /// Runs `findAndModify`; what there was or is, as was asked for.
    async fn modify(&self, mut command: Document) -> DriverResult<Option<Document>> {
        command.insert("writeConcern", doc! { "w": "majority" });
        let reply = self.deployment.command(DATABASE, command, None).await?;
        Ok(reply.get_document("value").ok().cloned())
    }
}

/// The drills that died, and the databases that they may have left.
fn heirloom(found: &Document) -> (Vec<String>, Vec<String>) {
    let texts = |name: &str| -> Vec<String> {
        let values = found.get_array(name).map(Vec::as_slice).unwrap_or_default();
        values.iter().filter_map(Bson::as_str).map(ToOwned::to_owned).collect()
    };
    let mut dead = texts("dead");
    dead.extend(found.get_str("holder").ok().map(ToOwned::to_owned));
    (dead, texts("databases"))
}

fn is_of(lease: &Document, holder: &str) -> bool {
    lease.get_str("holder").is_ok_and(|found| found == holder)
}

fn field(document: &Document, name: &str) -> Bson {
    document.get(name).cloned().unwrap_or(Bson::Null)
}

fn busy() -> Error {
    let message = "another drill is at work on this deployment; wait until it has ended";
    Error::new(ErrorKind::AlreadyExists, message).at(DATABASE)
}
