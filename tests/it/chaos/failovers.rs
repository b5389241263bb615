//! A set of three under constant writes: in each round one member steps down, or is killed and comes back, while the
//! command dumps or restores.

use std::path::Path;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, RawArrayBuf, RawDocumentBuf, cstr, doc, rawdoc};
use mongodb::{Client, Database};

use super::contents::{self, Contents};
use super::writers::{self, MOVING, Writers};
use super::{Failures, Random, ensure, rounds, tail};
use crate::support::fingerprint::{Fingerprint, differences, fingerprint_of};
use crate::support::mongoark::{archive, finish, left_beside, start};
use crate::support::mongod::Version;
use crate::support::replica_set::ReplicaSet;
use crate::support::tools::Finished;

/// Documents of the large collection, which is read in parts.
const LARGE: i64 = 50_000;

/// Bytes of text in each.
const TEXT: usize = 1_500;

const SMALL: i64 = 2_000;

/// What a member takes longer for each reply to a dump: it is over too soon otherwise.
const PACE: Duration = Duration::from_millis(60);

/// Longer than a command takes, with the longest of its waits for a member.
const PATIENCE: Duration = Duration::from_mins(5);

/// The document with this number, the same every time.
fn document(number: i64) -> RawDocumentBuf {
    let text = format!("{number:07} ").repeat(TEXT / 8);
    rawdoc! { "_id": number, "n": number % 1000, "text": text }
}

async fn insert(database: &Database, collection: &str, count: i64) {
    for first in (0..count).step_by(5_000) {
        let mut documents = RawArrayBuf::new();
        (first..count.min(first + 5_000)).for_each(|number| documents.push(document(number)));
        let mut command = rawdoc! { "insert": collection, "writeConcern": { "w": 3 } };
        command.append(cstr!("documents"), documents);
        database.run_raw_command(command).await.expect("inserted");
    }
}

/// The database that is dumped and restored.
async fn fill(client: &Client) -> Database {
    let shop = client.database("shop");
    insert(&shop, "large", LARGE).await;
    insert(&shop, "small", SMALL).await;
    let indexes = doc! { "createIndexes": "small", "indexes": [
        { "key": { "n": 1, "_id": 1 }, "name": "n_1_id_1", "unique": true },
        { "key": { "text": 1 }, "name": "text_1" },
    ] };
    shop.run_command(indexes).await.expect("indexes");
    shop.run_command(doc! { "create": "empty", "validator": { "n": { "$gt": 0 } } }).await.expect("created");
    shop
}

/// What befalls the set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Event {
    StepDown,
    Kill(usize),
}

impl Event {
    /// Half of those that die are the primary.
    fn any(primary: usize, random: &mut Random) -> Self {
        match random.below(4) {
            0 => Self::Kill(primary),
            1 => Self::Kill(random.pick(&[0, 1, 2])),
            _ => Self::StepDown,
        }
    }

    /// Lets it happen after `pause`; a member that was killed comes back after `absence`. Returns when it had happened.
    async fn happen(self, set: &ReplicaSet, pause: Duration, absence: Duration) -> Instant {
        tokio::time::sleep(pause).await;
        match self {
            Self::StepDown => {
                set.step_down(10).await;
                Instant::now()
            }
            Self::Kill(member) => {
                set.kill(member);
                let happened = Instant::now();
                tokio::time::sleep(absence).await;
                set.restart(member).await;
                happened
            }
        }
    }
}

/// Runs the command while the event happens, and waits until the set is whole again.
async fn run_during(
    set: &ReplicaSet,
    arguments: &[String],
    event: Event,
    usual: Duration,
    random: &mut Random,
) -> Result<(Finished, String), String> {
    let (pause, absence) = (random.within(usual), random.within(Duration::from_secs(4)));
    let began = Instant::now();
    let command = async {
        let finished = tokio::time::timeout(PATIENCE, finish(start(arguments, &[]))).await;
        (finished, Instant::now())
    };
    let ((finished, ended), happened) = tokio::join!(command, event.happen(set, pause, absence));
    set.settled().await;
    set.caught_up().await;
    let finished =
        finished.map_err(|_| format!("{event:?} after {pause:?}: it has not ended in {PATIENCE:?}"))?;
    let when = if happened < ended { "during" } else { "after" };
    let text = format!(
        "{event:?} {when} it, at {:.1?} of {:.1?} (usually {usual:.1?}), {absence:.1?} away",
        happened - began,
        ended - began
    );
    Ok((finished, text))
}

