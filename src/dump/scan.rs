//! One forward scan of a collection in the order of its record ids, which outlasts its cursor.
//!
//! The server tells with every reply the record id at which the scan stands, at no cost (`$_requestResumeToken`), and goes on
//! behind a record if that is still there (`$_resumeAfter`). Where it has been deleted, the scan begins at an earlier one that
//! was met, or at the collection's beginning, has the documents' record ids shown (which doubles the server's work), and
//! leaves out those up to its position. So a scan goes on exactly behind its position, whatever is deleted meanwhile.
//!
//! That serves a cursor that is lost: after a broken connection, a getMore that is not answered, half an hour without one
//! because the sink is slow. It goes on only on the same process of the same member, and only in the same collection.
//! Clustered collections, time series, and what is read through a router have no positions that are known here: there a lost
//! cursor ends the dump.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use archive_format::Namespace;
use bson::doc;
use futures::StreamExt;
use mongodb::error::{Error as DriverError, ErrorKind as DriverKind};
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use tokio::time::timeout;

use super::identity::{self, Identity};
use super::moment::{Moment, is_unavailable};
use super::reply::{Reply, Stretch, read_error};
use super::source::Source;
use crate::server_error::{answer, code, is_transient, is_unauthorized};
use crate::{Error, ErrorKind, Result};

/// Positions kept of a scan: all of their records would have to be deleted before it has to begin anew.
const POSITIONS: usize = 16;

/// Cursors that may be lost one after the other without a reply in between. The longest silence is this many times the
/// timeout of a reply and of the commands that open a cursor.
const LOSSES: u32 = 2;

/// The answer when the record to go on after has been deleted.
const KEY_NOT_FOUND: i32 = 211;

/// Answers when a cursor has gone and its collection has not: not found, killed, fallen off a capped collection's end.
const CURSOR_LOST: [i32; 3] = [43, 237, 136];

/// A collection to scan, and how.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the collection")]
#[derive(Debug)]
pub(super) struct Target {
    /// The logical name.
    pub(super) namespace: Namespace,
    /// The namespace that the documents are read from.
    pub(super) data: Namespace,
    pub(super) identity: Identity,
    /// Documents of a reply, where it is not left to the server.
    pub(super) batch_size: Option<u32>,
    /// Whether the server is to hand out a time series' buckets as they are stored.
    pub(super) raw_data: bool,
    /// Whether record ids are numbers that grow.
    pub(super) has_positions: bool,
    /// Whether the server reads it only as it is, and never as it was at a moment: capped ones, and its own.
    pub(super) is_apart: bool,
    /// Whether it may be read in parts: the order of a capped collection is to be kept.
    pub(super) may_be_split: bool,
}

/// The scan.
pub(super) struct Scan {
    source: Arc<Source>,
    target: Arc<Target>,
    /// Where the scan stands: documents up to here have been handed out, or are none of its own.
    after: Option<i64>,
    /// Record ids up to `after` that were met; the newest last.
    met: VecDeque<i64>,
    /// Set to have the record ids shown, and to leave out documents behind the one given.
    until: Option<i64>,
    cursor: Option<Open>,
    has_begun: bool,
    losses: u32,
}

struct Open {
    cursor: RawBatchCursor,
    first: Option<Reply>,
    shows_record_ids: bool,
}

impl Scan {
    /// Scans the whole collection, or what lies behind the last record id of `met`.
    pub(super) fn new(
        source: &Arc<Source>,
        target: &Arc<Target>,
        met: impl IntoIterator<Item = i64>,
    ) -> Self {
        let met: VecDeque<i64> = met.into_iter().collect();
        Self {
            source: Arc::clone(source),
            target: Arc::clone(target),
            after: met.back().copied(),
            met,
            until: None,
            cursor: None,
            has_begun: false,
            losses: 0,
        }
    }

    /// Where the scan stands.
    pub(super) fn position(&self) -> Option<i64> {
        self.after
    }

