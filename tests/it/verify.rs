//! Archives read to their end without a server: every defect is found and placed, and what is whole in spite of it is told.
//!
//! Flips that change nothing of what is restored are listed in the output, by their place; they may be nowhere but where the
//! formats keep nothing. `tests/run --long` flips 2,000 bits of each large archive.

// The command: exit codes, standard output, names that would steer a terminal.
mod command;

// Archives cut at every length.
mod cut;

// Archives with one flipped bit.
mod flipped;

// Damage in one place and what stands behind it.
mod salvage;

use std::io::Read;
use std::sync::Arc;

use archive_format::{CollectionMetadata, Decoder, Encoder, Event, Kind, Namespace, Prelude, SegmentBuilder};
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use mongoark::codec::GzipLevel;
use mongoark::codec::bench::Compressors;
use mongoark::progress::{Monitor, Silent};
use mongoark::storage::Source;
use mongoark::verify::{Damage, DamageKind, VerifyReport};
use mongodb::bson::{doc, serialize_to_vec};
use tokio_util::sync::CancellationToken;

use super::support::testdata;

/// As a file is read.
const PIECE: usize = 1024 * 1024;

/// All archives that official tools or an earlier release of ours wrote.
const GOLDEN: [&str; 7] = [
    "100.18.0/busy-oplog-6.0.27.archive.gz",
    "100.18.0/one-document.archive",
    "100.18.0/zoo-4.4.2.archive.gz",
    "100.18.0/zoo-5.0.4.archive.gz",
    "100.18.0/zoo-6.0.27.archive.gz",
    "mongoark-0.1.0/golden-6.0.27.archive",
    "mongoark-0.1.0/golden-6.0.27.archive.gz",
];

fn golden(name: &str) -> Bytes {
    std::fs::read(testdata("archives").join(name)).expect("a golden archive").into()
}

/// The archive, uncompressed.
fn plain(archive: &[u8]) -> Option<Bytes> {
    let mut inflated = Vec::new();
    MultiGzDecoder::new(archive).read_to_end(&mut inflated).ok()?;
    Some(inflated.into())
}

async fn verify(archive: Bytes) -> VerifyReport {
    let pieces = (0..archive.len()).step_by(PIECE).map(|at| archive.slice(at..archive.len().min(at + PIECE)));
    let monitor: Arc<dyn Monitor> = Arc::new(Silent);
    let source = Source::memory(pieces.collect::<Vec<_>>());
    mongoark::verify::verify(source, &monitor, &CancellationToken::new()).await.expect("damage is no error")
}

/// Whether every place is tried, and not some of them.
fn is_long() -> bool {
    std::env::var("MONGOARK_LONG").is_ok_and(|number| number != "0")
}

/// The names of what is whole.
fn whole(report: &VerifyReport) -> Vec<String> {
    report.whole.iter().map(|whole| whole.end.namespace.to_string()).collect()
}

/// Fails unless the archive is refused, with a place and a sentence; the first damage.
#[track_caller]
fn refused<'a>(report: &'a VerifyReport, what: &str) -> &'a Damage {
    let Some(damage) = report.damages.first() else { panic!("{what}: nothing was noticed") };
    assert!(report.damage.is_some(), "{what}");
    let placed = damage.offset.is_some() || damage.stored_offset.is_some() || damage.namespace.is_some();
    assert!(placed && damage.sentence.len() > 20, "{what}: {damage:?}");
    damage
}

#[track_caller]
fn assert_whole(report: &VerifyReport, what: &str) {
    assert_eq!((&report.damages[..], &report.lost[..]), (&[][..], &[][..]), "{what}");
    assert!(report.damage.is_none() && report.crc64.is_some(), "{what}");
}

/// What the format's own decoder, which stops at the first error, has seen end.
fn ends(archive: &[u8]) -> Vec<String> {
    let (mut decoder, mut buffer, mut ends) = (Decoder::new(), BytesMut::from(archive), Vec::new());
    while let Ok(Some(event)) = decoder.decode(&mut buffer) {
        if let Event::End(end) = event {
            ends.push(end.namespace.to_string());
        }
    }
    ends
}

/// A document `{_id: <number>, t: <text>}`.
fn document(number: i32, text: &str) -> Vec<u8> {
    serialize_to_vec(&doc! { "_id": number, "t": text }).expect("a document")
}

