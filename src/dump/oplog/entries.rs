//! The entries from one time to another, in their order, which outlast their cursor.

use std::sync::Arc;

use bson::{Document, Timestamp, doc};
use mongodb::error::Error as DriverError;
use mongodb::raw_batch_cursor::RawBatchCursor;

use super::local::{OPLOG, cannot_read};
use crate::dump::reply::Reply;
use crate::dump::scan::get_more;
use crate::dump::source::Source;
use crate::server_error::{code, is_transient};
use crate::{Error, ErrorKind, Result};

/// Entries in a reply. Most have some hundred bytes, and none more than 16 MiB and a little.
const ENTRIES: u32 = 2000;

/// Cursors that may be lost one after the other without a reply in between.
const LOSSES: u32 = 2;

/// Answers when a cursor has gone: not found, killed.
const CURSOR_LOST: [i32; 2] = [43, 237];

/// The answer when entries were removed from the oplog's front while they were read.
const POSITION_LOST: i32 = 136;

pub(super) struct Entries<'a> {
    source: &'a Arc<Source>,
    /// Where they begin; no longer with the one of this time, once it has been met.
    from: Timestamp,
    has_met: bool,
    end: Timestamp,
    majority: bool,
    cursor: Option<RawBatchCursor>,
    losses: u32,
}

impl<'a> Entries<'a> {
    /// With `majority`, as a majority of the members has them.
    pub(super) fn new(source: &'a Arc<Source>, first: Timestamp, end: Timestamp, majority: bool) -> Self {
        Self { source, from: first, has_met: false, end, majority, cursor: None, losses: 0 }
    }

    /// Whoever reads on later goes on behind this one.
    pub(super) fn met(&mut self, at: Timestamp) {
        (self.from, self.has_met) = (at, true);
    }

    /// The next reply, all of whose entries are to be [met](Self::met); `None` after the last.
    ///
    /// # Errors
    /// Entries have gone; the cursor is lost and cannot go on; the server does not answer.
    pub(super) async fn next(&mut self) -> Result<Option<Reply>> {
        loop {
            let mut cursor = if let Some(cursor) = self.cursor.take() {
                cursor
            } else {
                let (source, find) = (Arc::clone(self.source), self.find());
                let opened = source.cursor("local", &find, Some(ENTRIES)).await;
                opened.map_err(|error| failed(&error))?
            };
            match get_more(&mut cursor, self.source.answer_timeout(), None).await {
                Ok(reply) => {
                    self.losses = 0;
                    self.cursor = Some(cursor);
                    return Ok(reply);
                }
                Err(error) if is_lost(&error) && self.losses < LOSSES => {
                    self.losses += 1;
                    drop(cursor);
                    self.source.has_not_changed().await?;
                }
                Err(error) => return Err(failed(&error)),
            }
        }
    }

    /// What opens a cursor that goes on behind what was met.
    fn find(&self) -> Document {
        let from = if self.has_met { "$gt" } else { "$gte" };
        let mut find = doc! {
            "find": OPLOG,
            "filter": { "ts": { from: self.from, "$lte": self.end } },
            "batchSize": i64::from(ENTRIES),
        };
        if self.majority {
            find.insert("readConcern", doc! { "level": "majority" });
        }
        find
    }
}

fn is_lost(error: &DriverError) -> bool {
    is_transient(error) || code(error).is_some_and(|code| CURSOR_LOST.contains(&code))
}

fn failed(error: &DriverError) -> Error {
    if code(error) == Some(POSITION_LOST) { overflow() } else { cannot_read(error) }
}

pub(super) fn overflow() -> Error {
    Error::new(
        ErrorKind::Server,
        "oplog overflow: entries that the dump needs have gone from the oplog, which is too small for the time that the dump \
         takes; enlarge it (replSetResizeOplog, on every member), or dump when less is written",
    )
}
