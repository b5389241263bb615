//! Collections that become others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::super::Random;
use super::model::Model;
use super::{BUSY, LARGE};

/// Longer than it takes a server to find that it cannot do something now.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Changing, until all is done or it is stopped.
#[derive(Debug)]
pub(super) struct Ddl {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Ddl {
    pub(super) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("no panic");
    }
}

/// Makes so many changes at random moments within this time.
pub(super) fn start(
    database: &Database,
    model: &Arc<Mutex<Model>>,
    count: usize,
    within: Duration,
    random: &mut Random,
) -> Ddl {
    let stop = Arc::<AtomicBool>::default();
    let mut moments: Vec<_> = (0..count).map(|_| random.within(within)).collect();
    moments.sort_unstable();
    let (database, model, stopped, mut random) =
        (database.clone(), Arc::clone(model), Arc::clone(&stop), random.fork());
    let began = Instant::now();
    let task = tokio::spawn(async move {
        for moment in moments {
            while began.elapsed() < moment && !stopped.load(Ordering::Relaxed) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            change(&database, &mut *model.lock().await, &mut random).await;
        }
    });
    Ddl { stop, task }
}

/// One change of any kind. The model hears of an end before it comes and of a beginning after it has come.
async fn change(database: &Database, model: &mut Model, random: &mut Random) {
    let small: Vec<_> = model.names().into_iter().filter(|name| name != LARGE).collect();
    let one = random.pick(&small);
    let other = random.pick(&small);
    let any = if random.below(4) == 0 { LARGE.to_owned() } else { one.clone() };
    let from = Instant::now();
    let text = match random.below(9) {
        0 => {
            let name = format!("renamed{}", random.below(1 << 40));
            let generation = model.generation(&one);
            model.lose(&one, false);
            rename(database, &one, &name, false).await;
            model.observe(database, &name, generation, from).await;
            format!("{one} renamed to {name}")
        }
        1 if one != other => {
            let generation = model.generation(&one);
            model.lose(&one, false);
            model.replace(&other);
            rename(database, &one, &other, true).await;
            model.observe(database, &other, generation, from).await;
            format!("{one} renamed over {other}")
        }
        2 if small.len() > 3 => {
            model.lose(&one, true);
            database.collection::<Document>(&one).drop().await.expect("dropped");
            format!("{one} dropped")
        }
        3 => {
            model.lose(&one, true);
            database.collection::<Document>(&one).drop().await.expect("dropped");
            model.create(database, &one).await;
            format!("{one} dropped and made again")
        }
        4 if one != other && !model.is_capped(&other) => {
            let generation = model.generation(&one);
            model.replace(&other);
            let source = database.collection::<Document>(&one);
            let out = source.aggregate([doc! { "$out": &other }]).await.expect("written");
            let rows: Vec<_> = out.try_collect().await.expect("no rows");
            assert!(rows.is_empty());
            model.observe(database, &other, generation, from).await;
            format!("{one} written over {other}")
        }
        5 => {
            let generation = model.generation(&one);
            model.replace(&one);
            run(database, doc! { "convertToCapped": &one, "size": 16 << 20 }).await;
            model.observe(database, &one, generation, from).await;
            format!("{one} capped")
        }
        6 => {
            let validator = doc! { "g": { "$gte": i64::try_from(random.below(1 << 40)).expect("fits") } };
            run(database, doc! { "collMod": &any, "validator": validator, "validationAction": "warn" }).await;
            model.observe(database, &any, model.generation(&any), from).await;
            format!("the validator of {any} changed")
        }
        _ => {
            let name = format!("text_{}", random.below(1 << 40));
            let index = doc! { "key": { "n": -1, "text": 1 }, "name": &name };
            let made = database.run_command(doc! { "createIndexes": &any, "indexes": [index] }).await;
            // There is one like it already: away with both.
            let text = if made.is_ok() {
                format!("{any} indexed")
            } else {
                run(database, doc! { "dropIndexes": &any, "index": "*" }).await;
                format!("the indexes of {any} dropped")
            };
            model.observe(database, &any, model.generation(&any), from).await;
            text
        }
    };
    model.event(from, text);
}

async fn rename(database: &Database, from: &str, to: &str, drop_target: bool) {
    let (from, to) = (format!("{BUSY}.{from}"), format!("{BUSY}.{to}"));
    let command = doc! { "renameCollection": from, "to": to, "dropTarget": drop_target };
    run(&database.client().database("admin"), command).await;
}

async fn run(database: &Database, command: Document) {
    let text = command.to_string();
    database.run_command(command).await.unwrap_or_else(|error| panic!("{text}: {error}"));
}
