//! An archive on its way into an S3 object: parts in flight, then one completion that makes it visible.

use super::body::Gathered;
use super::completion::{Outcome, Terms};
use super::parts::{MAX_PARTS, part_bytes};
use super::{Look, MAX_OBJECT_BYTES, Object, failure};
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
    terms: Terms,
    begun: Begun,
    gathered: Gathered,
    in_flight: JoinSet<Result<Landed>>,
    bytes_in_flight: u64,
    landed: Vec<CompletedPart>,
    /// Number of the part being filled.
    number: u32,
    bytes: u64,
    broken: bool,
    /// Whether the request that makes the object visible may have been sent.
    completing: bool,
}

/// The multipart upload, which small archives do without.
#[derive(Debug, Default)]
pub(super) enum Begun {
    #[default]
    Not,
    /// In a task of its own: dropped half-way, nobody would know the upload that has to be aborted.
    Beginning(JoinHandle<Result<String>>),
    Open(String),
}

#[derive(Debug)]
struct Landed {
    part: CompletedPart,
    bytes: u64,
}

impl Upload {
    /// Looks at the place; stores nothing yet.
    pub(in crate::storage) async fn create(object: Object, options: &CreateOptions) -> Result<Self> {
        let terms = Terms::new(options)?;
        if let Look::There(_) = object.look().await?
            && !options.overwrite
        {
            return Err(failure::already_exists());
        }
        Ok(Self {
            object,
            terms,
            begun: Begun::Not,
            gathered: Gathered::default(),
            in_flight: JoinSet::new(),
            bytes_in_flight: 0,
            landed: Vec::new(),
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
        if self.completing && self.outcome().await == Outcome::Ours {
            return Ok(self.stored());
        }
        let given_up = self.give_up().await;
        // A completion that nobody waits for may still take effect. Now that the upload has ended, the object tells.
        let outcome = if self.completing { self.outcome().await } else { Outcome::NotOurs };
        let consequence = match (outcome, given_up) {
            (Outcome::Ours, _) => return Ok(self.stored()),
            (Outcome::NotOurs, Ok(())) => return Err(error),
            (Outcome::Unknown, _) => {
                "S3 does not tell whether the archive was completed; look before starting again"
            }
            (Outcome::NotOurs, Err(_)) => super::completion::PARTS_LEFT,
        };
        Err(self.object.at(Error::new(error.kind(), consequence).with_source(error)))
    }

    pub(in crate::storage) async fn abort(mut self) -> Result<()> {
        self.give_up().await
    }

    /// The parts of a multipart upload; a small archive has none and goes with its completion.
    pub(in crate::storage) async fn drain(&mut self) -> Result<()> {
        self.not_broken()?;
        let drained = if matches!(self.begun, Begun::Not) { Ok(()) } else { self.send_the_rest().await };
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
            self.land(result)?;
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
            Ok(Landed { part, bytes: next })
        });
        Ok(())
    }

    async fn begin(&mut self) -> Result<String> {
        loop {
            match &mut self.begun {
                Begun::Not => {
                    let (object, terms) = (self.object.clone(), self.terms.clone());
                    let task = async move { Box::pin(object.begin(&terms)).await };
                    self.begun = Begun::Beginning(tokio::spawn(task));
                }
                Begun::Beginning(task) => {
                    let begun = task.await.map_err(ended).flatten();
                    self.begun = Begun::Not;
                    self.begun = Begun::Open(begun?);
                }
                Begun::Open(upload_id) => return Ok(upload_id.clone()),
            }
        }
    }

    async fn wait_for_a_part(&mut self) -> Result<()> {
        match self.in_flight.join_next().await {
            Some(result) => self.land(result),
            None => Ok(()),
        }
    }

    fn land(&mut self, result: Result<Result<Landed>, JoinError>) -> Result<()> {
        let Landed { part, bytes } = result.map_err(ended)??;
        self.bytes_in_flight -= bytes;
        self.landed.push(part);
        Ok(())
    }

    /// Ends the upload's story; nothing is left to abort.
    fn stored(&mut self) -> Stored {
        self.begun = Begun::Not;
        Stored { bytes: self.bytes, labels: self.terms.labels().to_vec() }
    }

    async fn outcome(&self) -> Outcome {
        self.object.outcome(&self.terms, self.bytes).await
    }

    async fn finish(&mut self) -> Result<()> {
        self.not_broken()?;
        if !self.terms.overwrite() {
            // Once more, because some stores ignore the condition of the completion (Garage 2.5).
            self.object.refuse_if_present().await?;
        }
        if matches!(self.begun, Begun::Not) {
            let whole = self.gathered.take(self.bytes);
            self.completing = true;
            return self.object.put(&self.terms, whole).await;
        }
        self.send_the_rest().await?;
        let upload_id = self.begin().await?;
        self.landed.sort_by_key(|part| part.part_number);
        let parts = mem::take(&mut self.landed);
        self.completing = true;
        self.object.complete(&self.terms, &upload_id, parts, self.bytes).await
    }

    /// Cancels the parts in flight, then the upload, in a task that goes on where this future is dropped.
    async fn give_up(&mut self) -> Result<()> {
        self.broken = true;
        self.in_flight.shutdown().await;
        let (object, begun) = (self.object.clone(), mem::take(&mut self.begun));
        if matches!(begun, Begun::Not) {
            return Ok(());
        }
        tokio::spawn(async move { Box::pin(object.abandon(begun)).await }).await.map_err(ended)?
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
        let begun = mem::take(&mut self.begun);
        if matches!(begun, Begun::Not) {
            return;
        }
        self.in_flight.abort_all();
        if let Ok(runtime) = Handle::try_current() {
            let object = self.object.clone();
            // Nobody is left to tell; `abort` tells.
            runtime.spawn(async move { Box::pin(object.abandon(begun)).await.ok() });
        }
    }
}

fn ended(error: JoinError) -> Error {
    Error::new(ErrorKind::Internal, "a task of the upload ended without a result").with_source(error)
}
