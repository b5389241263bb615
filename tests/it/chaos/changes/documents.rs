//! Documents that move: replaced in transactions, grown and shrunk, come and gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mongodb::bson::{Document, RawArrayBuf, cstr, doc, rawdoc};
use mongodb::{ClientSession, Database};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::super::Random;
use super::model::Model;
use super::{LARGE, count_of};

/// Documents changed by one request.
const BATCH: u64 = 10;

/// Between two requests of one task. Three tasks: about 500 changes a second.
const PAUSE: Duration = Duration::from_millis(50);

/// Documents from here on come and go.
const FRESH: i64 = 1_000_000;

/// Text of a document of the large collection.
const TEXT: u64 = 4_000;

fn text(name: &str, random: &mut Random) -> String {
    let most = if name == LARGE { TEXT } else { 300 };
    "z".repeat(usize::try_from(most - random.below(most / 8)).expect("small"))
}

/// Makes a collection, or fills an empty one, with the documents of this generation.
pub(super) async fn fill(database: &Database, name: &str, generation: i32) {
    let mut random = Random::new(0);
    let count = count_of(name);
    for first in (0..count).step_by(2_000) {
        let mut documents = RawArrayBuf::new();
        for number in first..count.min(first + 2_000) {
            documents
                .push(rawdoc! { "_id": number, "g": generation, "n": 0, "text": text(name, &mut random) });
        }
        let mut command = rawdoc! { "insert": name };
        command.append(cstr!("documents"), documents);
        database.run_raw_command(command).await.expect("inserted");
    }
}

/// Changing, until it is stopped.
#[derive(Debug)]
pub(super) struct Changes {
    stop: Arc<AtomicBool>,
    changed: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Changes {
    pub(super) fn start(database: &Database, model: &Arc<Mutex<Model>>, random: &mut Random) -> Self {
        let (stop, changed) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let tasks = (0..3).map(|kind| {
            let (database, model, mut random) = (database.clone(), Arc::clone(model), random.fork());
            let (stop, changed) = (Arc::clone(&stop), Arc::clone(&changed));
            tokio::spawn(async move {
                let mut fresh = FRESH;
                while !stop.load(Ordering::Relaxed) {
                    // The model is locked while a collection becomes another; the large one is always there.
                    let name = match model.try_lock() {
                        Ok(model) if random.below(2) == 0 => random.pick(&model.names()),
                        _ => LARGE.to_owned(),
                    };
                    let done = match kind {
                        0 => replace(&database, &name, &mut random).await,
                        1 => grow(&database, &name, &mut random).await,
                        _ => come_and_go(&database, &mut fresh).await,
                    };
                    // A collection that has just become another refuses; the next one will do.
                    changed.fetch_add(done.unwrap_or_default(), Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                }
                let gone = doc! { "_id": { "$gte": FRESH } };
                database.collection::<Document>(LARGE).delete_many(gone).await.ok();
            })
        });
        let tasks = tasks.collect();
        Self { stop, changed, tasks }
    }

    /// Stops and returns how many documents were changed.
    pub(super) async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no panic");
        }
        self.changed.load(Ordering::Relaxed)
    }
}

type Changed = mongodb::error::Result<u64>;

fn some_ids(name: &str, random: &mut Random) -> Vec<i64> {
    let mut ids: Vec<_> = (0..BATCH)
        .map(|_| i64::try_from(random.below(count_of(name).unsigned_abs())).expect("small"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Deletes documents and inserts them again in one transaction: each exists at every moment, and moves.
async fn replace(database: &Database, name: &str, random: &mut Random) -> Changed {
    let mut session = database.client().start_session().await?;
    session.start_transaction().await?;
    let result = replace_in(&mut session, database, name, random).await;
    match result {
        Ok(count) => session.commit_transaction().await.map(|()| count),
        Err(error) => {
            session.abort_transaction().await.ok();
            Err(error)
        }
    }
}

async fn replace_in(
    session: &mut ClientSession,
    database: &Database,
    name: &str,
    random: &mut Random,
) -> Changed {
    let collection = database.collection::<Document>(name);
    let ids = some_ids(name, random);
    let which = doc! { "_id": { "$in": &ids } };
    let mut found = Vec::new();
    let mut cursor = collection.find(which.clone()).session(&mut *session).await?;
    while let Some(document) = cursor.next(&mut *session).await.transpose()? {
        found.push(document);
    }
    if found.len() != ids.len() {
        return Err(mongodb::error::Error::custom("the collection has become another"));
    }
    collection.delete_many(which).session(&mut *session).await?;
    for document in &mut found {
        document.insert("text", text(name, random));
        let n = document.get_i32("n").unwrap_or_default();
        document.insert("n", n.wrapping_add(1));
    }
    let count = u64::try_from(found.len()).expect("few");
    collection.insert_many(found).session(session).await?;
    Ok(count)
}

async fn grow(database: &Database, name: &str, random: &mut Random) -> Changed {
    let which = doc! { "_id": { "$in": some_ids(name, random) } };
    let change = doc! { "$inc": { "n": 1 }, "$set": { "text": text(name, random) } };
    let done = database.collection::<Document>(name).update_many(which, change).await?;
    Ok(done.modified_count)
}

/// In the large collection only: inserting makes a collection that is not there.
async fn come_and_go(database: &Database, fresh: &mut i64) -> Changed {
    let large = database.collection::<Document>(LARGE);
    let batch = i64::try_from(BATCH).expect("few");
    let documents =
        (*fresh..*fresh + batch).map(|number| doc! { "_id": number, "g": 0, "text": "w".repeat(2_000) });
    large.insert_many(documents).await?;
    let gone = doc! { "_id": { "$gte": FRESH, "$lt": *fresh - 3 * batch } };
    *fresh += batch;
    Ok(BATCH + large.delete_many(gone).await?.deleted_count)
}
