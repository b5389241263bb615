//! Drills that are killed at random moments: the data of the deployment is untouched, and the next drill succeeds without help
//! and leaves nothing.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc, rawdoc};

use super::{Failures, Random, ensure, rounds, tail};
use crate::restore::made::Made;
use crate::support::fingerprint::{differences, fingerprint};
use crate::support::mongoark::{archive, finish, start};
use crate::support::mongod::{Mongod, Version};

/// About how long a drill takes; a kill later than that finds it done.
const DRILL: Duration = Duration::from_millis(1_500);

/// Kills one after the other before a drill is left alone.
const KILLS: u64 = 3;

fn shop() -> Made {
    let index = r#"{"options":{},"indexes":[{"v":2,"key":{"n":1},"name":"n_1"},{"v":2,"key":{"text":1},"name":"text_1"}]}"#;
    let documents = |count: i32| {
        (0..count).map(|id| rawdoc! { "_id": id, "n": id, "text": format!("{id} ").repeat(200) })
    };
    let mut made = Made::of("6.0.5").with_metadata("shop", "orders", index, documents(20_000));
    for number in 0..8 {
        made = made.with_metadata("crm", &format!("people{number}"), index, documents(300));
    }
    made.with_options("crm", "few", r#"{"viewOn":"people1","pipeline":[]}"#, [])
}

async fn left(client: &Client) -> Vec<String> {
    let mut names = client.list_database_names().await.expect("names");
    names.retain(|name| name.starts_with("mongoark_drill"));
    names
}

/// Kills some drills, and runs one to its end.
async fn round(random: &mut Random, client: &Client, arguments: &[String; 3]) -> Result<String, String> {
    let before = fingerprint(client).await;
    let mut killed = Vec::new();
    for _ in 0..=random.below(KILLS) {
        let mut child = start(arguments, &[]);
        let moment = random.within(DRILL);
        tokio::time::sleep(moment).await;
        child.kill().await.map_err(|error| error.to_string())?;
        killed.push(format!("{moment:.0?} left {:?}", left(client).await));
    }
    let text = format!("killed after {}", killed.join(", "));
    let finished = finish(start(arguments, &[])).await;
    ensure(finished.code == Some(0), || format!("{text}: the next failed: {}", tail(&finished.stderr)))?;
    let left = left(client).await;
    ensure(left.is_empty(), || format!("{text}: the next has left {left:?}"))?;
    let differences = differences(&before, &fingerprint(client).await);
    ensure(differences.is_empty(), || format!("{text}: {}", differences.join("; ")))?;
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_drill_touches_nothing_and_the_next_one_cleans_up() {
    let server = Mongod::start(Version::V6_0_5).await;
    let client = server.client().await;
    let own = (0..2_000).map(|id| doc! { "_id": id, "own": true });
    client.database("shop").collection::<Document>("orders").insert_many(own).await.expect("inserted");
    let (_folder, path) = archive("shop.archive");
    std::fs::write(&path, shop().bytes()).expect("written");
    let arguments =
        ["drill".to_owned(), format!("--uri={}", server.uri()), format!("--archive={}", path.display())];
    let mut failures = Failures::default();
    for mut random in rounds(3, 100) {
        let result = round(&mut random, &client, &arguments).await;
        failures.note(&random, "drill", &result);
    }
    failures.assert_none();
}
