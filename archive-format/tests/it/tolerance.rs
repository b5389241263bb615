use archive_format::{Decoder, ErrorKind, Kind, Limits};
use bytes::BytesMut;

use crate::bytes_by_hand::Is::{Bool, Double, Int32, Int64, Raw, Text};
use crate::bytes_by_hand::{archive, data, document, entry, eof, header, header_of_server, numbered};
use crate::support::{Seen, read};

/// `d.c` with one document, under an archive header and a metadata document of the test's.
fn one_document(header: Vec<u8>, entry: Vec<u8>) -> Vec<u8> {
    let documents = [numbered(1)];
    archive(&[header, entry], &[data("d", "c", &documents), eof("d", "c", &documents)])
}

fn accepted(archive: &[u8]) -> Vec<Seen> {
    let (seen, totals) = read([archive]).unwrap();
    let ends = seen.iter().filter(|seen| matches!(seen, Seen::End(_))).count();
    assert_eq!(ends as u64, totals.collections);
    seen
}

fn refused(archive: &[u8]) -> ErrorKind {
    let error = read([archive]).unwrap_err();
    assert!(error.offset().is_some(), "{error}");
    error.kind()
}

#[test]
fn the_archive_header_may_lack_anything_and_hold_anything() {
    for fields in [
        &[][..],
        &[("version", Text("9.9"))],
        &[("concurrent_collections", Int64(4))],
        &[("concurrent_collections", Double(4.0))],
        &[("server_version", Text("unknown"))],
        &[("more", Raw(3, &numbered(1))), ("null", Raw(10, b""))],
    ] {
        accepted(&one_document(document(fields), entry("d", "c", "collection")));
    }
}

#[test]
fn the_archive_header_must_have_types_that_can_be_read() {
    for fields in [
        &[("concurrent_collections", Text("4"))][..],
        &[("concurrent_collections", Double(4.5))],
        &[("concurrent_collections", Int64(1 << 40))],
        &[("server_version", Int32(6))],
    ] {
        let damaged = one_document(document(fields), entry("d", "c", "collection"));
        assert_eq!(refused(&damaged), ErrorKind::Malformed);
    }
}

#[test]
fn collection_metadata_may_lack_all_but_names() {
    let names = [("db", Text("d")), ("collection", Text("c"))];
    for more in [
        &[][..],
        &[("size", Int64(7)), ("type", Text("collection"))],
        &[("metadata", Text("{}")), ("size", Double(7.0))],
        &[("type", Text("something new")), ("more", Bool(true))],
    ] {
        let seen = accepted(&one_document(header(), document(&[&names, more].concat())));
        let Seen::Prelude(prelude) = &seen[0] else { panic!("{seen:?}") };
        let known = more.iter().any(|(_, value)| matches!(value, Text("collection")));
        assert_eq!(prelude.collections[0].kind == Kind::Collection, known);
    }
}

#[test]
fn names_that_no_server_accepts_are_refused_before_any_data() {
    for (db, collection) in [("", "c"), ("a/b", "c"), ("a.b", "c"), ("a b", "c"), ("a$", "c"), ("d", "")] {
        let prelude = archive(&[header(), entry(db, collection, "collection")], &[]);
        assert_eq!(refused(&prelude), ErrorKind::InvalidName, "{db:?} {collection:?}");
    }
    let not_utf8 = document(&[("db", Raw(2, b"\x02\0\0\0\xFF\0")), ("collection", Text("c"))]);
    assert_eq!(refused(&archive(&[header(), not_utf8], &[])), ErrorKind::Malformed);
}

#[test]
fn b22_an_archive_of_nothing_is_complete() {
    assert_eq!(accepted(&archive(&[header()], &[])).len(), 1);
}

