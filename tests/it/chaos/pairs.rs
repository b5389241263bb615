//! Two functions on one bucket and one server, called at nearly the same time: two restores of different archives, or a
//! restore and a backup. What is there afterwards, and what a backup holds, is one of the archives.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use serde_json::{Value, json};

use super::contents;
use super::{Failures, Random, ensure, rounds};
use crate::hook::{Account, hook_event};
use crate::support::mongod::{Mongod, Version};
use crate::support::runtime_api::{Answer, Function};

/// Milliseconds between the two calls at most.
const APART: u64 = 200;

/// The collections, and how many documents each state has in them.
const STATES: [(&str, [(&str, usize); 3]); 2] = [
    ("a", [("orders", 3_000), ("people", 1_200), ("things", 700)]),
    ("b", [("orders", 1_900), ("people", 2_300), ("things", 900)]),
];

async fn fill(shop: &Database, state: &str) {
    let (_, collections) = STATES.iter().find(|(name, _)| *name == state).expect("a state");
    for (collection, count) in collections {
        let collection = shop.collection::<Document>(collection);
        collection.drop().await.expect("dropped");
        let documents = (0..*count).map(|number| {
            doc! { "_id": i64::try_from(number).unwrap(), "of": state, "text": "t".repeat(600) }
        });
        collection.insert_many(documents).await.expect("inserted");
        let index =
            doc! { "createIndexes": collection.name(), "indexes": [{ "key": { "of": 1 }, "name": "of_1" }] };
        shop.run_command(index).await.expect("an index");
    }
}

/// The state that these counts are: how many documents of which state are in which collection.
fn state_of(found: &[(String, Vec<String>)]) -> Result<&'static str, String> {
    let is = |(name, collections): &(&str, [(&str, usize); 3])| {
        collections.iter().all(|(collection, count)| {
            let documents =
                found.iter().find(|(found, _)| found == collection).map(|(_, documents)| documents);
            documents
                .is_some_and(|documents| documents.len() == *count && documents.iter().all(|of| of == name))
        })
    };
    STATES.iter().find(|state| is(state)).map(|(name, _)| *name).ok_or_else(|| {
        let counts = found.iter().map(|(collection, documents)| {
            let of = |state: &str| documents.iter().filter(|of| *of == state).count();
            format!("{collection}: {} of a, {} of b", of("a"), of("b"))
        });
        format!("neither state but {}", counts.collect::<Vec<_>>().join(", "))
    })
}

async fn state(client: &Client) -> Result<&'static str, String> {
    use futures::TryStreamExt;
    let shop = client.database("shop");
    let mut found = Vec::new();
    for (collection, _) in STATES[0].1 {
        let cursor = shop.collection::<Document>(collection).find(doc! {}).await.expect("a cursor");
        let documents: Vec<Document> = cursor.try_collect().await.expect("documents");
        let of = documents.iter().map(|document| document.get_str("of").unwrap_or("?").to_owned());
        found.push((collection.to_owned(), of.collect()));
    }
    state_of(&found)
}

fn state_in_archive(bytes: &[u8]) -> Result<&'static str, String> {
    let contents = contents::read(bytes)?;
    let shop = contents.iter().filter_map(|(name, content)| Some((name.strip_prefix("shop.")?, content)));
    let found = shop.map(|(collection, content)| {
        let of = content.documents.iter().map(|document| document.get_str("of").unwrap_or("?").to_owned());
        (collection.to_owned(), of.collect())
    });
    state_of(&found.collect::<Vec<_>>())
}

fn by_hand(action: &str, deployment: &str) -> Value {
    json!({"ApplicationName": "shop", "Action": action, "DeploymentId": deployment})
}

/// The answers of two calls, the second so much later.
async fn both(one: (&Function, Value), other: (&Function, Value), apart: Duration) -> (Answer, Answer) {
    let late = async {
        tokio::time::sleep(apart).await;
        other.0.invoke(&other.1).await
    };
    tokio::join!(one.0.invoke(&one.1), late)
}

