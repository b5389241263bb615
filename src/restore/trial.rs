//! A write of nothing, which tells whether the deployment can keep the promise that the write concern asks for.

use archive_format::Namespace;
use bson::{RawArrayBuf, rawdoc};

use super::plan::Plan;
use super::reply::WriteReply;
use super::{Context, ddl};
use crate::server_error::{answer, code};
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
    let command =
        rawdoc! { "delete": namespace.collection(), "deletes": [{ "q": nothing, "limit": 0 }] };
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
