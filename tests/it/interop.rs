//! With the official tools: what one side writes, the other side takes, and the metadata is the same to the byte.

// What is restored, and under which name.
mod namespaces;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use archive_format::{Decoder, Event, Prelude};
use bytes::BytesMut;

mod writes;

use super::support::fingerprint::{assert_same, fingerprint};
use super::support::mongoark::{archive, mongoark};
use super::support::mongod::{Mongod, Version};
use super::support::tools::{mongodump, mongorestore};
use super::support::zoo;

/// The prelude of an archive, gzip or not.
fn prelude(path: &Path) -> Prelude {
    let bytes = std::fs::read(path).expect("the archive");
    let mut plain = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).expect("gzip");
    } else {
        plain = bytes;
    }
    let mut buffer = BytesMut::from(plain.as_slice());
    match Decoder::new().decode(&mut buffer).expect("an archive") {
        Some(Event::Prelude(prelude)) => prelude,
        other => panic!("no prelude: {other:?}"),
    }
}

/// Metadata text and kind by namespace.
fn metadata(prelude: &Prelude) -> BTreeMap<String, (String, &'static str)> {
    let entries = prelude.collections.iter();
    entries
        .map(|entry| (entry.namespace.to_string(), (entry.metadata.clone(), entry.kind.as_str())))
        .collect()
}

async fn both_ways(version: Version) {
    let source = Mongod::start(version).await;
    zoo::fill(&source.client().await, version).await;
    let expected = fingerprint(&source.client().await).await;
    let uri = format!("--uri={}", source.uri());
    for gzip in [None, Some("--gzip".to_owned())] {
        let (_ours, ours) = archive("ours");
        let (_theirs, theirs) = archive("theirs");
        let to = |path: &Path| format!("--archive={}", path.display());
        mongoark(["dump".to_owned(), uri.clone(), to(&ours)].into_iter().chain(gzip.clone())).await.success();
        mongodump([uri.clone(), to(&theirs)].into_iter().chain(gzip.clone())).await.success();

        let (our_prelude, their_prelude) = (prelude(&ours), prelude(&theirs));
        assert_eq!(metadata(&our_prelude), metadata(&their_prelude));
        assert_eq!(our_prelude.server_version, their_prelude.server_version);
        assert_eq!(our_prelude.concurrent_collections, their_prelude.concurrent_collections);

        let target = Mongod::start(version).await;
        let target_uri = format!("--uri={}", target.uri());
        mongorestore([target_uri.clone(), to(&ours)].into_iter().chain(gzip.clone())).await.success();
        assert_same(&expected, &fingerprint(&target.client().await).await);

        let target = Mongod::start(version).await;
        mongoark(["restore".to_owned(), format!("--uri={}", target.uri()), to(&theirs)]).await.success();
        assert_same(&expected, &fingerprint(&target.client().await).await);
    }
}

#[tokio::test]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn both_ways_with_4_4() {
    both_ways(Version::V4_4_2).await;
}

#[tokio::test]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn both_ways_with_5_0() {
    both_ways(Version::V5_0_4).await;
}

#[tokio::test]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn both_ways_with_6_0() {
    both_ways(Version::V6_0_27).await;
}
