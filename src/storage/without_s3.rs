//! What stands in the place of S3 where the feature `s3` is left out. A location there can be named, but there is no client
//! for it: none of this can come to be.
#![allow(
    clippy::missing_const_for_fn,
    clippy::needless_pass_by_value,
    clippy::unused_async,
    unreachable_code,
    reason = "the shape of what it stands for"
)]

use super::versioned::{Expected, Swap, Versioned};
use super::{CreateOptions, Listed, S3Options, Stored};
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::convert::Infallible;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct Client(Infallible);

/// # Errors
/// Always.
pub(super) async fn client_of_environment() -> Result<Client> {
    let message = "this program was built without S3; build it with the feature s3";
    Err(Error::new(ErrorKind::InvalidInput, message))
}

pub(super) fn with_options(client: Client, _options: &S3Options) -> Client {
    match client.0 {}
}

#[derive(Clone, Debug)]
pub(super) struct Object(Infallible);

#[derive(Debug)]
pub(super) struct Upload(Infallible);

#[derive(Debug)]
pub(super) struct Download(Infallible);

#[derive(Debug)]
pub(super) struct Pages(Infallible);

impl Object {
    pub(super) fn new(client: Client, _options: &Arc<S3Options>, _bucket: &str, _key: &str) -> Self {
        match client.0 {}
    }

    pub(super) async fn stat(&self) -> Result<Option<Stored>> {
        match self.0 {}
    }

    pub(super) async fn remove(&self, _version: Option<&str>) -> Result<bool> {
        match self.0 {}
    }

    pub(super) async fn read_small(&self) -> Result<Option<Versioned>> {
        match self.0 {}
    }

    pub(super) async fn remove_uploads(&self) -> Result<usize> {
        match self.0 {}
    }

    pub(super) async fn tag(&self, _tags: &[(&str, &str)]) -> Result<()> {
        match self.0 {}
    }

    pub(super) async fn swap(&self, _expected: Expected<'_>, _bytes: Bytes) -> Result<Swap> {
        match self.0 {}
    }
}

impl Upload {
    pub(super) async fn create(object: Object, _options: &CreateOptions) -> Result<Self> {
        match object.0 {}
    }

    pub(super) fn expect(&mut self, _bytes: u64) {
        match self.0 {}
    }

    pub(super) fn label(&mut self, _name: &str, _value: &str) -> Result<()> {
        match self.0 {}
    }

    pub(super) async fn store(&mut self, _bytes: Bytes) -> Result<()> {
        match self.0 {}
    }

    pub(super) async fn drain(&mut self) -> Result<()> {
        match self.0 {}
    }

    pub(super) async fn complete(self, _crc64: u64) -> Result<Stored> {
        match self.0 {}
    }

    pub(super) async fn restart(self) -> Result<Self> {
        match self.0 {}
    }

    pub(super) async fn abort(self) -> Result<()> {
        match self.0 {}
    }
}

impl Download {
    pub(super) async fn open(object: Object) -> Result<Self> {
        match object.0 {}
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.0 {}
    }

    pub(super) fn etag(&self) -> Option<&str> {
        match self.0 {}
    }

    pub(super) fn size(&self) -> u64 {
        match self.0 {}
    }
}

impl Pages {
    pub(super) fn new(object: Object) -> Self {
        match object.0 {}
    }

    pub(super) async fn next(&mut self) -> Result<Option<Vec<Listed>>> {
        match self.0 {}
    }
}
