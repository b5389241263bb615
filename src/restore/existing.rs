//! The collections that the target has already.

use std::collections::{HashMap, HashSet};

use archive_format::Namespace;

use crate::server_error::driver_error;
use crate::{Deployment, Result};

/// Names of collections, listed once for each database.
#[derive(Debug, Default)]
pub(super) struct Existing(HashMap<String, HashSet<String>>);

impl Existing {
    pub(super) async fn contains(&mut self, deployment: &Deployment, namespace: &Namespace) -> Result<bool> {
        let db = namespace.db();
        if !self.0.contains_key(db) {
            let database = deployment.client().database(db);
            let names = deployment
                .repeated(|| async { database.list_collection_names().await })
                .await
                .map_err(|error| driver_error("cannot list the target's collections", &error).at(db))?;
            self.0.insert(db.to_owned(), names.into_iter().collect());
        }
        Ok(self.0.get(db).is_some_and(|names| names.contains(namespace.collection())))
    }
}
