//! An archive on its way into an S3 object: parts in flight, then one completion that makes it visible.

use super::body::Gathered;
use super::completion::Completed;
use super::parts::{MAX_PARTS, part_bytes};
use super::requests::PARTS_LEFT;
use super::terms::CompletionTerms;
use super::{HeadAnswer, MAX_OBJECT_BYTES, Object, failure};
use crate::storage::{CreateOptions, Stored};
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use std::mem;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle, JoinSet};

/// Parts in flight at once: one connection reaches some 80 MB/s to S3, four fill the network of the largest Lambda.
const MAX_PARTS_IN_FLIGHT: usize = 4;

/// Bytes of the parts in flight, at least one part: 64 MiB. With the part being filled, and the piece that overfills
/// it, an upload holds 40 MiB for archives up to 3.9 GiB, 96 MiB up to 27 GiB, and two parts beyond.
const MAX_BYTES_IN_FLIGHT: u64 = 64 << 20;

/// An unfinished object. Nothing of it is visible.
#[derive(Debug)]
pub(in crate::storage) struct Upload {
    object: Object,
    terms: CompletionTerms,
    upload_id: UploadId,
    gathered: Gathered,
    in_flight: JoinSet<Result<StoredPart>>,
    bytes_in_flight: u64,
    stored_parts: Vec<CompletedPart>,
    /// Number of the part being filled.
    number: u32,
    bytes: u64,
    broken: bool,
    /// Whether the request that makes the object visible may have been sent.
    completing: bool,
}

/// The multipart upload, which small archives do without.
#[derive(Debug, Default)]
enum UploadId {
    #[default]
    None,
    /// In a task of its own: dropped half-way, nobody would know the upload that has to be aborted.
    Pending(JoinHandle<Result<String>>),
    Known(String),
}

#[derive(Debug)]
struct StoredPart {
    part: CompletedPart,
    bytes: u64,
}

impl UploadId {
    /// Aborts the upload, once it is known.
    async fn abandon(self, object: &Object) -> Result<()> {
        let upload_id = match self {
            Self::None => return Ok(()),
            Self::Pending(task) => match task.await {
                Ok(Ok(upload_id)) => upload_id,
                Ok(Err(_)) | Err(_) => return Ok(()),
            },
            Self::Known(upload_id) => upload_id,
        };
        object.abort(&upload_id).await
    }
}

impl Upload {
    /// Looks at the place; stores nothing yet.
    pub(in crate::storage) async fn create(object: Object, options: &CreateOptions) -> Result<Self> {
        let terms = CompletionTerms::new(options)?;
        if let HeadAnswer::There(_) = object.head().await?
            && !options.overwrite
        {
            return Err(failure::already_exists());
        }
        Ok(Self {
            object,
            terms,
            upload_id: UploadId::None,
            gathered: Gathered::default(),
            in_flight: JoinSet::new(),
            bytes_in_flight: 0,
            stored_parts: Vec::new(),
            number: 1,
            bytes: 0,
            broken: false,
            completing: false,
        })
    }

    pub(in crate::storage) async fn store(&mut self, bytes: Bytes) -> Result<()> {
        self.not_broken()?;
        let stored = self.send_full_parts(bytes).await;
        self.broken = stored.is_err();
        stored
    }

    pub(in crate::storage) async fn complete(mut self) -> Result<Stored> {
        let Err(error) = self.finish().await else { return Ok(self.stored()) };
        // Any error may follow a success whose answer was lost: the retry finds the upload gone or the key taken.
        if self.completing && self.completed().await == Completed::Ours {
            return Ok(self.stored());
        }
        let given_up = self.give_up().await;
        // A completion that nobody waits for may still take effect. Now that the upload has ended, the object tells.
        let completed = if self.completing { self.completed().await } else { Completed::NotOurs };
        let consequence = match (completed, given_up) {
            (Completed::Ours, _) => return Ok(self.stored()),
            (Completed::NotOurs, Ok(())) => return Err(error),
            (Completed::Unknown, _) => {
                "S3 does not tell whether the archive was completed; look before starting again"
            }
            (Completed::NotOurs, Err(_)) => PARTS_LEFT,
        };
        Err(self.object.at(Error::new(error.kind(), consequence).with_source(error)))
    }

    pub(in crate::storage) async fn abort(mut self) -> Result<()> {
        self.give_up().await
    }

    /// The parts of a multipart upload; a small archive has none and goes with its completion.
    pub(in crate::storage) async fn drain(&mut self) -> Result<()> {
        self.not_broken()?;
        let drained =
            if matches!(self.upload_id, UploadId::None) { Ok(()) } else { self.send_the_rest().await };
        self.broken = drained.is_err();
        drained
    }

    async fn send_the_rest(&mut self) -> Result<()> {
        if self.gathered.bytes() > 0 {
            self.send_part().await?;
        }
        while !self.in_flight.is_empty() {
            self.wait_for_a_part().await?;
        }
        Ok(())
    }

