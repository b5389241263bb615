//! What the target deployment is: its version, and which collections it already has.

use std::collections::{HashMap, HashSet};

use archive_format::{Namespace, ServerVersion};
use mongodb::Client;

use crate::server_error::driver_error;
use crate::{Deployment, Error, Result};

/// The target deployment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    version: ServerVersion,
}

impl Server {
    pub(super) async fn ask(deployment: &Deployment) -> Result<Self> {
        let version = deployment.server_version(None).await?;
        Ok(Self { version: version.parse().map_err(Error::not_archivable)? })
    }

    #[cfg(test)]
    pub(super) fn for_test((major, minor, patch): (u32, u32, u32)) -> Self {
        Self { version: ServerVersion { major, minor, patch } }
    }

    /// Whether an insert may ask the server to keep `Timestamp(0, 0)` as it is (`bypassEmptyTsReplacement`).
    pub(super) fn keeps_empty_timestamps(self) -> bool {
        match self.version {
            ServerVersion { major: 5, minor: 0, patch } => patch >= 29,
            ServerVersion { major: 6, minor: 0, patch } => patch >= 17,
            ServerVersion { major: 7, minor: 0, patch } => patch >= 13,
            version => version.major >= 8,
        }
    }

    /// Whether time series are kept under their own name and take raw buckets with `rawData`.
    pub(super) fn has_viewless_timeseries(self) -> bool {
        self.version >= ServerVersion { major: 8, minor: 3, patch: 0 }
    }

    /// Whether `autoIndexId` is no longer an option of `create`.
    pub(super) fn refuses_auto_index_id(self) -> bool {
        self.version >= ServerVersion { major: 8, minor: 2, patch: 0 }
    }
}

/// The collections that are there already, listed once for each database.
#[derive(Debug, Default)]
pub(super) struct Existing(HashMap<String, HashSet<String>>);

impl Existing {
    pub(super) async fn contains(&mut self, client: &Client, namespace: &Namespace) -> Result<bool> {
        let db = namespace.db();
        if namespace.is_oplog() || namespace.is_special() {
            return Ok(false);
        }
        if !self.0.contains_key(db) {
            let names = client
                .database(db)
                .list_collection_names()
                .await
                .map_err(|error| driver_error("cannot list the target's collections", &error).at(db))?;
            self.0.insert(db.to_owned(), names.into_iter().collect());
        }
        Ok(self.0.get(db).is_some_and(|names| names.contains(namespace.collection())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_timestamps_are_kept_from_the_release_of_each_series_that_can() {
        for (version, keeps) in [
            ((4, 4, 2), false),
            ((5, 0, 28), false),
            ((5, 0, 29), true),
            ((6, 0, 5), false),
            ((6, 0, 27), true),
            ((7, 0, 12), false),
            ((7, 0, 13), true),
            ((7, 1, 0), false),
            ((8, 0, 0), true),
        ] {
            assert_eq!(Server::for_test(version).keeps_empty_timestamps(), keeps, "{version:?}");
        }
    }
}
