use std::collections::BTreeSet;

use mongodb::bson::{RawArrayBuf, RawDocumentBuf, cstr, rawdoc};

use super::super::support::mongod::{Mongod, Version};
use super::Dump;

/// A document whose `_id`, one name and one text are not UTF-8.
fn document(number: i32) -> Vec<u8> {
    let mut body = Vec::new();
    let mut text = |name: &[u8], value: &[u8]| {
        body.push(2);
        body.extend([name, b"\0"].concat());
        body.extend(i32::try_from(value.len() + 1).unwrap().to_le_bytes());
        body.extend([value, b"\0"].concat());
    };
    text(b"_id", &[b"\xff\xfe", number.to_string().as_bytes()].concat());
    text(b"na\x80me", &[0xc3; 3]);
    text(b"t", &vec![0x80; 4000]);
    let length = i32::try_from(body.len() + 5).unwrap();
    [&length.to_le_bytes()[..], &body, b"\0"].concat()
}

async fn what_is_not_text_stays_as_it_is(version: Version) {
    let server = Mongod::start(version).await;
    let database = server.client().await.database("d");
    let documents: BTreeSet<Vec<u8>> = (0..12_000).map(document).collect();
    for some in documents.iter().collect::<Vec<_>>().chunks(1000) {
        let mut all = RawArrayBuf::new();
        for document in some {
            all.push(RawDocumentBuf::from_bytes(Vec::clone(document)).unwrap());
        }
        let mut command = rawdoc! { "insert": "things" };
        command.append(cstr!("documents"), all);
        database.run_raw_command(command).await.unwrap();
    }
    let (_, found) = Dump::start(&server.uri(), &["--db=d"]).succeeds().await;
    let found = &found["d.things"];
    assert_eq!(found.len(), documents.len());
    assert!(found.iter().cloned().collect::<BTreeSet<_>>() == documents);
    assert!(!found.is_sorted_by_key(|document| document.get(11..16).map(<[u8]>::to_vec)), "read in parts");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_text_stays_as_it_is_on_4_4() {
    what_is_not_text_stays_as_it_is(Version::V4_4_2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_text_stays_as_it_is_on_6_0() {
    what_is_not_text_stays_as_it_is(Version::V6_0_27).await;
}
