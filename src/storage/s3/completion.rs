//! The requests of an upload, and how it ends: completed once, or aborted for good, whatever answers get lost.

use super::body::Gathered;
use super::upload::Begun;
use super::{Look, Object, TOKEN, failure};
use crate::storage::CreateOptions;
use crate::{Error, ErrorKind, Result};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// Time for one attempt at a transfer besides its bytes: 60 seconds for a store that is slow to answer.
const TRANSFER_PATIENCE: Duration = Duration::from_mins(1);

/// Bytes a second below which an attempt at a part is given up. Four parts in flight ask for 2 Mbit/s; a fixed limit
/// would fail large parts on slow links, none at all would wait for ever for a store that hangs.
const MIN_TRANSFER_RATE: u64 = 64 << 10;

/// Time for one attempt at a completion, which S3 documents to take minutes.
const COMPLETION_TIMEOUT: Duration = Duration::from_mins(5);

/// Aborts until the store has no parts left: one that arrives while the first abort runs survives it.
const ABORT_ATTEMPTS: u32 = 4;

/// Pause before the second abort; doubles with every further one.
const ABORT_PAUSE: Duration = Duration::from_millis(500);

/// What is said where an upload could not be removed.
pub(super) const PARTS_LEFT: &str = "parts of the unfinished upload could not be removed and are billed; abort it, or \
    let a lifecycle rule AbortIncompleteMultipartUpload do so";

/// What became of a completion.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Ours,
    NotOurs,
    Unknown,
}

/// On what terms an object is made.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    overwrite: bool,
    labels: Vec<(String, String)>,
    /// Tells our object from anybody else's when the answer to a completion is lost.
    token: String,
}

impl Terms {
    pub(super) fn new(options: &CreateOptions) -> Result<Self> {
        let mut labels = options.labels.clone();
        labels.sort();
        if let Some((name, _)) = labels.iter().find(|(name, value)| !is_label(name, value)) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the label {name:?} cannot be kept; names are a-z, 0-9 and hyphens, values visible ASCII"
                ),
            ));
        }
        let (process, random) = (std::process::id(), RandomState::new());
        let token = format!("{:016x}{:016x}", random.hash_one(process), RandomState::new().hash_one(process));
        Ok(Self { overwrite: options.overwrite, labels, token })
    }

    pub(super) fn overwrite(&self) -> bool {
        self.overwrite
    }

    pub(super) fn labels(&self) -> &[(String, String)] {
        &self.labels
    }

    fn metadata(&self) -> std::collections::HashMap<String, String> {
        let token = (TOKEN.to_owned(), self.token.clone());
        self.labels.iter().cloned().chain([token]).collect()
    }

    fn if_none_match(&self) -> Option<String> {
        (!self.overwrite).then(|| "*".to_owned())
    }
}

fn is_label(name: &str, value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    !name.is_empty()
        && name != TOKEN
        && name.bytes().all(plain)
        && value.trim() == value
        && value.bytes().all(visible)
}

impl Object {
    /// The whole object in one request.
    pub(super) async fn put(&self, terms: &Terms, whole: Gathered) -> Result<()> {
        let request = self.client.put_object().bucket(&self.bucket).key(&self.key);
        let request = request.set_metadata(Some(terms.metadata())).set_if_none_match(terms.if_none_match());
        let patience = self.patience(transfer_timeout(whole.bytes()));
        let request = request.checksum_crc32(whole.crc32().await).body(whole.into_body());
        request.customize().config_override(patience).send().await.map_err(|error| self.failed(&error))?;
        Ok(())
    }

    pub(super) async fn begin(&self, terms: &Terms) -> Result<String> {
        let request = self.client.create_multipart_upload().bucket(&self.bucket).key(&self.key);
        let request =
            request.set_metadata(Some(terms.metadata())).checksum_algorithm(ChecksumAlgorithm::Crc32);
        let begun = request.send().await.map_err(|error| self.failed(&error))?;
        begun.upload_id.ok_or_else(|| {
            self.at(Error::new(ErrorKind::Storage, "the store began an upload without naming it"))
        })
    }

