//! One drill at work: it marks its databases, restores into them, compares, and drops them.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lease::Lease;
use super::reading::{self, Reading};
use super::report::DrillReport;
use super::subject::Subject;
use super::{difference, scratch, shape};
use crate::dump::{DumpOptions, SnapshotMode, dump};
use crate::own_names::drill_mark;
use crate::progress::{Monitor, Silent};
use crate::restore::{DocumentValidation, Recipes, RestoreOptions, RestoreReport, restore};
use crate::storage::pipe;
use crate::{Deployment, Error, ErrorKind, Result, Scope};

/// A drill that has its lease.
pub(super) struct Trial<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) monitor: &'a Arc<dyn Monitor>,
    pub(super) subject: &'a Subject<'a>,
    pub(super) lease: &'a Lease,
}

impl Trial<'_> {
    /// Restores and compares.
    pub(super) async fn run(&self) -> Result<DrillReport> {
        for database in &self.lease.left {
            if scratch::remove(self.deployment, database, &self.lease.dead).await? {
                self.monitor
                    .note(&format!("removed the scratch database {database} of a drill that was cut short"));
            }
        }
        let existing = scratch::databases(self.deployment).await?;
        for database in &self.subject.plan.databases {
            // Servers tell names apart by their letters, and refuse those that differ only in case.
            if let Some(name) = existing.iter().find(|name| name.eq_ignore_ascii_case(database)) {
                return Err(scratch::exists(name));
            }
        }
        for database in &self.subject.plan.databases {
            scratch::mark(self.deployment, database, &self.lease.holder).await?;
        }
        let began = Instant::now();
        let restored = self.restore().await?;
        let restored_in = began.elapsed();
        self.compare(&restored).await?;
        Ok(DrillReport {
            collections: restored.collections,
            documents: restored.documents,
            restored_in,
            bytes: self.subject.stored.bytes,
            proven: self.subject.proven,
            ..DrillReport::default()
        })
    }

    async fn restore(&self) -> Result<RestoreReport> {
        let options = RestoreOptions {
            prefix: self.subject.plan.prefix().to_owned(),
            // The validator is the archive's own, and so are the documents.
            validation: DocumentValidation::BypassedWhereCreated,
            keep_expired: true,
            ..RestoreOptions::default()
        };
        let source = self.subject.open().await?;
        // Whoever cancels drops this future.
        let never = CancellationToken::new();
        let restored = Box::pin(restore(self.deployment, &options, source, self.monitor, &never)).await?;
        if restored.failures > 0 {
            let message = format!("{} document(s) failed to restore", restored.failures);
            return Err(Error::new(ErrorKind::Server, message).at(self.subject.at));
        }
        Ok(restored)
    }

    /// Holds what was restored against the archive.
    async fn compare(&self, restored: &RestoreReport) -> Result<()> {
        let found = self.read_back(false).await?;
        difference::collections(&self.subject.plan.expected, &found)?;
        let recipes = Recipes::of(self.deployment).await?;
        for (namespace, content) in &self.subject.plan.expected {
            let Some(other) = found.get(namespace) else { continue };
            let (archive, here) = (recipes.recipe(&content.entry)?, recipes.recipe(&other.entry)?);
            if let Some(difference) = shape::difference(&archive, &here) {
                return Err(difference::error(namespace, &format!("restored, {difference}")));
            }
        }
        if difference::documents(&self.subject.plan.expected, &found).is_none() {
            return Ok(());
        }
        let archive = reading::read(self.subject.open().await?, true).await?;
        let found = self.read_back(true).await?;
        let unknown = difference::closely(&self.subject.plan.expected, &archive, &found, restored.repeated)?;
        for namespace in unknown {
            self.monitor.warn(&format!(
                "{namespace}: documents are in the archive twice, as they changed during the dump; one version of each was \
                 restored, and of this collection only the number of documents is proven"
            ));
        }
        Ok(())
    }

    /// What is in the scratch databases, by the archive's names.
    async fn read_back(&self, closely: bool) -> Result<Reading> {
        let mut found = Reading::new();
        let silent = Arc::new(Silent) as Arc<dyn Monitor>;
        for database in &self.subject.plan.databases {
            let options = DumpOptions {
                scope: Scope::database(database)?,
                // Nobody else writes there.
                snapshot: SnapshotMode::Off,
                ..DumpOptions::default()
            };
            let (sink, source) = pipe();
            let never = CancellationToken::new();
            let dumped = Box::pin(dump(self.deployment, &options, sink, &silent, &never));
            let (_, read) = futures::try_join!(dumped, reading::read(source, closely))?;
            let mark = drill_mark(database);
            let restored = read.into_iter().filter(|(namespace, _)| namespace.collection() != mark);
            found.extend(
                restored.filter_map(|(name, content)| Some((self.subject.plan.original(&name)?, content))),
            );
        }
        Ok(found)
    }

    /// Drops what it has made.
    pub(super) async fn remove(&self) -> Result<()> {
        let holder = [self.lease.holder.clone()];
        let mut first = Ok(());
        for database in &self.subject.plan.databases {
            let removed = scratch::remove(self.deployment, database, &holder).await;
            first = first.and(removed.map(drop));
        }
        first
    }
}
