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
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Empty => "restore",
            Self::Drop => "restore --drop",
        }
    }

    fn options(self) -> RestoreOptions {
        RestoreOptions { drop: self == Self::Drop, ..RestoreOptions::default() }
    }
}

/// Restores, and holds what it says against what is there. Afterwards a healthy restore needs no help.
async fn judged<F: Future<Output = mongoark::Result<RestoreReport>>>(
    lane: &Lane,
    way: Way,
    good: &Path,
    restore: impl FnOnce(RestoreOptions) -> F,
) -> Ending {
    match way {
        Way::Empty => lane.target().drop().await.expect("dropped"),
        Way::Drop => drop(lane.older_target().await),
    }
    let claim = Claim::of(restore(way.options()).await);
    let succeeded = claim.succeeded;
    let mut ending = Ending::of(claim);
    if succeeded {
        if let Err(error) = lane.holds(&lane.scope()).await {
            ending.add(Wrong::FalseSuccess, error);
        }
        return ending;
    }
    lane.target_is_quiet().await;
    let source = Storage::local().open(&Location::file(good)).await.expect("the file");
    let next = restore_from(&lane.target_uri(), Way::Drop.options(), source).await;
    let held = lane.holds(&lane.scope()).await;
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
fn store(name: &str, rule: s3::Rule) -> Case {
    Case::new(format!("restore --drop from S3: {name}"), move |lane: Arc<Lane>| {
        let rule = rule.clone();
        async move {
            let good = lane.good_archive().await;
            let store = S3Server::start();
            std::fs::copy(good, store.bucket_dir().join("a")).expect("an object");
            store.inject(rule);
            let mut ending = judged(&lane, Way::Drop, good, async |options| {
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
fn damaged(name: &str, damage: impl Fn(&mut Vec<u8>) + Clone + Send + Sync + 'static) -> Case {
    Case::new(format!("restore --drop of an archive: {name}"), move |lane: Arc<Lane>| {
        let damage = damage.clone();
        async move {
            let good = lane.good_archive().await;
            let mut bytes = std::fs::read(good).expect("the archive");
            damage(&mut bytes);
            let path = lane.file("damaged");
            std::fs::write(&path, bytes).expect("a file");
            judged(&lane, Way::Drop, good, async |options| {
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
    for number in 0..6_usize {
        let name = format!("cut at a byte of the requests, number {number}");
        let byte = usize::try_from(random(&name).below(10 << 20)).expect("small");
        cases.push(wire(Way::Drop, &name, move |proxy| proxy.cut_requests_at(byte)).quick(number < 2));
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
            cases.push(store(&format!("{nth} GetObject: {what}"), rule).quick(quick));
        }
    }
    cases
}

fn damage_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for number in 0..6_usize {
        let name = format!("cut off, number {number}");
        let mut random = random(&name);
        let place = random.below(1_000_000);
        cases.push(damaged(&name, move |bytes| bytes.truncate(at(bytes.len(), place))).quick(number < 2));
        let name = format!("a bit flipped, number {number}");
        let place = random.below(1_000_000);
        cases.push(damaged(&name, move |bytes| {
            let place = at(bytes.len(), place);
            bytes[place] ^= 16;
        }));
    }
    cases.push(damaged("its end is missing", |bytes| bytes.truncate(bytes.len() - 1)).quick(true));
    cases.push(damaged("empty", Vec::clear));
    cases.push(damaged("something behind its end", |bytes| bytes.extend([0; 512])));
    cases
}

/// A place in so many bytes, from one in a million.
fn at(length: usize, millionths: u64) -> usize {
    length * usize::try_from(millionths).expect("small") / 1_000_000
}

pub(super) fn cases() -> Vec<Case> {
    [wire_cases(), store_cases(), damage_cases()].into_iter().flatten().collect()
}
