//! The level of compression that suits the data.
//!
//! mongodump's gzip is as good as libdeflate's level 7 within half a per cent, whatever the data. How good and how fast the
//! faster levels are depends on the data; `benches/README.md` has the figures.
//!
//! So every namespace is sampled now and then, and its members are compressed at the fastest level that keeps its part of
//! the archive within 1.05 times mongodump's.

use std::collections::HashMap;
use std::sync::Mutex;

use archive_format::Namespace;
use libdeflater::{CompressionLvl, Compressor};

use super::GzipLevel;

/// The level that stands for mongodump.
const REFERENCE: u8 = 7;

/// Levels to choose from, the fastest first. Level 3 makes hardly smaller members than 2, and 4 is hardly faster than 5.
const CANDIDATES: [u8; 4] = [1, 2, 5, 6];

/// How much larger than the reference's a sample may be: less than 1.05, because a sample has no bytes before it to refer
/// to, and that costs the better levels more.
const TOLERANCE: f64 = 1.046;

/// Bytes of a sample; smaller ones tell less (a standard deviation of 0.002 at this size).
const SAMPLE: usize = 128 * 1024;

/// Members of a namespace from one sample to the next; the first, second, fourth and so on are sampled as well. This
/// costs less than 2 % of the time.
const MEMBERS_BETWEEN: u64 = 32;

/// What the samples before count beside a new one.
const MEMORY: f64 = 0.9;

/// Levels for all namespaces of an archive.
pub(super) struct Levels {
    fixed: Option<u8>,
    /// Members of many small collections share one entry.
    namespaces: Mutex<HashMap<Option<Namespace>, Samples>>,
}

#[derive(Clone, Copy)]
struct Samples {
    members: u64,
    level: u8,
    /// Bytes by each candidate and by the reference on the same samples.
    sizes: [(f64, f64); CANDIDATES.len()],
}

impl Levels {
    pub(super) fn new(level: GzipLevel) -> Self {
        Self { fixed: level.0, namespaces: Mutex::default() }
    }

    /// The level for the next member.
    pub(super) fn choose(&self, namespace: Option<&Namespace>, input: &[u8]) -> u8 {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        let Ok(mut namespaces) = self.namespaces.lock() else { return REFERENCE };
        let known = namespaces.entry(namespace.cloned()).or_default();
        known.members += 1;
        let mut samples = *known;
        drop(namespaces);
        if samples.members.is_power_of_two() || samples.members.is_multiple_of(MEMBERS_BETWEEN) {
            samples.take(sample(input));
            if let Ok(mut namespaces) = self.namespaces.lock()
                && let Some(known) = namespaces.get_mut(&namespace.cloned())
            {
                (known.level, known.sizes) = (samples.level, samples.sizes);
            }
        }
        samples.level
    }
}

impl Samples {
    /// Finds the level anew.
    fn take(&mut self, sample: &[u8]) {
        let Some(reference) = size(REFERENCE, sample) else { return };
        self.level = REFERENCE;
        for (level, (tried, by_reference)) in CANDIDATES.into_iter().zip(&mut self.sizes) {
            let Some(size) = size(level, sample) else { continue };
            *tried = *tried * MEMORY + size;
            *by_reference = *by_reference * MEMORY + reference;
            if *tried <= *by_reference * TOLERANCE {
                self.level = level;
                return;
            }
        }
    }
}

impl Default for Samples {
    fn default() -> Self {
        Self { members: 0, level: REFERENCE, sizes: [(0.0, 0.0); CANDIDATES.len()] }
    }
}

/// The middle of a member: its beginning may be of other namespaces.
fn sample(input: &[u8]) -> &[u8] {
    let start = input.len().saturating_sub(SAMPLE) / 2;
    input.get(start..input.len().min(start + SAMPLE)).unwrap_or(input)
}

fn size(level: u8, sample: &[u8]) -> Option<f64> {
    let mut compressor = Compressor::new(CompressionLvl::new(i32::from(level)).ok()?);
    let mut output = vec![0; compressor.deflate_compress_bound(sample.len())];
    let size = compressor.deflate_compress(sample, &mut output).ok()?;
    u32::try_from(size).ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pseudo-random numbers, the same every time.
    fn numbers() -> impl Iterator<Item = usize> {
        std::iter::successors(Some(0x9e37_79b9_u64), |x| {
            Some(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1))
        })
        .map(|x| usize::try_from(x >> 40).unwrap())
    }

    fn structured(size: usize) -> Vec<u8> {
        let mut text = Vec::new();
        for (line, number) in numbers().enumerate() {
            let status = ["paid", "open", "sent", "returned"][number % 4];
            let record = format!(
                "{{order: {line}, customer: {}, status: {status:?}, total: {}.{:02}}}",
                number % 5000,
                number % 97,
                number % 100
            );
            text.extend_from_slice(record.as_bytes());
            if text.len() >= size {
                return text;
            }
        }
        text
    }

    #[test]
    fn what_does_not_compress_takes_the_fastest_level() {
        let noise: Vec<u8> =
            numbers().map(|number| u8::try_from(number % 256).unwrap()).take(1 << 20).collect();
        let levels = Levels::new(GzipLevel::default());
        assert_eq!(levels.choose(None, &noise), CANDIDATES[0]);
    }

    #[test]
    fn the_choice_is_the_fastest_that_is_small_enough_and_each_namespace_has_its_own() {
        let levels = Levels::new(GzipLevel::default());
        let records = structured(1 << 20);
        let orders = Namespace::new("shop", "orders").unwrap();
        let chosen = levels.choose(Some(&orders), &records);
        let reference = size(REFERENCE, sample(&records)).unwrap();
        for level in CANDIDATES {
            let is_small = size(level, sample(&records)).unwrap() <= reference * TOLERANCE;
            assert_eq!(is_small, level >= chosen, "level {level}, chosen {chosen}");
        }
        assert!(chosen > 1, "the fastest level is not good enough for these: {chosen}");
        let sevens = vec![7; 1 << 20];
        assert_eq!(levels.choose(None, &sevens), levels.choose(None, &sevens));
        assert_eq!(levels.choose(Some(&orders), &records), chosen);
    }

    #[test]
    fn a_level_that_is_asked_for_is_taken() {
        assert_eq!(Levels::new(GzipLevel::new(9).unwrap()).choose(None, &[1, 2, 3]), 9);
        assert!(GzipLevel::new(0).is_err() && GzipLevel::new(13).is_err());
    }
}