    /// Record ids that were met, up to the scan's position.
    pub(super) fn met(self) -> impl Iterator<Item = i64> {
        self.met.into_iter()
    }

    /// Goes back to an earlier position and reads on from there, only up to the record id `until`.
    pub(super) fn go_back(&mut self, position: Option<i64>, until: i64) {
        self.cursor = None;
        self.after = position;
        self.met.retain(|met| position.is_some_and(|position| *met <= position));
        self.until = Some(until);
    }

    /// The next reply, `None` after the last.
    ///
    /// # Errors
    /// The collection has gone or is another; the cursor is lost and cannot go on; the server does not answer.
    pub(super) async fn next(&mut self) -> Result<Option<Reply>> {
        loop {
            let mut open = match self.cursor.take() {
                Some(open) => open,
                None => self.open().await?,
            };
            let answer = if let Some(first) = open.first.take() {
                Ok(Some(first))
            } else {
                let within = self.within(open.shows_record_ids);
                get_more(&mut open.cursor, self.source.answer_timeout(), within).await
            };
            match answer {
                Ok(reply) => {
                    if let Some(reply) = &reply {
                        self.advance(reply);
                    }
                    self.cursor = Some(open);
                    return Ok(reply);
                }
                Err(error) if self.can_go_on_after(&error) => {
                    self.losses += 1;
                    drop(open);
                    self.source.has_not_changed().await?;
                }
                // What was read of it, and that it went, are in the archive both.
                Err(error)
                    if self.source.is_followed() && self.target.has_gone(&self.source, &error).await =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(self.target.explained(&self.source, &error, false).await),
            }
        }
    }

    fn within(&self, shows_record_ids: bool) -> Option<Stretch> {
        shows_record_ids.then_some(Stretch { after: self.after, until: self.until })
    }

    fn advance(&mut self, reply: &Reply) {
        self.has_begun = true;
        self.losses = 0;
        let Some(position) = reply.position() else { return };
        self.after = self.after.max(Some(position));
        if self.met.back() < Some(&position) {
            if self.met.len() >= POSITIONS {
                self.met.pop_front();
            }
            self.met.push_back(position);
        }
    }

    fn can_go_on_after(&self, error: &DriverError) -> bool {
        let is_lost = is_transient(error) || code(error).is_some_and(|code| CURSOR_LOST.contains(&code));
        let knows_where = self.after.is_some() || !self.has_begun;
        is_lost && knows_where && self.target.has_positions && self.losses < LOSSES
    }

    /// The cursor that goes on behind the scan's position.
    async fn open(&mut self) -> Result<Open> {
        let is_first = self.after.is_none() && !self.has_begun;
        let mut beginnings: Vec<Option<i64>> =
            std::iter::once(None).chain(self.met.iter().copied().map(Some)).collect();
        while let Some(beginning) = beginnings.pop() {
            let shows_record_ids = beginning != self.after || self.until.is_some();
            match self.target.find(&self.source, beginning, shows_record_ids, is_first).await {
                Ok((cursor, first)) => {
                    let first = first.map(|batch| Reply::new(batch, self.within(shows_record_ids)));
                    if let Some(moment) = self.target.moment(&self.source) {
                        let told = first.as_ref().and_then(Reply::at_cluster_time);
                        // Of a collection that has gone the server answers nothing, and no time.
                        if told.is_none() {
                            self.target.compare(&self.source).await?;
                        }
                        moment.check(told)?;
                    }
                    // See the argument in `identity`.
                    if !is_first || first.as_ref().is_some_and(Reply::has_more) {
                        self.target.compare(&self.source).await?;
                    }
                    return Ok(Open { cursor, first, shows_record_ids });
                }
                Err(error) if code(&error) == Some(KEY_NOT_FOUND) => {
                    self.met.pop_back();
                }
                Err(error) => return Err(self.target.explained(&self.source, &error, true).await),
            }
        }
        // The last beginning is the collection's, which is always there.
        Err(Error::new(ErrorKind::Server, "the server finds no beginning of the collection"))
    }
}

