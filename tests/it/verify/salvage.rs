//! Damage in one place: what it hit is lost, and everything else is whole.

use bytes::Bytes;
use mongoark::verify::DamageKind;

use super::{blocks, document, members, refused, verify, whole};

/// The position of the `occurrence`th document `{_id: number, ...}` of the archive.
fn position(archive: &[u8], document: &[u8], occurrence: usize) -> usize {
    let mut found = archive.windows(document.len()).enumerate().filter(|(_, window)| *window == document);
    found.nth(occurrence).expect("the document is there").0
}

fn flipped(archive: &[u8], at: usize, bits: u8) -> Bytes {
    let mut archive = archive.to_vec();
    archive[at] ^= bits;
    archive.into()
}

#[tokio::test]
async fn a_wrong_byte_loses_the_one_namespace_that_it_is_in() {
    let archive = blocks(&["a", "b", "c"], 5, 50).concat();
    let second = document(1, &"x".repeat(50));
    // Of `b`, in the middle of its first block: its length, a type, a name, a text, its end.
    let at = position(&archive, &second, 1);
    for (byte, bits, kind) in [
        (0, 1, DamageKind::Malformed),
        (1, 0x40, DamageKind::Malformed),
        (3, 0x80, DamageKind::Malformed),
        (4, 0x80, DamageKind::Malformed),
        (6, 1, DamageKind::Checksum),
        (30, 1, DamageKind::Checksum),
        (second.len() - 1, 1, DamageKind::Malformed),
    ] {
        let report = verify(flipped(&archive, at + byte, bits)).await;
        let damage = refused(&report, &format!("byte {byte}"));
        assert_eq!(
            (damage.kind, damage.namespace.as_ref().unwrap().to_string().as_str()),
            (kind, "d.b"),
            "byte {byte}"
        );
        assert_eq!(whole(&report), ["d.a", "d.c"], "byte {byte}: {:?}", report.damages);
        assert_eq!(report.lost, ["d.b"], "byte {byte}");
        if kind == DamageKind::Malformed {
            assert_eq!(damage.offset, Some((at) as u64), "byte {byte}: {damage:?}");
        }
    }
}

#[tokio::test]
async fn wrong_bytes_between_documents_lose_no_more_than_their_block() {
    let blocks = blocks(&["a", "b", "c"], 5, 50);
    let archive = blocks.concat();
    let start_of = |number: usize| blocks[..number].iter().map(Bytes::len).sum::<usize>();
    // The header of `b`'s first block, and the terminator before it, which is `a`'s.
    for (at, lost) in [(start_of(2) + 8, "d.b"), (start_of(2) + 20, "d.b"), (start_of(2) - 1, "d.a")] {
        let report = verify(flipped(&archive, at, 0x10)).await;
        refused(&report, &format!("byte {at}"));
        assert_eq!(report.lost, [lost], "byte {at}: {:?}", report.damages);
    }
    // Everything between the first block and the ends.
    let mut emptied = archive.clone();
    emptied[start_of(2) + 3..start_of(6)].fill(0);
    let report = verify(emptied.into()).await;
    assert!(whole(&report).is_empty() && report.lost == ["d.a", "d.b", "d.c"], "{:?}", report.damages);
}

#[tokio::test]
async fn a_damaged_member_loses_the_namespaces_that_it_has_blocks_of() {
    let blocks = blocks(&["a", "b", "c"], 200, 500);
    let members = members(&blocks);
    // The second block of `b`, and the member of it.
    let (start, at) = (blocks[..5].concat().len() as u64, members[..5].concat().len());
    for byte in [30, members[5].len() / 2, members[5].len() - 6] {
        let report = verify(flipped(&members.concat(), at + byte, 4)).await;
        let damage = refused(&report, &format!("byte {byte}"));
        assert_eq!(damage.kind, DamageKind::Gzip);
        assert_eq!((damage.stored_offset, damage.offset), (Some(at as u64), Some(start)), "{damage:?}");
        assert_eq!(
            (whole(&report), &report.lost[..]),
            (vec!["d.a".into(), "d.c".into()], &["d.b".into()][..])
        );
    }
}

#[tokio::test]
async fn what_contradicts_its_prelude_is_refused() {
    let archive = blocks(&["aaa", "bbb"], 2, 10).concat();
    let name = |occurrence| position(&archive, b"\x04\0\0\0bbb\0", occurrence);
    // In the prelude, in the first block's header: the data has no place any more.
    for at in [name(0) + 4, name(1) + 4] {
        let report = verify(flipped(&archive, at, 1)).await;
        assert_eq!(refused(&report, &format!("byte {at}")).kind, DamageKind::Contradiction);
        assert_eq!(whole(&report), ["d.aaa"]);
    }
    // The second of the metadata documents cannot be read, or lacks what every writer writes.
    for (text, kind) in [
        (&br#"{"indexes":[]}"#[..], DamageKind::Malformed),
        (&br#"indexes":[]}"#[..], DamageKind::Contradiction),
    ] {
        let report = verify(flipped(&archive, position(&archive, text, 1), 0x20)).await;
        let damage = refused(&report, "metadata");
        assert_eq!((damage.kind, report.lost.join(",")), (kind, "d.bbb".to_owned()), "{damage:?}");
    }
    let report = verify(flipped(&archive, position(&archive, b"\x02metadata\0", 1) + 1, 1)).await;
    assert!(refused(&report, "a field's name").sentence.contains("no field `metadata`"));
}
