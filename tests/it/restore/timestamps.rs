//! `Timestamp(0, 0)`, which servers replace when they are not told otherwise, and what stands beside it.

use mongodb::bson::{Timestamp, doc, rawdoc};

use super::super::support::mongod::{Mongod, Version};
use super::made::Made;
use super::{count, documents, restored, with_drop};
use mongoark::restore::RestoreOptions;

const ZERO: Timestamp = Timestamp { time: 0, increment: 0 };

/// A field as it lies in a document.
fn field(kind: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[kind], name, &[0], value].concat()
}

/// A document of these fields.
fn document(fields: &[Vec<u8>]) -> Vec<u8> {
    let fields = fields.concat();
    let length = i32::try_from(fields.len() + 5).unwrap();
    [&length.to_le_bytes()[..], &fields, &[0]].concat()
}

fn int(name: &str, number: i32) -> Vec<u8> {
    field(0x10, name.as_bytes(), &number.to_le_bytes())
}

fn zero(name: &[u8]) -> Vec<u8> {
    field(0x11, name, &[0; 8])
}

/// Documents that no library would make, each with an empty timestamp.
fn odd(version: Version) -> Vec<Vec<u8>> {
    let beside: Vec<Vec<Vec<u8>>> = vec![
        vec![field(0x03, b"d", &document(&[int("x", 1), int("x", 2)]))],
        vec![int("x", 1), int("x", 2)],
        vec![int("at", 1)],
        vec![zero(b"at")],
        vec![zero(b"a.b"), int("a", 3)],
        vec![zero(b"")],
        vec![zero(b"\xff"), field(0x02, b"s", b"\x04\0\0\0a\xffb\0")],
        vec![field(0x06, b"undefined", b"")],
        vec![field(0x0e, b"symbol", b"\x02\0\0\0a\0")],
        vec![field(0x0c, b"pointer", b"\x02\0\0\0a\x00123456789012")],
        vec![field(0x05, b"old", b"\x07\0\0\0\x02\x03\0\0\0abc")],
        vec![field(0x0f, b"code", b"\x18\0\0\0\x04\0\0\0f()\0\x0c\0\0\0\x10x\0\x01\0\0\0\0")],
        vec![field(0x01, b"nan", &[1, 0, 0, 0, 0, 0, 0xf8, 0xff])],
        vec![field(0x0b, b"regex", b"a\0mi\0")],
        vec![field(0x03, b"d", &document(&[int("$eq", 1), int("$x", 2)]))],
        vec![field(0x03, b"d", &document(&[int("$ref", 1)]))],
    ];
    let mut all: Vec<Vec<u8>> = beside
        .into_iter()
        .zip(1..)
        .map(|(beside, id)| document(&[vec![int("_id", id), zero(b"at")], beside].concat()))
        .collect();
    let ids = [
        field(0x02, b"_id", b"\x03\0\0\0a\xff\0"),
        field(0x03, b"_id", &document(&[int("x", 1), int("x", 2)])),
        field(0x0a, b"_id", b""),
        zero(b"_id"),
    ];
    all.extend(ids.map(|id| document(&[id, zero(b"at")])));
    if version != Version::V4_4_2 {
        // 4.4 does not take such a name at all.
        all.push(document(&[int("_id", 100), zero(b"$at"), int("$set", 1)]));
    }
    all
}

async fn byte_for_byte(version: Version) {
    let server = Mongod::shared(version).await;
    let client = server.client().await;
    let mut expected = odd(version);
    let made = |documents: &[Vec<u8>]| {
        let capped = r#"{"options":{"capped":true,"size":65536},"indexes":[]}"#;
        Made::of(version.name())
            .with_bytes("zero", "plain", "{}", documents.to_vec())
            .with_bytes("zero", "capped", capped, documents.to_vec())
            .bytes()
    };
    let report = restored(&server.uri(), &made(&expected), &with_drop()).await.unwrap();
    assert_eq!((report.documents, report.failures), (2 * expected.len() as u64, 0));
    assert_eq!(documents(&client, "zero", "capped").await, expected, "in the order of the archive");
    let mut found = documents(&client, "zero", "plain").await;
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn b61_documents_with_an_empty_timestamp_stay_as_they_are_on_4_4() {
    byte_for_byte(Version::V4_4_2).await;
}

#[tokio::test]
async fn b61_documents_with_an_empty_timestamp_stay_as_they_are_on_5_0() {
    byte_for_byte(Version::V5_0_4).await;
}

#[tokio::test]
async fn b61_documents_with_an_empty_timestamp_stay_as_they_are_on_6_0() {
    byte_for_byte(Version::V6_0_5).await;
}

#[tokio::test]
async fn an_empty_timestamp_that_a_unique_index_or_a_validator_refuses_is_a_failure_and_not_another_time() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let client = server.client().await;
    let db = client.database("zero-refused");
    db.drop().await.unwrap();
    db.run_command(
        doc! { "createIndexes": "unique", "indexes": [{ "key": { "at": 1 }, "name": "at", "unique": true }] },
    )
    .await
    .unwrap();
    let validator = doc! { "at": { "$ne": ZERO } };
    db.run_command(doc! { "create": "validated", "validator": validator }).await.unwrap();
    let twenty = || (0..20).map(|id| rawdoc! { "_id": id, "at": ZERO });
    let archive = Made::of("6.0.5")
        .with("zero-refused", "unique", twenty())
        .with("zero-refused", "validated", twenty())
        .bytes();
    let report = restored(&server.uri(), &archive, &RestoreOptions::default()).await.unwrap();
    assert_eq!((report.documents, report.failures), (1, 39));
    let kept = documents(&client, "zero-refused", "unique").await;
    assert_eq!(kept.len(), 1);
    assert!(kept[0].ends_with(&[zero(b"at"), vec![0]].concat()), "the archive's own time");
    assert_eq!(count(&client, "zero-refused", "validated").await, 0);
}
