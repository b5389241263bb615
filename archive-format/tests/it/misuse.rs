use archive_format::{
    CollectionMetadata, Encoder, Error, ErrorKind, Kind, MAX_DOCUMENT_SIZE, Namespace, Prelude, Segment,
    SegmentBuilder,
};
use bytes::BytesMut;

use crate::support::{collection, namespace, prelude, read, segment};

/// An encoder, its output, and what it has been told.
struct Writing {
    encoder: Encoder,
    out: BytesMut,
}

impl Writing {
    fn of(concurrent: i32, names: &[&str]) -> Self {
        let collections = names.iter().map(|name| collection(name, Kind::Collection)).collect();
        let mut out = BytesMut::new();
        let encoder = Encoder::new(&prelude(concurrent, collections), &mut out).unwrap();
        Self { encoder, out }
    }

    fn append(&mut self, segment: Segment) -> Result<(), Error> {
        self.encoder.append(segment).map(|block| self.out.extend_from_slice(&block))
    }

    fn begin(&mut self, name: &str) -> Result<(), Error> {
        self.append(segment(name, 0..1))
    }

    fn end(&mut self, name: &str) -> Result<(), Error> {
        self.encoder.end(&namespace(name), &mut self.out).map(drop)
    }
}

#[track_caller]
fn assert_refused(result: Result<(), Error>, kind: ErrorKind, name: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.namespace().map(ToString::to_string).as_deref(), Some(name), "{error}");
    assert_eq!(error.offset(), None);
}

#[test]
fn only_namespaces_of_the_prelude_are_written() {
    assert_refused(Writing::of(1, &["d.c"]).begin("d.x"), ErrorKind::UnknownNamespace, "d.x");
    assert_refused(Writing::of(1, &["d.c"]).end("d.x"), ErrorKind::UnknownNamespace, "d.x");
}

#[test]
fn b15_a_namespace_ends_once_and_for_good() {
    for again in [Writing::begin, Writing::end] {
        let mut writing = Writing::of(1, &["d.c"]);
        writing.begin("d.c").unwrap();
        writing.end("d.c").unwrap();
        assert_refused(again(&mut writing, "d.c"), ErrorKind::Order, "d.c");
    }
}

#[test]
fn b12_users_roles_and_version_end_before_collections_begin() {
    for begin in [Writing::begin, Writing::end] {
        let mut writing = Writing::of(1, &["d.c", "admin.system.users", "admin.system.version"]);
        writing.begin("admin.system.users").unwrap();
        writing.end("admin.system.users").unwrap();
        assert_refused(begin(&mut writing, "d.c"), ErrorKind::Order, "d.c");
    }
    let mut writing = Writing::of(1, &["d.c", "d.$admin.system.users"]);
    assert_refused(writing.begin("d.c"), ErrorKind::Order, "d.c");
}

#[test]
fn b13_the_oplog_begins_after_everything_has_ended() {
    for begin in [Writing::begin, Writing::end] {
        let mut writing = Writing::of(1, &["oplog", "d.c"]);
        writing.begin("d.c").unwrap();
        assert_refused(begin(&mut writing, "oplog"), ErrorKind::Order, "oplog");
        let mut writing = Writing::of(1, &["oplog", "admin.system.users"]);
        assert_refused(begin(&mut writing, "oplog"), ErrorKind::Order, "oplog");
    }
}

#[test]
fn b04_no_more_collections_are_open_than_the_prelude_says() {
    for begin in [Writing::begin, Writing::end] {
        let mut writing = Writing::of(2, &["d.a", "d.b", "d.c", "d.d"]);
        writing.begin("d.a").unwrap();
        writing.end("d.a").unwrap();
        writing.begin("d.b").unwrap();
        writing.begin("d.c").unwrap();
        writing.begin("d.b").unwrap();
        assert_refused(begin(&mut writing, "d.d"), ErrorKind::LimitExceeded, "d.d");
    }
    assert_refused(Writing::of(-1, &["d.a"]).begin("d.a"), ErrorKind::LimitExceeded, "d.a");
}

#[test]
fn users_and_the_oplog_do_not_count_as_open_collections() {
    let mut writing = Writing::of(1, &["admin.system.users", "admin.system.roles", "d.c", "oplog"]);
    for name in ["admin.system.users", "admin.system.roles"] {
        writing.begin(name).unwrap();
    }
    for name in ["admin.system.users", "admin.system.roles", "d.c", "oplog"] {
        writing.end(name).unwrap();
    }
    assert_eq!(writing.encoder.finish().unwrap().collections, 4);
}

#[test]
fn b08_an_archive_is_not_finished_before_everything_has_ended() {
    let mut writing = Writing::of(2, &["d.a", "d.b"]);
    writing.begin("d.a").unwrap();
    writing.begin("d.b").unwrap();
    writing.end("d.a").unwrap();
    assert_refused(writing.encoder.finish().map(drop), ErrorKind::Incomplete, "d.b");
}

