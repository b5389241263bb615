//! One bit flipped, anywhere: what would be restored otherwise, or what a checksum or mongorestore would notice, is refused.

use std::collections::BTreeMap;
use std::ops::Range;

use archive_format::{MAGIC, TERMINATOR};
use bytes::Bytes;
use mongodb::bson::RawDocument;

use super::super::chaos::{Random, rounds};
use super::{assert_whole, golden, is_long, members, plain, refused, verify};

/// Bits of a large archive that are flipped in an ordinary run, and in a long one.
const FLIPS: (u64, u64) = (25, 2000);

/// Bytes of a dump's frames.
const FRAME: usize = 2 * 1024 * 1024;

/// Flips that nothing tells, by what they hit.
#[derive(Debug, Default)]
struct Survivors(BTreeMap<&'static str, Vec<String>>);

impl Survivors {
    fn add(&mut self, what: &'static str, at: usize, bit: u32) {
        self.0.entry(what).or_default().push(format!("{at}.{bit}"));
    }

    #[allow(clippy::print_stdout, reason = "what survives is to be listed")]
    fn list(&self, name: &str) {
        for (what, places) in &self.0 {
            println!("{name}: {} survive in {what} (byte.bit): {}", places.len(), places.join(" "));
        }
    }
}

fn flip(archive: &Bytes, at: usize, bit: u32) -> Bytes {
    let mut flipped = archive.to_vec();
    flipped[at] ^= 1 << bit;
    flipped.into()
}

fn random_place(random: &mut Random, length: usize) -> (usize, u32) {
    let at = usize::try_from(random.below(length as u64)).unwrap();
    (at, u32::try_from(random.below(8)).unwrap())
}

/// Where a gzip member keeps nothing of its content: time, hints, system, and the names of subfields.
fn free_in_gzip(archive: &[u8], members: &[Range<usize>], at: usize, bit: u32) -> &'static str {
    let member = members.iter().find(|member| member.contains(&at)).expect("inside a member");
    let is_ours = archive[member.start + 3] == 4;
    let header = if is_ours { 24 } else { 10 };
    match at - member.start {
        3 if bit == 0 => "FLG, the hint that it is text",
        4..8 => "MTIME",
        8 => "XFL",
        9 => "OS",
        12..24 if is_ours => "the name and lengths in our extra field",
        other => {
            assert!(other >= header && at + 8 < member.end, "byte {at} was flipped unnoticed");
            "deflate, padding or another spelling of the same bytes"
        }
    }
}

/// Flips a bit of a compressed archive. What survives must inflate to the same bytes, by another decoder.
async fn compressed(
    archive: &Bytes,
    content: &Bytes,
    members: &[Range<usize>],
    at: usize,
    bit: u32,
    survivors: &mut Survivors,
) {
    let flipped = flip(archive, at, bit);
    let report = verify(flipped.clone()).await;
    if report.damage.is_some() {
        refused(&report, &format!("bit {bit} of byte {at}"));
        return;
    }
    assert!(
        plain(&flipped).as_ref() == Some(content),
        "bit {bit} of byte {at} changes the content unnoticed"
    );
    survivors.add(free_in_gzip(archive, members, at, bit), at, bit);
}

#[tokio::test]
async fn bits_of_a_small_compressed_archive() {
    let archive = golden("mongoark-0.1.0/golden-6.0.27.archive.gz");
    let content = plain(&archive).expect("gzip");
    let extent = |at: usize| {
        let length: [u8; 4] = archive[at + 16..at + 20].try_into().expect("ours");
        at..at + usize::try_from(u32::from_le_bytes(length)).expect("small")
    };
    let mut members = vec![extent(0)];
    while let Some(last) = members.last().filter(|last| last.end < archive.len()) {
        members.push(extent(last.end));
    }
    let mut survivors = Survivors::default();
    // The headers in any case.
    let step = if is_long() { 1 } else { 7 };
    let headers = members.iter().flat_map(|member| member.start * 8..(member.start + 24) * 8);
    for place in headers.chain((0..archive.len() * 8).step_by(step)) {
        let (at, bit) = (place / 8, u32::try_from(place % 8).unwrap());
        compressed(&archive, &content, &members, at, bit, &mut survivors).await;
    }
    survivors.list("golden-6.0.27.archive.gz");
}