/// How long the command takes when nothing happens.
async fn timed(arguments: &[String]) -> Duration {
    let began = Instant::now();
    finish(start(arguments, &[])).await.success();
    began.elapsed()
}

/// Every document that was there all the time is in the archive, those that nobody wrote exactly and once.
fn check_dump(contents: &Contents) -> Result<(), String> {
    for (name, count) in [("shop.large", LARGE), ("shop.small", SMALL)] {
        let content = contents.get(name).ok_or_else(|| format!("{name} is missing"))?;
        let mut seen = vec![0_u32; usize::try_from(count).expect("small")];
        for stored in &content.documents {
            let number = stored.get_i64("_id").map_err(|error| format!("{name}: {error}"))?;
            if let Some(times) = usize::try_from(number).ok().and_then(|number| seen.get_mut(number)) {
                *times += 1;
                ensure(*stored == document(number), || {
                    format!("{name}: document {number} is not as it was")
                })?;
            }
        }
        let missing = seen.iter().filter(|times| **times == 0).count();
        let twice = seen.iter().filter(|times| **times > 1).count();
        ensure(missing + twice == 0, || {
            format!("{name}: {missing} documents are missing, {twice} come twice")
        })?;
    }
    let moving = contents.get("shop.moving").ok_or("shop.moving is missing")?;
    let mut seen: Vec<_> = moving.ids().collect();
    seen.sort_unstable();
    seen.dedup();
    ensure(seen == (0..MOVING).collect::<Vec<_>>(), || {
        format!("shop.moving: {} of {MOVING} documents", seen.len())
    })?;
    let small = &contents["shop.small"].metadata;
    let indexes = small["indexes"].as_array().map_or(0, Vec::len);
    ensure(indexes == 3, || format!("shop.small has {indexes} indexes"))?;
    let empty = contents.get("shop.empty").ok_or("shop.empty is missing")?;
    ensure(empty.metadata["options"]["validator"].is_object(), || "shop.empty has no validator".to_owned())
}

async fn dump_round(set: &ReplicaSet, usual: Duration, random: &mut Random) -> Result<String, String> {
    let preference = random.pick(&["primary", "primary", "secondary", "secondaryPreferred", "nearest"]);
    set.slow(&["find", "getMore"], PACE).await;
    let primary = set.primary().await;
    let event = Event::any(primary, random);
    let (_folder, path) = archive("a");
    let uri = format!("--uri={}", set.uri_with(&format!("readPreference={preference}")));
    let arguments = ["dump".to_owned(), uri, format!("--archive={}", path.display())];
    let (finished, text) = run_during(set, &arguments, event, usual, random).await?;
    let text = format!("reading {preference}, primary {primary}, {text}");
    if finished.code == Some(0) {
        let bytes = std::fs::read(&path).map_err(|error| format!("{text}: no archive: {error}"))?;
        check_dump(&contents::read(&bytes)?).map_err(|error| format!("{text}: exit 0, but {error}"))?;
        return Ok(format!("{text}: complete"));
    }
    let left = left_beside(&path);
    ensure(left.is_empty(), || format!("{text}: failed and left {left:?}: {}", tail(&finished.stderr)))?;
    let excused = match event {
        Event::StepDown => false,
        Event::Kill(member) => preference != "primary" || member == primary,
    };
    ensure(excused, || format!("{text}: exit {:?}: {}", finished.code, tail(&finished.stderr)))?;
    Ok(format!("{text}: refused: {}", finished.stderr.lines().last().unwrap_or_default()))
}

