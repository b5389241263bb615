//! What a restore would make of a collection's metadata: two collections for which that is the same are the same.

use archive_format::CollectionMetadata;
use bson::RawDocumentBuf;

use super::metadata::Metadata;
use super::server::Server;
use crate::{Deployment, Result};

/// Makes recipes for one deployment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipes(Server);

/// The commands that make a collection and its indexes, nothing in it expiring.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// The `create` command.
    pub(crate) create: RawDocumentBuf,
    /// The indexes besides the one on `_id`, as `createIndexes` takes them.
    pub(crate) indexes: Vec<RawDocumentBuf>,
}

impl Recipes {
    pub(crate) async fn of(deployment: &Deployment) -> Result<Self> {
        Server::ask(deployment).await.map(Self)
    }

    /// # Errors
    /// [`ErrorKind::Archive`](crate::ErrorKind::Archive) for metadata that cannot be read.
    pub(crate) fn recipe(&self, entry: &CollectionMetadata) -> Result<Recipe> {
        let metadata = Metadata::read(entry)?.without_expiry();
        let (db, name) = (entry.namespace.db(), entry.namespace.collection());
        let command = metadata.create_indexes(name);
        let indexes = command.iter().filter_map(|command| command.get_array("indexes").ok()).flatten();
        let indexes = indexes.flatten().filter_map(|index| index.as_document().map(ToOwned::to_owned));
        Ok(Recipe { create: metadata.create(db, name, self.0), indexes: indexes.collect() })
    }
}
