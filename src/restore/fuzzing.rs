//! What the fuzz target for metadata calls.

use archive_format::{CollectionMetadata, Kind, Namespace};

use super::metadata::Metadata;
use super::server::Server;

/// Makes the commands that a collection with this metadata is made by, for an old and a new server.
pub fn commands(text: &str) {
    let Ok(namespace) = Namespace::new("d", "c") else { return };
    let entry = CollectionMetadata { namespace, metadata: text.to_owned(), kind: Kind::Collection };
    let Ok(metadata) = Metadata::read(&entry) else { return };
    for version in [(4, 4, 0), (8, 2, 0)] {
        let create = metadata.create("d", "c", Server::for_test(version));
        assert!(create.get_str("create").is_ok_and(|name| name == "c"));
    }
    if let Some(indexes) = metadata.create_indexes("c") {
        assert!(indexes.get_array("indexes").is_ok_and(|indexes| !indexes.is_empty()));
    }
    let _ = (metadata.is_view(), metadata.is_clustered(), metadata.is_capped(), metadata.has_validator());
    assert!(metadata.index_kinds().count() <= text.len());
}
