use std::io::Read as _;
use std::path::PathBuf;

use archive_format::{
    CollectionMetadata, Decoder, Encoder, End, Error, Event, Kind, Namespace, Prelude, Segment,
    SegmentBuilder, SegmentStart, Totals,
};
use bytes::{Bytes, BytesMut};

use crate::bytes_by_hand::numbered;

/// All golden archives.
pub(crate) const GOLDEN: [&str; 5] =
    ["one-document", "zoo-4.4.2", "zoo-5.0.4", "zoo-6.0.27", "busy-oplog-6.0.27"];

fn golden_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/archives/100.18.0").join(name)
}

/// A golden archive, uncompressed.
pub(crate) fn golden(name: &str) -> Bytes {
    if let Ok(plain) = std::fs::read(golden_file(&format!("{name}.archive"))) {
        return plain.into();
    }
    let packed = std::fs::read(golden_file(&format!("{name}.archive.gz"))).unwrap();
    let mut archive = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut archive).unwrap();
    archive.into()
}

/// The fingerprint that was taken from the server when the golden archive was made.
pub(crate) fn fingerprint(name: &str) -> serde_json::Map<String, serde_json::Value> {
    let text = std::fs::read(golden_file(&format!("{name}.fingerprint.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// An event, with adjacent batches of documents joined.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Prelude(Prelude),
    Segment(SegmentStart),
    Documents { namespace: Namespace, collection: usize, bytes: Vec<u8>, count: u64 },
    End(End),
}

/// Reads an archive to its end.
pub(crate) fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<Seen>, Totals), Error> {
    let (seen, totals) = read_what_can_be_read(pieces);
    totals.map(|totals| (seen, totals))
}

/// Reads an archive to its end or its first error.
pub(crate) fn read_what_can_be_read<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Seen>, Result<Totals, Error>) {
    let (mut decoder, mut buffer, mut seen) = (Decoder::new(), BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        if let Err(error) = drain(&mut decoder, &mut buffer, |event| join(&mut seen, event)) {
            assert_eq!(decoder.decode(&mut buffer), Err(error.clone()), "an error is forgotten");
            assert_eq!(decoder.finish(b""), Err(error.clone()), "an error is forgotten at the end");
            return (seen, Err(error));
        }
    }
    (seen, decoder.finish(&buffer))
}

/// Takes all events out of a buffer.
pub(crate) fn drain(
    decoder: &mut Decoder,
    buffer: &mut BytesMut,
    mut take: impl FnMut(Event),
) -> Result<(), Error> {
    while let Some(event) = decoder.decode(buffer)? {
        take(event);
    }
    Ok(())
}

fn join(seen: &mut Vec<Seen>, event: Event) {
    let documents = match event {
        Event::Prelude(prelude) => return seen.push(Seen::Prelude(prelude)),
        Event::Segment(start) => return seen.push(Seen::Segment(start)),
        Event::End(end) => return seen.push(Seen::End(end)),
        Event::Documents(documents) => documents,
        other => panic!("an event that no test knows: {other:?}"),
    };
    assert_eq!(documents.iter().count() as u64, documents.count());
    assert!(documents.count() > 0, "an empty batch");
    if let Some(Seen::Documents { bytes, count, .. }) = seen.last_mut() {
        bytes.extend_from_slice(documents.bytes());
        *count += documents.count();
        return;
    }
    seen.push(Seen::Documents {
        namespace: documents.namespace().clone(),
        collection: documents.collection(),
        count: documents.count(),
        bytes: documents.into_bytes().into(),
    });
}

/// What there is to see of documents and ends, which is what must never change unnoticed.
pub(crate) fn content(seen: &[Seen]) -> Vec<Seen> {
    seen.iter().filter(|seen| matches!(seen, Seen::Documents { .. } | Seen::End(_))).cloned().collect()
}

pub(crate) fn namespace(name: &str) -> Namespace {
    if name == "oplog" {
        return Namespace::oplog();
    }
    let (db, collection) = name.split_once('.').unwrap();
    Namespace::new(db, collection).unwrap()
}

pub(crate) fn collection(name: &str, kind: Kind) -> CollectionMetadata {
    let metadata = if kind == Kind::Unspecified { "" } else { "{\"indexes\":[]}" };
    CollectionMetadata { namespace: namespace(name), metadata: metadata.into(), kind }
}

pub(crate) fn prelude(concurrent_collections: i32, collections: Vec<CollectionMetadata>) -> Prelude {
    Prelude {
        concurrent_collections,
        server_version: "6.0.27".into(),
        tool_version: "test".into(),
        replay_oplog: false,
        collections,
    }
}

/// A segment of documents `{_id: n}`.
pub(crate) fn segment(name: &str, ids: std::ops::Range<i32>) -> Segment {
    let mut builder = SegmentBuilder::new(&namespace(name), 64);
    for id in ids {
        builder.push(&numbered(id)).unwrap();
    }
    builder.finish()
}

/// An archive with a bit of everything: users, two interleaved collections, a view, a time series, an oplog.
pub(crate) fn small() -> Bytes {
    let prelude = prelude(
        2,
        vec![
            collection("d.a", Kind::Collection),
            collection("d.b", Kind::Collection),
            collection("d.v", Kind::View),
            collection("d.t", Kind::Timeseries),
            collection("oplog", Kind::Unspecified),
            collection("admin.system.users", Kind::Collection),
        ],
    );
    let mut out = BytesMut::new();
    let mut encoder = Encoder::new(&prelude, &mut out).unwrap();
    let append = |encoder: &mut Encoder, out: &mut BytesMut, segment| {
        out.extend_from_slice(&encoder.append(segment).unwrap());
    };
    append(&mut encoder, &mut out, segment("admin.system.users", 0..1));
    encoder.end(&namespace("admin.system.users"), &mut out).unwrap();
    append(&mut encoder, &mut out, segment("d.a", 0..3));
    append(&mut encoder, &mut out, segment("d.b", 0..2));
    append(&mut encoder, &mut out, segment("d.a", 3..4));
    encoder.end(&namespace("d.a"), &mut out).unwrap();
    append(&mut encoder, &mut out, segment("d.system.buckets.t", 0..2));
    encoder.end(&namespace("d.b"), &mut out).unwrap();
    encoder.end(&namespace("d.v"), &mut out).unwrap();
    encoder.end(&namespace("d.system.buckets.t"), &mut out).unwrap();
    append(&mut encoder, &mut out, segment("oplog", 0..1));
    encoder.end(&namespace("oplog"), &mut out).unwrap();
    let totals = encoder.finish().unwrap();
    assert_eq!((totals.collections, totals.documents), (6, 10));
    out.freeze()
}
