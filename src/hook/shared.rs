//! A small object of the bucket that many invocations change, one after the other: JSON, by compare-and-swap.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::storage::{Expected, Location, Storage, Swap, Versioned};
use crate::{Error, ErrorKind, Result};

/// Times that a change is tried while others are faster. Each time somebody else has got on.
const SWAPS: u32 = 64;

/// An object that holds one `R`; where there is no object yet, `R::default()`. No two versions may have the same bytes, so
/// every change has to count something up.
#[derive(Clone, Debug)]
pub(super) struct Shared<R> {
    storage: Storage,
    pub(super) at: Location,
    holds: PhantomData<fn() -> R>,
}

impl<R: Default + DeserializeOwned + Serialize> Shared<R> {
    pub(super) fn new(storage: &Storage, bucket: &str, key: &str) -> Result<Self> {
        Ok(Self { storage: storage.clone(), at: Location::s3(bucket, key)?, holds: PhantomData })
    }

    pub(super) async fn read(&self) -> Result<R> {
        Ok(self.versioned().await?.1)
    }

    /// Changes the record, until nobody else was faster. A change that says `Some` is not written.
    pub(super) async fn change<T>(&self, change: impl Fn(&mut R) -> Result<Option<T>>) -> Result<Option<T>> {
        let (mut version, mut record) = self.versioned().await?;
        for _ in 0..SWAPS {
            if let Some(answer) = change(&mut record).map_err(|error| error.at(&self.at))? {
                return Ok(Some(answer));
            }
            let expected = version.as_deref().map_or(Expected::Absent, Expected::Version);
            match Box::pin(self.storage.swap(&self.at, expected, self.bytes(&record)?)).await? {
                Swap::Done(_) => return Ok(None),
                Swap::Lost(found) => (version, record) = self.parse(found)?,
            }
        }
        let message = "others keep changing the lease; send the event again";
        Err(Error::new(ErrorKind::Storage, message).at(&self.at))
    }

    async fn versioned(&self) -> Result<(Option<String>, R)> {
        let found = Box::pin(self.storage.read_small(&self.at)).await?;
        self.parse(found)
    }

    fn parse(&self, found: Option<Versioned>) -> Result<(Option<String>, R)> {
        let Some(found) = found else { return Ok((None, R::default())) };
        let record = serde_json::from_slice(&found.bytes).map_err(|error| {
            let message = "this is no lease that this version can read; remove it when nothing is at work";
            Error::new(ErrorKind::Storage, message).at(&self.at).with_source(error)
        })?;
        Ok((Some(found.etag), record))
    }

    fn bytes(&self, record: &R) -> Result<Bytes> {
        serde_json::to_vec_pretty(record).map(Bytes::from).map_err(|error| {
            Error::new(ErrorKind::Internal, "the lease cannot be written").at(&self.at).with_source(error)
        })
    }
}

/// Milliseconds since 1970, by this machine's clock.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A random name for one delivery of a request, which tells it from the others.
pub(super) fn attempt(request: &str) -> String {
    format!("{:016x}", RandomState::new().hash_one(request))
}
