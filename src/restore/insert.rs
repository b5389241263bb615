//! Writes documents of one collection: in commands built from the archive's bytes, each made once however often it is sent.

use std::sync::Arc;

use archive_format::Namespace;
use bson::{RawDocumentBuf, cstr, rawdoc};
use mongodb::Database;
use mongodb::error::{Error as DriverError, Result as DriverResult};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::batch::Batch;
use super::check::check;
use super::command::Command;
use super::counts::Counts;
use super::reply::{Refused, WriteReply, answer};
use super::rules::Rules;
use super::sessions::Session;
use super::verb::Verb;
use super::zero_timestamp::{has_zero_timestamp, id};
use super::{Context, ddl};
use crate::server_error::{DUPLICATE_KEY, code, driver_error};
use crate::{Error, ErrorKind, Result};

/// Server errors that concern one document: it is counted and the others go on.
const DOCUMENT_VALIDATION: i32 = 121;
/// A bucket of a time series that holds values of different types in one field, from 5.0 or 5.1.
const MIXED_SCHEMA: i32 = 408;
/// A name that begins with `$`, or a `$ref` that is none, in an update on 4.4.
const DOLLAR_PREFIXED: i32 = 52;
const INVALID_DBREF: i32 = 55;

/// Writes into one namespace.
#[derive(Debug)]
pub(super) struct Inserter {
    context: Arc<Context>,
    db: Database,
    namespace: Namespace,
    /// The time series, not its buckets.
    logical: Namespace,
    rules: Rules,
    /// Whether a document takes the place of the one with the same `_id`: `system.js` cannot be dropped, but what the archive
    /// holds can be put back.
    replaces: bool,
    /// Set when the time series has been told to take buckets with mixed schemas.
    mixed_schema: OnceCell<()>,
}

impl Inserter {
    pub(super) fn new(
        context: &Arc<Context>,
        namespace: Namespace,
        logical: Namespace,
        rules: Rules,
    ) -> Self {
        Self {
            db: context.deployment.client().database(namespace.db()),
            replaces: context.options.drop && namespace.collection() == "system.js",
            context: Arc::clone(context),
            namespace,
            logical,
            rules,
            mixed_schema: OnceCell::new(),
        }
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.rules.ordered
    }

    /// Looks at a document, if that was asked for.
    pub(super) fn check(&self, document: &[u8]) -> Result<()> {
        if self.rules.checks { check(document) } else { Ok(()) }
    }

    /// How this document has to be written.
    pub(super) fn verb(&self, document: &[u8]) -> Result<Verb> {
        if !self.context.server.keeps_empty_timestamps() && has_zero_timestamp(document)? {
            return Ok(Verb::Upsert);
        }
        Ok(Verb::Insert)
    }

    /// Writes one batch. Where the order counts, all of its documents are written in one way.
    pub(super) async fn insert(&self, batch: Batch, session: &Session) -> Result<Counts> {
        let mut counts = Counts::default();
        let written = self.write_all(&mut counts, batch.documents(), session).await;
        // Also what became of those before an error.
        let monitor = &self.context.monitor;
        monitor.advanced(&self.logical, counts.documents, u64::try_from(batch.bytes()).unwrap_or(u64::MAX));
        if counts.refused() > 0 {
            monitor.refused(&self.logical, counts.refused());
        }
        written.map(|()| counts)
    }