#[tokio::test]
async fn random_bits_of_the_compressed_zoo_of_mongodump_and_of_ours() {
    let theirs = golden("100.18.0/zoo-6.0.27.archive.gz");
    let content = plain(&theirs).expect("gzip");
    let frames: Vec<Bytes> = (0..content.len())
        .step_by(FRAME)
        .map(|at| content.slice(at..content.len().min(at + FRAME)))
        .collect();
    let parts = members(&frames);
    let mut extents = Vec::new();
    for part in &parts {
        let start = extents.last().map_or(0, |last: &Range<usize>| last.end);
        extents.push(start..start + part.len());
    }
    let ours = Bytes::from(parts.concat());
    let whole = std::iter::once(0..theirs.len()).collect::<Vec<_>>();
    for (name, archive, members) in [("mongodump's zoo", &theirs, &whole), ("our zoo", &ours, &extents)] {
        let mut survivors = Survivors::default();
        for mut random in rounds(FLIPS.0, FLIPS.1) {
            let (at, bit) = random_place(&mut random, archive.len());
            compressed(archive, &content, members, at, bit, &mut survivors).await;
        }
        survivors.list(name);
    }
}

/// What nothing in a plain archive protects: by the name of the field.
fn free_in_plain(archive: &[u8], at: usize) -> &'static str {
    let mut from = MAGIC.len();
    let mut in_prelude = true;
    let mut begins = true;
    while from < archive.len() {
        if archive[from..].starts_with(&TERMINATOR) {
            from += TERMINATOR.len();
            (in_prelude, begins) = (false, true);
            continue;
        }
        let length = u32::from_le_bytes(archive[from..from + 4].try_into().unwrap());
        let extent = from..from + usize::try_from(length).unwrap();
        if extent.contains(&at) {
            assert!(in_prelude || begins, "byte {at} of a document was flipped unnoticed");
            return field(&archive[extent], at - from, in_prelude);
        }
        from = extent.end;
        begins = in_prelude;
    }
    panic!("byte {at} is in no record and was flipped unnoticed");
}

/// The field in whose value the byte is, if nobody notices what it is.
fn field(record: &[u8], at: usize, in_prelude: bool) -> &'static str {
    let names =
        RawDocument::from_bytes(record).unwrap().iter().map(|field| field.unwrap().0.as_str().to_owned());
    let mut from = 4;
    let mut found = None;
    for name in names {
        let key = [name.as_bytes(), &[0]].concat();
        from += record[from..].windows(key.len()).position(|window| *window == key).unwrap() + key.len();
        if from <= at {
            found = Some(name);
        }
    }
    match (in_prelude, found.as_deref()) {
        (true, Some("version")) => "version, which is 0.1 always",
        (true, Some("tool_version")) => "tool_version, for people",
        (true, Some("concurrent_collections")) => "concurrent_collections, more workers than needed",
        (true, Some("size")) => "size, which is 0 always",
        (true, Some("server_version")) => "server_version: only a proof would notice",
        (true, Some("metadata")) => "metadata: only a proof would notice",
        (true, Some("type")) if is_of_accounts(record) => "type, which nobody asks of users and roles",
        (false, Some("CRC")) => "CRC of a data block, without a meaning",
        (_, other) => panic!("byte {at} of a record was flipped unnoticed, after {other:?}"),
    }
}

/// Users, roles and their schema.
fn is_of_accounts(record: &[u8]) -> bool {
    let record = RawDocument::from_bytes(record).unwrap();
    let (db, name) = (record.get_str("db").unwrap(), record.get_str("collection").unwrap());
    archive_format::Namespace::new(db, name).unwrap().is_special()
}

async fn uncompressed(archive: &Bytes, crc64: Option<u64>, at: usize, bit: u32, survivors: &mut Survivors) {
    let report = verify(flip(archive, at, bit)).await;
    if report.damage.is_some() {
        refused(&report, &format!("bit {bit} of byte {at}"));
        return;
    }
    assert_whole(&report, "a survivor");
    assert_ne!(report.crc64, crc64, "a proof would notice");
    survivors.add(free_in_plain(archive, at), at, bit);
}

#[tokio::test]
async fn random_bits_of_the_plain_zoo() {
    let archive = plain(&golden("100.18.0/zoo-6.0.27.archive.gz")).expect("gzip");
    let crc64 = verify(archive.clone()).await.crc64;
    let mut survivors = Survivors::default();
    for mut random in rounds(FLIPS.0, FLIPS.1) {
        let (at, bit) = random_place(&mut random, archive.len());
        uncompressed(&archive, crc64, at, bit, &mut survivors).await;
    }
    survivors.list("the plain zoo");
}

#[tokio::test]
async fn bits_of_a_small_plain_archive() {
    let archive = golden("mongoark-0.1.0/golden-6.0.27.archive");
    let crc64 = verify(archive.clone()).await.crc64;
    let step = if is_long() { 1 } else { 41 };
    let mut survivors = Survivors::default();
    for place in (0..archive.len() * 8).step_by(step) {
        uncompressed(&archive, crc64, place / 8, u32::try_from(place % 8).unwrap(), &mut survivors).await;
    }
    survivors.list("golden-6.0.27.archive");
}
