//! Gzip members that tell their own length, compressed and inflated on all cores.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;

use archive_format::Namespace;
use bytes::{BufMut, Bytes, BytesMut};
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

use super::header::{FIXED, Header, TRAILER, WRITTEN, number};
use super::level::Levels;
use super::{Damage, GzipLevel, Piece, ReadAhead, stream, task_failed};
use crate::{Error, ErrorKind, Result};

/// Bytes that one member is made of at most, so that it stays within [`MAX_MEMBER`](super::header::MAX_MEMBER) even if they grow: a document of 16 MiB,
/// the small blocks beside it (1 MiB), headers. Only a prelude of many collections is longer, and becomes several members.
const LARGEST_INPUT: usize = 18 * 1024 * 1024;

/// Bytes of members in work or waiting for the reader, as they are stored and inflated, over all cores. It holds 24 of the
/// usual ones (2 MiB and what they were compressed to), which inflate faster than any source delivers; three of the largest.
/// The one that is being gathered from the source comes on top, with 20 MiB at most.
const BYTES_IN_FLIGHT: usize = 64 * 1024 * 1024;

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
pub struct Compressors {
    levels: Levels,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    level: u8,
    compressor: Compressor,
    scratch: Vec<u8>,
}

impl Compressors {
    /// Compressors of one level, or of the level that suits the data.
    pub fn new(level: GzipLevel) -> Self {
        Self { levels: Levels::new(level), idle: Mutex::default() }
    }

    /// One gzip member of `blocks`, back to back, which are all of `namespace` if there is one; several, back to back, if they
    /// are longer than any document. Blocking: belongs on a thread for computing.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] only.
    pub fn compress(&self, namespace: Option<&Namespace>, blocks: &[Bytes]) -> Result<Bytes> {
        let joined;
        let input: &[u8] = if let [one] = blocks {
            one
        } else {
            joined = blocks.concat();
            &joined
        };
        let level = self.levels.choose(namespace, input);
        if input.len() <= LARGEST_INPUT {
            return self.member(level, input);
        }
        let mut members = BytesMut::new();
        for input in input.chunks(LARGEST_INPUT) {
            members.put(self.member(level, input)?);
        }
        Ok(members.freeze())
    }

    fn member(&self, level: u8, input: &[u8]) -> Result<Bytes> {
        let Idle { level, mut compressor, mut scratch } = self.take(level)?;
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

impl fmt::Debug for Compressors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressors").finish_non_exhaustive()
    }
}

fn member(input: &[u8], deflated: &[u8]) -> Result<Bytes> {
    let whole = WRITTEN + deflated.len() + TRAILER;
    let inflated = length(input.len())?;
    let mut member = BytesMut::with_capacity(whole);
    Header::write(&mut member, length(whole)?, inflated);
    member.put_slice(deflated);
    member.put_u32_le(libdeflater::crc32(input));
    member.put_u32_le(inflated);
    Ok(member.freeze())
}

/// A member that is inflated, or being so, and its share of [`BYTES_IN_FLIGHT`].
type Inflating = (JoinHandle<Piece>, OwnedSemaphorePermit);

/// Inflates members in order, several at once; hands over to the sequential reader at the first foreign member.
pub(super) async fn inflate(mut input: ReadAhead, output: &mpsc::Sender<Result<Piece>>) -> Result<()> {
    let (work, done) = mpsc::channel::<Inflating>(waiting());
    let budget = Arc::new(Semaphore::new(BYTES_IN_FLIGHT));
    let mut offset: u64 = 0;
    let dispatch = async {
        let work = work;
        loop {
            input.fill(FIXED).await?;
            if input.buffer.is_empty() {
                return Ok(None);
            }
            if let Some(extent) = Header::extent(&input.buffer) {
                input.fill(extent).await?;
            }
            let Some(header) = Header::read(&input.buffer) else { return Ok(Some(input)) };
            input.fill(header.member).await?;
            if input.buffer.len() < header.member {
                return Err(Damage::end_of_member(offset).into_error());
            }
            // Inflated only when there is room for the result, so that a slow reader bounds the memory.
            let Ok(place) = work.reserve().await else { return Ok(None) };
            let share = length(header.member + header.inflated)?;
            let permit =
                Arc::clone(&budget).acquire_many_owned(share).await.map_err(|_| Error::cancelled())?;
            let member = input.buffer.split_to(header.member).freeze();
            place.send((spawn_blocking(move || inflate_member(&member, header, offset)), permit));
            offset += u64::try_from(header.member).unwrap_or(u64::MAX);
        }
    };
    let collect = async {
        let mut done = done;
        while let Some((task, _permit)) = done.recv().await {
            let piece = task.await.map_err(task_failed)?;
            if output.send(Ok(piece)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    };
    // What has been inflated before the input fails or ends too early is handed on all the same.
    let (rest, collected) = futures::join!(dispatch, collect);
    collected?;
    match rest? {
        Some(input) => stream::inflate(input, offset, output).await,
        None => Ok(()),
    }
}

fn inflate_member(member: &[u8], header: Header, offset: u64) -> Piece {
    try_inflate(member, header).map_or_else(
        || {
            let lost = u64::try_from(header.inflated).unwrap_or(u64::MAX);
            Piece::Lost(lost, Damage::member(offset).into_error())
        },
        Piece::Bytes,
    )
}

/// The inflated bytes, if every length and the checksum agree.
fn try_inflate(member: &[u8], header: Header) -> Option<Bytes> {
    let (body, trailer) = member.split_last_chunk::<TRAILER>()?;
    let (crc, size) = trailer.split_first_chunk::<4>()?;
    if number(*size.first_chunk()?)? != header.inflated {
        return None;
    }
    let deflated = body.get(header.size..)?;
    let mut inflated = BytesMut::zeroed(header.inflated);
    let written = DECOMPRESSOR
        .with_borrow_mut(|decompressor| decompressor.deflate_decompress(deflated, &mut inflated))
        .ok()?;
    let whole = written == inflated.len() && libdeflater::crc32(&inflated) == u32::from_le_bytes(*crc);
    whole.then(|| inflated.freeze())
}

fn length(size: usize) -> Result<u32> {
    u32::try_from(size).map_err(|_| internal(format!("a gzip member of {size} bytes")))
}

fn internal(message: String) -> Error {
    Error::new(ErrorKind::Internal, message)
}

#[cfg(test)]
mod tests;