#[test]
fn segments_come_in_any_order_and_may_be_empty() {
    let (a, b) = ([numbered(1), numbered(2), numbered(3)], [numbered(4)]);
    let prelude = [header(), entry("d", "b", "collection"), entry("d", "a", "collection")];
    let seen = accepted(&archive(
        &prelude,
        &[
            data("d", "a", &a[..1]),
            data("d", "a", &[]),
            data("d", "a", &a[1..2]),
            data("d", "b", &b),
            data("d", "a", &a[2..]),
            eof("d", "a", &a),
            eof("d", "b", &b),
        ],
    ));
    let indexes: Vec<_> = seen
        .iter()
        .filter_map(
            |seen| if let Seen::End(end) = seen { Some((end.collection, end.documents)) } else { None },
        )
        .collect();
    assert_eq!(indexes, [(1, 3), (0, 1)]);
}

#[test]
fn a_namespace_may_end_without_having_begun() {
    for (db, collection) in [("d", "c"), ("", "oplog")] {
        accepted(&archive(&[header(), entry(db, collection, "")], &[eof(db, collection, &[])]));
    }
}

#[test]
fn duplicate_entries_are_one_namespace() {
    let documents = [numbered(1)];
    let entry = entry("d", "c", "collection");
    let blocks = [data("d", "c", &documents), eof("d", "c", &documents)];
    let seen = accepted(&archive(&[header(), entry.clone(), entry], &blocks));
    assert!(matches!(seen.last(), Some(Seen::End(end)) if end.collection == 0));
}

#[test]
fn a_block_header_may_lack_flags_and_have_any_order() {
    let documents = [numbered(1)];
    let bare = document(&[("collection", Text("c")), ("db", Text("d"))]);
    let odd =
        document(&[("CRC", Int64(7)), ("collection", Text("c")), ("EOF", Bool(false)), ("db", Text("d"))]);
    for begin in [bare, odd] {
        let blocks = [vec![begin, documents[0].clone()], eof("d", "c", &documents)];
        accepted(&archive(&[header(), entry("d", "c", "collection")], &blocks));
    }
}

#[test]
fn a_block_header_must_say_nothing_else() {
    let names = [("db", Text("d")), ("collection", Text("c"))];
    for more in [("size", Int32(0)), ("CRC", Int32(0)), ("EOF", Int32(0)), ("collection", Text(""))] {
        let begin = document(&[&names[..1], &[more], &names[1..]].concat());
        let damaged = archive(&[header(), entry("d", "c", "collection")], &[vec![begin]]);
        assert_eq!(refused(&damaged), ErrorKind::Malformed, "{}", more.0);
    }
}

#[test]
fn blocks_in_an_impossible_order_are_refused() {
    let documents = [numbered(1)];
    let prelude = [header(), entry("d", "c", "collection")];
    let end = eof("d", "c", &documents);
    let begin = data("d", "c", &documents);
    for (what, blocks) in [
        ("data after the end", vec![begin.clone(), end.clone(), begin.clone()]),
        ("an end after the end", vec![begin.clone(), end.clone(), end.clone()]),
        ("an end with documents", vec![begin, [end, vec![numbered(2)]].concat()]),
    ] {
        assert_eq!(refused(&archive(&prelude, &blocks)), ErrorKind::Order, "{what}");
    }
}

#[test]
fn what_the_prelude_does_not_announce_is_refused() {
    let error = read([&archive(&[header()], &[data("d", "c", &[])])[..]]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownNamespace);
    assert_eq!(error.namespace().unwrap().to_string(), "d.c");
}

#[test]
fn what_the_prelude_announces_must_end() {
    let prelude = [header(), entry("d", "a", "collection"), entry("d", "b", "collection")];
    let error = read([&archive(&prelude, &[eof("d", "a", &[]), data("d", "b", &[])])[..]]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete);
    assert_eq!(error.namespace().unwrap().to_string(), "d.b");
    assert_eq!(refused(&archive(&prelude, &[])), ErrorKind::Incomplete);
}

