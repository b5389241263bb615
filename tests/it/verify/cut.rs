//! Every beginning of an archive is known to be no archive, and what had ended before is whole.

use mongoark::verify::DamageKind;

use super::{blocks, ends, golden, is_long, members, plain, refused, verify, whole};

/// Between two lengths of the longer archives, unless the run is a long one.
fn step() -> usize {
    if is_long() { 1 } else { 23 }
}

#[tokio::test]
async fn a_plain_archive_is_refused_at_every_length() {
    for (name, step) in
        [("100.18.0/one-document.archive", 1), ("mongoark-0.1.0/golden-6.0.27.archive", step())]
    {
        let archive = golden(name);
        for length in (0..archive.len()).step_by(step) {
            let cut = archive.slice(..length);
            let report = verify(cut.clone()).await;
            let damage = refused(&report, &format!("{name}, {length} bytes"));
            let kind =
                if (1..4).contains(&length) { DamageKind::NotAnArchive } else { DamageKind::Truncated };
            let kinds = [DamageKind::Truncated, kind];
            assert!(kinds.contains(&damage.kind), "{length}: {damage:?}");
            assert!(damage.offset.is_none_or(|offset| offset <= length as u64), "{length}: {damage:?}");
            assert_eq!(whole(&report), ends(&cut), "{length} bytes");
            let named = report.whole.len() + report.lost.len();
            assert!(named == 0 || named == ends(&archive).len(), "{length} bytes: {:?}", report.lost);
        }
    }
}

#[tokio::test]
async fn a_compressed_archive_is_refused_at_every_length() {
    let archive = golden("mongoark-0.1.0/golden-6.0.27.archive.gz");
    for length in 0..archive.len() {
        let report = verify(archive.slice(..length)).await;
        let damage = refused(&report, &format!("{length} bytes"));
        let expected = length == 0 || damage.kind == DamageKind::Truncated || length < 4;
        assert!(expected, "{length}: {damage:?}");
    }
}

#[tokio::test]
async fn members_that_came_before_a_cut_are_read_to_the_last() {
    let blocks = blocks(&["a", "b"], 10, 100);
    let members = members(&blocks);
    let archive = members.concat();
    let mut border = 0;
    for (number, member) in members.iter().enumerate() {
        let uncompressed = blocks[..number].concat();
        for length in [border, border + 1, border + 20, border + member.len() - 1] {
            let report = verify(archive[..length].to_vec().into()).await;
            refused(&report, &format!("{length} bytes"));
            assert_eq!(whole(&report), ends(&uncompressed), "{length} bytes, inside member {number}");
        }
        border += member.len();
    }
    let foreign = golden("100.18.0/zoo-4.4.2.archive.gz");
    let report = verify(foreign.slice(..foreign.len() - 9)).await;
    assert_eq!(whole(&report), ends(&plain(&foreign).expect("gzip")), "only the trailer is missing");
    refused(&report, "the trailer");
}
