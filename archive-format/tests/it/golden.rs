use std::collections::BTreeMap;

use archive_format::{CollectionMetadata, Encoder, Kind, Prelude, SegmentBuilder};
use bytes::BytesMut;
use md5::{Digest as _, Md5};

use crate::bytes_by_hand::numbered;
use crate::support::{GOLDEN, Seen, collection, fingerprint, golden, namespace, read};

/// Per namespace as stored: the count, and the md5 over the sorted md5s of the single documents.
fn digests(seen: &[Seen]) -> BTreeMap<String, (u64, String)> {
    let mut digests = BTreeMap::<String, Vec<[u8; 16]>>::new();
    for seen in seen {
        match seen {
            Seen::Documents { namespace, bytes, .. } => {
                let digests = digests.get_mut(&namespace.to_string()).unwrap();
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
                    digests.push(Md5::digest(&rest[..length]).into());
                    rest = &rest[length..];
                }
            }
            Seen::Segment(start) => drop(digests.entry(start.namespace.to_string()).or_default()),
            Seen::Prelude(_) | Seen::End(_) => {}
        }
    }
    digests
        .into_iter()
        .map(|(name, mut digests)| {
            digests.sort_unstable();
            let digest = Md5::digest(digests.concat());
            let hex = format!("{:032x}", u128::from_be_bytes(digest.into()));
            (name, (digests.len() as u64, hex))
        })
        .collect()
}

#[test]
fn every_document_of_the_zoo_is_the_servers() {
    for name in ["zoo-4.4.2", "zoo-5.0.4", "zoo-6.0.27"] {
        let archive = golden(name);
        let (seen, totals) = read([&archive[..]]).unwrap();
        let digests = digests(&seen);
        let mut compared = 0;
        for (namespace, expected) in fingerprint(name) {
            // The fingerprint knows a time series by its measurements; its buckets are listed too.
            let Some(md5) = expected["md5"].as_str() else { continue };
            let expected = (expected["count"].as_u64().unwrap(), md5.to_owned());
            assert_eq!(digests.get(&namespace), Some(&expected), "{namespace} of {name}");
            compared += 1;
        }
        assert!(compared >= 24, "only {compared} namespaces of {name}");
        assert_eq!(totals.documents, digests.values().map(|(count, _)| count).sum::<u64>());
    }
}

#[test]
fn the_prelude_tells_what_everything_is() {
    let archive = golden("zoo-6.0.27");
    let (seen, totals) = read([&archive[..]]).unwrap();
    let Seen::Prelude(prelude) = &seen[0] else { panic!("{:?}", seen[0]) };
    assert_eq!((prelude.concurrent_collections, &*prelude.server_version), (4, "6.0.27"));
    assert_eq!(prelude.tool_version, "built-without-version-string");
    assert_eq!((prelude.collections.len(), totals.collections), (32, 32));
    let of =
        |name: &str| prelude.collections.iter().find(|entry| entry.namespace.to_string() == name).unwrap();
    assert_eq!(of("zoo.ts").kind, Kind::Timeseries);
    assert_eq!(of("zoo.view_a").kind, Kind::View);
    assert_eq!(of("zoo.ümläut-日本").kind, Kind::Collection);
    assert!(of("zoo.view_a").metadata.starts_with(r#"{"options":{"viewOn":"types","pipeline":[{"#));
    assert!(of("admin.system.users").namespace.is_special());
}

#[test]
fn a_time_series_comes_as_buckets_under_its_own_entry() {
    for name in ["zoo-5.0.4", "zoo-6.0.27"] {
        let archive = golden(name);
        let (seen, _) = read([&archive[..]]).unwrap();
        let Seen::Prelude(prelude) = &seen[0] else { panic!("{:?}", seen[0]) };
        let end = seen.iter().find_map(|seen| match seen {
            Seen::End(end) if end.namespace.to_string() == "zoo.system.buckets.ts" => Some(end),
            _ => None,
        });
        let end = end.expect("the buckets end");
        assert_eq!(end.documents, 3);
        assert_eq!(prelude.collections[end.collection].namespace, namespace("zoo.ts"));
    }
}

#[test]
fn the_oplog_and_large_segments_are_read() {
    let archive = golden("busy-oplog-6.0.27");
    let (seen, totals) = read([&archive[..]]).unwrap();
    let Some(Seen::End(end)) = seen.last() else { panic!("no end") };
    assert!(end.namespace.is_oplog());
    assert_eq!((end.documents, end.bytes), (276, 76_194));
    assert_eq!((totals.collections, totals.documents), (12, 72_335));
}

#[test]
fn every_namespace_ends_with_the_sum_of_its_documents() {
    for name in GOLDEN {
        let archive = golden(name);
        let (seen, totals) = read([&archive[..]]).unwrap();
        let (mut documents, mut bytes, mut ends) = (BTreeMap::new(), BTreeMap::new(), 0);
        for seen in &seen {
            match seen {
                Seen::Documents { namespace, bytes: batch, count, .. } => {
                    *documents.entry(namespace.clone()).or_default() += count;
                    *bytes.entry(namespace.clone()).or_default() += batch.len() as u64;
                }
                Seen::End(end) => {
                    assert_eq!(end.documents, documents.remove(&end.namespace).unwrap_or(0));
                    assert_eq!(end.bytes, bytes.remove(&end.namespace).unwrap_or(0));
                    assert_eq!(end.checksum == 0, end.documents == 0);
                    ends += 1;
                }
                Seen::Prelude(_) | Seen::Segment(_) => {}
            }
        }
        assert!(documents.is_empty(), "{documents:?} never ended in {name}");
        assert_eq!(ends, totals.collections);
    }
}

#[test]
fn the_one_document_archive_is_written_byte_by_byte() {
    let mut out = BytesMut::new();
    let entry = CollectionMetadata { metadata: String::new(), ..collection("d.c", Kind::Collection) };
    let prelude = Prelude {
        concurrent_collections: 1,
        server_version: "6.0.5".into(),
        tool_version: "x".into(),
        replay_oplog: false,
        collections: vec![entry],
    };
    let mut encoder = Encoder::new(&prelude, &mut out).unwrap();
    let mut builder = SegmentBuilder::new(&namespace("d.c"), 14);
    builder.push(&numbered(1)).unwrap();
    out.extend_from_slice(&encoder.append(builder.finish()).unwrap());
    let end = encoder.end(&namespace("d.c"), &mut out).unwrap();
    assert_eq!(end.checksum, 0xF3EA_6143_6A44_59FE);
    assert_eq!(encoder.finish().unwrap().bytes, 14);
    assert_eq!(out, golden("one-document"));
}