async fn dumps(version: Version, few: u64, all: u64) {
    let set = ReplicaSet::start(version).await;
    let client = set.client().await;
    let shop = fill(&client).await;
    writers::fill(&shop.collection("moving")).await;
    set.caught_up().await;
    set.slow(&["find", "getMore"], PACE).await;
    let usual =
        timed(&["dump".to_owned(), format!("--uri={}", set.uri()), "--archive=/dev/null".to_owned()]).await;
    let mut failures = Failures::default();
    for mut round in rounds(few, all) {
        let writers = Writers::start(shop.collection("moving"), shop.collection("large"), &mut round);
        let result = dump_round(&set, usual, &mut round).await;
        let text = format!("dump of {} ({} writes)", version.name(), writers.written());
        writers.stop().await;
        failures.note(&round, &text, &result);
    }
    failures.assert_none();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_during_an_election_is_complete_or_not_there() {
    dumps(Version::V6_0_27, 3, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_4_4_during_an_election_is_complete_or_not_there() {
    dumps(Version::V4_4_2, 1, 10).await;
}

/// Changes the database, so that nobody takes it for restored.
async fn spoil(shop: &Database, random: &mut Random) {
    let large = shop.collection::<Document>("large");
    let most = i64::try_from(random.below(LARGE.unsigned_abs())).expect("small");
    large.delete_many(doc! { "_id": { "$gte": most, "$lt": most + 5_000 } }).await.expect("deleted");
    large.update_many(doc! { "_id": { "$lt": 500 } }, doc! { "$set": { "n": -1 } }).await.expect("changed");
    large.insert_one(doc! { "_id": -1 }).await.ok();
    shop.collection::<Document>("small").drop().await.expect("dropped");
}

fn restore_command(set: &ReplicaSet, path: &Path) -> [String; 4] {
    let archive = format!("--archive={}", path.display());
    ["restore".to_owned(), format!("--uri={}", set.uri()), archive, "--drop".to_owned()]
}

async fn restore_round(
    set: &ReplicaSet,
    path: &Path,
    expected: &Fingerprint,
    usual: Duration,
    random: &mut Random,
) -> Result<String, String> {
    let event = Event::any(set.primary().await, random);
    let (finished, text) = run_during(set, &restore_command(set, path), event, usual, random).await?;
    ensure(finished.code == Some(0), || {
        format!("{text}: exit {:?}: {}", finished.code, tail(&finished.stderr))
    })?;
    let found = fingerprint_of(&set.client().await.database("shop")).await;
    let differences = differences(expected, &found);
    ensure(differences.is_empty(), || format!("{text}: exit 0, but {}", differences.join("; ")))?;
    Ok(format!("{text}: complete"))
}

async fn restores(version: Version, few: u64, all: u64) {
    let set = ReplicaSet::start(version).await;
    let client = set.client().await;
    let shop = fill(&client).await;
    set.caught_up().await;
    let expected = fingerprint_of(&shop).await;
    let (_folder, path) = archive("a");
    let arguments = [
        "dump".to_owned(),
        format!("--uri={}", set.uri()),
        "--db=shop".to_owned(),
        format!("--archive={}", path.display()),
    ];
    finish(start(&arguments, &[])).await.success();

    let noise = client.database("noise");
    writers::fill(&noise.collection("moving")).await;
    let usual = timed(&restore_command(&set, &path)).await;
    let mut failures = Failures::default();
    for mut round in rounds(few, all) {
        spoil(&shop, &mut round).await;
        let writers = Writers::start(noise.collection("moving"), noise.collection("coming"), &mut round);
        let result = restore_round(&set, &path, &expected, usual, &mut round).await;
        let text = format!("restore into {} ({} writes)", version.name(), writers.written());
        writers.stop().await;
        failures.note(&round, &text, &result);
    }
    failures.assert_none();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_during_an_election_is_complete() {
    restores(Version::V6_0_27, 2, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_into_4_4_during_an_election_is_complete() {
    restores(Version::V4_4_2, 1, 10).await;
}