    async fn send_full_parts(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes = self.bytes.saturating_add(super::body::length(&bytes));
        self.gathered.push(bytes);
        while let Some(result) = self.in_flight.try_join_next() {
            self.take_in(result)?;
        }
        while self.gathered.bytes() > part_bytes(self.number) {
            self.send_part().await?;
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<()> {
        if self.number > MAX_PARTS {
            let limit = MAX_OBJECT_BYTES >> 40;
            let message = format!(
                "the archive exceeds the {limit} TiB that 10,000 parts hold; dump into several archives"
            );
            return Err(self.object.at(Error::new(ErrorKind::Storage, message)));
        }
        let upload_id = self.begin().await?;
        let next = part_bytes(self.number).min(self.gathered.bytes());
        while self.in_flight.len() >= MAX_PARTS_IN_FLIGHT
            || (!self.in_flight.is_empty() && self.bytes_in_flight + next > MAX_BYTES_IN_FLIGHT)
        {
            self.wait_for_a_part().await?;
        }
        let (object, part, number) = (self.object.clone(), self.gathered.take(next), self.number);
        self.bytes_in_flight += next;
        self.number += 1;
        self.in_flight.spawn(async move {
            let part = Box::pin(object.put_part(&upload_id, number, part)).await?;
            Ok(StoredPart { part, bytes: next })
        });
        Ok(())
    }

    async fn begin(&mut self) -> Result<String> {
        loop {
            match &mut self.upload_id {
                UploadId::None => {
                    let (object, terms) = (self.object.clone(), self.terms.clone());
                    let task = async move { Box::pin(object.begin(&terms)).await };
                    self.upload_id = UploadId::Pending(tokio::spawn(task));
                }
                UploadId::Pending(task) => {
                    let begun = task.await.map_err(ended).flatten();
                    self.upload_id = UploadId::None;
                    self.upload_id = UploadId::Known(begun?);
                }
                UploadId::Known(upload_id) => return Ok(upload_id.clone()),
            }
        }
    }

    async fn wait_for_a_part(&mut self) -> Result<()> {
        match self.in_flight.join_next().await {
            Some(result) => self.take_in(result),
            None => Ok(()),
        }
    }

    fn take_in(&mut self, result: Result<Result<StoredPart>, JoinError>) -> Result<()> {
        let StoredPart { part, bytes } = result.map_err(ended)??;
        self.bytes_in_flight -= bytes;
        self.stored_parts.push(part);
        Ok(())
    }

    /// Ends the upload's story; nothing is left to abort.
    fn stored(&mut self) -> Stored {
        self.upload_id = UploadId::None;
        Stored { bytes: self.bytes, labels: self.terms.labels().to_vec() }
    }

    async fn completed(&self) -> Completed {
        self.object.completed(&self.terms, self.bytes).await
    }

    async fn finish(&mut self) -> Result<()> {
        self.not_broken()?;
        if !self.terms.overwrite() {
            // Once more, because some stores ignore the condition of the completion (Garage 2.5).
            self.object.refuse_if_present().await?;
        }
        if matches!(self.upload_id, UploadId::None) {
            let whole = self.gathered.take(self.bytes);
            self.completing = true;
            return self.object.put(&self.terms, whole).await;
        }
        self.send_the_rest().await?;
        let upload_id = self.begin().await?;
        self.stored_parts.sort_by_key(|part| part.part_number);
        let parts = mem::take(&mut self.stored_parts);
        self.completing = true;
        self.object.complete(&self.terms, &upload_id, parts, self.bytes).await
    }

    /// Cancels the parts in flight, then the upload, in a task that goes on where this future is dropped.
    async fn give_up(&mut self) -> Result<()> {
        self.broken = true;
        self.in_flight.shutdown().await;
        let (object, upload_id) = (self.object.clone(), mem::take(&mut self.upload_id));
        if matches!(upload_id, UploadId::None) {
            return Ok(());
        }
        tokio::spawn(async move { Box::pin(upload_id.abandon(&object)).await }).await.map_err(ended)?
    }

    fn not_broken(&self) -> Result<()> {
        if self.broken {
            let message =
                "an earlier piece could not be stored, so the archive cannot be completed; abort it";
            return Err(self.object.at(Error::new(ErrorKind::Storage, message)));
        }
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let upload_id = mem::take(&mut self.upload_id);
        if matches!(upload_id, UploadId::None) {
            return;
        }
        self.in_flight.abort_all();
        if let Ok(runtime) = Handle::try_current() {
            let object = self.object.clone();
            // Nobody is left to tell; `abort` tells.
            runtime.spawn(async move { Box::pin(upload_id.abandon(&object)).await.ok() });
        }
    }
}

fn ended(error: JoinError) -> Error {
    Error::new(ErrorKind::Internal, "a task of the upload ended without a result").with_source(error)
}
