//! How an object is cut into parts.

use crate::{Error, ErrorKind, Result};

/// Smallest size of a part that is chosen here: 8 MiB keeps a request's fixed cost under a tenth.
const MIN_CHOSEN_BYTES: u64 = 8 << 20;

/// S3's smallest part, the last one aside.
const MIN_PART_BYTES: u64 = 5 << 20;

/// S3's largest part.
const MAX_PART_BYTES: u64 = 5 << 30;

/// Part numbers go from 1 to this, set by S3.
pub(super) const MAX_PARTS: u32 = 10_000;

/// Parts of equal size before parts begin to grow: some stores (Cloudflare R2) refuse an object with unequal ones, so
/// that they grow only where the object would not fit otherwise.
const EQUAL_PARTS: u32 = 9_000;

/// Grown parts of one size before the size doubles. Ten doublings then fit into the last 1,000 parts.
const PARTS_PER_DOUBLING: u32 = 50;

/// Largest archive that fits in one S3 object: 48.8 TiB, 10,000 parts of 5 GiB, where its size was told before.
///
/// Where it was not, or where it was told wrong, 9,000 equal parts (8 MiB: 70 GiB) are followed by parts that double
/// every 50, which ends at 3.1 TiB.
pub const MAX_OBJECT_BYTES: u64 = MAX_PART_BYTES * 10_000;

/// The sizes of an object's parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PartSizes {
    equal: u64,
    /// Whether somebody has asked for this very size.
    fixed: bool,
}

impl PartSizes {
    /// For an object of about this many bytes, or with parts of this size.
    pub(super) fn new(size_hint: Option<u64>, part_bytes: Option<u64>) -> Result<Self> {
        match part_bytes {
            None => Ok(Self { equal: equal_part_bytes(size_hint.unwrap_or_default()), fixed: false }),
            Some(equal) if (MIN_PART_BYTES..=MAX_PART_BYTES).contains(&equal) => {
                Ok(Self { equal, fixed: true })
            }
            Some(other) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("a part of an S3 object cannot have {other} bytes; choose 5 MiB to 5 GiB"),
            )),
        }
    }

    /// The object is expected to have this many bytes; no part has been cut yet.
    pub(super) fn expect(&mut self, bytes: u64) {
        if !self.fixed {
            self.equal = equal_part_bytes(bytes);
        }
    }

    /// Size of the part with this number, counted from 1.
    pub(super) fn bytes(self, number: u32) -> u64 {
        let Some(grown) = number.checked_sub(EQUAL_PARTS + 1) else { return self.equal };
        let doublings = 1 + grown / PARTS_PER_DOUBLING;
        // Ten doublings pass the maximum already, so the shift cannot lose bits.
        (self.equal << doublings.min(10)).min(MAX_PART_BYTES)
    }
}

/// Whole mebibytes, so that 9,000 parts hold this many bytes.
fn equal_part_bytes(bytes: u64) -> u64 {
    let wanted = bytes.div_ceil(u64::from(EQUAL_PARTS)).min(MAX_PART_BYTES).div_ceil(1 << 20) << 20;
    wanted.max(MIN_CHOSEN_BYTES)
}

#[cfg(test)]
mod tests {
    use super::{EQUAL_PARTS, MAX_OBJECT_BYTES, MAX_PART_BYTES, MAX_PARTS, PartSizes};
    use crate::ErrorKind;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    const TIB: u64 = 1 << 40;

    fn sizes(hint: Option<u64>) -> PartSizes {
        PartSizes::new(hint, None).unwrap()
    }

    fn total(sizes: PartSizes) -> u64 {
        (1..=MAX_PARTS).map(|number| sizes.bytes(number)).sum()
    }

    #[test]
    fn an_archive_of_4_gib_comes_in_equal_parts() {
        let bytes = 42 * GIB / 10;
        for sizes in [sizes(None), sizes(Some(bytes)), sizes(Some(0))] {
            let parts = u32::try_from(bytes.div_ceil(8 * MIB)).unwrap();
            assert_eq!(parts, 538);
            assert!((1..=parts).all(|number| sizes.bytes(number) == 8 * MIB));
        }
    }

    #[test]
    fn the_expected_size_fits_into_9000_equal_parts() {
        for (hint, part) in
            [(70 * GIB, 8 * MIB), (71 * GIB, 9 * MIB), (TIB, 117 * MIB), (40 * TIB, 4661 * MIB)]
        {
            let sizes = sizes(Some(hint));
            assert_eq!(sizes.bytes(1), part, "for {hint}");
            assert_eq!(sizes.bytes(EQUAL_PARTS), part);
            assert!(u64::from(EQUAL_PARTS) * part >= hint);
        }
        assert_eq!(sizes(Some(u64::MAX)).bytes(1), MAX_PART_BYTES);
        assert_eq!(total(sizes(Some(u64::MAX))), MAX_OBJECT_BYTES);
    }

    #[test]
    fn parts_grow_after_9000_so_that_a_wrong_size_is_no_end() {
        let sizes = sizes(None);
        assert_eq!(
            [9000, 9001, 9050, 9051, 9451, MAX_PARTS].map(|number| sizes.bytes(number)),
            [8 * MIB, 16 * MIB, 16 * MIB, 32 * MIB, MAX_PART_BYTES, MAX_PART_BYTES]
        );
        assert_eq!(total(sizes) * 10 / TIB, 31, "the documentation says 3.1 TiB");
        assert_eq!(MAX_OBJECT_BYTES * 10 / TIB, 488, "the documentation says 48.8 TiB");
    }

    #[test]
    fn an_expectation_changes_what_nobody_has_fixed() {
        let mut chosen = sizes(None);
        chosen.expect(TIB);
        assert_eq!(chosen.bytes(1), 117 * MIB);
        let mut fixed = PartSizes::new(None, Some(5 * MIB)).unwrap();
        fixed.expect(TIB);
        assert_eq!(fixed.bytes(1), 5 * MIB);
    }

    #[test]
    fn parts_that_s3_would_refuse_are_refused_at_once() {
        for bytes in [0, 5 * MIB - 1, 5 * GIB + 1] {
            let error = PartSizes::new(None, Some(bytes)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("5 MiB to 5 GiB"), "{error}");
        }
        assert!(PartSizes::new(None, Some(5 * GIB)).is_ok());
    }
}
