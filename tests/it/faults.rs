//! Every fault that can be injected, one case each, and after it the invariant with a real restore.
//!
//! "Succeeded" means that the archive under the key restores to what was dumped; otherwise nothing is visible there, or
//! what was good before still is. No upload stays open, no file is left over, no target of a swap is changed by a failure,
//! no source ever. A case that cannot be survived has to be refused cleanly; which of both it is, is printed and not asserted.
//!
//! An ordinary run has the quick selection; `tests/run faults` has them all and prints each (`MONGOARK_LONG`). What is
//! random in a case follows from its name and `MONGOARK_SEED`. `MONGOARK_FAULTS=TEXT` runs the cases whose names contain it.

// Cases, how they end, and the count.
mod case;

// A database to dump, a place to restore into, and the look at it.
mod lane;

// What is there after a backup, held against what it said.
mod judge;

// Dumps to a file, with the fault between us and the server.
mod dump_wire;

// Dumps to S3, with the fault in front of the store.
mod dump_s3;

// Restores, with the fault on either side or in the archive.
mod restore;

// The flow that this project replaces, in the same harness: it has to be caught.
mod old_flow;

// Hook calls of the function: faults, duplicates, deaths, deadlines.
mod hook_calls;

// The command as a process: signals, limits, outputs that are full.
mod process;

// The command while the machine's clock is set.
mod clock;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use case::{Case, Ending, Tally, Wrong};
use lane::Lane;

use super::chaos::Random;
use super::support::mongod::{Mongod, Version};

/// Cases at work at the same time: the servers and the stores want their share of the cores, too.
const LANES: usize = 3;

/// Longer than any case takes.
const PATIENCE: Duration = Duration::from_mins(5);

/// The fewest distinct cases there have to be.
const PROMISED: usize = 100;

/// Whether all cases are run.
fn long() -> bool {
    std::env::var("MONGOARK_LONG").is_ok_and(|text| text != "0")
}

/// Numbers that are the same in every run of the case of this name.
fn random(name: &str) -> Random {
    let seed = std::env::var("MONGOARK_SEED").ok().map_or(9, |text| text.parse().expect("a number"));
    Random::new(name.bytes().fold(seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte))))
}

/// Two servers, and lanes on them.
async fn lanes() -> Vec<Arc<Lane>> {
    let (source, scratch) = tokio::join!(Mongod::start(Version::V6_0_5), Mongod::start(Version::V6_0_5));
    let (source, scratch) = (Arc::new(source), Arc::new(scratch));
    let lanes = (0..LANES).map(|number| Lane::start(number, &source, &scratch));
    futures::future::join_all(lanes).await.into_iter().map(Arc::new).collect()
}

/// Runs the cases in lanes; prints each, and the count.
#[allow(clippy::print_stdout, reason = "the list of cases with their outcomes is the result")]
async fn run(cases: Vec<Case>, lanes: &[Arc<Lane>]) -> Tally {
    let queue = Arc::new(Mutex::new(VecDeque::from(cases)));
    let tally = Arc::<Mutex<Tally>>::default();
    let at_work = lanes.iter().map(|lane| {
        let (queue, tally, lane) = (Arc::clone(&queue), Arc::clone(&tally), Arc::clone(lane));
        tokio::spawn(async move {
            let next = || queue.lock().unwrap().pop_front();
            while let Some(case) = next() {
                let began = Instant::now();
                let ending = case_alone(&case, &lane).await;
                let outcome = tally.lock().unwrap().count(&case, &ending);
                println!("{outcome} ({:.1?})", began.elapsed());
            }
        })
    });
    for lane in futures::future::join_all(at_work).await {
        lane.expect("no panic");
    }
    for lane in lanes {
        lane.source_is_untouched().await.expect("no dump changes what it reads");
    }
    let tally = std::mem::take(&mut *tally.lock().unwrap());
    println!("faults: {tally}");
    tally
}

/// A case whose panic, or whose waiting for ever, is its own.
async fn case_alone(case: &Case, lane: &Arc<Lane>) -> Ending {
    let work = async {
        let caught = std::panic::AssertUnwindSafe(case.run(Arc::clone(lane)));
        futures::FutureExt::catch_unwind(caught).await
    };
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(ending)) => ending,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Ending::wrong(Wrong::NoEnd, text.unwrap_or_default())
        }
        Err(_) => Ending::wrong(Wrong::NoEnd, format!("it has not ended in {PATIENCE:?}")),
    }
}

fn all() -> Vec<Case> {
    [
        dump_wire::cases(),
        dump_s3::cases(),
        restore::cases(),
        process::cases(),
        clock::cases(),
        hook_calls::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_fault_makes_a_success_untrue() {
    let mut cases = all();
    let mut names: Vec<_> = cases.iter().map(|case| case.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "each has a name of its own");
    assert!(cases.len() >= PROMISED, "{} cases", cases.len());
    match std::env::var("MONGOARK_FAULTS") {
        Ok(text) => cases.retain(|case| case.name.contains(&text)),
        Err(_) => cases.retain(|case| case.quick || long()),
    }
    let tally = run(cases, &lanes().await).await;
    assert!(tally.failures().is_empty(), "{tally}\n{}", tally.failures().join("\n"));
}
