//! What the target deployment is.

use archive_format::ServerVersion;
use bson::{Document, doc};

use crate::server_error::{code, driver_error, is_unauthorized};
use crate::{Deployment, Error, Result};

/// The target deployment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pub(super) version: ServerVersion,
    topology: Topology,
    /// Whether it keeps sessions, which a write that is sent again has to belong to.
    sessions: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Topology {
    Standalone,
    ReplicaSet,
    Sharded,
}

impl Server {
    pub(super) async fn ask(deployment: &Deployment) -> Result<Self> {
        let version = deployment.server_version(None).await?;
        // Servers before 5.0 know `hello` only from some patch on; all of them know its older name.
        let hello = deployment
            .command("admin", doc! { "isMaster": 1 }, None)
            .await
            .map_err(|error| driver_error("the server does not tell what it is", &error))?;
        Ok(Self {
            version: version.parse().map_err(Error::not_archivable)?,
            topology: Topology::of(&hello),
            sessions: hello.contains_key("logicalSessionTimeoutMinutes"),
        })
    }

    #[cfg(any(fuzzing, test))]
    pub(super) fn for_test((major, minor, patch): (u32, u32, u32)) -> Self {
        let version = ServerVersion { major, minor, patch };
        Self { version, topology: Topology::ReplicaSet, sessions: true }
    }

    pub(super) fn is_router(self) -> bool {
        self.topology == Topology::Sharded
    }

    /// Whether a write that carries a session and a number may be sent again: the server makes it once.
    pub(super) fn retries_writes(self) -> bool {
        self.sessions && self.topology != Topology::Standalone
    }

    /// Whether an index build may be told how many members have to be ready for it.
    pub(super) fn has_commit_quorum(self) -> bool {
        self.topology != Topology::Standalone
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
        !self.version.keeps_buckets_apart()
    }

    /// Whether `autoIndexId` is no longer an option of `create`.
    pub(super) fn refuses_auto_index_id(self) -> bool {
        self.is_from(8, 2)
    }

    /// Whether this release or a later one.
    pub(super) fn is_from(self, major: u32, minor: u32) -> bool {
        self.version >= ServerVersion { major, minor, patch: 0 }
    }
}

impl Topology {
    fn of(hello: &Document) -> Self {
        match hello.get_str("msg") {
            Ok("isdbgrid") => Self::Sharded,
            _ if hello.contains_key("setName") => Self::ReplicaSet,
            _ => Self::Standalone,
        }
    }
}

/// Whether this is a shared tier of Atlas, which has no `admin` database of the user's: it answers a command that servers do
/// not know, and refuses to list the collections there.
pub(super) async fn is_shared_tier(deployment: &Deployment) -> Result<bool> {
    match deployment.command("admin", doc! { "atlasVersion": 1 }, None).await {
        Ok(_) => {}
        Err(error) if code(&error).is_some() => return Ok(false),
        Err(error) => return Err(driver_error("the server does not tell what it is", &error)),
    }
    match deployment.command("admin", doc! { "listCollections": 1, "nameOnly": true }, None).await {
        Ok(_) => Ok(false),
        Err(error) if is_unauthorized(&error) || code(&error) == Some(ATLAS_ERROR) => Ok(true),
        Err(error) => Err(driver_error("the server does not tell what it is", &error)),
    }
}

/// The code of everything that Atlas itself refuses.
const ATLAS_ERROR: i32 = 8000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b61_empty_timestamps_are_kept_from_the_release_of_each_series_that_can() {
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

    #[test]
    fn a_router_a_set_and_a_single_server_are_told_apart() {
        assert_eq!(Topology::of(&doc! { "msg": "isdbgrid" }), Topology::Sharded);
        assert_eq!(Topology::of(&doc! { "setName": "rs0", "ismaster": true }), Topology::ReplicaSet);
        assert_eq!(Topology::of(&doc! { "ismaster": true }), Topology::Standalone);
    }
}
