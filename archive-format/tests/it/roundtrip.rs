use std::collections::BTreeMap;

use archive_format::{CollectionMetadata, Encoder, End, Kind, Namespace, SegmentBuilder};
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::bytes_by_hand::{Is, crc64, document, numbered};
use crate::support::{Seen, namespace, prelude, read};

/// What to write: collections, and segments in an order that the encoder permits.
#[derive(Clone, Debug)]
struct Plan {
    server_version: &'static str,
    collections: Vec<CollectionMetadata>,
    /// Which collection's segment comes next, and its documents.
    segments: Vec<(usize, Vec<Vec<u8>>)>,
    pieces: Vec<usize>,
}

fn collections() -> impl Strategy<Value = Vec<CollectionMetadata>> {
    let name = ("[a-z]{1,3}", "[^\0]{1,8}").prop_filter_map("no name", |(db, collection)| {
        Namespace::new(&db, &collection)
            .ok()
            .filter(|name| !collection.starts_with("system.") && !name.is_special())
    });
    let kind = select(vec![Kind::Collection, Kind::View, Kind::Timeseries, Kind::Unspecified]);
    let ordinary = prop::collection::btree_map(name, (kind, "\\PC{0,40}"), 0..6);
    let special =
        prop::sample::subsequence(vec!["admin.system.users", "x.$admin.system.roles", "oplog"], 0..=3);
    (ordinary, special).prop_map(|(ordinary, special)| {
        let ordinary = ordinary.into_iter().map(|(namespace, (kind, metadata))| CollectionMetadata {
            namespace,
            metadata,
            kind,
        });
        let special = special.into_iter().map(|name| CollectionMetadata {
            namespace: namespace(name),
            metadata: String::new(),
            kind: Kind::Unspecified,
        });
        ordinary.chain(special).collect()
    })
}

fn some_document() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i32>().prop_map(numbered),
        vec(any::<u8>(), 0..300).prop_map(|bytes| {
            let length = (bytes.len() as u32).to_le_bytes();
            document(&[("b", Is::Raw(5, &[&length[..], b"\0", &bytes].concat()))])
        }),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let segments = vec((any::<Index>(), vec(some_document(), 0..8)), 0..20);
    let server = select(vec!["4.4.2", "8.2.1", "8.3.0-rc2", "9.0.0"]);
    (server, collections(), segments, vec(1_usize..200, 1..50)).prop_map(
        |(server_version, collections, segments, pieces)| {
            let segments = segments
                .into_iter()
                .filter(|_| !collections.is_empty())
                .map(|(which, documents)| (which.index(collections.len()), documents))
                .collect();
            Plan { server_version, collections, segments, pieces }
        },
    )
}

/// Writes the plan: special namespaces, ordinary ones interleaved, the oplog.
fn write(plan: &Plan) -> (BytesMut, Vec<End>) {
    let mut prelude = prelude(i32::try_from(plan.collections.len()).unwrap(), plan.collections.clone());
    prelude.server_version = plan.server_version.into();
    let server = plan.server_version.parse().unwrap();
    let mut out = BytesMut::new();
    let mut encoder = Encoder::new(&prelude, &mut out).unwrap();
    let mut ends = Vec::new();
    let turns: [fn(&Namespace) -> bool; 3] =
        [Namespace::is_special, |name| !name.is_special() && !name.is_oplog(), Namespace::is_oplog];
    for turn in turns {
        for (index, documents) in &plan.segments {
            let entry = &plan.collections[*index];
            if turn(&entry.namespace) {
                let mut builder = SegmentBuilder::new(&entry.data_namespace(&server), 100);
                for document in documents {
                    builder.push(document).unwrap();
                }
                out.extend_from_slice(&encoder.append(builder.finish()).unwrap());
            }
        }
        for entry in plan.collections.iter().filter(|entry| turn(&entry.namespace)) {
            ends.push(encoder.end(&entry.data_namespace(&server), &mut out).unwrap());
        }
    }
    let totals = encoder.finish().unwrap();
    assert_eq!(totals.documents, ends.iter().map(|end| end.documents).sum::<u64>());
    assert_eq!(totals.bytes, ends.iter().map(|end| end.bytes).sum::<u64>());
    (out, ends)
}

proptest! {
    #[test]
    fn what_is_written_is_read(plan in plan()) {
        let (archive, written_ends) = write(&plan);

        let mut pieces = Vec::new();
        let mut rest = &archive[..];
        for size in plan.pieces.iter().cycle() {
            let (piece, next) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = next;
            if rest.is_empty() {
                break;
            }
        }
        let (seen, totals) = read(pieces).unwrap();

        let mut expected = BTreeMap::<usize, Vec<u8>>::new();
        for (index, documents) in &plan.segments {
            expected.entry(*index).or_default().extend(documents.concat());
        }
        let (mut found, mut ends) = (BTreeMap::<usize, Vec<u8>>::new(), Vec::new());
        for seen in seen {
            match seen {
                Seen::Prelude(prelude) => prop_assert_eq!(&prelude.collections, &plan.collections),
                Seen::Segment(start) => drop(found.entry(start.collection).or_default()),
                Seen::Documents { collection, bytes, .. } => found.get_mut(&collection).unwrap().extend(bytes),
                Seen::End(end) => ends.push(end),
            }
        }
        for end in &ends {
            let documents = expected.entry(end.collection).or_default();
            prop_assert_eq!(end.checksum, crc64(documents), "a checksum of combined segments");
            prop_assert_eq!(end.bytes, documents.len() as u64);
        }
        prop_assert_eq!(&ends, &written_ends);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(totals.collections, plan.collections.len() as u64);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400), piece in 1_usize..50) {
        let archive = [&archive_format::MAGIC[..], &bytes].concat();
        let whole = read([&archive[..]]);
        let pieces = read(archive.chunks(piece));
        prop_assert_eq!(whole, pieces);
    }
}

#[test]
fn b10_the_checksum_of_five_documents_is_the_known_one() {
    let documents: Vec<u8> =
        (0..5).flat_map(|n| document(&[("_id", Is::Int32(n)), ("x", Is::Int32(n))])).collect();
    assert_eq!(crc64(&documents), 17_346_875_687_351_622_743);
    assert_eq!(crc64(b"123456789"), 0x995D_C9BB_DF19_39FA);
}
