//! Restores, with the fault between us and the server that is restored into, in front of the store that has the archive,
//! or in the archive itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mongoark::restore::{RestoreOptions, RestoreReport};
use mongoark::storage::{Location, Storage};

use super::case::{Case, Claim, Ending, Wrong};
use super::lane::{Lane, restore_from};
use super::random;
use crate::support::proxy::{Fault, Proxy, Rule};
use crate::support::s3::{self, Operation, S3Server, location};

/// How what is there is treated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// Into nothing.
    Empty,
    /// What is there goes, collection by collection.
    Drop,
    /// What is there goes in one step, when the rest is in place.
    Swap,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Empty => "restore",
            Self::Drop => "restore --drop",
            Self::Swap => "restore --swap",
        }
    }

    fn options(self) -> RestoreOptions {
        let (drop, swap) = (self == Self::Drop, self == Self::Swap);
        RestoreOptions { drop, swap, ..RestoreOptions::default() }
    }
}

/// Restores, and holds what it says against what is there. Afterwards a healthy restore needs no help.
async fn judged<F: Future<Output = mongoark::Result<RestoreReport>>>(
    lane: &Lane,
    way: Way,
    good: &Path,
    restore: impl FnOnce(RestoreOptions) -> F,
) -> Ending {
    let before = lane.older_target().await;
    if way == Way::Empty {
        lane.target().drop().await.expect("dropped");
    }
    let claim = Claim::of(restore(way.options()).await);
    let succeeded = claim.succeeded;
    let mut ending = Ending::of(claim);
    if succeeded {
        if let Err(error) = lane.holds(&lane.scope()).await {
            ending.add(Wrong::FalseSuccess, error);
        }
        let hidden = lane.hidden().await;
        ending.ensure(hidden.is_empty(), Wrong::Left, || format!("{hidden:?}"));
        return ending;
    }
    lane.target_is_quiet().await;
    if way == Way::Swap {
        // As before or, where the last answer was lost, as afterwards; never between.
        let changed = lane.differs_from(&before).await;
        let done = lane.holds(&lane.scope()).await.is_ok();
        ending.ensure(changed.is_empty() || done, Wrong::ChangedTarget, || changed.join("; "));
    }
    let source = Storage::local().open(&Location::file(good)).await.expect("the file");
    let again = if way == Way::Swap { Way::Swap } else { Way::Drop };
    let next = restore_from(&lane.target_uri(), again.options(), source).await;
    let held = lane.holds(&lane.scope()).await;
    let hidden = lane.hidden().await;
    ending.ensure(hidden.is_empty(), Wrong::Left, || format!("after the next restore {hidden:?}"));
    ending.ensure(next.is_ok() && held.is_ok(), Wrong::ChangedTarget, || {
        format!("the next restore needs help: {:?}, {held:?}", next.err().map(|error| error.report()))
    });
    ending
}

/// A restore through a proxy that does this.
fn wire(way: Way, name: &str, breaks: impl Fn(&Proxy) + Clone + Send + Sync + 'static) -> Case {
    let name = format!("{}: {name}", way.name());
    Case::new(name, move |lane: Arc<Lane>| {
        let breaks = breaks.clone();
        async move {
            let good = lane.good_archive().await;
            let proxy = lane.before_target().await;
            let uri = format!("{}&serverSelectionTimeoutMS=5000", proxy.uri());
            breaks(&proxy);
            let mut ending = judged(&lane, way, good, async |options| {
                let source = Storage::local().open(&Location::file(good)).await?;
                restore_from(&uri, options, source).await
            })
            .await;
            ending.ensure(proxy.struck() > 0, Wrong::NoEnd, || "the fault never came".to_owned());
            ending
        }
    })
}

/// A restore from a store that does this.
fn store(way: Way, name: &str, rule: s3::Rule) -> Case {
    Case::new(format!("{} from S3: {name}", way.name()), move |lane: Arc<Lane>| {
        let rule = rule.clone();
        async move {
            let good = lane.good_archive().await;
            let store = S3Server::start();
            std::fs::copy(good, store.bucket_dir().join("a")).expect("an object");
            store.inject(rule);
            let mut ending = judged(&lane, way, good, async |options| {
                let source = store.storage().open(&location("a")).await?;
                restore_from(&lane.target_uri(), options, source).await
            })
            .await;
            ending.ensure(store.struck() > 0, Wrong::NoEnd, || "the fault never came".to_owned());
            ending
        }
    })
}

/// A restore of an archive to which this was done.
fn damaged(way: Way, name: &str, damage: impl Fn(&mut Vec<u8>) + Clone + Send + Sync + 'static) -> Case {
    Case::new(format!("{} of an archive: {name}", way.name()), move |lane: Arc<Lane>| {
        let damage = damage.clone();
        async move {
            let good = lane.good_archive().await;
            let mut bytes = std::fs::read(good).expect("the archive");
            damage(&mut bytes);
            let path = lane.file("damaged");
            std::fs::write(&path, bytes).expect("a file");
            judged(&lane, way, good, async |options| {
                let source = Storage::local().open(&Location::file(&path)).await?;
                restore_from(&lane.target_uri(), options, source).await
            })
            .await
        }
    })
}

