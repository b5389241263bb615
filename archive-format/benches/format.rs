//! Bytes per second of the encoder and the decoder, on one core, without compression or IO.
//!
//! ```sh
//! cargo bench -p archive-format --bench format
//! ```

use std::error::Error;
use std::hint::black_box;

use archive_format::{
    CollectionMetadata, Decoder, Encoder, Event, Kind, Namespace, Prelude, SegmentBuilder, Totals,
};
use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput};

/// What is encoded and decoded: more than the caches of a processor hold.
const DOCUMENTS: usize = 32 * 1024;
const DOCUMENT: usize = 1024;
/// The size of the segments that a dump makes, and about that of the gzip members that a restore inflates.
const SEGMENT: usize = 2 * 1024 * 1024;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let documents = documents()?;
    let mut archive = BytesMut::new();
    encode(&documents, |bytes| archive.extend_from_slice(bytes))?;
    let archive = archive.freeze();
    let (count, size) = (u64::try_from(DOCUMENTS)?, u64::try_from(documents.len())?);
    let mut criterion = Criterion::default().configure_from_args();

    let mut group = criterion.benchmark_group("format");
    group.throughput(Throughput::Bytes(size));
    group.bench_function("encode in segments of 2 MiB", |bencher| {
        bencher.iter(|| {
            let mut size = 0;
            let totals = encode(black_box(&documents), |bytes| size += black_box(bytes).len());
            assert_eq!(totals.ok().map(|totals| (totals.documents, size)), Some((count, archive.len())));
        });
    });
    for (name, chunk) in [("decode in chunks of 64 KiB", 64 * 1024), ("decode in chunks of 2 MiB", SEGMENT)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let totals =
                    decode(black_box(&archive), chunk).map(|totals| (totals.documents, totals.bytes));
                assert_eq!(totals.ok(), Some((count, size)));
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// Documents of one KiB back to back: a length, bytes that differ, a NUL.
fn documents() -> Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(DOCUMENTS * DOCUMENT);
    let mut state: u64 = 1;
    for _ in 0..DOCUMENTS {
        bytes.extend_from_slice(&u32::try_from(DOCUMENT)?.to_le_bytes());
        while bytes.len() % DOCUMENT != DOCUMENT - 4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend_from_slice(&u32::try_from(state >> 32)?.to_le_bytes());
        }
        bytes.extend_from_slice(&[0; 4]);
    }
    Ok(bytes.freeze())
}

/// Makes an archive of one collection, which goes on in pieces as in a dump: none of them is copied.
fn encode(documents: &[u8], mut out: impl FnMut(&[u8])) -> Result<Totals> {
    let namespace = Namespace::new("shop", "orders")?;
    let prelude = Prelude {
        concurrent_collections: 1,
        server_version: "6.0.5".into(),
        tool_version: "bench".into(),
        replay_oplog: false,
        collections: vec![CollectionMetadata {
            namespace: namespace.clone(),
            metadata: String::new(),
            kind: Kind::Collection,
        }],
    };
    let mut frame = BytesMut::new();
    let mut encoder = Encoder::new(&prelude, &mut frame)?;
    out(&frame.split());
    for segment in documents.chunks(SEGMENT) {
        let mut builder = SegmentBuilder::new(&namespace, SEGMENT);
        for document in segment.chunks(DOCUMENT) {
            builder.push(document)?;
        }
        out(&encoder.append(builder.finish())?);
    }
    encoder.end(&namespace, &mut frame)?;
    out(&frame);
    Ok(encoder.finish()?)
}

/// Reads an archive that comes in chunks, and checks what it says of itself.
fn decode(archive: &[u8], chunk: usize) -> Result<Totals> {
    let (mut decoder, mut buffer, mut seen) = (Decoder::new(), BytesMut::new(), 0);
    for piece in archive.chunks(chunk) {
        buffer.extend_from_slice(piece);
        while let Some(event) = decoder.decode(&mut buffer)? {
            if let Event::Documents(documents) = event {
                seen += documents.count();
                black_box(documents.into_bytes());
            }
        }
    }
    let totals = decoder.finish(&buffer)?;
    assert_eq!(seen, totals.documents);
    Ok(totals)
}