    pub(super) async fn put_part(
        &self,
        upload_id: &str,
        number: u32,
        part: Gathered,
    ) -> Result<CompletedPart> {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let request = self.client.upload_part().bucket(&self.bucket).key(&self.key);
        let request = request.upload_id(upload_id).part_number(number);
        let patience = self.patience(transfer_timeout(part.bytes()));
        let request = request.checksum_crc32(part.crc32().await).body(part.into_body());
        let stored = request
            .customize()
            .config_override(patience)
            .send()
            .await
            .map_err(|error| self.failed(&error))?;
        // The checksum is repeated only where the store keeps it.
        let part = CompletedPart::builder().part_number(number).set_e_tag(stored.e_tag);
        Ok(part.set_checksum_crc32(stored.checksum_crc32).build())
    }

    pub(super) async fn complete(
        &self,
        terms: &Terms,
        upload_id: &str,
        parts: Vec<CompletedPart>,
        bytes: u64,
    ) -> Result<()> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(&self.key);
        let request =
            request.upload_id(upload_id).multipart_upload(parts).set_if_none_match(terms.if_none_match());
        let request = request.mpu_object_size(i64::try_from(bytes).unwrap_or(i64::MAX));
        let patience = self.patience(COMPLETION_TIMEOUT);
        request.customize().config_override(patience).send().await.map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// Whether the object that is there is the one of these terms.
    pub(super) async fn outcome(&self, terms: &Terms, bytes: u64) -> Outcome {
        match self.look().await {
            Ok(Look::There(head)) => {
                let token = head.metadata().and_then(|metadata| metadata.get(TOKEN));
                let same_size = super::size(&head).is_ok_and(|size| size == bytes);
                if token == Some(&terms.token) && same_size { Outcome::Ours } else { Outcome::NotOurs }
            }
            Ok(Look::Absent) => Outcome::NotOurs,
            Ok(Look::Denied(_)) | Err(_) => Outcome::Unknown,
        }
    }

    pub(super) async fn refuse_if_present(&self) -> Result<()> {
        match self.look().await? {
            Look::There(_) => Err(self.at(failure::already_exists())),
            Look::Absent | Look::Denied(_) => Ok(()),
        }
    }

    /// Aborts an upload until nothing of it is left.
    pub(super) async fn abandon(&self, begun: Begun) -> Result<()> {
        let upload_id = match begun {
            Begun::Not => return Ok(()),
            Begun::Beginning(task) => match task.await {
                Ok(Ok(upload_id)) => upload_id,
                Ok(Err(_)) | Err(_) => return Ok(()),
            },
            Begun::Open(upload_id) => upload_id,
        };
        let left = Error::new(ErrorKind::Storage, PARTS_LEFT);
        for attempt in 0..ABORT_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(ABORT_PAUSE * (1 << (attempt - 1))).await;
            }
            let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(&self.key);
            match request.upload_id(&upload_id).send().await {
                Err(error) if failure::has_code(&error, "NoSuchUpload") => return Ok(()),
                Err(error) => return Err(self.at(left.with_source(failure::describe(&error)))),
                Ok(_) if !self.has_parts(&upload_id).await => return Ok(()),
                Ok(_) => {}
            }
        }
        Err(self.at(left))
    }

    async fn has_parts(&self, upload_id: &str) -> bool {
        let request =
            self.client.list_parts().bucket(&self.bucket).key(&self.key).upload_id(upload_id).max_parts(1);
        // The normal answer is NoSuchUpload. Who must not list has to trust the abort.
        request.send().await.is_ok_and(|listed| !listed.parts().is_empty())
    }
}

fn transfer_timeout(bytes: u64) -> Duration {
    TRANSFER_PATIENCE + Duration::from_secs(bytes / MIN_TRANSFER_RATE)
}
