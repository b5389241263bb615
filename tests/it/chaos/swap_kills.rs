//! A restore with `--swap` killed at a random moment: the database is exactly as before or exactly as after, and the next
//! restore succeeds by itself and leaves nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use mongodb::Database;
use mongodb::bson::{Document, doc};

use super::{Failures, Random, ensure, rounds};
use crate::support::fingerprint::{Fingerprint, differences, fingerprint_of};
use crate::support::mongoark::{archive, finish, start};
use crate::support::mongod::{Mongod, Version};

/// Collections of each state, so that a switch of one after the other would be seen.
const COLLECTIONS: usize = 12;

async fn fill(shop: &Database, state: &str, count: i64) {
    shop.drop().await.expect("dropped");
    for number in 0..COLLECTIONS {
        let name = format!("c{number}");
        let documents = (0..count).map(|id| doc! { "_id": id, "of": state, "text": "t".repeat(300) });
        shop.collection::<Document>(&name).insert_many(documents).await.expect("inserted");
        let index = doc! { "createIndexes": &name, "indexes": [{ "key": { "of": 1 }, "name": "of_1" }] };
        shop.run_command(index).await.expect("an index");
    }
    shop.run_command(doc! { "create": "view", "viewOn": "c0", "pipeline": [{ "$match": { "of": state } }] })
        .await
        .expect("a view");
}

/// What others see: hidden collections aside.
async fn seen(shop: &Database) -> Fingerprint {
    let mut seen = fingerprint_of(shop).await;
    seen.retain(|name, _| !name.contains(".mongoark_swap_"));
    seen
}

fn command(server: &Mongod, path: &Path) -> [String; 4] {
    let archive = format!("--archive={}", path.display());
    ["restore".to_owned(), format!("--uri={}", server.uri()), archive, "--swap".to_owned()]
}

async fn dump(server: &Mongod, path: &Path) {
    let archive = format!("--archive={}", path.display());
    let arguments = ["dump".to_owned(), format!("--uri={}", server.uri()), "--db=shop".to_owned(), archive];
    finish(start(arguments, &[])).await.success();
}

async fn round(
    server: &Mongod,
    [before, after]: [(&Path, &Fingerprint); 2],
    usual: Duration,
    random: &mut Random,
) -> Result<String, String> {
    let shop = server.client().await.database("shop");
    let moment = random.within(usual + usual / 5);
    let mut child = start(command(server, after.0), &[]);
    tokio::time::sleep(moment).await;
    child.start_kill().expect("killed");
    child.wait().await.expect("ended");
    // What was sent is done without us.
    let seen_now = seen(&shop).await;
    let (from_before, from_after) = (differences(before.1, &seen_now), differences(after.1, &seen_now));
    ensure(from_before.is_empty() || from_after.is_empty(), || {
        format!("killed after {moment:?}: between: {from_before:?} {from_after:?}")
    })?;
    let state = if from_before.is_empty() { "as before" } else { "as after" };
    for (path, expected) in [after, before] {
        let finished = finish(start(command(server, path), &[])).await;
        ensure(finished.code == Some(0), || format!("killed after {moment:?}: then {}", finished.stderr))?;
        let found = differences(expected, &fingerprint_of(&shop).await);
        ensure(found.is_empty(), || format!("killed after {moment:?}: the next restore left {found:?}"))?;
    }
    Ok(format!("killed after {moment:.0?} of {usual:.0?}: {state}"))
}

async fn kills(version: Version, few: u64, all: u64) {
    let server = Mongod::start(version).await;
    let shop = server.client().await.database("shop");
    let (_folder, one) = archive("one");
    let (_other, two) = archive("two");
    fill(&shop, "after", 400).await;
    dump(&server, &two).await;
    let after = fingerprint_of(&shop).await;
    fill(&shop, "before", 250).await;
    dump(&server, &one).await;
    let before = fingerprint_of(&shop).await;
    let began = Instant::now();
    finish(start(command(&server, &one), &[])).await.success();
    let usual = began.elapsed();
    let mut failures = Failures::default();
    for mut random in rounds(few, all) {
        let result = round(&server, [(&one, &before), (&two, &after)], usual, &mut random).await;
        if result.is_err() {
            finish(start(command(&server, &one), &[])).await.success();
        }
        failures.note(&random, version.name(), &result);
    }
    failures.assert_none();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_swap_is_as_before_or_as_after() {
    kills(Version::V6_0_27, 4, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_swap_of_4_4_is_as_before_or_as_after() {
    kills(Version::V4_4_2, 2, 50).await;
}