fn wire_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut at = |way, command: &'static str, skip: usize, what: &str, fault: Fault, quick: bool| {
        let rule = Rule::once(command, fault).after(skip);
        let name = format!("{command}, {}: {what}", if skip == 0 { "first" } else { "a later one" });
        cases.push(wire(way, &name, move |proxy| proxy.inject(rule.clone())).quick(quick));
    };
    for (way, command, skip) in [
        (Way::Empty, "create", 0),
        (Way::Empty, "insert", 0),
        (Way::Drop, "insert", 3),
        (Way::Empty, "createIndexes", 0),
        (Way::Drop, "drop", 0),
        (Way::Drop, "listCollections", 0),
        (Way::Swap, "create", 0),
        (Way::Swap, "insert", 3),
        (Way::Swap, "createIndexes", 0),
        (Way::Swap, "applyOps", 0),
    ] {
        let first = command == "insert" && skip > 0;
        at(way, command, skip, "cut before the server has it", Fault::CutRequest, first);
        at(way, command, skip, "cut in the middle of the request", Fault::CutInRequest(40), first);
        at(way, command, skip, "the answer is lost", Fault::CutReply, first || command == "drop");
        at(way, command, skip, "cut in the middle of the answer", Fault::CutInReply(20), false);
        at(way, command, skip, "cut after the answer", Fault::CutAfter, false);
        at(way, command, skip, "stalls", Fault::Delay(Duration::from_secs(1)), false);
    }
    for (code, name) in [
        (13, "Unauthorized"),
        (91, "ShutdownInProgress"),
        (112, "WriteConflict"),
        (189, "PrimarySteppedDown"),
        (10_107, "NotWritablePrimary"),
        (11_602, "InterruptedDueToReplStateChange"),
        (14_031, "OutOfDiskSpace"),
        (64, "WriteConcernFailed"),
    ] {
        at(
            Way::Drop,
            "insert",
            1,
            &format!("refused although done: {name}"),
            Fault::RefuseAfter(code, name),
            code == 189,
        );
        at(
            Way::Empty,
            "createIndexes",
            0,
            &format!("refused although done: {name}"),
            Fault::RefuseAfter(code, name),
            false,
        );
    }
    for (code, name) in [(91, "ShutdownInProgress"), (13, "Unauthorized"), (14_031, "OutOfDiskSpace")] {
        for command in ["insert", "createIndexes", "applyOps"] {
            let what = format!("refused although done: {name}");
            at(Way::Swap, command, 0, &what, Fault::RefuseAfter(code, name), code == 13);
        }
    }
    for number in 0..6_usize {
        let name = format!("cut at a byte of the requests, number {number}");
        let byte = usize::try_from(random(&name).below(10 << 20)).expect("small");
        for way in [Way::Drop, Way::Swap] {
            cases.push(wire(way, &name, move |proxy| proxy.cut_requests_at(byte)).quick(number < 1));
        }
    }
    cases
}

fn store_cases() -> Vec<Case> {
    use crate::support::s3::Fault;
    let mut cases = Vec::new();
    for (skip, nth) in [(0, "first"), (1, "second")] {
        for (what, fault, times) in [
            ("500", Fault::Refuse(500, "InternalError"), 1),
            ("503 nine times", Fault::Refuse(503, "SlowDown"), 9),
            ("403", Fault::Refuse(403, "AccessDenied"), usize::MAX),
            ("404", Fault::Refuse(404, "NoSuchKey"), usize::MAX),
            ("412, replaced meanwhile", Fault::Refuse(412, "PreconditionFailed"), usize::MAX),
            ("reset", Fault::Reset, 1),
            ("cut", Fault::Cut(70_000), 1),
            ("cut every time", Fault::Cut(70_000), usize::MAX),
            ("ends early", Fault::Shorten(70_000), 1),
            ("ends early every time", Fault::Shorten(70_000), usize::MAX),
            ("damaged", Fault::CorruptAnswer(123_456), usize::MAX),
            ("slow", Fault::Drip(400_000, Duration::from_millis(20)), 1),
            ("nothing", Fault::Pretend, 1),
        ] {
            let rule = s3::Rule { skip, times, ..s3::Rule::always(Operation::GetObject, fault) };
            let quick =
                skip == 1 && (what.starts_with("cut") || what == "damaged" || what.starts_with("412"));
            let name = format!("{nth} GetObject: {what}");
            cases.push(store(Way::Drop, &name, rule.clone()).quick(quick));
            if skip == 1 {
                cases.push(store(Way::Swap, &name, rule).quick(what == "damaged"));
            }
        }
    }
    cases
}

fn damage_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in [Way::Drop, Way::Swap] {
        for number in 0..6_usize {
            let name = format!("cut off, number {number}");
            let place = random(&name).below(1_000_000);
            let cut = move |bytes: &mut Vec<u8>| bytes.truncate(at(bytes.len(), place));
            cases.push(damaged(way, &name, cut).quick(number < 1));
            let name = format!("a bit flipped, number {number}");
            let place = random(&name).below(1_000_000);
            let flip = move |bytes: &mut Vec<u8>| {
                let place = at(bytes.len(), place);
                bytes[place] ^= 16;
            };
            cases.push(damaged(way, &name, flip).quick(number < 1));
        }
        cases.push(damaged(way, "its end is missing", |bytes| bytes.truncate(bytes.len() - 1)).quick(true));
        cases.push(damaged(way, "empty", Vec::clear));
        cases.push(damaged(way, "something behind its end", |bytes| bytes.extend([0; 512])));
    }
    cases
}

/// A place in so many bytes, from one in a million.
fn at(length: usize, millionths: u64) -> usize {
    length * usize::try_from(millionths).expect("small") / 1_000_000
}

pub(super) fn cases() -> Vec<Case> {
    [wire_cases(), store_cases(), damage_cases()].into_iter().flatten().collect()
}
