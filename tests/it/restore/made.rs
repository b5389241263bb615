//! Archives made for a test.

use archive_format::{CollectionMetadata, Encoder, Kind, Namespace, Prelude, SegmentBuilder};
use bytes::{Bytes, BytesMut};
use mongodb::bson::RawDocumentBuf;

/// An archive being made.
#[derive(Debug, Default)]
pub struct Made {
    version: String,
    replay_oplog: bool,
    collections: Vec<(CollectionMetadata, Vec<Vec<u8>>)>,
}

impl Made {
    /// Of a server of this version.
    pub fn of(version: &str) -> Self {
        Self { version: version.to_owned(), ..Self::default() }
    }

    /// With a collection that has neither options nor indexes.
    pub fn with(self, db: &str, name: &str, documents: impl IntoIterator<Item = RawDocumentBuf>) -> Self {
        self.with_options(db, name, "{}", documents)
    }

    /// With a collection whose `options` are this.
    pub fn with_options(
        self,
        db: &str,
        name: &str,
        options: &str,
        documents: impl IntoIterator<Item = RawDocumentBuf>,
    ) -> Self {
        let metadata = format!(r#"{{"options":{options},"indexes":[]}}"#);
        self.with_metadata(db, name, &metadata, documents)
    }

    /// With a collection whose metadata is this text.
    pub fn with_metadata(
        self,
        db: &str,
        name: &str,
        metadata: &str,
        documents: impl IntoIterator<Item = RawDocumentBuf>,
    ) -> Self {
        self.with_bytes(db, name, metadata, documents.into_iter().map(RawDocumentBuf::into_bytes))
    }

    /// With a collection whose documents are these bytes.
    pub fn with_bytes(
        mut self,
        db: &str,
        name: &str,
        metadata: &str,
        documents: impl IntoIterator<Item = Vec<u8>>,
    ) -> Self {
        let namespace =
            if db.is_empty() { Namespace::oplog() } else { Namespace::new(db, name).expect("a name") };
        let kind = match metadata {
            text if text.contains("viewOn") => Kind::View,
            text if text.contains("timeseries") => Kind::Timeseries,
            _ => Kind::Collection,
        };
        let entry = CollectionMetadata { namespace, metadata: metadata.to_owned(), kind };
        self.collections.push((entry, documents.into_iter().collect()));
        self
    }

    /// Of one moment only when its oplog is replayed.
    pub fn wanting_its_oplog(self) -> Self {
        Self { replay_oplog: true, ..self }
    }

    pub fn bytes(self) -> Bytes {
        let prelude = Prelude {
            concurrent_collections: 4,
            server_version: self.version.clone(),
            tool_version: "test".to_owned(),
            replay_oplog: self.replay_oplog,
            collections: self.collections.iter().map(|(entry, _)| entry.clone()).collect(),
        };
        let mut out = BytesMut::new();
        let mut encoder = Encoder::new(&prelude, &mut out).expect("a prelude");
        let server = self.version.parse().expect("a version");
        for (entry, documents) in self.collections {
            let namespace = entry.data_namespace(&server);
            for some in documents.chunks(1000) {
                let mut segment = SegmentBuilder::new(&namespace, 1024);
                for document in some {
                    segment.push(document).expect("a document");
                }
                out.extend_from_slice(&encoder.append(segment.finish()).expect("in order"));
            }
            encoder.end(&namespace, &mut out).expect("in order");
        }
        encoder.finish().expect("complete");
        out.freeze()
    }
}
