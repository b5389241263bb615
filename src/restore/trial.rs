//! What only the server can tell, asked before anything is dropped: whether it can keep the write concern, and whether it takes
//! the options of collections that are to take the place of others.

use archive_format::Namespace;
use bson::oid::ObjectId;
use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::plan::Plan;
use super::reply::{WriteReply, answer as reply_to};
use super::target::Target;
use super::{Context, ddl};
use crate::server_error::{answer, code, is_unauthorized};
use crate::{Error, ErrorKind, Result};

/// The answers to a write concern that no write can satisfy here: a bad value, a text that cannot be read, another type, a
/// mode that the set does not have, more members than it has.
const NEVER: [i32; 5] = [2, 9, 14, 79, 100];

/// Asks, where the write concern is none that every server knows, before anything is dropped or written.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] with the server's words.
pub(super) async fn write_concern(context: &Context, plan: &Plan) -> Result<()> {
    if context.concern.is_common() {
        return Ok(());
    }
    let Some(namespace) = plain(plan) else { return Ok(()) };
    let nothing = rawdoc! { "_id": { "$in": RawArrayBuf::new() } };
    let command = rawdoc! { "delete": namespace.collection(), "deletes": [{ "q": nothing, "limit": 0 }] };
    let db = context.deployment.client().database(namespace.db());
    let command = ddl::with_concern(context, command);
    let refusal = match context.deployment.repeated(|| ddl::run(&db, command.clone())).await {
        Ok(reply) => WriteReply::read(&reply)
            .unsafe_code()
            .filter(|code| NEVER.contains(code))
            .and_then(|_| WriteReply::read(&reply).unsafe_write())
            .map(|error| error.to_string()),
        Err(error) => code(&error).filter(|code| NEVER.contains(code)).map(|_| answer(&error)),
    };
    match refusal {
        Some(said) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the deployment cannot keep the write concern, and nothing was written: {said}"),
        )),
        // Whatever else is wrong is told by the first write that is one.
        None => Ok(()),
    }
}

/// Creates every collection that has options and is to take the place of another, empty and under a name that nobody uses, and
/// drops it: a server of another release may refuse the options, and the old collection would be gone by then.
///
/// # Errors
/// [`ErrorKind::Server`] with the server's words, of the first that it refuses.
pub(super) async fn options(context: &Context, plan: &Plan) -> Result<()> {
    let trials: Vec<BoxFuture<'_, Result<()>>> = plan
        .collections
        .values()
        .filter(|target| target.replaces())
        .map(|target| one(context, target).boxed())
        .collect();
    let at_once = context.options.writes.collections_in_flight();
    futures::stream::iter(trials).buffer_unordered(at_once).try_collect().await
}

async fn one(context: &Context, target: &Target) -> Result<()> {
    let metadata = target.metadata()?;
    if !metadata.has_options() {
        return Ok(());
    }
    let (namespace, name) = (&target.destination, format!("mongoark_trial_{}", ObjectId::new()));
    let create = metadata.create(namespace.db(), &name, context.server);
    let tried = once(context, namespace.db(), &name, create).await;
    tried.map_err(|error| error.at(namespace))
}

async fn once(context: &Context, db: &str, name: &str, create: RawDocumentBuf) -> Result<()> {
    let database = context.deployment.client().database(db);
    let refusal = match reply_to(database.run_raw_command(ddl::with_concern(context, create)).await) {
        Ok(_) => None,
        // Who may make and drop no other collection than these cannot ask.
        Err(error) if code(&error).is_none() || is_unauthorized(&error) => None,
        Err(error) => Some(answer(&error)),
    };
    let trial = Namespace::new(db, name).map_err(Error::invalid_name)?;
    if let Err(error) = ddl::drop_collection(context, &trial).await
        && !matches!(error.kind(), ErrorKind::Authentication)
    {
        context.monitor.warn(&format!("the empty collection {trial} stays behind: {}", error.report()));
    }
    match refusal {
        Some(said) => Err(Error::new(
            ErrorKind::Server,
            format!("the server does not take the archive's options, and nothing was dropped: {said}"),
        )),
        None => Ok(()),
    }
}

/// A collection of the archive that takes a write of nothing, whether it is there or not.
fn plain(plan: &Plan) -> Option<&Namespace> {
    let mut names: Vec<&Namespace> = plan
        .collections
        .values()
        .filter(|target| !target.is_timeseries() && !target.destination.collection().starts_with("system."))
        .map(|target| &target.destination)
        .collect();
    names.sort_unstable();
    names.first().copied()
}
