//! A decoder that goes on after damage: what ends is whole, and nothing is wrong that it does not tell.

use archive_format::{Damaged, Decoder, End, Error, ErrorKind, Event, Totals};
use bytes::BytesMut;

use crate::support::{golden, read, small};

/// What ended, what was damaged, and how it came out.
type Read = (Vec<End>, Vec<Damaged>, Result<Totals, Error>);

fn survive<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let (mut reader, mut buffer) = (Decoder::new().tolerant(), BytesMut::new());
    let (mut ends, mut damages) = (Vec::new(), Vec::new());
    let mut take = |event| match event {
        Event::End(end) => ends.push(end),
        Event::Damaged(hit) => damages.push(hit),
        _ => {}
    };
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match reader.decode(&mut buffer) {
                Ok(Some(event)) => take(event),
                Ok(None) => break,
                Err(error) => return (ends, damages, Err(error)),
            }
        }
    }
    while let Some(event) = reader.doubt(&mut buffer) {
        take(event);
        while let Some(event) = reader.decode(&mut buffer).expect("it goes on") {
            take(event);
        }
    }
    let totals = reader.finish(&buffer);
    (ends, damages, totals)
}

fn flipped(archive: &[u8], at: usize, bit: usize) -> Vec<u8> {
    let mut damaged = archive.to_vec();
    damaged[at] ^= 1 << bit;
    damaged
}

#[test]
fn a_whole_archive_is_read_as_ever() {
    for name in ["one-document", "zoo-4.4.2"] {
        let archive = golden(name);
        let (ends, damages, totals) = survive([&archive[..]]);
        assert_eq!((damages, totals), (Vec::new(), Ok(read([&archive[..]]).unwrap().1)), "{name}");
        assert_eq!(ends.len() as u64, totals_of(&ends).collections);
    }
}

fn totals_of(ends: &[End]) -> Totals {
    let mut totals = Totals::default();
    for end in ends {
        totals.collections += 1;
        totals.documents += end.documents;
        totals.bytes += end.bytes;
    }
    totals
}

#[test]
fn whatever_bit_is_flipped_what_ends_is_what_it_was_and_the_damage_is_told() {
    let archive = small();
    let (original, _, _) = survive([&archive[..]]);
    let mut kept = 0;
    for at in 0..archive.len() {
        for bit in 0..8 {
            let hit = flipped(&archive, at, bit);
            let (ends, damages, end) = survive([&hit[..]]);
            for end in &ends {
                assert!(original.contains(end), "bit {bit} of byte {at}: {end:?}");
            }
            let told = !damages.is_empty() || end.is_err();
            assert_eq!(told, read([&hit[..]]).is_err(), "bit {bit} of byte {at}");
            if let (Ok(totals), true) = (&end, damages.iter().all(|one| one.collection.is_some())) {
                assert!(totals.collections <= ends.len() as u64, "bit {bit} of byte {at}");
            }
            let (bytewise, _, _) = survive(hit.chunks(1));
            assert_eq!(bytewise, ends, "bytewise, bit {bit} of byte {at}");
            kept += usize::from(told && ends.len() + 2 >= original.len());
        }
    }
    // Behind the prelude, most flips cost one namespace.
    assert!(kept > archive.len(), "{kept} flips of {} left nearly everything", archive.len() * 8);
}

#[test]
fn bytes_that_are_missing_cost_the_namespaces_that_had_them() {
    let archive = small();
    let whole = survive([&archive[..]]).0;
    let find = |text: &[u8]| archive.windows(text.len()).position(|window| window == text).unwrap();
    // From inside the first block of d.a, which is followed by d.b's, to where the caller has bytes again.
    let prelude_end = find(b"\xFF\xFF\xFF\xFF") + 4;
    for lost in [20, 100, 300] {
        let (mut decoder, mut buffer) = (Decoder::new().tolerant(), BytesMut::from(&archive[..prelude_end]));
        assert!(matches!(decoder.decode(&mut buffer), Ok(Some(Event::Prelude(_)))));
        let Event::Damaged(damaged) = decoder.skip(&mut buffer, lost, "a hole").unwrap() else {
            panic!("damage")
        };
        assert_eq!(
            (damaged.error.kind(), damaged.error.offset()),
            (ErrorKind::Missing, Some(prelude_end as u64))
        );
        let behind = prelude_end + usize::try_from(lost).unwrap();
        buffer.extend_from_slice(&archive[behind..]);
        let mut ends = Vec::new();
        while let Some(event) = decoder.decode(&mut buffer).unwrap() {
            if let Event::End(end) = event {
                ends.push(end);
            }
        }
        assert_eq!(decoder.offset(), archive.len() as u64);
        assert!(
            ends.iter().all(|end| whole.contains(end)) && ends.len() < whole.len() && ends.len() > 1,
            "{ends:?}"
        );
    }
    let mut strict = Decoder::new();
    assert_eq!(strict.skip(&mut BytesMut::new(), 1, "a hole").unwrap_err().kind(), ErrorKind::Missing);
}

#[test]
fn a_prelude_that_lacks_a_field_is_odd() {
    let archive = golden("one-document");
    let oddity = |archive: &[u8]| {
        let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::from(archive));
        while let Ok(Some(_)) = decoder.decode(&mut buffer) {}
        decoder.oddity().map(ToString::to_string)
    };
    assert_eq!(oddity(&archive), None);
    for name in [&b"server_version"[..], b"metadata", b"size"] {
        let at = archive.windows(name.len()).position(|window| window == name).unwrap();
        let text = oddity(&flipped(&archive, at, 0)).expect("odd");
        assert!(text.contains(str::from_utf8(name).unwrap()), "{text}");
    }
}