struct Pair {
    account: Account,
    functions: [Function; 2],
    client: Client,
    _server: Mongod,
}

impl Pair {
    /// Two functions and the archives `a` and `b`; the server is in state `b`.
    async fn start() -> Self {
        let server = Mongod::start(Version::V6_0_5).await;
        let account = Account::with_store(&server.uri()).await;
        let functions = [account.function().await, account.function().await];
        let client = server.client().await;
        for (state, _) in STATES {
            fill(&client.database("shop"), state).await;
            functions[0].invoke(&by_hand("backup", state)).await.result();
        }
        Self { account, functions, client, _server: server }
    }

    async fn two_restores(&self, apart: Duration, random: &mut Random) -> Result<String, String> {
        let (first, second) = random.pick(&[("a", "b"), ("b", "a"), ("a", "a")]);
        let [one, other] = &self.functions;
        let answers =
            both((one, by_hand("restore", first)), (other, by_hand("restore", second)), apart).await;
        let state = state(&self.client).await;
        let text = format!("restores of {first} and {second}, {apart:?} apart");
        let state = state.map_err(|error| format!("{text}: {error} after {answers:?}"))?;
        let succeeded: Vec<_> = [(&answers.0, first), (&answers.1, second)]
            .into_iter()
            .filter(|(answer, _)| matches!(answer, Answer::Result(_)))
            .map(|(_, state)| state)
            .collect();
        ensure(succeeded.contains(&state), || format!("{text}: {state} is there after {answers:?}"))?;
        Ok(format!("{text}: {} succeeded, {state} is there", succeeded.len()))
    }

    async fn restore_and_backup(&self, apart: Duration, random: &mut Random) -> Result<String, String> {
        let before = state(&self.client).await?;
        let archive = if before == "a" { "b" } else { "a" };
        let deployment = format!("d-{}", random.below(1 << 40));
        let [one, other] = &self.functions;
        let (restore, backup) = (by_hand("restore", archive), hook_event(&deployment));
        let (restored, saved) = if random.below(2) == 0 {
            both((one, restore), (other, backup), apart).await
        } else {
            let (saved, restored) = both((one, backup), (other, restore), apart).await;
            (restored, saved)
        };
        let text = format!("restore of {archive} and backup, {apart:?} apart");
        let after =
            state(&self.client).await.map_err(|error| format!("{text}: {error} after {restored:?}"))?;
        let expected = if matches!(restored, Answer::Result(_)) { archive } else { before };
        ensure(after == expected, || format!("{text}: {after} is there after {restored:?}"))?;
        let object = self.account.store().object(&format!("backups/shop/{deployment}.archive"));
        let reports = self.account.reports(&deployment);
        match (&saved, object) {
            (Answer::Result(_), Some(bytes)) => {
                ensure(reports == ["Succeeded"], || format!("{text}: reported {reports:?} after {saved:?}"))?;
                let held =
                    state_in_archive(&bytes).map_err(|error| format!("{text}: a backup of {error}"))?;
                Ok(format!("{text}: both, the backup has {held}"))
            }
            (Answer::Error { .. }, None) => {
                ensure(reports == ["Failed"], || format!("{text}: reported {reports:?} after {saved:?}"))?;
                Ok(format!("{text}: no backup"))
            }
            (_, object) => Err(format!("{text}: {saved:?}, and an object: {}", object.is_some())),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restores_and_backups_at_nearly_the_same_time_never_see_a_half() {
    let pair = Pair::start().await;
    let mut failures = Failures::default();
    for mut round in rounds(8, 100) {
        let apart = Duration::from_millis(round.pick(&[0, 1, 1, 1]) * round.below(APART + 1));
        let result = if round.below(2) == 0 {
            pair.two_restores(apart, &mut round).await
        } else {
            pair.restore_and_backup(apart, &mut round).await
        };
        if result.is_err() {
            // The next round begins with something that is known.
            fill(&pair.client.database("shop"), "a").await;
        }
        failures.note(&round, "pair", &result);
    }
    failures.assert_none();
}
