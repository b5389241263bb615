//! Gzip members that tell their own length, compressed and inflated on all cores.
//!
//! ```text
//! 1f 8b 08 04  00 00 00 00  00 ff         gzip header: deflate, extra field, no time, unknown system
//! 0c 00  'm' 'a'  08 00                   extra field of 12 bytes: one subfield "ma" of 8
//! LL LL LL LL  RR RR RR RR                length of this whole member, length of its inflated bytes (u32, LE)
//! .. deflate ..  CRC-32  ISIZE            as in RFC 1952
//! ```

use std::cell::RefCell;
use std::sync::Mutex;
use std::thread::available_parallelism;

use archive_format::Namespace;
use bytes::{BufMut, Bytes, BytesMut};
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::level::Levels;
use super::{GzipLevel, Input, stream, task_failed};
use crate::{Error, ErrorKind, Result};

/// Bytes before the deflate stream.
const HEADER: usize = 24;
/// CRC-32 and length after it.
const TRAILER: usize = 8;
/// The fixed part of the header, up to the two lengths.
const PREFIX: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 12, 0, b'm', b'a', 8, 0];

/// Largest member that is inflated whole, in bytes on either side. Writers make members of about 2 MiB, or of one
/// document of at most 16 MiB; what claims more is inflated as a stream, so that no length in an archive can make this
/// program allocate more than this.
const MAX_MEMBER: usize = 64 * 1024 * 1024;

/// Largest buffer that is kept for the next member, in bytes.
const LARGEST_KEPT: usize = 4 * 1024 * 1024;

/// Members in work at once: one for each core, and one that waits.
pub(crate) fn in_flight() -> usize {
    available_parallelism().map_or(2, std::num::NonZero::get) + 1
}

/// Members that are inflated, or being so, behind the one that is handed on next: together one for each core.
fn waiting() -> usize {
    available_parallelism().map_or(1, std::num::NonZero::get).saturating_sub(1).max(1)
}

