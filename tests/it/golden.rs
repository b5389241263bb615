//! Archives that mongodump wrote, restored into servers of the version they came from.

use super::support::fingerprint::{assert_same, fingerprint, load};
use super::support::mongod::{Mongod, Version};
use super::support::testdata;

/// The archive of a zoo and the fingerprint of the server it was taken from.
fn zoo(version: Version) -> (std::path::PathBuf, super::support::fingerprint::Fingerprint) {
    let file = |ending: &str| testdata(&format!("archives/100.18.0/zoo-{}.{ending}", version.name()));
    (file("archive.gz"), load(file("fingerprint.json")))
}

mod interop {
    use super::super::support::tools::{mongodump, mongorestore, run};
    use super::super::support::zoo;
    use super::*;

    async fn mongorestore_reproduces_the_zoo(version: Version) {
        let (archive, expected) = zoo(version);
        let server = Mongod::start(version).await;
        let arguments = [
            format!("--uri={}", server.uri()),
            format!("--archive={}", archive.display()),
            "--gzip".into(),
            "--drop".into(),
        ];
        mongorestore(arguments).await.success();
        assert_same(&expected, &fingerprint(&server.client().await).await);
    }

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn mongorestore_reproduces_the_zoo_of_4_4() {
        mongorestore_reproduces_the_zoo(Version::V4_4_2).await;
    }

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn mongorestore_reproduces_the_zoo_of_5_0() {
        mongorestore_reproduces_the_zoo(Version::V5_0_4).await;
    }

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn mongorestore_reproduces_the_zoo_of_6_0() {
        mongorestore_reproduces_the_zoo(Version::V6_0_27).await;
    }

    /// The measure of our own dumps and restores: what the official tools keep, ours have to keep.
    async fn the_official_tools_keep_our_zoo(version: Version) {
        let source = Mongod::start(version).await;
        zoo::fill(&source.client().await, version).await;
        let expected = fingerprint(&source.client().await).await;
        let archive =
            mongodump([format!("--uri={}", source.uri()), "--archive".into()]).await.success().stdout;
        let target = Mongod::start(version).await;
        run("mongorestore", [format!("--uri={}", target.uri()), "--archive".into()], archive).await.success();
        assert_same(&expected, &fingerprint(&target.client().await).await);
        zoo::assert_users_can_log_in(&target).await;
    }

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn the_official_tools_keep_our_zoo_of_4_4() {
        the_official_tools_keep_our_zoo(Version::V4_4_2).await;
    }

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn the_official_tools_keep_our_zoo_of_5_0() {
        the_official_tools_keep_our_zoo(Version::V5_0_4).await;
    }

    #[tokio::test]
    #[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
    async fn the_official_tools_keep_our_zoo_of_6_0() {
        the_official_tools_keep_our_zoo(Version::V6_0_27).await;
    }
}
