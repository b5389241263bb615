//! What tests stand on. Helpers assert, so that tests read as sentences.
#![allow(dead_code, reason = "a helper serves the modules that need it")]

pub mod codedeploy;
pub mod ferretdb;
pub mod fingerprint;
pub mod loopback;
pub mod mongoark;
pub mod mongod;
pub mod moto;
pub mod process;
pub mod proxy;
pub mod replica_set;
pub mod runtime_api;
pub mod s3;
pub mod scripted_server;
pub mod secrets;
pub mod tls;
pub mod tools;
pub mod zoo;

use std::path::{Path, PathBuf};

/// A part that `tests/setup` put into the cache.
///
/// # Panics
///
/// When it is not there.
pub fn cached(part: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-cache").join(part);
    assert!(path.exists(), "{} is missing: run tests/run (or tests/setup) once", path.display());
    path
}

/// A file of `testdata/`.
pub fn testdata(file: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
    assert!(path.exists(), "no such file: {}", path.display());
    path
}
