//! An archive on its way into an S3 object: parts in flight, one completion that makes it visible, and a look at it.

use super::abandoned::Older;
use super::asked::Honoured;
use super::begin::Begun;
use super::body::Gathered;
use super::checksums::{Algorithm, Promise, format_crc64};
use super::completion::Completed;
use super::in_flight::{PartsInFlight, ended};
use super::kept::Kept;
use super::parts::{MAX_PARTS, PartSizes};
use super::requests::Answer;
use super::terms::CompletionTerms;
use super::{HeadAnswer, Object, failure};
use crate::storage::{Checked, CreateOptions, Stored};
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use bytes::Bytes;
use std::mem;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// An unfinished object. Nothing of it is visible.
#[derive(Debug)]
pub(in crate::storage) struct Upload {
    object: Object,
    terms: CompletionTerms,
    sizes: PartSizes,
    id: UploadId,
    gathered: Gathered,
    in_flight: PartsInFlight,
    /// Number of the part being filled.
    number: u32,
    bytes: u64,
    /// The checksums of the parts.
    algorithm: Algorithm,
    /// Whether the store compares the checksum of the whole before it makes it visible.
    compares: bool,
    /// What an overwrite replaces, until the new object is proven.
    kept: Option<Kept>,
    /// Uploads of the same key from before.
    older: Older,
    /// What the completed object must be like.
    promise: Promise,
    broken: bool,
    /// Whether the request that makes the object visible may have been sent.
    completing: bool,
    /// Removes uploads that began without an answer.
    lost: Option<JoinHandle<Result<(), String>>>,
    notes: Vec<String>,
}

/// The multipart upload, which small archives do without.
#[derive(Debug, Default)]
enum UploadId {
    #[default]
    None,
    /// In a task of its own: dropped half-way, nobody would know the upload that has to be aborted.
    Pending(JoinHandle<Result<Begun>>),
    Known(String),
}

impl UploadId {
    /// Aborts the upload, once it is known; the uploads that were lost on the way to it are for the caller.
    async fn abandon(self, object: &Object) -> Result<Option<JoinHandle<Result<(), String>>>> {
        match self {
            Self::None => Ok(None),
            Self::Pending(task) => match task.await {
                Ok(Ok(Begun { upload_id, lost, .. })) => object.abort(&upload_id).await.map(|()| lost),
                Ok(Err(_)) | Err(_) => Ok(None),
            },
            Self::Known(upload_id) => object.abort(&upload_id).await.map(|()| None),
        }
    }
}

impl Upload {
    /// Looks at the place; stores nothing yet.
    pub(in crate::storage) async fn create(object: Object, options: &CreateOptions) -> Result<Self> {
        let terms = CompletionTerms::new(options, &object.options)?;
        let sizes = PartSizes::new(options.size_hint, options.part_bytes)?;
        Self::on(object, terms, sizes).await
    }

    async fn on(object: Object, terms: CompletionTerms, sizes: PartSizes) -> Result<Self> {
        if let HeadAnswer::There(_) = object.head().await?
            && !terms.overwrite()
        {
            return Err(failure::already_exists());
        }
        let older = Box::pin(object.older_uploads()).await;
        Ok(Self {
            object,
            terms,
            sizes,
            id: UploadId::None,
            gathered: Gathered::default(),
            in_flight: PartsInFlight::default(),
            number: 1,
            bytes: 0,
            algorithm: Algorithm::default(),
            compares: false,
            kept: None,
            older,
            promise: Promise::default(),
            broken: false,
            completing: false,
            lost: None,
            notes: Vec::new(),
        })
    }

    /// Chooses the size of the parts, unless one has been cut already.
    pub(in crate::storage) fn expect(&mut self, bytes: u64) {
        if self.number == 1 {
            self.sizes.expect(bytes);
        }
    }