#[test]
fn b07_b08_a_view_and_an_empty_collection_are_an_empty_segment_and_an_end() {
    let empty = |kind| {
        let mut out = BytesMut::new();
        let mut encoder = Encoder::new(&prelude(1, vec![collection("d.c", kind)]), &mut out).unwrap();
        let before = out.len();
        let end = encoder.end(&namespace("d.c"), &mut out).unwrap();
        assert_eq!((end.documents, end.checksum), (0, 0));
        encoder.finish().unwrap();
        out.split_off(before)
    };
    let header = |is_end: u8| {
        let fields = [
            &b"\x02db\0\x02\0\0\0d\0\x02collection\0\x02\0\0\0c\0\x08EOF\0"[..],
            &[is_end],
            b"\x12CRC\0",
            &[0; 9],
        ];
        let fields = fields.concat();
        let length = u32::try_from(fields.len() + 4).unwrap().to_le_bytes();
        [&length[..], &fields, &[0xff; 4]].concat()
    };
    for kind in [Kind::View, Kind::Collection, Kind::Unspecified] {
        assert_eq!(empty(kind), [header(0), header(1)].concat(), "{kind:?}");
    }
}

#[test]
fn after_a_refusal_the_archive_cannot_be_finished() {
    let mut writing = Writing::of(1, &["d.c"]);
    let before = writing.out.clone();
    let first = writing.begin("d.x").unwrap_err();
    assert_eq!(writing.begin("d.c").unwrap_err(), first);
    assert_eq!(writing.end("d.c").unwrap_err(), first);
    assert_eq!(writing.out, before);
    assert_eq!(writing.encoder.finish().unwrap_err(), first);
}

#[test]
fn b03_a_prelude_that_readers_refuse_is_not_written() {
    let refused = |prelude: &Prelude| {
        let mut out = BytesMut::from("before");
        let error = Encoder::new(prelude, &mut out).unwrap_err();
        assert_eq!(out, "before", "a part was written");
        error.kind()
    };
    let good = prelude(1, vec![collection("d.c", Kind::Collection)]);
    for server_version in ["", "unknown", "6.0"] {
        let prelude = Prelude { server_version: server_version.into(), ..good.clone() };
        assert_eq!(refused(&prelude), ErrorKind::InvalidVersion);
    }
    let twice = vec![collection("d.c", Kind::Collection), collection("d.c", Kind::View)];
    assert_eq!(refused(&prelude(1, twice)), ErrorKind::Order);
    let same_data =
        vec![collection("d.t", Kind::Timeseries), collection("d.system.buckets.t", Kind::Collection)];
    assert_eq!(refused(&prelude(1, same_data)), ErrorKind::Order);
    let metadata = "x".repeat(MAX_DOCUMENT_SIZE);
    let large = vec![CollectionMetadata { metadata, ..collection("d.c", Kind::Collection) }];
    assert_eq!(refused(&prelude(1, large)), ErrorKind::LimitExceeded);
    let large = Prelude { tool_version: "x".repeat(MAX_DOCUMENT_SIZE), ..good };
    assert_eq!(refused(&large), ErrorKind::LimitExceeded);
}

#[test]
fn only_documents_are_pushed() {
    let mut builder = SegmentBuilder::new(&namespace("d.c"), 0);
    for document in [
        &b""[..],
        b"\0\0\0",
        b"\x04\0\0\0",
        b"\xFF\xFF\xFF\xFF",
        b"\x05\0\0\0\x01",
        b"\x06\0\0\0\0",
        b"\x05\0\0\0\0\0",
    ] {
        assert_refused(builder.push(document), ErrorKind::Malformed, "d.c");
    }
    assert!(builder.is_empty());
    assert_eq!((builder.documents(), builder.finish().document_bytes()), (0, 0));
}

#[test]
fn b14_the_largest_document_is_sixteen_mebibytes() {
    let sized = |length: usize| {
        let mut document = vec![0; length];
        document[..4].copy_from_slice(&(length as u32).to_le_bytes());
        document
    };
    let mut builder = SegmentBuilder::new(&namespace("d.c"), 0);
    assert_refused(builder.push(&sized(MAX_DOCUMENT_SIZE + 1)), ErrorKind::LimitExceeded, "d.c");
    builder.push(&sized(MAX_DOCUMENT_SIZE)).unwrap();
    let mut writing = Writing::of(1, &["d.c"]);
    writing.append(builder.finish()).unwrap();
    writing.end("d.c").unwrap();
    writing.encoder.finish().unwrap();
    let (_, totals) = read(writing.out.chunks(1 << 20)).unwrap();
    assert_eq!(totals.bytes, 16_777_216);
}

#[test]
fn a_segment_knows_itself() {
    let mut builder = SegmentBuilder::new(&Namespace::oplog(), 10);
    builder.push(b"\x05\0\0\0\0").unwrap();
    builder.push(b"\x05\0\0\0\0").unwrap();
    assert_eq!((builder.len(), builder.documents()), (10, 2));
    let segment = builder.finish();
    assert!(segment.namespace().is_oplog());
    assert_eq!((segment.documents(), segment.document_bytes()), (2, 10));
    assert_eq!(segment.checksum(), crate::bytes_by_hand::crc64(b"\x05\0\0\0\0\x05\0\0\0\0"));
    let mut writing = Writing::of(1, &["oplog"]);
    let size = segment.size();
    assert_eq!(writing.encoder.append(segment).unwrap().len(), size);
}
