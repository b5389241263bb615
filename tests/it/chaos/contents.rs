//! What an archive holds.

use std::collections::BTreeMap;
use std::io::Read;

use archive_format::{Decoder, Event};
use bytes::BytesMut;
use flate2::read::MultiGzDecoder;
use mongodb::bson::{RawDocument, RawDocumentBuf};
use serde_json::Value;

/// How gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The archive's namespaces, by name.
pub(super) type Contents = BTreeMap<String, Content>;

/// One namespace of an archive.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Options, indexes and UUID; null where the archive has none.
    pub(super) metadata: Value,
    pub(super) documents: Vec<RawDocumentBuf>,
    /// Its end was there, with the right checksum.
    pub(super) ended: bool,
}

impl Content {
    /// The numbers that are `_id`s, in the archive's order.
    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.documents.iter().filter_map(|document| document.get_i64("_id").ok())
    }
}

/// Reads an archive, compressed or not, to its end and checks all of it.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, String> {
    let mut decoder = Decoder::new();
    let mut buffer = BytesMut::new();
    if bytes.starts_with(&GZIP) {
        let mut inflated = Vec::new();
        MultiGzDecoder::new(bytes)
            .read_to_end(&mut inflated)
            .map_err(|error| format!("broken gzip: {error}"))?;
        buffer.extend_from_slice(&inflated);
    } else {
        buffer.extend_from_slice(bytes);
    }
    let mut contents = Contents::new();
    while let Some(event) =
        decoder.decode(&mut buffer).map_err(|error| format!("a broken archive: {error}"))?
    {
        match event {
            Event::Prelude(prelude) => {
                for collection in prelude.collections {
                    let metadata = serde_json::from_str(&collection.metadata).unwrap_or_default();
                    let content = Content { metadata, ..Content::default() };
                    if contents.insert(collection.namespace.to_string(), content).is_some() {
                        return Err(format!("{} is twice in the prelude", collection.namespace));
                    }
                }
            }
            Event::Documents(documents) => {
                let content = contents.entry(documents.namespace().to_string()).or_default();
                for document in documents.iter() {
                    let document = RawDocument::from_bytes(document).map_err(|error| error.to_string())?;
                    content.documents.push(document.to_owned());
                }
            }
            Event::End(end) => contents.entry(end.namespace.to_string()).or_default().ended = true,
            _ => {}
        }
    }
    decoder.finish(&buffer).map_err(|error| format!("a broken archive: {error}"))?;
    match contents.iter().find(|(_, content)| !content.ended) {
        Some((name, _)) => Err(format!("{name} has no end")),
        None => Ok(contents),
    }
}