thread_local! {
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

/// Compressors and the buffers they write into, which are as large as incompressible input would need: as many as were
/// ever at work at once.
pub(crate) struct Compressors {
    levels: Levels,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    level: u8,
    compressor: Compressor,
    scratch: Vec<u8>,
}

impl Compressors {
    pub(crate) fn new(level: GzipLevel) -> Self {
        Self { levels: Levels::new(level), idle: Mutex::default() }
    }

    /// One gzip member of `blocks`, back to back, which are all of `namespace` if there is one. Blocking: belongs on a
    /// thread for computing.
    pub(crate) fn compress(&self, namespace: Option<&Namespace>, blocks: &[Bytes]) -> Result<Bytes> {
        let joined;
        let input: &[u8] = if let [one] = blocks {
            one
        } else {
            joined = blocks.concat();
            &joined
        };
        let Idle { level, mut compressor, mut scratch } = self.take(self.levels.choose(namespace, input))?;
        let bound = compressor.deflate_compress_bound(input.len());
        if scratch.len() < bound {
            scratch.resize(bound, 0);
        }
        let size = compressor
            .deflate_compress(input, &mut scratch)
            .map_err(|error| internal(format!("compression failed: {error}")))?;
        let member = member(input, scratch.get(..size).unwrap_or_default())?;
        // A buffer for the largest documents is not kept for the others.
        if bound <= LARGEST_KEPT
            && let Ok(mut idle) = self.idle.lock()
        {
            idle.push(Idle { level, compressor, scratch });
        }
        Ok(member)
    }

    /// An idle compressor, or one made of the buffer of another.
    fn take(&self, level: u8) -> Result<Idle> {
        let idle = self.idle.lock().ok().and_then(|mut idle| {
            let position = idle.iter().position(|idle| idle.level == level).unwrap_or_default();
            (position < idle.len()).then(|| idle.swap_remove(position))
        });
        match idle {
            Some(idle) if idle.level == level => Ok(idle),
            other => {
                let compression = CompressionLvl::new(i32::from(level))
                    .map_err(|error| internal(format!("no such gzip level: {error:?}")))?;
                let scratch = other.map(|idle| idle.scratch).unwrap_or_default();
                Ok(Idle { level, compressor: Compressor::new(compression), scratch })
            }
        }
    }
}

fn member(input: &[u8], deflated: &[u8]) -> Result<Bytes> {
    let whole = HEADER + deflated.len() + TRAILER;
    let mut member = BytesMut::with_capacity(whole);
    member.put_slice(&PREFIX);
    member.put_u32_le(length(whole)?);
    member.put_u32_le(length(input.len())?);
    member.put_slice(deflated);
    member.put_u32_le(libdeflater::crc32(input));
    member.put_u32_le(length(input.len())?);
    Ok(member.freeze())
}

/// Inflates members in order, several at once; hands over to the sequential reader at the first foreign member.
pub(super) async fn inflate(mut input: Input, output: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
    let (work, mut done) = mpsc::channel::<JoinHandle<Result<Bytes>>>(waiting());
    let dispatch = async move {
        let mut offset: u64 = 0;
        loop {
            input.fill(HEADER).await?;
            if input.buffer.is_empty() {
                return Ok(None);
            }
            let Some(size) = member_size(&input.buffer) else { return Ok(Some(input)) };
            input.fill(size).await?;
            if input.buffer.len() < size {
                return Err(truncated(offset));
            }
            // Inflated only when there is room for the result, so that a slow reader bounds the memory.
            let Ok(place) = work.reserve().await else { return Ok(None) };
            let member = input.buffer.split_to(size).freeze();
            place.send(spawn_blocking(move || inflate_member(&member, offset)));
            offset += u64::try_from(size).unwrap_or(u64::MAX);
        }
    };
    let collect = async {
        while let Some(task) = done.recv().await {
            let chunk = task.await.map_err(task_failed)??;
            if output.send(Ok(chunk)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    };
    let (rest, ()) = futures::try_join!(dispatch, collect)?;
    match rest {
        Some(input) => stream::inflate(input, output).await,
        None => Ok(()),
    }
}

/// The whole length of a member that starts here and tells it, `None` for any other member.
fn member_size(buffer: &[u8]) -> Option<usize> {
    let header = buffer.first_chunk::<HEADER>()?;
    let (prefix, lengths) = header.split_first_chunk::<{ PREFIX.len() }>()?;
    let (size, inflated) = lengths.split_first_chunk::<4>()?;
    let size = number(*size)?;
    let inflated = number(*inflated.first_chunk::<4>()?)?;
    let sane = (HEADER + TRAILER..=MAX_MEMBER).contains(&size) && inflated <= MAX_MEMBER;
    (*prefix == PREFIX && sane).then_some(size)
}

fn number(bytes: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

fn inflate_member(member: &[u8], offset: u64) -> Result<Bytes> {
    try_inflate(member).ok_or_else(|| {
        Error::new(
            ErrorKind::Archive,
            format!(
                "the gzip member at byte {offset} of the compressed archive is damaged; take another copy of it"
            ),
        )
    })
}

/// The inflated bytes, if every length and the checksum agree.
fn try_inflate(member: &[u8]) -> Option<Bytes> {
    let (body, trailer) = member.split_last_chunk::<TRAILER>()?;
    let (header, deflated) = body.split_first_chunk::<HEADER>()?;
    let (crc, size) = trailer.split_first_chunk::<4>()?;
    if !header.ends_with(size) {
        return None;
    }
    let mut inflated = BytesMut::zeroed(number(*size.first_chunk()?)?);
    let written = DECOMPRESSOR
        .with_borrow_mut(|decompressor| decompressor.deflate_decompress(deflated, &mut inflated))
        .ok()?;
    let whole = written == inflated.len() && libdeflater::crc32(&inflated) == u32::from_le_bytes(*crc);
    whole.then(|| inflated.freeze())
}

fn truncated(offset: u64) -> Error {
    Error::new(
        ErrorKind::Archive,
        format!(
            "the archive ends inside the gzip member at byte {offset}: it is truncated; take a complete copy of it"
        ),
    )
}

fn length(size: usize) -> Result<u32> {
    u32::try_from(size).map_err(|_| internal(format!("a gzip member of {size} bytes")))
}

fn internal(message: String) -> Error {
    Error::new(ErrorKind::Internal, message)
}
