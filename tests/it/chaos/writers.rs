//! Clients that write all the time and do not mind elections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Document, doc};
use tokio::task::JoinHandle;

use super::Random;

/// Between two writes of one client.
const PAUSE: Duration = Duration::from_millis(4);

/// Documents that exist at any time, whatever is written into them.
pub(super) const MOVING: i64 = 1_000;

/// Documents from here on come and go.
pub(super) const FRESH: i64 = 1_000_000;

/// Writing, until it is stopped.
#[derive(Debug)]
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

/// Fills the collection with the documents that [`Writers`] change.
pub(super) async fn fill(moving: &Collection<Document>) {
    let documents = (0..MOVING).map(|number| doc! { "_id": number, "n": 0, "text": "" });
    moving.insert_many(documents).await.expect("inserted");
}

impl Writers {
    /// Begins to change the documents of `moving`, and to insert into and delete from `coming`.
    pub(super) fn start(
        moving: Collection<Document>,
        coming: Collection<Document>,
        random: &mut Random,
    ) -> Self {
        let (stop, written) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let one = change(moving, random.fork(), Arc::clone(&stop), Arc::clone(&written));
        let other = come_and_go(coming, Arc::clone(&stop), Arc::clone(&written));
        Self { stop, written, tasks: vec![tokio::spawn(one), tokio::spawn(other)] }
    }

    /// How many writes have succeeded.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no panic");
        }
    }
}

/// Replaces documents by shorter and longer ones.
async fn change(
    moving: Collection<Document>,
    mut random: Random,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
) {
    while !stop.load(Ordering::Relaxed) {
        let number = i64::try_from(random.below(MOVING.unsigned_abs())).expect("small");
        let text = "x".repeat(usize::try_from(random.below(2_000)).expect("small"));
        let changed = doc! { "$inc": { "n": 1 }, "$set": { "text": text } };
        // Elections refuse some; the next one will do.
        let done = moving.update_one(doc! { "_id": number }, changed).await.is_ok();
        written.fetch_add(done.into(), Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn come_and_go(coming: Collection<Document>, stop: Arc<AtomicBool>, written: Arc<AtomicU64>) {
    for number in FRESH.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let came = coming.insert_one(doc! { "_id": number, "text": "y".repeat(500) }).await.is_ok();
        let went = coming.delete_one(doc! { "_id": number - 20 }).await.is_ok();
        written.fetch_add(u64::from(came) + u64::from(went), Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    coming.delete_many(doc! { "_id": { "$gte": FRESH } }).await.ok();
}
