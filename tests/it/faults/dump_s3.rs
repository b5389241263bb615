//! Dumps to S3, with the fault in front of the store: every answer it may give, at every request.

use std::sync::Arc;
use std::time::Duration;

use mongoark::Scope;
use mongoark::dump::DumpOptions;
use mongoark::storage::CreateOptions;

use super::case::{Case, Claim, Ending, Wrong};
use super::judge::{Before, PRECIOUS, judge, no_upload_is_open};
use super::lane::{Lane, dump_into};
use crate::support::s3::{Fault, Operation, Rule, S3Server, location};

/// Three parts of the smallest size that S3 takes.
const PART: u64 = 5 << 20;

const KEY: &str = "a";

/// What a store may do to any request: its name, the fault, how often.
fn faults() -> Vec<(&'static str, Fault, usize)> {
    vec![
        ("500 once", Fault::Refuse(500, "InternalError"), 1),
        ("503 nine times", Fault::Refuse(503, "SlowDown"), 9),
        ("500 although done", Fault::RefuseAfter(500, "InternalError"), 1),
        ("503 although done, twice", Fault::RefuseAfter(503, "SlowDown"), 2),
        ("reset", Fault::Reset, 1),
        ("reset, ten times", Fault::Reset, 10),
        ("reset although done", Fault::ResetAfter, 1),
        ("error inside 200", Fault::RefuseInside200("InternalError"), 1),
        ("SlowDown inside 200, for good", Fault::RefuseInside200("SlowDown"), usize::MAX),
        ("success without effect", Fault::Pretend, 1),
        ("answer late", Fault::Delay(Duration::from_millis(500)), 1),
        ("answer in drops", Fault::Drip(40, Duration::from_millis(20)), 1),
        ("answer cut", Fault::Cut(10), 1),
        ("answer damaged", Fault::CorruptAnswer(20), 1),
        ("request damaged", Fault::CorruptRequest, 1),
        ("403 for good", Fault::Refuse(403, "AccessDenied"), usize::MAX),
        ("400 ExpiredToken", Fault::Refuse(400, "ExpiredToken"), usize::MAX),
        // Which is what a store says to a clock that is wrong.
        ("403 RequestTimeTooSkewed", Fault::Refuse(403, "RequestTimeTooSkewed"), 1),
        ("400 RequestTimeout", Fault::Refuse(400, "RequestTimeout"), 1),
        ("404 NoSuchBucket", Fault::Refuse(404, "NoSuchBucket"), usize::MAX),
        ("404 NoSuchUpload", Fault::Refuse(404, "NoSuchUpload"), 1),
        ("404 NoSuchUpload although done", Fault::RefuseAfter(404, "NoSuchUpload"), 1),
        ("409 once", Fault::Refuse(409, "ConditionalRequestConflict"), 1),
        ("409 although done", Fault::RefuseAfter(409, "ConditionalRequestConflict"), 1),
        ("412", Fault::Refuse(412, "PreconditionFailed"), usize::MAX),
        ("412 although done", Fault::RefuseAfter(412, "PreconditionFailed"), 1),
    ]
}

/// A dump to a store that does this.
#[derive(Clone)]
struct Plan {
    rules: Vec<Rule>,
    before: Before,
    small: bool,
}

impl Plan {
    fn case(self, name: impl Into<String>) -> Case {
        let name = format!("dump to S3: {}", name.into());
        Case::new(name, move |lane| {
            let plan = self.clone();
            async move { plan.run(&lane).await }
        })
    }

    async fn run(self, lane: &Arc<Lane>) -> Ending {
        let store = S3Server::start();
        if let Some(bytes) = self.before.bytes() {
            std::fs::write(store.bucket_dir().join(KEY), bytes).expect("an object");
        }
        self.rules.iter().for_each(|rule| store.inject(rule.clone()));
        let scope = if self.small { lane.small_scope() } else { lane.scope() };
        let claim = dump(lane, &store, &scope, !matches!(self.before, Before::Kept(_))).await;
        let struck = store.struck();
        let mut ending = judge(lane, claim, store.object(KEY), self.before, &scope).await;
        no_upload_is_open(&store, &mut ending, || dump(lane, &store, &scope, true)).await;
        ending.ensure(struck > 0, Wrong::NoEnd, || "the fault never came".to_owned());
        ending
    }
}

async fn dump(lane: &Lane, store: &S3Server, scope: &Scope, overwrite: bool) -> Claim {
    let options = DumpOptions { scope: scope.clone(), ..DumpOptions::default() };
    let create = CreateOptions { overwrite, part_bytes: Some(PART), ..CreateOptions::default() };
    let storage = store.storage();
    Claim::of(dump_into(&lane.source_uri(), options, &storage, &location(KEY), &create).await)
}

/// The one request of this kind that breaks.
fn rule(operation: Operation, fault: &Fault, times: usize, containing: &'static str) -> Rule {
    Rule { containing, times, ..Rule::always(operation, fault.clone()) }
}

pub(super) fn cases() -> Vec<Case> {
    use Before::{Nothing, Replaceable};
    let mut cases = Vec::new();
    let older = Replaceable(PRECIOUS);
    for (what, fault, times) in faults() {
        let quick = what.contains("although") || what.contains("without effect");
        let mut add = |operation, before, small, containing, quick| {
            // No store says this of a request that has just begun an upload.
            let about_another = what.contains("although") && what.starts_with('4');
            if operation == Operation::CreateUpload && about_another {
                return;
            }
            let rules = vec![rule(operation, &fault, times, containing)];
            let name = format!("{operation:?} {containing}{what}, {before}").replace('=', " ");
            // The store hides what it has.
            let denied = operation == Operation::HeadObject
                && [
                    "403 for good",
                    "404 NoSuchBucket",
                    "SlowDown inside 200, for good",
                    "success without effect",
                ]
                .contains(&what);
            let before = if denied { Before::Unseen } else { before };
            cases.push(Plan { rules, before, small }.case(name).quick(quick));
        };
        add(Operation::CompleteUpload, Nothing, false, "", quick);
        add(Operation::CompleteUpload, older, false, "", what == "503 although done, twice");
        add(Operation::PutObject, Nothing, true, "", quick);
        add(Operation::PutObject, older, true, "", what == "403 for good");
        add(Operation::CreateUpload, Nothing, false, "", what == "reset although done");
        add(Operation::UploadPart, Nothing, false, "partNumber=1&", what == "request damaged");
        add(Operation::UploadPart, older, false, "partNumber=3&", what == "403 for good");
        add(Operation::HeadObject, Nothing, true, "", what == "412");
    }
    for (what, fault, times) in faults() {
        // A dump that fails at its second part, and then cannot remove what it has stored.
        if ["500 once", "reset although done", "403 for good", "success without effect", "503 nine times"]
            .contains(&what)
        {
            let denied = Fault::Refuse(403, "AccessDenied");
            let rules = vec![
                rule(Operation::UploadPart, &denied, usize::MAX, "partNumber=2&"),
                rule(Operation::AbortUpload, &fault, times, ""),
            ];
            let plan = Plan { rules, before: older, small: false };
            cases.push(plan.case(format!("part refused, AbortUpload {what}")).quick(what == "403 for good"));
        }
    }
    cases
}
