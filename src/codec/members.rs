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
use super::{GzipLevel, ReadAhead, stream, task_failed};
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
type Inflating = (JoinHandle<Result<Bytes>>, OwnedSemaphorePermit);

/// Inflates members in order, several at once; hands over to the sequential reader at the first foreign member.
pub(super) async fn inflate(mut input: ReadAhead, output: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
    let (work, mut done) = mpsc::channel::<Inflating>(waiting());
    let budget = Arc::new(Semaphore::new(BYTES_IN_FLIGHT));
    let dispatch = async move {
        let mut offset: u64 = 0;
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
                return Err(truncated(offset));
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
        while let Some((task, _permit)) = done.recv().await {
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

fn inflate_member(member: &[u8], header: Header, offset: u64) -> Result<Bytes> {
    try_inflate(member, header).ok_or_else(|| {
        Error::new(
            ErrorKind::Archive,
            format!(
                "the gzip member at byte {offset} of the compressed archive is damaged; take another copy of it"
            ),
        )
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Decompressed;
    use crate::storage::Source;
    use std::io::Read;

    fn compress(input: &[u8]) -> Bytes {
        let blocks = [Bytes::copy_from_slice(input)];
        Compressors::new(GzipLevel::new(1).unwrap()).compress(None, &blocks).unwrap()
    }

    /// Bytes that do not compress, the same every time.
    fn noise(size: usize) -> Vec<u8> {
        let mut state: u64 = 1;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u8::try_from(state >> 56).unwrap()
        };
        std::iter::repeat_with(next).take(size).collect()
    }

    /// The member with more subfields around its own.
    fn with_subfields(member: &[u8], before: &[u8], after: &[u8]) -> Vec<u8> {
        let extra = before.len() + 12 + after.len();
        let whole = u32::try_from(member.len() + before.len() + after.len()).unwrap().to_le_bytes();
        let mut ours = member[FIXED..WRITTEN].to_vec();
        ours[4..8].copy_from_slice(&whole);
        let extra = u16::try_from(extra).unwrap().to_le_bytes();
        [&member[..10], &extra, before, &ours, after, &member[WRITTEN..]].concat()
    }

    /// All of it, read in pieces of a size that no header divides.
    async fn inflated(archive: &[u8]) -> Result<Vec<u8>> {
        let pieces = archive.chunks(1007).map(Bytes::copy_from_slice).collect::<Vec<_>>();
        let mut chunks = Decompressed::new(Source::memory(pieces));
        let mut all = Vec::new();
        while let Some(chunk) = chunks.next().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_member_is_what_it_was_and_any_gzip_reader_takes_it() {
        let text = b"to be, or not to be, or to be";
        let member = compress(text);
        let length = u8::try_from(member.len()).unwrap();
        let expected =
            [&b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x0c\0ma\x08\0"[..], &[length, 0, 0, 0, 29, 0, 0, 0]].concat();
        assert_eq!(member[..WRITTEN], expected);
        assert_eq!(
            member[member.len() - 8..],
            [libdeflater::crc32(text).to_le_bytes(), [29, 0, 0, 0]].concat()
        );
        let mut read = Vec::new();
        flate2::read::MultiGzDecoder::new(&member[..]).read_to_end(&mut read).unwrap();
        assert_eq!(read, text);
        assert_eq!(inflated(&member).await.unwrap(), text);
    }

    #[tokio::test]
    async fn members_of_later_writers_are_inflated_as_members() {
        let (first, second) = (noise(5000), noise(70_000));
        let long = [&b"zz"[..], &60_000_u16.to_le_bytes(), &vec![1; 60_000]].concat();
        for (before, after) in
            [(&b"AP\0\0"[..], &b""[..]), (b"", b"ix\x02\0ab"), (b"AP\0\0xy\x01\0z", b"AP\0\0"), (&long, b"")]
        {
            let extended = with_subfields(&compress(&first), before, after);
            let archive = [&extended[..], &compress(&second), &extended].concat();
            assert_eq!(inflated(&archive).await.unwrap(), [&first[..], &second, &first].concat());

            // Only the reader of members can say which of them is damaged.
            let mut damaged = archive.clone();
            let last = damaged.len() - 5;
            damaged[last] ^= 1;
            let at = archive.len() - extended.len();
            let error = inflated(&damaged).await.unwrap_err().to_string();
            assert!(error.contains(&format!("the gzip member at byte {at} ")), "{error}");

            for end in [5, 11, 13, extended.len() - 1] {
                let error = inflated(&[&compress(&second)[..], &extended[..end]].concat()).await.unwrap_err();
                assert!(error.to_string().contains("truncated"), "cut at {end}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn members_of_other_tools_are_inflated_among_ours() {
        let text = noise(3000);
        let ours = compress(&text);
        let twice = with_subfields(&ours, &ours[FIXED..WRITTEN], b"");
        let mut named = ours[..10].to_vec();
        named[3] = 8;
        named.extend_from_slice(b"name\0");
        named.extend_from_slice(&ours[WRITTEN..]);
        for foreign in [twice, named] {
            let archive = [&ours[..], &foreign, &ours].concat();
            assert_eq!(inflated(&archive).await.unwrap(), text.repeat(3));
        }
    }

    #[tokio::test]
    async fn more_bytes_than_may_be_in_flight_pass_through() {
        let zeros = vec![0; LARGEST_INPUT];
        let (member, times) = (compress(&zeros), BYTES_IN_FLIGHT / LARGEST_INPUT + 2);
        let mut chunks = Decompressed::new(Source::memory(vec![Bytes::from(member.repeat(times))]));
        for _ in 0..times {
            assert!(chunks.next().await.unwrap().unwrap() == zeros);
        }
        assert_eq!(chunks.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn no_member_is_larger_than_a_reader_takes() {
        let noise = noise(LARGEST_INPUT + 1);
        let largest = compress(&noise[..LARGEST_INPUT]);
        assert_eq!(Header::read(&largest).unwrap().member, largest.len());
        assert!(largest.len() > LARGEST_INPUT, "it does not compress");
        let two = compress(&noise);
        let first = Header::read(&two).unwrap().member;
        assert_eq!(Header::read(&two[first..]).unwrap().inflated, 1);
        assert!(inflated(&two).await.unwrap() == noise);
    }
}
