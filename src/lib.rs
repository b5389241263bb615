//! Backs MongoDB up into archives that `mongorestore` reads and restores archives that `mongodump` wrote.
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        reason = "tests assert"
    )
)]

mod error;
mod extended_json;
mod uri;

pub mod cli;
pub mod codec;
pub mod dump;
pub mod hook;
pub mod progress;
pub mod restore;
pub mod storage;

pub use error::{Error, ErrorKind, Result};
pub use uri::{MongoUri, SERVER_SELECTION_TIMEOUT, connect};
