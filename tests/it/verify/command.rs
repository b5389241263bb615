//! `mongoark verify` as its users run it.

use mongoark::proof::Proof;
use serde_json::Value;

use super::{blocks, golden, members, verify};
use crate::support::mongoark::{archive, mongoark, mongoark_with};
use crate::support::s3::{S3Server, location};
use crate::support::tools::Finished;

async fn verified(content: &[u8], arguments: &[&str]) -> Finished {
    let (_folder, path) = archive("a");
    std::fs::write(&path, content).unwrap();
    let place = format!("--archive={}", path.display());
    mongoark(["verify", place.as_str()].iter().chain(arguments).copied()).await
}

fn json(finished: &Finished) -> Value {
    serde_json::from_slice(&finished.stdout).expect("one JSON object")
}

#[tokio::test]
async fn a_whole_archive_is_listed_and_the_exit_code_is_0() {
    let content = golden("100.18.0/one-document.archive");
    let finished = verified(&content, &[]).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let table = String::from_utf8(finished.stdout).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows,
        [vec!["documents", "bytes", "checksum", "namespace"], vec!["1", "14", "f3ea61436a4459fe", "d.c"]]
    );
    assert!(finished.stderr.contains("the archive is whole: 1 document(s) of 1 namespace(s), 309 bytes"));

    let through_a_pipe = mongoark_with(["verify", "--archive", "--json"], &content).await;
    assert_eq!(through_a_pipe.code, Some(0), "{}", through_a_pipe.stderr);
    let object = json(&through_a_pipe);
    assert_eq!((&object["whole"], &object["serverVersion"]), (&true.into(), &"6.0.5".into()));
    assert_eq!(object["namespaces"][0]["checksum"], "f3ea61436a4459fe");
    assert_eq!(object["crc64nvme"].as_str().unwrap().len(), 16);
}

#[tokio::test]
async fn every_kind_of_damage_has_its_exit_code_a_place_and_what_is_whole() {
    let blocks = blocks(&["a", "b"], 20, 100);
    let plain = blocks.concat();
    let header = plain.windows(9).rposition(|window| window == b"\x02\0\0\0b\0\x08EO").unwrap();
    let flip = |archive: &[u8], at: usize, bits: u8| {
        let mut archive = archive.to_vec();
        archive[at] ^= bits;
        archive
    };
    let mut gzip = members(&blocks);
    let member = gzip[2].len() / 2;
    gzip[2] = flip(&gzip[2], member, 4).into();
    for (content, code, kind, words) in [
        (plain[..plain.len() - 4].to_vec(), 3, "truncated", &["byte", "incomplete"][..]),
        (flip(&plain, plain.len() - 8, 1), 4, "checksum", &["d.b", "byte", "checksum"]),
        (flip(&plain, blocks[..2].concat().len() + 3, 0x80), 5, "malformed", &["byte", "damaged"]),
        (b"something else".to_vec(), 6, "not_an_archive", &["byte 0"]),
        (flip(&plain, header + 4, 1), 7, "contradiction", &["d.c", "byte"]),
        (gzip.concat(), 8, "gzip", &["gzip member", "compressed archive", "byte"]),
    ] {
        let finished = verified(&content, &["--json"]).await;
        assert_eq!(finished.code, Some(code), "{kind}: {}", finished.stderr);
        let last = finished.stderr.lines().last().unwrap();
        assert!(last.contains("Failed: "), "{kind}: {last}");
        for word in words {
            assert!(last.contains(word), "{kind}: {word:?} is not in {last}");
        }
        let object = json(&finished);
        assert_eq!((&object["whole"], &object["damages"][0]["kind"]), (&false.into(), &kind.into()));
        if code != 6 {
            assert!(finished.stderr.contains("still whole: 1 (d.a)"), "{kind}: {}", finished.stderr);
            assert!(finished.stderr.contains("not whole: 1 (d.b)"), "{kind}: {}", finished.stderr);
        }
    }
}

#[tokio::test]
async fn an_archive_that_is_not_that_of_the_record_beside_it_is_exit_code_9() {
    let server = S3Server::start();
    // As long as each other, and each whole.
    let [proven, other] = ["a", "b"].map(|name| blocks(&[name], 2, 10).concat());
    std::fs::write(server.bucket_dir().join("a"), &proven).unwrap();
    let report = verify(proven.clone().into()).await;
    Proof::of_reading(&server.storage(), &location("a"), &report).await.unwrap();
    let record = server.object("a.proof.json").unwrap();
    for (content, code, words) in [
        (&proven, 0, &["the proof record beside it was made of"][..]),
        (&other, 9, &["d.a", "in the proof record, and not in the archive"]),
    ] {
        let (_folder, path) = archive("a");
        std::fs::write(&path, content).unwrap();
        std::fs::write(format!("{}.proof.json", path.display()), &record).unwrap();
        let finished = mongoark(["verify", &format!("--archive={}", path.display())]).await;
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        for word in words {
            assert!(finished.stderr.contains(word), "{}", finished.stderr);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_at_all_is_exit_code_1() {
    for arguments in
        [&["verify", "--archive=/nonexistent/archive"][..], &["verify"], &["verify", "--archive=x", "--jsn"]]
    {
        let finished = mongoark(arguments.iter().copied()).await;
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stdout.is_empty());
    }
}

#[tokio::test]
async fn names_cannot_steer_a_terminal() {
    let content = blocks(&["a\u{1b}[2J\u{202e}", "b\nFailed: c"], 1, 1).concat();
    for (content, code) in [(&content[..], 0), (&content[..content.len() - 1], 3)] {
        for arguments in [&["--json"][..], &[]] {
            let finished = verified(content, arguments).await;
            assert_eq!(finished.code, Some(code), "{}", finished.stderr);
            let all = [String::from_utf8(finished.stdout).unwrap(), finished.stderr].concat();
            assert!(!all.contains(['\u{1b}', '\u{202e}']), "{all:?}");
            assert!(!all.lines().any(|line| line.starts_with("Failed: c")), "{all:?}");
        }
    }
}
