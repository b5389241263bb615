//! The archive that is drilled: proven before anything is made of it, the same afterwards, and tagged in the end.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use crate::archive::Archive;
use crate::progress::{Monitor, Silent};
use crate::proof::{self, Proof};
use crate::storage::{Location, Source, Storage, Stored};
use crate::verify::VerifyReport;
use crate::{Error, ErrorKind, Result};

/// The tag of an object that a drill has restored; its value is the day.
const TAG: &str = "restored-ok";

/// An archive that is whole, and what is to be restored of it.
pub(super) struct Subject<'a> {
    storage: &'a Storage,
    pub(super) at: &'a Location,
    pub(super) stored: Stored,
    pub(super) plan: Plan,
    /// Whether there is a record, and the archive is what it says.
    pub(super) proven: bool,
}

impl<'a> Subject<'a> {
    /// Proves the archive, and plans what is restored of it.
    pub(super) async fn look_at(
        storage: &'a Storage,
        at: &'a Location,
        prefix: &str,
        monitor: &dyn Monitor,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let Some(stored) = storage.stat(at).await? else {
            storage.open(at).await?;
            let message = "a drill reads the archive more than once: give a file or an S3 object";
            return Err(Error::new(ErrorKind::InvalidInput, message).at(at));
        };
        let silent = Arc::new(Silent) as Arc<dyn Monitor>;
        let verified = Box::pin(proof::read(storage, at, &silent, cancel)).await?;
        let record = Proof::find(storage, at).await?;
        match &record {
            Some(record) => record.compare(&verified).map_err(|error| error.at(at))?,
            None => {
                monitor
                    .note("there is no proof record of this archive: it is held against its own checksums");
            }
        }
        let prelude = Archive::open(storage.open(at).await?).prelude().await.map_err(|error| error.at(at))?;
        let plan = Plan::new(prelude, &verified, prefix)?;
        tell(&plan, &verified, monitor);
        Ok(Self { storage, at, stored, plan, proven: record.is_some() })
    }

    /// The archive, from its beginning.
    pub(super) async fn open(&self) -> Result<Source> {
        self.storage.open(self.at).await
    }

    /// Whether the archive that was proven is the one that is there.
    pub(super) async fn unchanged(&self) -> Result<()> {
        if self.storage.stat(self.at).await?.as_ref() == Some(&self.stored) {
            return Ok(());
        }
        let message = "another archive has taken the place of the one that was drilled; drill again";
        Err(Error::new(ErrorKind::Storage, message).at(self.at))
    }

    /// Whether the object carries the tag now. A file has no place for one.
    pub(super) async fn tag(&self, monitor: &dyn Monitor) -> bool {
        if self.at.path().is_some() {
            return false;
        }
        let now = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
        let day = now.split('T').next().unwrap_or_default();
        match self.storage.tag(self.at, &[(TAG, day)]).await {
            Ok(()) => true,
            Err(error) => {
                monitor.warn(&format!("the object could not be tagged {TAG}: {}", error.report()));
                false
            }
        }
    }
}

fn tell(plan: &Plan, verified: &VerifyReport, monitor: &dyn Monitor) {
    let bytes: u64 = verified.whole.iter().map(|whole| whole.end.bytes).sum();
    let documents: u64 = plan.expected.values().map(|content| content.documents).sum();
    monitor.note(&format!(
        "the archive is whole; {documents} document(s) of {} collection(s) go into {} scratch database(s), for which {bytes} \
         bytes of the server's disk will do, indexes aside",
        plan.expected.len(),
        plan.databases.len()
    ));
    if plan.has_accounts {
        monitor.note("users and roles are left out: they would be the deployment's own");
    }
}
