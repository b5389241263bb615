//! One large collection in several parts that are read at once.
//!
//! A part is a stretch of the collection's natural order between two record ids. A record keeps its id for as long as it
//! lives, and ids are whole numbers from a counter that only grows: every record belongs to exactly one part, whatever the
//! type or collation of its `_id`, and the server scans each part as it lies on disk. Ranges of `_id` cost the server more,
//! and read at random where `_id`s are random.
//!
//! # Nothing is missed
//!
//! A document that exists throughout the dump is in the archive. It is there throughout and yet not always in one place: one
//! transaction may delete it and insert it again, and then it has a new record id. (Updates never give a new one, however a
//! document grows; deleting and inserting without a transaction leaves a moment without the document.) In this order:
//!
//! 1. **K**, the record id of the last record that is visible, is looked up.
//! 2. An instant passes at which no transaction is open ([`Splitter::is_quiet`]).
//! 3. The parts are read at once, each by one forward scan: from the beginning to border 1, .., from the last border to K.
//! 4. When all of them have ended, what lies behind K is read by one more forward scan, to the end of the collection.
//!
//! Let D be at the record id r at the instant of 2. A transaction that moves D later began later, so the id it inserts D
//! under was given out later than K, and is greater; a second one must have seen the first one's insert before it could
//! delete it, so its id is greater still. D's ids grow, and all but r are behind K.
//!
//! - If r is up to K and D is still there when its part's scan comes by, the part brings it.
//! - Otherwise D is behind K when the last scan begins. That scan never gets ahead of D: it takes each stretch from one
//!   snapshot of the collection, in which D is somewhere, at a place that is the scan's position or before it only if it has
//!   been read; and the next snapshot shows D at the same place or further on. So the scan meets D before the collection's end.
//!
//! Without 2 there is a hole: a transaction that was open at 1 may hold an id up to K for a D that its part passes before
//! the transaction commits, while the part of D's old place comes by afterwards. Without 4, or with the last part read to the
//! collection's end while others still go on, what moves behind that end is missed.
//!
//! The same holds, from 4.4 to 6.0, on
//! - primaries: the count of open transactions goes up before a transaction's first write and down after its commit. The one
//!   other atomic delete-and-insert, `applyOps`, locks out all readers while it runs.
//! - secondaries: they read as of the last batch that was applied as a whole, apply one batch after the other, and give ids
//!   out as they apply. Only a prepared transaction is applied long before it is visible, and it counts as open.
//! - members that step up or down meanwhile: what they show only ever advances. A rollback or a restart ends all cursors,
//!   and scans do not go on then ([`Source::has_not_changed`]).
//! - standalone servers, which have no transactions.
//!
//! # At one moment
//!
//! Read at one cluster time, all parts see the same records: each is in exactly one of them, whatever is moved meanwhile.
//! There is no K and no quiet instant then, and the last part goes to the end of the collection.
//!
//! # Where a part ends
//!
//! Replies are plain, for record ids cost the server as much as the scan itself. Each brings the scan's position. A reply that
//! brings it beyond the part's end is thrown away, and its stretch is read again with record ids shown, of which those up to
//! the end count. What was deleted in between belongs to no part; what was moved in between is behind K. (At one moment, neither is.)
//!
//! # Where it is not done
//!
//! Record ids are a member's own, so a router's collections are read in one part, and so are clustered ones, time series, and
//! capped ones, whose order is to be kept. A single forward scan needs no argument but the last one above.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Bson, Document, doc};
use tokio::time::{Instant, sleep};

use super::reply::{Reply, record_id};
use super::scan::{Scan, Target};
use super::source::Source;
use crate::progress::Monitor;
use crate::server_error::is_unauthorized;
use crate::{Error, ErrorKind, Result};

/// Records tried for the beginning of a part: record ids are dense but for deleted documents.
const ATTEMPTS: i64 = 16;

/// How long to wait for an instant without transactions. Most are short; where there always is one, waiting does not help.
const QUIET_PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at the number of open transactions: that of many that are short is often nought.
const QUIET_PAUSE: Duration = Duration::from_millis(5);

/// Decides on parts, and says once why there are none.
pub(super) struct Splitter {
    source: Arc<Source>,
    monitor: Arc<dyn Monitor>,
    has_told: AtomicBool,
}

/// A stretch of a collection being read.
pub(super) struct Part {
    scan: Scan,
    /// Record id up to which it goes, if not to the end of the collection.
    until: Option<i64>,
    has_ended: bool,
}

impl Splitter {
    pub(super) fn new(source: &Arc<Source>, monitor: &Arc<dyn Monitor>) -> Self {
        Self { source: Arc::clone(source), monitor: Arc::clone(monitor), has_told: AtomicBool::new(false) }
    }

