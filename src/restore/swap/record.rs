//! The record of a restore with `--swap`: whose the hidden collections are, and what the switch consists of once it is
//! decided. Whoever finds a record knows whether to go forward or back.

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::error::{Error as DriverError, Result as DriverResult};
use mongodb::options::WriteConcern;

use super::run::Run;
use super::step::Step;
use crate::server_error::{DUPLICATE_KEY, driver_error};
use crate::{Deployment, Error, ErrorKind, Result};

/// The document of a record that says whose it is. Steps are named by numbers.
const OWNER: &str = "mongoark";

/// Steps written in one command.
const STEPS_AT_ONCE: usize = 1000;

/// How far a restore has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// What it restores is hidden, and nothing else has changed.
    Hidden,
    /// The switch is decided: it goes forward.
    Decided,
    /// What was hidden is being removed.
    GivenUp,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Decided => "decided",
            Self::GivenUp => "given up",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Hidden, Self::Decided, Self::GivenUp].into_iter().find(|state| state.as_str() == text)
    }
}

/// What a record says.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) run: Run,
    pub(super) state: State,
}

/// Writes the records, before the first hidden collection is made.
pub(super) async fn begin(deployment: &Deployment, run: &Run) -> Result<()> {
    for db in &run.databases {
        let owner = doc! {
            "_id": OWNER, "run": run.id(), "databases": &run.databases, "state": State::Hidden.as_str(),
        };
        let written = insert(deployment, db, run, &[owner]).await;
        written.map_err(|error| {
            driver_error("cannot write the record of the restore, and nothing was changed", &error).at(db)
        })?;
    }
    Ok(())
}

/// Writes down what the switch consists of, and decides it.
///
/// # Errors
/// Also when another restore has given this one up: nothing is decided then.
pub(super) async fn decide(deployment: &Deployment, run: &Run, steps: &[Step]) -> Result<()> {
    let failed =
        |error: &DriverError| driver_error("cannot write down the switch, which has not begun", error);
    for some in steps.chunks(STEPS_AT_ONCE) {
        let some: Vec<Document> =
            some.iter().map(bson::serialize_to_document).collect::<Result<_, _>>().map_err(|error| {
                Error::new(ErrorKind::Internal, "cannot write down the switch").with_source(error)
            })?;
        insert(deployment, run.main(), run, &some).await.map_err(|error| failed(&error))?;
    }
    if pass(deployment, run, State::Decided).await? {
        return Ok(());
    }
    let message =
        "another restore with --swap has begun and removed what this one had prepared; nothing was changed";
    Err(Error::new(ErrorKind::AlreadyExists, message).at(run.main()))
}

/// Gives a restore up that has not been decided; `false` where it has been.
pub(super) async fn give_up(deployment: &Deployment, run: &Run) -> Result<bool> {
    pass(deployment, run, State::GivenUp).await
}

/// Passes from hidden to another state, as only one of several can. Whether it is there now.
async fn pass(deployment: &Deployment, run: &Run, to: State) -> Result<bool> {
    let hidden = doc! { "_id": OWNER, "run": run.id(), "state": State::Hidden.as_str() };
    let change = doc! { "q": hidden, "u": { "$set": { "state": to.as_str() } } };
    let command = doc! { "update": run.record(), "updates": [change], "writeConcern": { "w": "majority" } };
    let failed = |error: &DriverError| driver_error("cannot decide the switch, which has not begun", error);
    let changed = deployment.command(run.main(), command, None).await;
    let reply = changed.map_err(|error| failed(&error).at(run.main()))?;
    if reply.get_i32("n").is_ok_and(|n| n == 1) && !reply.contains_key("writeErrors") {
        return Ok(true);
    }
    // An earlier attempt may have changed it, and its answer was lost.
    let there = read(deployment, run.main(), run.id()).await?;
    Ok(there.map_or(to == State::GivenUp, |owner| owner.state == to))
}

/// What the record in this database says; `None` where it says nothing that is ours.
pub(super) async fn read(deployment: &Deployment, db: &str, id: &str) -> Result<Option<Owner>> {
    let record = record(deployment, db, &Run::known(id, Vec::new()));
    let owner = doc! { "_id": OWNER, "run": id };
    let found = deployment.repeated(|| async { record.find_one(owner.clone()).await }).await;
    let found = found.map_err(|error| failed_to_read(&error).at(db))?;
    Ok(found.and_then(|owner| {
        let state = State::read(owner.get_str("state").ok()?)?;
        let names = owner.get_array("databases").ok()?.iter();
        let databases = names.map(|name| name.as_str().map(ToOwned::to_owned)).collect::<Option<_>>()?;
        Some(Owner { run: Run::known(id, databases), state })
    }))
}

/// Whether nothing is in the record, not even whose it is: the server died when it was being made.
pub(super) async fn is_empty(deployment: &Deployment, db: &str, id: &str) -> Result<bool> {
    let record = record(deployment, db, &Run::known(id, Vec::new()));
    let found = deployment.repeated(|| async { record.find_one(doc! {}).await }).await;
    Ok(found.map_err(|error| failed_to_read(&error).at(db))?.is_none())
}

/// What the switch consists of.
pub(super) async fn steps(deployment: &Deployment, run: &Run) -> Result<Vec<Step>> {
    let record = record(deployment, run.main(), run);
    let found: DriverResult<Vec<Document>> = deployment
        .repeated(|| async {
            let numbered = doc! { "_id": { "$gte": 0 } };
            record.find(numbered).sort(doc! { "_id": 1 }).await?.try_collect().await
        })
        .await;
    let found = found.map_err(|error| failed_to_read(&error).at(run.main()))?;
    found.into_iter().map(bson::deserialize_from_document).collect::<Result<_, _>>().map_err(|error| {
        let message = "the record of an earlier restore with --swap cannot be read: finish its switch by hand, by \
                       renaming the hidden collections, and drop the record";
        Error::new(ErrorKind::Server, message).at(format_args!("{}.{}", run.main(), run.record())).with_source(error)
    })
}

fn failed_to_read(error: &DriverError) -> Error {
    driver_error("cannot read what an earlier restore with --swap has left behind", error)
}

fn record(deployment: &Deployment, db: &str, run: &Run) -> Collection<Document> {
    let options =
        mongodb::options::CollectionOptions::builder().write_concern(WriteConcern::majority()).build();
    deployment.client().database(db).collection_with_options(&run.record(), options)
}

/// Writes documents that may be there already, by an earlier attempt. As a command: the driver's own inserts number the
/// sessions that documents are written in, and the server would take a batch with the same number for one it has.
async fn insert(deployment: &Deployment, db: &str, run: &Run, documents: &[Document]) -> DriverResult<()> {
    let command = doc! {
        "insert": run.record(), "documents": documents, "ordered": false, "writeConcern": { "w": "majority" },
    };
    let reply = deployment.command(db, command, None).await?;
    let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let is_known = |error: &bson::Bson| {
        error.as_document().is_some_and(|error| error.get_i32("code").is_ok_and(|code| code == DUPLICATE_KEY))
    };
    if errors.iter().all(is_known) && !reply.contains_key("writeConcernError") {
        return Ok(());
    }
    Err(DriverError::custom("the server refused a part of the record"))
}