#[test]
fn the_data_of_a_time_series_is_where_its_server_kept_it() {
    let buckets = "system.buckets.t";
    // server, type, name of the data, and whether it is right
    for (server, kind, name, right) in [
        ("5.0.4", "timeseries", buckets, true),
        ("5.0.4", "timeseries", "t", false),
        ("8.3.0", "timeseries", "t", true),
        ("8.3.0-rc1", "timeseries", buckets, false),
        ("unknown", "timeseries", "t", true),
        ("unknown", "timeseries", buckets, true),
        ("4.4.2", "", "t", true),
        ("4.4.2", "", buckets, true),
        ("", "", buckets, true),
        ("8.3.0", "", buckets, false),
        ("5.0.4", "collection", buckets, false),
        ("5.0.4", "view", buckets, false),
    ] {
        let documents = [numbered(1)];
        let prelude = [header_of_server(server), entry("d", "t", kind)];
        let archive = archive(&prelude, &[data("d", name, &documents), eof("d", name, &documents)]);
        match read([&archive[..]]) {
            Ok((seen, _)) => {
                assert!(right, "{server} {kind} {name}");
                let Some(Seen::End(end)) = seen.last() else { panic!("{seen:?}") };
                assert_eq!((end.collection, end.namespace.collection()), (0, name));
            }
            Err(error) => {
                assert!(!right, "{server} {kind} {name}: {error}");
                assert_eq!(error.kind(), ErrorKind::UnknownNamespace);
            }
        }
    }
}

#[test]
fn the_error_for_misplaced_buckets_names_their_place() {
    let prelude = [header_of_server("5.0.4"), entry("d", "t", "timeseries")];
    let error = read([&archive(&prelude, &[data("d", "t", &[])])[..]]).unwrap_err();
    assert!(error.to_string().contains("its place is d.system.buckets.t"), "{error}");
}

#[test]
fn an_entry_of_the_very_name_is_preferred() {
    let prelude =
        [header_of_server("4.4.2"), entry("d", "t", ""), entry("d", "system.buckets.t", "collection")];
    let blocks = [eof("d", "system.buckets.t", &[]), eof("d", "t", &[])];
    let seen = accepted(&archive(&prelude, &blocks));
    let ends: Vec<usize> = seen
        .iter()
        .filter_map(|seen| if let Seen::End(end) = seen { Some(end.collection) } else { None })
        .collect();
    assert_eq!(ends, [1, 0]);
}

#[test]
fn one_collection_has_one_name() {
    let prelude = [header_of_server("4.4.2"), entry("d", "t", "")];
    let blocks = [data("d", "t", &[]), data("d", "system.buckets.t", &[])];
    assert_eq!(refused(&archive(&prelude, &blocks)), ErrorKind::Order);
}

#[test]
fn compressed_input_is_recognised() {
    for (begin, word) in
        [(&b"\x1F\x8B\x08\0"[..], "gzip"), (b"\x28\xB5\x2F\xFD", "zstd"), (b"\x1F\x8B", "gzip")]
    {
        let error = read([begin]).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::NotAnArchive, Some(0)));
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(refused(b"PK\x03\x04"), ErrorKind::NotAnArchive);
    assert_eq!(refused(b"P"), ErrorKind::NotAnArchive);
    assert_eq!(refused(b""), ErrorKind::Truncated);
}

#[test]
fn limits_are_the_callers() {
    let archive = one_document(header(), entry("d", "c", "collection"));
    let read = |limits| {
        let mut buffer = BytesMut::from(&archive[..]);
        let mut decoder = Decoder::with_limits(limits);
        while decoder.decode(&mut buffer)?.is_some() {}
        decoder.finish(&buffer)
    };
    let defaults = Limits::default();
    assert_eq!(defaults.max_document_size, 16_777_216);
    for limits in [
        Limits { max_document_size: 50, ..defaults },
        Limits { max_prelude_size: header().len() - 1, ..defaults },
        Limits { max_prelude_size: header().len() + 50, ..defaults },
    ] {
        assert_eq!(read(limits).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }
    let largest = header().len();
    read(Limits { max_document_size: largest, max_prelude_size: 2 * largest }).unwrap();
}
