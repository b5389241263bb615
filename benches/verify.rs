//! Bytes of raw data per second of `verify`: plain, and gzip members of ours.
//!
//! ```sh
//! cargo bench --bench verify
//! ```

use std::error::Error as StdError;
use std::hint::black_box;
use std::sync::Arc;

use archive_format::{CollectionMetadata, Encoder, Kind, Namespace, Prelude, SegmentBuilder};
use bson::{Bson, DateTime, doc, oid::ObjectId};
use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput};
use mongoark::Result;
use mongoark::codec::GzipLevel;
use mongoark::codec::bench::Compressors;
use mongoark::progress::{Monitor, Silent};
use mongoark::storage::Source;
use mongoark::verify::verify;
use tokio_util::sync::CancellationToken;

/// Bytes of documents in a block, as a dump makes them.
const BLOCK: usize = 2 * 1024 * 1024;
/// Blocks of the archive: enough that starting and ending do not count.
const BLOCKS: usize = 64;
/// As a file and a ranged GET are read.
const PIECE: usize = 1024 * 1024;

fn main() -> std::result::Result<(), Box<dyn StdError>> {
    let namespace = Namespace::new("shop", "orders")?;
    let prelude = Prelude {
        concurrent_collections: 1,
        server_version: "6.0.27".into(),
        tool_version: "bench".into(),
        replay_oplog: false,
        collections: vec![CollectionMetadata {
            namespace: namespace.clone(),
            metadata: r#"{"indexes":[]}"#.into(),
            kind: Kind::Collection,
        }],
    };
    let mut out = BytesMut::new();
    let mut encoder = Encoder::new(&prelude, &mut out)?;
    let mut blocks = vec![out.split().freeze()];
    let mut number: u32 = 0;
    for _ in 0..BLOCKS {
        let mut builder = SegmentBuilder::new(&namespace, BLOCK + 4096);
        let mut size = 0;
        while size < BLOCK {
            number = number.wrapping_add(1);
            let document = order(number)?;
            size += document.len();
            builder.push(&document)?;
        }
        blocks.push(encoder.append(builder.finish())?);
    }
    let documents = encoder.end(&namespace, &mut out)?.documents;
    blocks.push(out.freeze());
    let compressors = Compressors::new(GzipLevel::default());
    let members: Vec<Bytes> = blocks
        .iter()
        .map(|block| compressors.compress(None, std::slice::from_ref(block)))
        .collect::<Result<_>>()?;
    let (plain, gzip) = (Bytes::from(blocks.concat()), Bytes::from(members.concat()));

    let runtime = tokio::runtime::Runtime::new()?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("verify");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(u64::try_from(plain.len())?));
    for (name, archive) in [("plain", plain), ("gzip members", gzip)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(runtime.block_on(read(black_box(&archive))).ok(), Some(documents)));
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// The number of documents in the namespaces that are whole.
async fn read(archive: &Bytes) -> Result<u64> {
    let pieces: Vec<Bytes> = (0..archive.len())
        .step_by(PIECE)
        .map(|start| archive.slice(start..archive.len().min(start + PIECE)))
        .collect();
    let monitor: Arc<dyn Monitor> = Arc::new(Silent);
    let report = verify(Source::memory(pieces), &monitor, &CancellationToken::new()).await?;
    report.damage.map_or(Ok(()), Err)?;
    Ok(report.whole.iter().map(|whole| whole.end.documents).sum())
}

/// A document as in a shop: half a KiB, nested, most fields short.
fn order(number: u32) -> std::result::Result<Vec<u8>, Box<dyn StdError>> {
    let id = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let mut bytes = [0; 12];
    bytes.iter_mut().zip(id).for_each(|(byte, from)| *byte = from);
    let lines: Vec<Bson> = (0..number % 5)
        .map(|line| {
            let price = f64::from(number.wrapping_mul(line + 7) % 40_000) / 100.0;
            doc! { "sku": format!("SKU-{}", number.wrapping_mul(31 + line) % 5000), "quantity": line + 1, "price": price }.into()
        })
        .collect();
    let order = doc! {
        "_id": ObjectId::from_bytes(bytes),
        "createdAt": DateTime::from_millis(1_735_689_600_000 + i64::from(number) * 1013),
        "status": if number.is_multiple_of(7) { "open" } else { "paid" },
        "customer": { "id": i64::from(number % 4999), "name": format!("Customer {}", number % 4999), "vip": number.is_multiple_of(50) },
        "lines": lines,
        "note": "please leave it at the door ".repeat(usize::try_from(number % 6)?),
    };
    Ok(bson::serialize_to_vec(&order)?)
}
