//! The integration tests, one binary: real servers, real tools, real protocols over loopback.
//!
//! `tests/run` sets up what they need and runs them; after that plain `cargo test` works too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    unnameable_types,
    unreachable_pub,
    reason = "tests assert, and the helpers of one test binary have no outside"
)]

// Servers, tools, fingerprints, sample data.
mod support;

// Archives that mongodump wrote, restored into the servers they came from.
mod golden;

// Archives that an earlier release of ours wrote.
mod golden_ours;

// The program as its users run it.
mod cli;

// Dumped and restored by ours, compared by fingerprint.
mod roundtrip;

// Options and indexes that no map and no JSON value could hold.
mod bytes;

// Restores in this process: elections, refusals, users, the target.
mod proof;
mod restore;

// Restores that are only a test.
mod drill;

// Large collections, read in parts while others write.
mod split;

// What a dump holds, whatever happens to the deployment meanwhile.
mod dump;

// The same together with mongodump and mongorestore.
mod interop;

// Memory that does not depend on the size of the database.
mod memory;

// Called from a program of one's own.
mod library;

// Elections, deaths, changes and neighbours at random moments.
mod chaos;

// Every fault that can be injected, and the invariant after each.
mod faults;

// Every sink and source by the same sentences; S3 that fails.
mod storage;

// The Lambda binary under a runtime API, with S3, Secrets Manager and CodeDeploy.
mod hook;

// Archives that are cut or flipped, read to their end without a server.
mod verify;

// The command with archives in S3.
mod s3;

// Connection strings, TLS, and servers that cannot be used.
mod connection;

// No secret in any output.
mod secrets;
