//! How an object of unknown size is cut into parts.

/// Size of the first parts: 8 MiB keeps a request's fixed cost under a tenth, and is above S3's minimum of 5 MiB.
pub(super) const FIRST_PART_BYTES: u64 = 8 << 20;

/// S3's largest part: 5 GiB.
const MAX_PART_BYTES: u64 = 5 << 30;

/// Part numbers go from 1 to this, set by S3.
pub(super) const MAX_PARTS: u32 = 10_000;

/// Parts of one size before the size doubles. Small enough to reach large objects, large enough that the parts stay
/// under a two-hundredth of the object: 3.9 GiB come in 8 MiB parts, 27 GiB in up to 32 MiB,
/// 996 GiB in up to 1 GiB.
const PARTS_PER_SIZE: u32 = 500;

/// Largest archive that fits in one S3 object: 28.3 TiB.
///
/// S3 allows 10,000 parts of 5 GiB, 48.8 TiB, but an archive's size is unknown while it is written, and a part is held
/// in memory until it is stored. Parts therefore begin at 8 MiB and double every 500 parts up to 5 GiB, which ends at
/// 28.3 TiB.
pub const MAX_OBJECT_BYTES: u64 = {
    let mut total = 0;
    let mut number = 1;
    while number <= MAX_PARTS {
        total += part_bytes(number);
        number += 1;
    }
    total
};

/// Size of the part with this number, counted from 1.
pub(super) const fn part_bytes(number: u32) -> u64 {
    let doublings = number.saturating_sub(1) / PARTS_PER_SIZE;
    // Ten doublings pass the maximum already, so the shift cannot lose bits.
    let bytes = FIRST_PART_BYTES << if doublings < 10 { doublings } else { 10 };
    if bytes < MAX_PART_BYTES { bytes } else { MAX_PART_BYTES }
}

#[cfg(test)]
mod tests {
    use super::{MAX_OBJECT_BYTES, MAX_PART_BYTES, MAX_PARTS, part_bytes};

    #[test]
    fn parts_double_every_500_and_stop_at_5_gib() {
        assert_eq!(
            [1, 500, 501, 1000, 1001].map(part_bytes),
            [8, 8, 16, 16, 32].map(|mebibytes| mebibytes << 20)
        );
        assert_eq!([5000, 5001, MAX_PARTS].map(part_bytes), [4 << 30, MAX_PART_BYTES, MAX_PART_BYTES]);
    }

    #[test]
    fn ten_thousand_parts_reach_28_tebibytes_and_stay_within_an_object() {
        let mebibytes =
            500 * (8..=4096).filter(|size: &u64| size.is_power_of_two()).sum::<u64>() + 5000 * 5 * 1024;
        assert_eq!(MAX_OBJECT_BYTES, mebibytes << 20);
        assert_eq!((MAX_OBJECT_BYTES * 10) >> 40, 283, "the documentation says 28.3 TiB");
        const { assert!(MAX_OBJECT_BYTES < 10_000 * (5 << 30), "S3 allows 48.8 TiB") };
    }
}