    async fn write_all(&self, counts: &mut Counts, documents: Vec<&[u8]>, session: &Session) -> Result<()> {
        if self.replaces {
            self.delete_namesakes(&documents).await?;
        }
        if self.rules.ordered {
            let mut rest = documents.as_slice();
            while let Some(first) = rest.first() {
                let done = self.write(counts, session, self.verb(first)?, rest).await?;
                rest = rest.get(done..).unwrap_or_default();
            }
        } else {
            let (mut inserts, mut upserts) = (Vec::with_capacity(documents.len()), Vec::new());
            for document in documents {
                match self.verb(document)? {
                    Verb::Insert => inserts.push(document),
                    _ => upserts.push(document),
                }
            }
            for (verb, documents) in [(Verb::Insert, inserts), (Verb::Upsert, upserts)] {
                if !documents.is_empty() {
                    self.write(counts, session, verb, &documents).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes documents, counts what became of them, and says how many of them the command has got through.
    async fn write(
        &self,
        counts: &mut Counts,
        session: &Session,
        verb: Verb,
        documents: &[&[u8]],
    ) -> Result<usize> {
        let reply = self.send(session, verb, documents).await?;
        let done = match reply.refused.first() {
            Some(first) if self.rules.ordered => first.position + 1,
            _ => documents.len(),
        };
        counts.documents += count(reply.n);
        let (mut mixed, mut dollar, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for refused in reply.refused {
            let document = documents.get(refused.position).copied();
            match (refused.code, document) {
                (MIXED_SCHEMA, Some(document)) if self.rules.buckets => mixed.push(document),
                (DOLLAR_PREFIXED | INVALID_DBREF, Some(document)) if verb == Verb::Upsert => {
                    dollar.push(document);
                }
                _ => others.push(refused),
            }
        }
        self.count_refused(counts, &others)?;
        if !mixed.is_empty() {
            self.mixed_schema
                .get_or_try_init(|| ddl::allow_mixed_schema(&self.context, &self.logical))
                .await?;
            let again = self.send(session, verb, &mixed).await?;
            counts.documents += count(again.n);
            self.count_refused(counts, &again.refused)?;
        }
        if !dollar.is_empty() {
            self.insert_and_set(counts, session, &dollar).await?;
        }
        Ok(done)
    }

    /// Inserts documents whose empty timestamps the server replaces, and puts these back.
    async fn insert_and_set(
        &self,
        counts: &mut Counts,
        session: &Session,
        documents: &[&[u8]],
    ) -> Result<()> {
        for document in documents {
            let inserted = self.send(session, Verb::Insert, &[document]).await?;
            counts.documents += count(inserted.n);
            self.count_refused(counts, &inserted.refused)?;
            if inserted.refused.is_empty()
                && let Some(refused) =
                    self.send(session, Verb::SetTimestamps, &[document]).await?.refused.first()
            {
                return Err(Error::new(
                    ErrorKind::Server,
                    format!(
                        "the server refused to set an empty timestamp: {} (code {})",
                        refused.message, refused.code
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Counts the documents of a command that the server refused.
    ///
    /// # Errors
    /// [`ErrorKind::Server`] when the restore does not go on without one of them.
    fn count_refused(&self, counts: &mut Counts, refused: &[Refused]) -> Result<()> {
        let (mut ignored, mut fatal) = (None, None);
        for one in refused {
            let counted = match one.code {
                DUPLICATE_KEY if self.rules.created => &mut counts.repeated,
                DUPLICATE_KEY => &mut counts.duplicates,
                DOCUMENT_VALIDATION => &mut counts.invalid,
                _ => {
                    counts.fatal += 1;
                    fatal.get_or_insert(one);
                    continue;
                }
            };
            *counted += 1;
            ignored.get_or_insert(one);
        }
        match fatal.or(ignored.filter(|_| self.rules.stops)) {
            Some(one) => {
                let message = format!("the server refused a document: {} (code {})", one.message, one.code);
                Err(Error::new(ErrorKind::Server, message))
            }
            None => Ok(()),
        }
    }

    /// Sends documents until the server has answered; what it refuses is in the reply.
    async fn send(&self, session: &Session, verb: Verb, documents: &[&[u8]]) -> Result<WriteReply> {
        // The oplog does not cover `local`, so that nothing is known there of writes that were made.
        let number = session.number().filter(|_| self.namespace.db() != "local");
        // A repetition is rare: the command is written again then, and not kept for it.
        let mut first = Some(self.command(verb, documents, number)?);
        let attempt = || {
            let command = first.take().map_or_else(|| self.command(verb, documents, number), Ok);
            async move { answer(session.run(&self.db, command.map_err(DriverError::custom)?).await) }
        };
        let deployment = &self.context.deployment;
        let answered = match number {
            Some(_) => deployment.repeated(attempt).await,
            None => once(deployment.answer_timeout(), attempt).await,
        };
        match answered {
            Ok(reply) => WriteReply::read(&reply).check(documents.len(), self.rules.ordered),
            Err(error) if code(&error) == Some(MIXED_SCHEMA) && self.rules.buckets => {
                let tried = if self.rules.ordered { 1 } else { documents.len() };
                Ok(WriteReply::refused(tried, MIXED_SCHEMA))
            }
            Err(error) if crate::server_error::is_transient(&error) && number.is_none() => Err(driver_error(
                "the answer to a batch of documents was lost, and this deployment does not know writes that are sent \
                 again (a standalone server, or retryWrites=false): restore again with --drop",
                &error,
            )),
            Err(error) => Err(driver_error("the server did not take a batch of documents", &error)),
        }
    }

    fn command(&self, verb: Verb, documents: &[&[u8]], number: Option<i64>) -> Result<RawDocumentBuf> {
        let options = self.rules.options(self.context.server, &self.context.concern, number);
        verb.command(self.namespace.collection(), &options, documents)
    }

    /// Deletes the documents whose places these take.
    async fn delete_namesakes(&self, documents: &[&[u8]]) -> Result<()> {
        let mut head = rawdoc! { "delete": self.namespace.collection(), "ordered": false };
        head.append(cstr!("writeConcern"), self.context.concern.document().clone());
        let mut command = Command::new(&head, 0);
        command.array(b"deletes");
        for (position, document) in documents.iter().enumerate() {
            let Some(id) = id(document)? else { continue };
            command.document(position.to_string().as_bytes());
            command.document(b"q");
            command.document(b"_id");
            command.field(id.kind, b"$eq", id.value);
            command.close()?;
            command.close()?;
            command.field(0x10, b"limit", &1_i32.to_le_bytes());
            command.close()?;
        }
        command.close()?;
        let command = command.finish()?;
        // What is deleted twice is gone all the same.
        let deleted = self.context.deployment.repeated(|| {
            let delete = self.db.run_raw_command(command.clone());
            async move { answer(delete.await) }
        });
        let reply = deleted.await.map_err(|error| driver_error("cannot replace its documents", &error))?;
        let reply = WriteReply::read(&reply);
        match (reply.unsafe_write(), reply.refused.first()) {
            (Some(error), _) => Err(error),
            (None, Some(refused)) => Err(Error::new(
                ErrorKind::Server,
                format!("cannot replace its documents: {} (code {})", refused.message, refused.code),
            )),
            (None, None) => Ok(()),
        }
    }
}

/// One attempt, in the time that an answer may take.
async fn once<T, F>(limit: std::time::Duration, mut attempt: impl FnMut() -> F) -> DriverResult<T>
where
    F: Future<Output = DriverResult<T>>,
{
    timeout(limit, attempt()).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
