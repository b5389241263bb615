//! SIGKILL at random moments of a dump: nothing is visible under the name, or a whole archive, and the next run needs no help
//! and leaves nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use mongodb::bson::Document;

use super::contents::{self, Contents};
use super::{Failures, Random, ensure, rounds, tail};
use crate::support::mongoark::{archive, finish, left_beside, start};
use crate::support::mongod::{Mongod, Version};
use crate::support::s3::{BUCKET, S3Server};
use crate::support::zoo;

/// Raw data in MiB: a dump of half a second, and two parts in S3.
const MIB: usize = 16;

/// Beyond its usual time, so that the end is among the moments, too.
const LONGER: u32 = 4;

/// A server, its database, and what a whole archive of it holds.
struct Round<'a> {
    server: &'a Mongod,
    whole: &'a Contents,
    usual: Duration,
}

fn arguments(server: &Mongod, place: &str) -> [String; 5] {
    let uri = format!("--uri={}", server.uri());
    [
        "dump".to_owned(),
        uri,
        "--db=kills".to_owned(),
        format!("--archive={place}"),
        "--s3PartSize=5".to_owned(),
    ]
}

fn same(whole: &Contents, bytes: &[u8]) -> Result<(), String> {
    let found = contents::read(bytes)?;
    for (name, content) in whole {
        let there = found.get(name).ok_or_else(|| format!("{name} is missing"))?;
        ensure(there.documents.len() == content.documents.len(), || format!("{name} is not whole"))?;
    }
    Ok(())
}

impl Round<'_> {
    /// Kills a dump at a random moment, and lets the next one run to its end.
    async fn kill(
        &self,
        place: &str,
        environment: &[(&str, &str)],
        random: &mut Random,
    ) -> Result<String, String> {
        let child = start(arguments(self.server, place), environment);
        let pause = random.within(self.usual * LONGER / 3);
        tokio::time::sleep(pause).await;
        let pid = child.id().expect("not waited for yet").to_string();
        tokio::process::Command::new("kill").args(["-KILL", &pid]).output().await.expect("kill");
        let killed = finish(child).await;
        Ok(format!("after {pause:.0?} of {:.0?}, exit {:?}", self.usual, killed.code))
    }

    async fn next(&self, place: &str, environment: &[(&str, &str)]) -> Result<(), String> {
        let next = finish(start(arguments(self.server, place), environment)).await;
        ensure(next.code == Some(0), || format!("the next run: {}", tail(&next.stderr)))
    }

    async fn file(&self, random: &mut Random) -> Result<String, String> {
        let (_folder, path) = archive("a");
        let place = path.display().to_string();
        let text = self.kill(&place, &[], random).await?;
        self.whole_or_absent(std::fs::read(&path).ok().as_deref(), &text)?;
        self.next(&place, &[]).await?;
        self.is_whole(&path)?;
        let left = left_beside(&path);
        ensure(left == ["a"], || format!("{text}: the next run leaves {left:?}"))?;
        Ok(text)
    }

    async fn s3(&self, random: &mut Random) -> Result<String, String> {
        let store = S3Server::start();
        let environment = store.environment();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let place = format!("s3://{BUCKET}/a");
        let text = self.kill(&place, &environment, random).await?;
        self.whole_or_absent(store.object("a").as_deref(), &text)?;
        self.next(&place, &environment).await?;
        same(self.whole, &store.object("a").ok_or("nothing is there")?)?;
        let left = store.open_uploads();
        ensure(left.is_empty(), || format!("{text}: the next run leaves {left:?}"))?;
        Ok(text)
    }

    fn whole_or_absent(&self, found: Option<&[u8]>, text: &str) -> Result<(), String> {
        found.map_or(Ok(()), |bytes| same(self.whole, bytes).map_err(|error| format!("{text}: {error}")))
    }

    fn is_whole(&self, path: &Path) -> Result<(), String> {
        same(self.whole, &std::fs::read(path).map_err(|error| error.to_string())?)
    }
}

async fn kills(what: &str, few: u64, all: u64) {
    let server = Mongod::start(Version::V6_0_5).await;
    let database = server.client().await.database("kills");
    zoo::bulk(&database, "large", MIB).await;
    zoo::bulk(&database, "small", 1).await;
    let counts = async || {
        let large = database.collection::<Document>("large").estimated_document_count().await;
        let small = database.collection::<Document>("small").estimated_document_count().await;
        (large.expect("a count"), small.expect("a count"))
    };
    let before = counts().await;
    let (_folder, path) = archive("whole");
    let began = Instant::now();
    finish(start(arguments(&server, &path.display().to_string()), &[])).await.success();
    let usual = began.elapsed();
    let whole = contents::read(&std::fs::read(&path).expect("an archive")).expect("a whole archive");
    let round = Round { server: &server, whole: &whole, usual };
    let mut failures = Failures::default();
    for mut random in rounds(few, all) {
        let result = if what == "S3" { round.s3(&mut random).await } else { round.file(&mut random).await };
        failures.note(&random, &format!("dump to {what} killed"), &result);
    }
    assert_eq!(counts().await, before, "no dump changes what it reads");
    failures.assert_none();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_dump_to_a_file_is_not_there_and_the_next_leaves_nothing() {
    kills("a file", 6, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_dump_to_s3_is_not_there_and_the_next_needs_no_help() {
    kills("S3", 4, 100).await;
}
