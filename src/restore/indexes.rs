//! Indexes, after their collection's data has been proven complete.

use archive_format::Namespace;
use mongodb::error::ErrorKind as DriverKind;

use super::Context;
use super::metadata::Metadata;
use crate::server_error::{driver_error, without_values};
use crate::{Error, ErrorKind, Result};

/// Builds all indexes of one collection in a single command, as mongorestore does: all of them or none.
pub(super) async fn build(context: &Context, namespace: &Namespace, metadata: &Metadata) -> Result<()> {
    let Some(command) = metadata.create_indexes(namespace.collection()) else { return Ok(()) };
    let _slot = context.commands.acquire().await.map_err(|_| Error::cancelled())?;
    let db = context.client.database(namespace.db());
    db.run_raw_command(command).await.map_err(|error| match error.kind.as_ref() {
        // The message of a duplicate key holds the key.
        DriverKind::Command(refused) => Error::new(
            ErrorKind::Server,
            format!(
                "its documents are restored, its indexes are not: {} (code {}, {})",
                without_values(&refused.message),
                refused.code,
                refused.code_name
            ),
        ),
        _ => driver_error("its documents are restored, its indexes are not", &error),
    })?;
    Ok(())
}
