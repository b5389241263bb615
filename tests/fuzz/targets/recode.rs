//! What can be read can be written, one namespace after the other, and is then read as the same.
#![no_main]

use std::collections::{BTreeMap, HashSet};

use archive_format::{
    CollectionMetadata, Decoder, Encoder, End, Error, ErrorKind, Event, Kind, MAGIC, Namespace, Prelude,
    SegmentBuilder, ServerVersion,
};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

/// An archive with its order taken out: what there is of each namespace.
#[derive(Debug, PartialEq)]
struct Content {
    prelude: Prelude,
    /// By index in the prelude.
    namespaces: BTreeMap<usize, (Vec<u8>, End)>,
}

fn read(archive: &[u8]) -> Result<Content, Error> {
    let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::from(archive));
    let (mut prelude, mut documents, mut namespaces) = (None, BTreeMap::<_, Vec<u8>>::new(), BTreeMap::new());
    while let Some(event) = decoder.decode(&mut buffer)? {
        match event {
            Event::Prelude(read) => prelude = Some(read),
            Event::Documents(batch) => {
                documents.entry(batch.collection()).or_default().extend_from_slice(batch.bytes());
            }
            Event::End(end) => {
                let documents = documents.remove(&end.collection).unwrap_or_default();
                namespaces.insert(end.collection, (documents, end));
            }
            _ => {}
        }
    }
    decoder.finish(&buffer)?;
    Ok(Content { prelude: prelude.expect("a complete archive has a prelude"), namespaces })
}

/// The same content in the form that the encoder permits: no duplicates, a version, one order.
fn canonical(content: Content) -> Option<Content> {
    let mut seen = HashSet::new();
    let mut prelude = Prelude {
        concurrent_collections: 1,
        server_version: content.prelude.server_version,
        tool_version: content.prelude.tool_version,
        replay_oplog: content.prelude.replay_oplog,
        collections: Vec::new(),
    };
    if prelude.server_version.parse::<ServerVersion>().is_err() {
        // Time series of an unknown server may be under either name; an older one has ordinary names as well.
        prelude.server_version = "4.4.0".into();
    }
    let mut namespaces = BTreeMap::new();
    for (index, entry) in content.prelude.collections.into_iter().enumerate() {
        if !seen.insert(entry.namespace.clone()) {
            continue;
        }
        let (documents, mut end) = content.namespaces.get(&index)?.clone();
        // The kind that this name of the data means; metadata has no other bearing on the format.
        let kind = if end.namespace == entry.namespace { Kind::Collection } else { Kind::Timeseries };
        end.collection = prelude.collections.len();
        namespaces.insert(end.collection, (documents, end));
        prelude.collections.push(CollectionMetadata { kind, ..entry });
    }
    Some(Content { prelude, namespaces })
}

fn write(content: &Content) -> Result<BytesMut, Error> {
    let mut out = BytesMut::new();
    let mut encoder = Encoder::new(&content.prelude, &mut out)?;
    let turns: [fn(&Namespace) -> bool; 3] =
        [Namespace::is_special, |name| !name.is_special() && !name.is_oplog(), Namespace::is_oplog];
    for turn in turns {
        for (documents, end) in content.namespaces.values().filter(|(_, end)| turn(&end.namespace)) {
            // Two segments, so that checksums are combined.
            let mut rest = &documents[..];
            for share in [end.documents / 2, end.documents - end.documents / 2] {
                let mut builder = SegmentBuilder::new(&end.namespace, 0);
                for _ in 0..share {
                    let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
                    builder.push(&rest[..length])?;
                    rest = &rest[length..];
                }
                out.extend_from_slice(&encoder.append(builder.finish())?);
            }
            assert_eq!(encoder.end(&end.namespace, &mut out)?, *end);
        }
    }
    encoder.finish()?;
    Ok(out)
}

/// Puts right checksums in the place of wrong ones, which no mutation would ever guess.
fn read_whatever_the_checksums(mut archive: Vec<u8>) -> Option<Content> {
    for _ in 0..16 {
        let error = match read(&archive) {
            Ok(content) => return Some(content),
            Err(error) => error,
        };
        let ErrorKind::Checksum { expected, found } = error.kind() else { return None };
        let header = archive.get_mut(usize::try_from(error.offset()?).ok()?..)?;
        let at = header.windows(8).position(|window| window == expected.to_le_bytes())?;
        header[at..at + 8].copy_from_slice(&found.to_le_bytes());
    }
    None
}

fuzz_target!(|input: &[u8]| {
    let Some(content) = read_whatever_the_checksums([&MAGIC[..], input].concat()) else { return };
    let content = canonical(content).expect("a complete archive has all its namespaces");
    let archive = write(&content).expect("what is canonical can be written");
    assert_eq!(read(&archive).expect("what was written can be read"), content);
});
