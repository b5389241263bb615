use archive_format::{Decoder, Event, TERMINATOR};
use bytes::BytesMut;

use crate::bytes_by_hand::records;
use crate::support::{GOLDEN, Seen, golden, read, small};

fn whole(archive: &[u8]) -> (Vec<Seen>, archive_format::Totals) {
    read([archive]).unwrap()
}

#[test]
fn golden_archives_in_equal_pieces_give_the_same_events() {
    for name in GOLDEN {
        let archive = golden(name);
        let expected = whole(&archive);
        for size in [1, 2, 3, 7, 4096] {
            assert!(read(archive.chunks(size)).unwrap() == expected, "{name} in pieces of {size}");
        }
    }
}

#[test]
fn golden_archives_in_random_pieces_give_the_same_events() {
    for name in GOLDEN {
        let archive = golden(name);
        let expected = whole(&archive);
        for seed in 0..4 {
            let (mut pieces, mut rest, mut random) = (Vec::new(), &archive[..], Random(seed));
            while !rest.is_empty() {
                // Of every order of magnitude up to a megabyte, small ones no rarer than large ones.
                let magnitude = random.next() % 21;
                let size = (random.next() % (1 << magnitude)) as usize + 1;
                let (piece, next) = rest.split_at(size.min(rest.len()));
                pieces.push(piece);
                rest = next;
            }
            assert!(read(pieces).unwrap() == expected, "{name} with seed {seed}");
        }
    }
}

/// A splitmix64 sequence: the same cuts on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[test]
fn a_small_archive_cut_anywhere_in_two_gives_the_same_events() {
    let archive = small();
    let expected = whole(&archive);
    for cut in 0..=archive.len() {
        let (head, tail) = archive.split_at(cut);
        assert_eq!(read([head, tail]).unwrap(), expected, "cut at {cut}");
    }
}

#[test]
fn the_offset_is_that_of_the_next_record() {
    let archive = small();
    let boundaries: Vec<u64> = records(&archive).iter().map(|(_, extent)| extent.end as u64).collect();
    let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::new());
    for (index, byte) in archive.iter().enumerate() {
        buffer.extend_from_slice(&[*byte]);
        while decoder.decode(&mut buffer).unwrap().is_some() {}
        assert_eq!(decoder.offset() + buffer.len() as u64, index as u64 + 1);
        assert!(decoder.offset() == 0 || boundaries.contains(&decoder.offset()));
    }
    assert_eq!(decoder.offset(), archive.len() as u64);
}

#[test]
fn documents_share_the_memory_of_the_buffer() {
    let archive = small();
    let mut buffer = BytesMut::from(&archive[..]);
    let extent = buffer.as_ptr_range();
    let mut decoder = Decoder::new();
    let mut batches = 0;
    while let Some(event) = decoder.decode(&mut buffer).unwrap() {
        if let Event::Documents(documents) = event {
            assert!(extent.contains(&documents.bytes().as_ptr()), "a batch was copied");
            batches += 1;
        }
    }
    assert_eq!(batches, 6, "one batch for each segment that has documents");
}

#[test]
fn the_prelude_comes_with_its_last_byte() {
    let archive = small();
    let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::new());
    for byte in &archive {
        buffer.extend_from_slice(&[*byte]);
        match decoder.decode(&mut buffer).unwrap() {
            None => {}
            Some(Event::Prelude(prelude)) => {
                let end =
                    archive.windows(4).position(|window| window == TERMINATOR).unwrap() + TERMINATOR.len();
                assert_eq!((prelude.collections.len(), decoder.offset()), (6, end as u64));
                return;
            }
            Some(other) => panic!("{other:?} came before the prelude"),
        }
    }
    panic!("no prelude");
}
