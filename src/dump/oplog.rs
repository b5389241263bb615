//! The oplog beside the data: with the entries of while it was read, everything is of the moment of the last one.
//!
//! ```text
//!      open transactions      start         data is read          end
//!  -------- e ------- e --------|--- e -- e ---- e --- e -- e ------|------>
//!           only theirs              all of them
//! ```
//!
//! # What is captured
//!
//! Before anything is listed, the newest entry is looked up at a time when no older one can come any more
//! ([`local::newest`]): the start. Everything up to it is in what is listed and read afterwards, and everything later is in
//! the oplog. Who replays the entries in their order over documents of whatever time between start and end has the state of
//! the end: every entry says what a document is afterwards, or that it has gone. After the data, the newest entry is looked
//! up in the same way: the end. So a collection may be dropped, created or changed meanwhile; what no replay makes good ends
//! the dump ([`forbidden`]).
//!
//! Transactions that are open at the start and have entries already (prepared ones; on a secondary, long ones) commit later,
//! and a commit is nothing without them: of what is older than the start, exactly theirs are captured. mongodump captures
//! everything from the first of them on, and the newest entry in any case, so a rename of yesterday ends its dump of a
//! deployment at rest. Of that entry what writes a document is kept here too, because it does no harm; commands of before the
//! listing are in the listing.
//!
//! # Which member, and how far it is to be believed
//!
//! The oplog is read from the member that the data is read from: another's would be further or less far. What has not reached
//! a majority of the members may be taken back after an election, and then the archive would hold what never was. So the dump
//! waits until a majority has everything up to the end, reads the oplog as the majority has it, and asks whether the member
//! has taken anything back since the dump began. Where a set has lost its majority, it says so and goes on.
//!
//! The oldest entry is looked up before and after: when it is newer than the first that is wanted, some are missing.

use archive_format::{CollectionMetadata, Kind, Namespace, SegmentBuilder};
use bson::{RawDocument, Timestamp, doc};

use super::identity::Listing;
use super::reader::{Message, Reader, SEGMENT_SIZE};
use super::source::Source;
use crate::{Error, ErrorKind, Result, Scope};

mod captured;
mod entries;
mod entry;
mod fitting;
mod forbidden;
mod local;
mod scoped;

pub use captured::CapturedOplog;
use entries::Entries;
use entry::Entry;
use local::Open;

/// What the prelude says of the oplog.
pub(super) fn announced() -> CollectionMetadata {
    let namespace = Namespace::oplog();
    CollectionMetadata { namespace, metadata: String::new(), kind: Kind::Unspecified }
}

/// From where on the oplog is captured.
#[derive(Debug)]
pub(super) struct Start {
    /// Everything up to here is in what is listed from now on.
    at: Timestamp,
    /// Transactions that commit later, with entries of before.
    open: Open,
}

impl Start {
    /// Before anything is listed.
    ///
    /// # Errors
    /// There is no oplog, or none that may be read; a collection is being resharded.
    pub(super) async fn find(source: &Source, scope: &Scope) -> Result<Self> {
        let refused = |message: &str| Err(Error::new(ErrorKind::InvalidInput, message));
        if source.is_router() {
            return refused(
                "can't use --oplog option when dumping from a mongos: every shard has an oplog of its own; dump shard by shard, \
                 or without --oplog",
            );
        }
        if !source.is_in_set() {
            return refused(
                "--oplog needs a member of a replica set: this server is none, and has no oplog; dump without --oplog",
            );
        }
        // Those that end between the two questions were asked for before, those that begin are later than the start.
        let mut open = local::open_transactions(source).await?;
        let at = local::newest(source).await?;
        open.extend(local::open_transactions(source).await?);
        let start = Self { at, open };
        start.is_there(source).await?;
        if scope.db().is_none_or(|db| db == "config") {
            let listed = Listing::read(source, "config", doc! {}).await?;
            if listed.iter().any(|(name, _)| forbidden::is_of_resharding(name)) {
                let message = "detected resharding in progress. Cannot dump with --oplog while resharding; dump again when it is over";
                return Err(Error::new(ErrorKind::Server, message));
            }
        }
        Ok(start)
    }