/// An archive of these collections of `d`, each with so many documents of this length, in blocks that take turns. The blocks
/// with the prelude before them.
fn blocks(names: &[&str], documents: i32, text: usize) -> Vec<Bytes> {
    let namespaces: Vec<_> = names.iter().map(|name| Namespace::new("d", name).expect("a name")).collect();
    let collections = namespaces.iter().map(|namespace| CollectionMetadata {
        namespace: namespace.clone(),
        metadata: r#"{"indexes":[]}"#.to_owned(),
        kind: Kind::Collection,
    });
    let prelude = Prelude {
        concurrent_collections: i32::try_from(names.len()).expect("few"),
        server_version: "6.0.5".to_owned(),
        tool_version: "test".to_owned(),
        replay_oplog: false,
        collections: collections.collect(),
    };
    let mut out = BytesMut::new();
    let mut encoder = Encoder::new(&prelude, &mut out).expect("a prelude");
    let mut blocks = vec![out.split().freeze()];
    let text = "x".repeat(text);
    for turn in 0..2 {
        for namespace in &namespaces {
            let mut builder = SegmentBuilder::new(namespace, 1024);
            for number in 0..documents {
                builder.push(&document(turn * documents + number, &text)).expect("a document");
            }
            out.extend_from_slice(&encoder.append(builder.finish()).expect("a block"));
            blocks.push(out.split().freeze());
        }
    }
    for namespace in &namespaces {
        encoder.end(namespace, &mut out).expect("an end");
        blocks.push(out.split().freeze());
    }
    encoder.finish().expect("all have ended");
    blocks
}

/// A gzip member of ours for each of these.
fn members(blocks: &[Bytes]) -> Vec<Bytes> {
    let compressors = Compressors::new(GzipLevel::new(1).expect("a level"));
    blocks
        .iter()
        .map(|block| compressors.compress(None, std::slice::from_ref(block)).expect("a member"))
        .collect()
}

#[tokio::test]
async fn every_golden_archive_is_whole_and_each_namespace_is_what_the_format_says() {
    for name in GOLDEN {
        let archive = golden(name);
        let report = verify(archive.clone()).await;
        assert_whole(&report, name);
        assert_eq!(report.bytes, archive.len() as u64);
        assert_eq!(report.crc64, Some(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &archive)));
        assert_eq!(whole(&report), ends(&plain(&archive).unwrap_or(archive)), "{name}");
    }
}

#[tokio::test]
async fn the_digest_of_a_namespace_does_not_depend_on_the_order_of_its_documents() {
    let mut reports = Vec::new();
    for numbers in [[1, 2, 3], [3, 1, 2], [1, 2, 4]] {
        let namespace = Namespace::new("d", "c").unwrap();
        let prelude = Prelude {
            concurrent_collections: 1,
            server_version: "6.0.5".to_owned(),
            tool_version: "test".to_owned(),
            replay_oplog: false,
            collections: vec![CollectionMetadata {
                namespace: namespace.clone(),
                metadata: String::new(),
                kind: Kind::Collection,
            }],
        };
        let mut out = BytesMut::new();
        let mut encoder = Encoder::new(&prelude, &mut out).unwrap();
        let mut builder = SegmentBuilder::new(&namespace, 1024);
        for number in numbers {
            builder.push(&document(number, "text")).unwrap();
        }
        out.extend_from_slice(&encoder.append(builder.finish()).unwrap());
        encoder.end(&namespace, &mut out).unwrap();
        encoder.finish().unwrap();
        reports.push(verify(out.freeze()).await);
    }
    let [first, turned, other] = [0, 1, 2].map(|at| reports[at].whole[0].clone());
    assert_eq!(first.digest, turned.digest);
    assert_ne!(first.end.checksum, turned.end.checksum);
    assert_ne!(first.digest, other.digest);
}

#[tokio::test]
async fn something_else_is_no_archive() {
    for (content, kind) in [
        (&b""[..], DamageKind::Truncated),
        (b"PK\x03\x04 something else", DamageKind::NotAnArchive),
        (b"\x28\xb5\x2f\xfd zstd", DamageKind::NotAnArchive),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x07\x07\x07\x07\x07\x07\x07\x07", DamageKind::Gzip),
    ] {
        let report = verify(Bytes::from_static(content)).await;
        assert_eq!(report.damages.first().map(|damage| damage.kind), Some(kind), "{:?}", report.damages);
        assert!(report.damage.is_some() && report.whole.is_empty());
    }
}
