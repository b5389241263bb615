//! Hook calls of the function: what `CodeDeploy` has heard is the claim.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use tokio::sync::Semaphore;

use super::case::{Case, Claim, Ending, Wrong};
use super::judge::{Before, judge};
use super::lane::Lane;
use crate::hook::{Account, hook_event};
use crate::support::proxy::{self, Proxy};
use crate::support::runtime_api::Answer;
use crate::support::s3::{self, Operation};

const DEPLOYMENT: &str = "d-1";
const KEY: &str = "backups/shop/d-1.archive";

/// The function's time where a test does not shorten it.
const TIMEOUT: Duration = Duration::from_mins(2);

/// One call through a proxy and a store that do this, and how it has to be judged.
struct Call {
    account: Account,
    proxy: Proxy,
    lane: Arc<Lane>,
}

impl Call {
    async fn new(lane: Arc<Lane>) -> Self {
        let proxy = lane.before_source().await;
        let uri = format!("{}&serverSelectionTimeoutMS=3000", proxy.uri());
        let account = Account::with_store(&uri.replace("/?", &format!("/{}?", lane.name))).await;
        Self { account, proxy, lane }
    }

    async fn invoke(&self, request: &str, timeout: Duration) -> Answer {
        self.account.function().await.invoke_as(request, timeout, &hook_event(DEPLOYMENT)).await
    }

    /// What has been told since the last time.
    fn claim(&self, said: &[Answer]) -> Claim {
        let reports = self.account.reports(DEPLOYMENT);
        let succeeded = reports.iter().any(|status| status == "Succeeded");
        Claim { succeeded, said: format!("{reports:?} {said:?}") }
    }

    fn archive(&self) -> Option<Vec<u8>> {
        self.account.store().object(KEY)
    }

    async fn judge(&self, claim: Claim, before: Before) -> Ending {
        let scope = self.lane.scope();
        let mut ending = judge(&self.lane, claim, self.archive(), before, &scope).await;
        let open = self.account.store().open_uploads();
        ending.ensure(open.is_empty(), Wrong::OpenUpload, || format!("{open:?}"));
        ending
    }
}

fn case<F: Future<Output = Ending> + Send + 'static>(
    name: &str,
    run: impl Fn(Call) -> F + Clone + Send + Sync + 'static,
) -> Case {
    Case::new(format!("hook call: {name}"), move |lane| {
        let run = run.clone();
        async move { run(Call::new(lane).await).await }
    })
}

/// One call, with a fault on the wire.
fn wire(name: &str, rule: proxy::Rule) -> Case {
    case(name, move |call| {
        let rule = rule.clone();
        async move {
            call.proxy.inject(rule);
            let answer = call.invoke("r-1", TIMEOUT).await;
            call.judge(call.claim(&[answer]), Before::Nothing).await
        }
    })
}

/// One call, with a fault in front of the store.
fn store(name: &str, rule: s3::Rule) -> Case {
    case(name, move |call| {
        let rule = s3::Rule { containing: ".archive", ..rule.clone() };
        async move {
            call.account.store().inject(rule);
            let answer = call.invoke("r-1", TIMEOUT).await;
            call.judge(call.claim(&[answer]), Before::Nothing).await
        }
    })
}

/// The same event to so many functions at the same moment.
async fn at_once(call: Call, functions: usize) -> Ending {
    let calls = (0..functions).map(|number| {
        let call = &call;
        async move { call.invoke(&format!("r-{number}"), TIMEOUT).await }
    });
    let answers = futures::future::join_all(calls).await;
    let mut reports = call.account.reports(DEPLOYMENT);
    reports.dedup();
    let claim = Claim { succeeded: reports == ["Succeeded"], said: format!("{reports:?} {answers:?}") };
    let mut ending = call.judge(claim.clone(), Before::Nothing).await;
    ending.ensure(claim.succeeded, Wrong::NoEnd, || "the answers do not agree".to_owned());
    ending
}