impl Target {
    /// Opens a cursor behind the record `beginning`. Where nothing depends on it, in the plainest way that the server takes:
    /// what some compatible servers refuse is left out.
    async fn find(
        &self,
        source: &Source,
        beginning: Option<i64>,
        shows_record_ids: bool,
        may_be_plain: bool,
    ) -> Result<(RawBatchCursor, Option<RawBatch>), DriverError> {
        let mut ways = vec![(true, false), (false, false)];
        if self.has_positions && source.is_one_member() {
            ways.insert(0, (true, true));
        }
        ways.truncate(if may_be_plain { ways.len() } else { 1 });
        let mut refused = None;
        for (hint, positions) in ways {
            let mut command = doc! { "find": self.data.collection(), "filter": {} };
            if hint {
                command.insert("hint", doc! { "$natural": 1 });
            }
            if let Some(size) = self.batch_size {
                command.insert("batchSize", i64::from(size));
            }
            if self.raw_data {
                command.insert("rawData", true);
            }
            if positions {
                command.insert("$_requestResumeToken", true);
            }
            if shows_record_ids {
                command.insert("showRecordId", true);
            }
            if let Some(moment) = self.moment(source) {
                command.insert("readConcern", moment.read_concern());
            }
            if let Some(beginning) = beginning {
                command.insert("$_resumeAfter", doc! { "$recordId": beginning });
            }
            match source.cursor(self.data.db(), &command, self.batch_size).await {
                Ok(mut cursor) => {
                    let first = cursor.next().await.transpose()?;
                    return Ok((cursor, first));
                }
                Err(error) if is_refused(&error) => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or_else(|| DriverError::custom("there is no way of reading it")))
    }

    /// The moment at which it is read, if that is the dump's.
    pub(super) fn moment<'a>(&self, source: &'a Source) -> Option<&'a Moment> {
        source.moment().filter(|_| !self.is_apart)
    }

    /// # Errors
    /// The name no longer means the collection that was planned, and nothing in the archive will say so.
    pub(super) async fn compare(&self, source: &Source) -> Result<()> {
        if source.is_followed() {
            return Ok(());
        }
        identity::compare(source, &self.namespace, &self.identity).await
    }

    /// Whether the server has ended a scan of it because it was dropped, replaced or renamed.
    async fn has_gone(&self, source: &Source, error: &DriverError) -> bool {
        !is_transient(error)
            && identity::has_gone(source, &self.namespace, &self.identity).await.unwrap_or(false)
    }

    /// The error, or what happened to the collection if that is the cause.
    async fn explained(&self, source: &Source, error: &DriverError, is_opening: bool) -> Error {
        match self.compare(source).await {
            Err(changed) if changed.kind() == ErrorKind::Server => changed.with_source(answer(error)),
            _ => {
                let lost = self.moment(source).and_then(|moment| moment.lost(error, is_opening));
                lost.unwrap_or_else(|| read_error(error))
            }
        }
    }
}

/// The cursor's next reply, waited for no longer than the limit.
pub(super) async fn get_more(
    cursor: &mut RawBatchCursor,
    limit: Duration,
    within: Option<Stretch>,
) -> Result<Option<Reply>, DriverError> {
    let Ok(answer) = timeout(limit, cursor.next()).await else {
        return Err(std::io::ErrorKind::TimedOut.into());
    };
    Ok(answer.transpose()?.map(|batch| Reply::new(batch, within)))
}

/// Whether the server refuses the command itself, and may take a plainer one.
fn is_refused(error: &DriverError) -> bool {
    let is_answer = matches!(error.kind.as_ref(), DriverKind::Command(_));
    is_answer && !is_transient(error) && !is_unauthorized(error) && !is_unavailable(error)
}