    /// The oldest entry that may be wanted.
    fn first(&self) -> Timestamp {
        self.open.values().copied().chain([self.at]).min().unwrap_or(self.at)
    }

    /// # Errors
    /// What is wanted has gone.
    async fn is_there(&self, source: &Source) -> Result<()> {
        if local::oldest(source).await? > self.first() { Err(entries::overflow()) } else { Ok(()) }
    }

    /// Whether the entry is one of those that are wanted.
    ///
    /// # Errors
    /// It ends a transaction whose beginning is not wanted.
    fn wants(&self, entry: Entry<'_>, scope: &Scope) -> Result<bool> {
        let at = entry.at()?;
        let transaction = entry.transaction()?;
        let is_of_open = transaction.as_ref().is_some_and(|one| self.open.contains_key(one));
        if at < self.at {
            return Ok(is_of_open);
        }
        if at == self.at {
            let does_no_harm =
                matches!(entry.kind, "i" | "u" | "d" | "n") && forbidden::check(entry, scope).is_ok();
            return Ok(is_of_open || does_no_harm);
        }
        if transaction.is_some()
            && !is_of_open
            && entry.previous().is_some_and(|previous| previous <= self.at)
        {
            let message = "a transaction was prepared and committed in the very moment in which the dump began; dump again";
            return Err(Error::new(ErrorKind::Server, message));
        }
        Ok(true)
    }

    /// Reads what was written since, after all data has been read, and announces the end.
    ///
    /// # Errors
    /// Something happened that no replay makes good; entries have gone, or were taken back; the server does not answer.
    pub(super) async fn capture(&self, reader: &Reader, scope: &Scope) -> Result<CapturedOplog> {
        let (source, monitor) = (&reader.source, &reader.monitor);
        let namespace = Namespace::oplog();
        let end = local::newest(source).await?;
        let is_safe = local::is_on_majority(source, end).await?;
        if !is_safe {
            monitor.warn(
                "the newest writes are not yet on a majority of the members: an election may take back what is in the archive",
            );
        }
        self.is_there(source).await?;
        monitor.started(&namespace, None);
        let mut entries = Entries::new(source, self.first(), end, is_safe);
        let mut segment = SegmentBuilder::new(&namespace, 0);
        let mut count = 0;
        while let Some(reply) = entries.next().await? {
            for bytes in reply.documents()? {
                let bytes = bytes?;
                let document = RawDocument::from_bytes(bytes.as_ref())
                    .map_err(|error| entry::unreadable("it is no document").with_source(error))?;
                let entry = Entry::new(document)?;
                entries.met(entry.at()?);
                if !self.wants(entry, scope)? {
                    continue;
                }
                forbidden::check(entry, scope)?;
                let Some(part) = scoped::scoped(entry, scope)? else { continue };
                for one in fitting::fitting(part)? {
                    let one = one.as_bytes();
                    if !segment.is_empty() && segment.len() + one.len() > SEGMENT_SIZE {
                        let capacity = SEGMENT_SIZE.max(one.len());
                        let full = std::mem::replace(&mut segment, SegmentBuilder::new(&namespace, capacity));
                        count += reader.send(full).await?;
                    }
                    segment.push(one).map_err(Error::not_archivable)?;
                }
            }
        }
        if !segment.is_empty() {
            count += reader.send(segment).await?;
        }
        self.is_there(source).await?;
        source.has_not_rolled_back().await?;
        reader.messages.send(Message::Ended(namespace.clone())).await.map_err(|_| Error::hung_up())?;
        monitor.finished(&namespace, count);
        Ok(CapturedOplog { start: self.first(), end, entries: count, is_fallback: false })
    }
}
