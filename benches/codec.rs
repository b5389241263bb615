//! Bytes per second of the codec: gzip members both ways, and archives by other tools.
//!
//! ```sh
//! cargo bench --bench codec
//! ```

use std::error::Error as StdError;
use std::hint::black_box;
use std::io::Write;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput};
use mongoark::Result;
use mongoark::codec::GzipLevel;
use mongoark::codec::bench::{Compressors, Decompressed};
use mongoark::storage::Source;

/// The size of the frames that a dump makes members of.
const FRAME: usize = 2 * 1024 * 1024;
/// Frames of an archive that is read: enough that starting and ending do not count.
const FRAMES: usize = 32;
/// As a file and a ranged GET are read.
const PIECE: usize = 1024 * 1024;

fn main() -> std::result::Result<(), Box<dyn StdError>> {
    let mut random = Random(1);
    let frames: Vec<Bytes> = (0..FRAMES).map(|_| frame(&mut random)).collect();
    let compressors = Compressors::new(GzipLevel::default());
    let members: Vec<Bytes> = frames
        .iter()
        .map(|frame| compressors.compress(None, std::slice::from_ref(frame)))
        .collect::<Result<_>>()?;
    let foreign = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        for frame in &frames {
            encoder.write_all(frame)?;
        }
        Bytes::from(encoder.finish()?)
    };
    let own = Bytes::from(members.concat());
    let total = FRAMES * FRAME;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut criterion = Criterion::default().configure_from_args();

    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Bytes(u64::try_from(FRAME)?));
    let first = frames.first().ok_or("no frame")?;
    for level in [1, 5] {
        let compressors = Compressors::new(GzipLevel::new(level)?);
        let expected = compressors.compress(None, std::slice::from_ref(first))?.len();
        group.bench_function(format!("compress a frame of 2 MiB, one core, level {level}"), |bencher| {
            bencher.iter(|| {
                let member = compressors.compress(None, std::slice::from_ref(black_box(first)));
                assert_eq!(member.ok().map(|member| member.len()), Some(expected));
            });
        });
    }
    group.throughput(Throughput::Bytes(u64::try_from(total)?));
    for (name, archive) in
        [("inflate our members, all cores", own), ("inflate one member of another tool", foreign)]
    {
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(runtime.block_on(inflate(black_box(&archive))).ok(), Some(total)));
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// Reads a compressed archive to its end and says how long it was uncompressed.
async fn inflate(archive: &Bytes) -> Result<usize> {
    let pieces: Vec<Bytes> = (0..archive.len())
        .step_by(PIECE)
        .map(|start| archive.slice(start..archive.len().min(start + PIECE)))
        .collect();
    let mut inflated = Decompressed::new(Source::memory(pieces));
    let mut total = 0;
    while let Some(chunk) = inflated.next().await? {
        total += chunk.len();
    }
    Ok(total)
}

/// Knuth's generator: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Text and binary fields as they are in documents: the same names over and over, words that are frequent or rare, numbers.
fn frame(random: &mut Random) -> Bytes {
    let mut bytes = BytesMut::with_capacity(FRAME + 1024);
    while bytes.len() < FRAME {
        bytes.extend_from_slice(b"\x07_id\0");
        bytes.extend_from_slice(&random.next(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(b"\x09createdAt\0");
        bytes.extend_from_slice(&(1_735_689_600_000 + random.next(1 << 30)).to_le_bytes());
        bytes.extend_from_slice(b"\x02status\0\x05\0\0\0paid\0\x10quantity\0");
        bytes.extend_from_slice(&random.next(9).to_le_bytes());
        bytes.extend_from_slice(b"\x13price\0");
        bytes.extend_from_slice(&random.next(40_000).to_le_bytes());
        bytes.extend_from_slice(b"\0\0\0\0\0\0\x3c\x30\x02note\0");
        for _ in 0..random.next(40) {
            // The product of two numbers is small more often than large: some words are frequent.
            bytes.extend_from_slice(&word(random.next(70) * random.next(70)));
        }
        bytes.extend_from_slice(b"\0");
    }
    bytes.truncate(FRAME);
    bytes.freeze()
}

/// One of 4,900 words of one to three syllables, with the space after it.
fn word(number: u64) -> Vec<u8> {
    const SYLLABLES: &[u8] = b"anberconderdinelfengerhalinjakonlamanordparenrosatatelunverwizan";
    let mut word = Vec::new();
    let mut rest = number + 1;
    while rest > 0 {
        let start = usize::try_from(rest % 17).unwrap_or_default() * 3;
        word.extend(SYLLABLES.iter().skip(start).take(3));
        rest /= 17;
    }
    word.push(b' ');
    word
}