/// The same event once more when the migration has begun; the answer to the first may be lost.
async fn after_the_migration(call: Call) -> Ending {
    call.invoke("r-1", TIMEOUT).await;
    let (first, archive) = (call.claim(&[]), call.archive());
    let lines = call.lane.database().collection::<Document>("lines");
    lines.insert_one(doc! { "_id": "migrated", "n": "new" }).await.expect("the migration");
    let again = call.invoke("r-1", TIMEOUT).await;
    lines.delete_one(doc! { "_id": "migrated" }).await.expect("taken back");
    let (second, found) = (call.claim(&[again]), call.archive());
    let mut ending = call.judge(second, Before::Nothing).await;
    ending.ensure(first.succeeded && found == archive, Wrong::OverwrittenArchive, || {
        "another archive is there than before the migration".to_owned()
    });
    ending
}

/// The function is killed in the middle of its upload, and Lambda runs the event again.
async fn killed(call: Call) -> Ending {
    let never = s3::Fault::Hold(Arc::new(Semaphore::new(0)));
    for operation in [Operation::UploadPart, Operation::PutObject] {
        let held = s3::Rule::always(operation, never.clone());
        call.account.store().inject(s3::Rule { containing: ".archive", ..held });
    }
    let function = call.account.function().await;
    let event = hook_event(DEPLOYMENT);
    tokio::select! {
        _ = function.invoke_as("r-1", TIMEOUT, &event) => panic!("the store does not answer"),
        () = call.account.store().arrived_at(Operation::UploadPart, ".archive") => {}
        () = call.account.store().arrived_at(Operation::PutObject, ".archive") => {}
    }
    function.kill();
    call.account.store().heal();
    assert_eq!(call.archive(), None, "nothing is visible");
    let answer = call.invoke("r-1", TIMEOUT).await;
    let claim = call.claim(&[answer]);
    let mut ending = call.judge(claim.clone(), Before::Nothing).await;
    ending.ensure(claim.succeeded, Wrong::Left, || "the next attempt needs help".to_owned());
    ending
}

/// The time that is left is over before the dump can be.
async fn out_of_time(call: Call, timeout: Duration) -> Ending {
    call.proxy.inject(proxy::Rule::always("getMore", proxy::Fault::Delay(Duration::from_secs(2))));
    let answer = call.invoke("r-1", timeout).await;
    call.judge(call.claim(&[answer]), Before::Nothing).await
}

pub(super) fn cases() -> Vec<Case> {
    use crate::support::proxy::Rule;
    use Operation::{HeadObject, PutObject};
    let denied = || proxy::Fault::RefuseAfter(13, "Unauthorized");
    let mut cases = vec![
        wire("the answer to a getMore is lost", Rule::once("getMore", proxy::Fault::CutReply).after(1))
            .quick(true),
        wire("a collection may not be read", Rule::always("find", denied())),
        wire("the server gives up every getMore", Rule::always("getMore", denied())).quick(true),
        case("two at the same moment", |call| at_once(call, 2)).quick(true),
        case("six at the same moment", |call| at_once(call, 6)),
        case("once more after the migration", after_the_migration).quick(true),
        case("killed in the upload, then run again", killed).quick(true),
        case("four seconds are left", |call| out_of_time(call, Duration::from_secs(4))),
        case("its time is over before it begins", |call| out_of_time(call, Duration::ZERO)),
    ];
    for (name, operation, fault, times) in [
        ("500 once", PutObject, s3::Fault::Refuse(500, "InternalError"), 1),
        ("reset although done", PutObject, s3::Fault::ResetAfter, 1),
        ("500 although done", PutObject, s3::Fault::RefuseAfter(500, "InternalError"), 1),
        ("409 once", PutObject, s3::Fault::Refuse(409, "ConditionalRequestConflict"), 1),
        ("412 although done", PutObject, s3::Fault::RefuseAfter(412, "PreconditionFailed"), 1),
        ("403 for good", PutObject, s3::Fault::Refuse(403, "AccessDenied"), usize::MAX),
        ("403 for good", HeadObject, s3::Fault::Refuse(403, "AccessDenied"), usize::MAX),
        ("500 once", HeadObject, s3::Fault::Refuse(500, "InternalError"), 1),
    ] {
        let rule = s3::Rule { times, ..s3::Rule::always(operation, fault) };
        cases.push(store(&format!("{operation:?} {name}"), rule).quick(name.contains("reset")));
    }
    cases
}