    /// Adds to the object's metadata, which goes with the request that begins it.
    pub(in crate::storage) fn label(&mut self, name: &str, value: &str) -> Result<()> {
        if self.bytes > 0 {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "an archive that has begun takes no more labels",
            ));
        }
        self.terms.add_label(name, value)
    }

    pub(in crate::storage) async fn store(&mut self, bytes: Bytes) -> Result<()> {
        self.not_broken()?;
        let stored = self.send_full_parts(bytes).await;
        self.broken = stored.is_err();
        stored
    }

    /// Makes the object visible, and looks whether it is what was promised: an answer may be lost, or wrong.
    pub(in crate::storage) async fn complete(mut self, crc64: u64) -> Result<Stored> {
        let completed = Box::pin(self.complete_and_look(crc64)).await;
        match (completed, self.kept.take()) {
            (Ok(mut stored), kept) => {
                if let Some(kept) = kept {
                    stored.notes.extend(kept.remove().await);
                }
                let left = Box::pin(self.object.remove_standing(mem::take(&mut self.older))).await;
                stored.notes.extend(left.iter().map(Error::report));
                Ok(stored)
            }
            (Err(error), Some(kept)) => Err(kept.put_back(&self.terms, error).await),
            (Err(error), None) => Err(error),
        }
    }

    async fn complete_and_look(&mut self, crc64: u64) -> Result<Stored> {
        self.promise = Promise { bytes: self.bytes, crc64, crc32: None };
        let answered = self.finish().await;
        let answered = match (answered, self.completing) {
            (Ok(answer), _) => {
                self.id = UploadId::None;
                Ok(answer)
            }
            (Err(error), false) => return Err(self.given_up_for(error).await),
            (Err(error), true) => Err(error),
        };
        let error = match (self.completed().await, answered) {
            (Completed::Ours(head, checked), _) => return self.settle(*head, checked).await,
            (Completed::Damaged(head), _) => return Err(self.take_back(*head, self.damaged()).await),
            // The store has compared the whole with the checksum that was sent, and lets nobody look.
            (Completed::Unknown(_), Ok(answer))
                if answer.crc64 == Some(format_crc64(crc64)) && !self.object.asks() =>
            {
                return Ok(self.stored(answer.etag, answer.version, Checked::Crc64Nvme));
            }
            (Completed::Unknown(error), Ok(_)) => return Err(self.unproven(error)),
            (Completed::Another, Ok(_)) => return Err(self.gone("another object has taken its place")),
            (Completed::Absent, Ok(_)) => return Err(self.gone("there is no object")),
            (_, Err(error)) => error,
        };
        let given_up = self.give_up().await;
        // A completion that nobody waits for may still take effect. Now that the upload has ended, the object tells.
        match (self.completed().await, given_up) {
            (Completed::Ours(head, checked), _) => self.settle(*head, checked).await,
            (Completed::Damaged(head), _) => Err(self.take_back(*head, self.damaged()).await),
            (Completed::Another | Completed::Absent, Ok(())) => Err(error),
            (Completed::Another | Completed::Absent, Err(left)) => {
                Err(Error::new(error.kind(), left.to_string()).with_source(error))
            }
            (Completed::Unknown(_), _) => {
                let message =
                    "S3 does not tell whether the archive was completed; look before starting again";
                Err(self.object.at(Error::new(error.kind(), message).with_source(error)))
            }
        }
    }

    pub(in crate::storage) async fn abort(mut self) -> Result<()> {
        self.give_up().await
    }

    /// Gives up what there is; the same object, on the same terms, with another token.
    pub(in crate::storage) async fn restart(mut self) -> Result<Self> {
        self.give_up().await?;
        Self::on(self.object.clone(), self.terms.anew(), self.sizes).await
    }

    /// The parts of a multipart upload; a small archive has none and goes with its completion.
    pub(in crate::storage) async fn drain(&mut self) -> Result<()> {
        self.not_broken()?;
        let drained = if matches!(self.id, UploadId::None) { Ok(()) } else { self.send_the_rest().await };
        self.broken = drained.is_err();
        drained
    }

    async fn send_the_rest(&mut self) -> Result<()> {
        if self.gathered.bytes() > 0 {
            self.send_part().await?;
        }
        self.in_flight.wait_for_all().await?;
        if let Err(left) = self.remove_lost().await {
            self.notes.push(left);
        }
        Ok(())
    }

    async fn send_full_parts(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes = self.bytes.saturating_add(super::body::length(&bytes));
        self.gathered.push(bytes);
        self.in_flight.look()?;
        while self.gathered.bytes() > self.sizes.bytes(self.number) {
            self.send_part().await?;
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<()> {
        if self.number > MAX_PARTS {
            let message = "the archive is larger than the 10,000 parts that S3 allows hold; tell its size when it is \
                           created, ask for larger parts, or dump into several archives";
            return Err(self.object.at(Error::new(ErrorKind::Storage, message)));
        }
        let upload_id = self.begin().await?;
        let part = self.gathered.take(self.sizes.bytes(self.number));
        self.number += 1;
        self.in_flight.send(&self.object, upload_id, self.number - 1, part, self.algorithm).await
    }

    async fn begin(&mut self) -> Result<String> {
        loop {
            match &mut self.id {
                UploadId::None => {
                    let (object, terms) = (self.object.clone(), self.terms.clone());
                    let task = async move { Box::pin(object.begin(&terms)).await };
                    self.id = UploadId::Pending(tokio::spawn(task));
                }
                UploadId::Pending(task) => {
                    let begun = task.await.map_err(ended).flatten();
                    self.id = UploadId::None;
                    let Begun { upload_id, algorithm, compares, lost } = begun?;
                    (self.algorithm, self.compares, self.lost) = (algorithm, compares, lost);
                    self.id = UploadId::Known(upload_id);
                }
                UploadId::Known(upload_id) => return Ok(upload_id.clone()),
            }
        }
    }

    /// Waits for the end of the uploads that began without an answer; the error says what is left of them.
    async fn remove_lost(&mut self) -> Result<(), String> {
        let Some(task) = &mut self.lost else { return Ok(()) };
        let removed = task.await;
        self.lost = None;
        removed.unwrap_or_else(|error| Err(ended(error).report()))
    }

    /// Removes what there is, for this reason.
    async fn given_up_for(&mut self, error: Error) -> Error {
        match self.give_up().await {
            Ok(()) => error,
            Err(left) => Error::new(error.kind(), left.to_string()).with_source(error),
        }
    }

    /// Our object is there, and holds what was stored; whether it is all that was asked for is still to be seen.
    async fn settle(&mut self, head: HeadObjectOutput, checked: Checked) -> Result<Stored> {
        match Box::pin(self.object.honoured(&self.terms, &head)).await {
            Honoured::Yes => Ok(self.stored(head.e_tag, head.version_id, checked)),
            Honoured::No(error) => Err(self.take_back(head, error).await),
            Honoured::Unknown(error) => {
                self.id = UploadId::None;
                Err(error)
            }
        }
    }

    /// Ends the upload's story; nothing is left to abort.
    fn stored(&mut self, etag: Option<String>, version: Option<String>, checked: Checked) -> Stored {
        self.id = UploadId::None;
        let (labels, mut notes) = (self.terms.labels().to_vec(), mem::take(&mut self.notes));
        notes.extend(self.weakness(checked));
        Stored { bytes: self.bytes, labels, etag, version, crc64: Some(self.promise.crc64), checked, notes }
    }

    /// Our object is not what it should be, for this reason: nobody must take it for the archive.
    async fn take_back(&mut self, head: HeadObjectOutput, error: Error) -> Error {
        self.id = UploadId::None;
        match self.object.remove_made(&head).await {
            Ok(()) => error,
            Err(left) => {
                let message = "the object that is there is not to be used, and could not be removed; remove it and start again";
                self.object.at(Error::new(ErrorKind::Storage, message)).with_source(format!(
                    "{}; {}",
                    error.report(),
                    left.report()
                ))
            }
        }
    }

    fn damaged(&self) -> Error {
        let message = "the store holds other bytes than were sent (size or checksum differ), and they are no archive; start again";
        self.object.at(Error::new(ErrorKind::Storage, message))
    }

    /// What the writer has to be told of a proof that rests on less than a checksum of the whole.
    fn weakness(&self, checked: Checked) -> Option<String> {
        let rests_on = match checked {
            Checked::Crc64Nvme | Checked::Reading => return None,
            Checked::Crc32OfParts => "the checksums (CRC-32) of its parts, and not on one of the whole",
            Checked::Size => "its size alone: the store tells no checksum",
        };
        let Object { bucket, key, .. } = &self.object;
        Some(format!(
            "that s3://{bucket}/{key} is whole rests on {rests_on}; mongoark verify reads it and is sure"
        ))
    }

    fn unproven(&self, error: Error) -> Error {
        let message = "the archive was stored, but S3 does not let us look whether it is whole; allow s3:GetObject there, \
                       then start again";
        self.object.at(Error::new(ErrorKind::Storage, message).with_source(error))
    }

    fn gone(&self, what: &str) -> Error {
        let message = format!("the store said that the archive is complete, but {what} now; start again");
        self.object.at(Error::new(ErrorKind::Storage, message))
    }

    async fn completed(&self) -> Completed {
        self.object.completed(&self.terms, &self.promise).await
    }

    /// Makes the object visible.
    async fn finish(&mut self) -> Result<Answer> {
        self.not_broken()?;
        if !self.terms.overwrite() {
            // Once more, because some stores ignore the condition of the completion (Garage 2.5).
            self.object.refuse_if_present().await?;
        }
        if matches!(self.id, UploadId::None) {
            self.keep_old().await?;
            let whole = self.gathered.take(self.bytes);
            self.completing = true;
            return self.object.complete_whole(&self.terms, &whole, &mut self.promise).await;
        }
        self.send_the_rest().await?;
        let upload_id = self.begin().await?;
        let (parts, crc32) = self.in_flight.take_stored();
        self.promise.crc32 = crc32;
        self.keep_old().await?;
        self.completing = true;
        self.object.complete_upload(&self.terms, &upload_id, parts, &self.promise, self.algorithm).await
    }

    /// Copies what would be lost if the new object turned out to be another than it should be: see [`kept`](super::kept).
    async fn keep_old(&mut self) -> Result<()> {
        if self.terms.overwrite() && (!self.compares || self.object.asks()) {
            let is_whole = matches!(self.id, UploadId::None);
            self.kept = Box::pin(self.object.keep(&self.terms, is_whole)).await?;
        }
        Ok(())
    }

    /// Cancels the parts in flight, then the upload, in a task that goes on where this future is dropped.
    async fn give_up(&mut self) -> Result<()> {
        self.broken = true;
        self.in_flight.shutdown().await;
        let (object, upload_id) = (self.object.clone(), mem::take(&mut self.id));
        let lost = self.lost.take();
        let given_up = tokio::spawn(async move {
            let abandoned = Box::pin(upload_id.abandon(&object)).await;
            let lost = lost.or(abandoned?);
            match lost {
                Some(task) => task.await.map_err(ended)?.map_err(|left| Error::new(ErrorKind::Storage, left)),
                None => Ok(()),
            }
        });
        let given_up = given_up.await.map_err(ended)?;
        match (given_up, self.notes.pop()) {
            (Ok(()), Some(left)) => Err(Error::new(ErrorKind::Storage, left)),
            (given_up, _) => given_up,
        }
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
        let upload_id = mem::take(&mut self.id);
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