    /// At most `count` parts of about as many records each, in their order. Where the last [has a border](Part::has_border),
    /// what was inserted since lies [behind it](Part::behind). `None` where the collection has to be read in one.
    pub(super) async fn parts(&self, target: &Arc<Target>, count: usize) -> Option<Vec<Part>> {
        if !(target.may_be_split && self.source.is_one_member()) {
            return None;
        }
        let first = self.edge(target, 1).await?;
        let last = self.edge(target, -1).await?;
        let is_of_one_moment = target.moment(&self.source).is_some();
        if !is_of_one_moment && !self.is_quiet(target).await {
            return None;
        }
        let count = i64::try_from(count).ok()?;
        let width = last.checked_sub(first)?.checked_div(count)?;
        let mut borders = Vec::new();
        for number in 1..count {
            let wanted = first + width * number;
            for border in wanted..wanted + width.min(ATTEMPTS) {
                if self.is_there(target, border).await {
                    borders.push(border);
                    break;
                }
            }
        }
        if borders.is_empty() {
            return None;
        }
        let part = |(number, until)| Part {
            scan: Scan::new(&self.source, target, borders.iter().take(number).copied()),
            until,
            has_ended: false,
        };
        let end = if is_of_one_moment { None } else { Some(last) };
        Some(borders.iter().copied().map(Some).chain([end]).enumerate().map(part).collect())
    }

    /// The record id of the first document in natural order (`direction` 1) or of the last (-1).
    async fn edge(&self, target: &Target, direction: i32) -> Option<i64> {
        let mut command = doc! {
            "find": target.data.collection(),
            "filter": {},
            "hint": { "$natural": direction },
            "projection": { "_id": 1 },
            "showRecordId": true,
            "limit": 1,
            "singleBatch": true,
        };
        self.at_moment(target, &mut command);
        let found = self.source.documents(target.data.db(), command).await.ok()?;
        record_id(found.first()?.as_bytes())
    }

    /// Whether there is a record with this id, behind which a scan can begin.
    async fn is_there(&self, target: &Target, id: i64) -> bool {
        let mut command = doc! {
            "find": target.data.collection(),
            "filter": {},
            "hint": { "$natural": 1 },
            "projection": { "_id": 1 },
            // The server looks for the record when it looks for the first document behind it, not before.
            "limit": 1,
            "singleBatch": true,
            "$_requestResumeToken": true,
            "$_resumeAfter": { "$recordId": id },
        };
        self.at_moment(target, &mut command);
        self.source.documents(target.data.db(), command).await.is_ok()
    }

    /// Borders only have to be good: the cursors between them prove their time.
    fn at_moment(&self, target: &Target, command: &mut Document) {
        if let Some(moment) = target.moment(&self.source) {
            command.insert("readConcern", moment.read_concern());
        }
    }

    /// Waits for an instant at which the member has no open transaction.
    async fn is_quiet(&self, target: &Target) -> bool {
        if !self.source.is_in_set() {
            return true;
        }
        let began = Instant::now();
        while began.elapsed() < QUIET_PATIENCE {
            // Only the section on transactions is wanted; these are the costly ones.
            let command = doc! {
                "serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0, "wiredTiger": 0, "tcmalloc": 0, "mirroredReads": 0,
            };
            match self.source.command("admin", command).await {
                Ok(status) => match open_transactions(&status) {
                    Some(0) => return true,
                    Some(_) => sleep(QUIET_PAUSE).await,
                    None => {
                        self.tell("the server does not tell how many transactions are open");
                        return false;
                    }
                },
                Err(error) if is_unauthorized(&error) => {
                    self.tell(
                        "this account may not ask whether transactions are open (serverStatus, which the role \
                         clusterMonitor grants)",
                    );
                    return false;
                }
                Err(_) => return false,
            }
        }
        self.monitor.note(&format!(
            "{} is read in one part, which takes longer: transactions were open all the time",
            target.namespace
        ));
        false
    }

    fn tell(&self, reason: &str) {
        if !self.has_told.swap(true, Ordering::Relaxed) {
            self.monitor
                .note(&format!("large collections are read in one part each, which takes longer: {reason}"));
        }
    }
}

/// Transactions whose writes may become visible later.
fn open_transactions(status: &Document) -> Option<i64> {
    let transactions = status.get_document("transactions").ok()?;
    let number = |name| {
        transactions.get(name).and_then(|value: &Bson| value.as_i64().or(value.as_i32().map(i64::from)))
    };
    Some(number("currentOpen")?.max(number("currentPrepared").unwrap_or(0)))
}

impl Part {
    /// The whole collection.
    pub(super) fn whole(source: &Arc<Source>, target: &Arc<Target>) -> Self {
        Self { scan: Scan::new(source, target, []), until: None, has_ended: false }
    }

    /// What lies behind the last of the parts, once all of them have ended.
    pub(super) fn behind(self, source: &Arc<Source>, target: &Arc<Target>) -> Self {
        let until = self.until;
        let met: Vec<i64> =
            self.scan.met().filter(|met| until.is_none_or(|until| *met < until)).chain(until).collect();
        Self { scan: Scan::new(source, target, met), until: None, has_ended: false }
    }

    /// Whether it ends with a record, and not with the collection.
    pub(super) fn has_border(&self) -> bool {
        self.until.is_some()
    }

    /// The next documents, `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Reply>> {
        while !self.has_ended {
            let before = self.scan.position();
            let Some(reply) = self.scan.next().await? else {
                self.has_ended = true;
                break;
            };
            let Some(until) = self.until else { return Ok(Some(reply)) };
            match reply.position() {
                Some(position) if position > until && !reply.is_cut() => {
                    drop(reply);
                    self.scan.go_back(before, until);
                    continue;
                }
                Some(position) => self.has_ended = position >= until,
                None if reply.is_empty()? => {}
                None => {
                    return Err(Error::new(
                        ErrorKind::Server,
                        "the server's reply holds no position of the scan",
                    ));
                }
            }
            return Ok(Some(reply));
        }
        Ok(None)
    }
}
