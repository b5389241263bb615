//! What becomes of every entry of the prelude: everything that can be checked is, before the first write.

use std::collections::{BTreeSet, HashMap};

use archive_format::{Namespace, Prelude, ServerVersion};

use super::existing::Existing;
use super::server::{Server, is_shared_tier};
use super::swap::{run_of, run_of_record};
use super::target::Target;
use super::users::Special;
use super::{RestoreOptions, users};
use crate::progress::Monitor;
use crate::{Deployment, Error, ErrorKind, Result, Scope};

/// What becomes of the entries of a prelude, by their position. Those that are not in it are left out.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) collections: HashMap<usize, Target>,
    pub(super) special: HashMap<usize, Special>,
    /// What the databases of the collections have already.
    pub(super) existing: Existing,
}

/// What is left out and has to be said.
#[derive(Debug, Default)]
struct LeftOut {
    oplog: bool,
    users_of_databases: u64,
    temporary: u64,
    odd_names: u64,
    hidden: u64,
    shared_tier: bool,
}

impl Plan {
    pub(super) async fn make(
        prelude: Prelude,
        options: &RestoreOptions,
        deployment: &Deployment,
        server: Server,
        monitor: &dyn Monitor,
    ) -> Result<Self> {
        let mut plan = Self::default();
        let mut left_out = LeftOut::default();
        warn_of_other_version(&prelude.server_version, server.version, monitor);
        let needs_admin = prelude
            .collections
            .iter()
            .any(|entry| entry.namespace.db() == "admin" && options.scope.covers(&entry.namespace));
        left_out.shared_tier = needs_admin && is_shared_tier(deployment).await?;
        let hidden = Hidden::of(&prelude);
        for (position, entry) in prelude.collections.into_iter().enumerate() {
            let namespace = entry.namespace.clone();
            if !options.scope.covers(&namespace) && !namespace.is_oplog() {
                continue;
            }
            if options.only.as_ref().is_some_and(|only| !is_among(only, &namespace)) {
                continue;
            }
            if hidden.has(&namespace) {
                left_out.hidden += 1;
            } else if let Some(special) = Special::of(&namespace) {
                if options.scope.covers_users() && options.prefix.is_empty() && !left_out.shared_tier {
                    plan.special.insert(position, special);
                }
            } else if !left_out.take(&namespace) {
                refuse_routing_tables(&namespace, &options.scope, server)?;
                let target = Target::new(entry, options, server).map_err(|error| error.at(&namespace))?;
                plan.collections.insert(position, target);
            }
        }
        left_out.tell(monitor);
        if plan.collections.is_empty() && plan.special.is_empty() && options.scope != Scope::Everything {
            monitor.warn(&format!("the archive holds nothing of {}: nothing is restored", options.scope));
        }
        Ok(plan)
    }

    /// The databases that collections go into.
    pub(super) fn databases(&self) -> BTreeSet<&str> {
        self.collections.values().map(|target| target.destination.db()).collect()
    }

    /// Decides what becomes of what is there already.
    pub(super) async fn look(&mut self, deployment: &Deployment) -> Result<()> {
        self.existing = Existing::list(deployment, self.databases()).await?;
        let positions: Vec<usize> = self.collections.keys().copied().collect();
        for position in positions {
            if let Some(target) = self.collections.remove(&position) {
                let namespace = target.destination.clone();
                let present = self.existing.get(namespace.db(), namespace.collection()).is_some();
                let target = target.over(present).map_err(|error| error.at(&namespace))?;
                self.collections.insert(position, target);
            }
        }
        Ok(())
    }
}

/// The hidden collections of restores that the archive has the records of, by database and number.
struct Hidden(BTreeSet<(String, String)>);

impl Hidden {
    fn of(prelude: &Prelude) -> Self {
        let records = prelude.collections.iter().filter_map(|entry| {
            let run = run_of_record(entry.namespace.collection())?;
            Some((entry.namespace.db().to_owned(), run.to_owned()))
        });
        Self(records.collect())
    }

    fn has(&self, namespace: &Namespace) -> bool {
        let run = run_of(namespace.collection());
        run.is_some_and(|run| self.0.contains(&(namespace.db().to_owned(), run.to_owned())))
    }
}

/// Whether a namespace is among these names, by its own or by that of its buckets.
fn is_among(names: &BTreeSet<String>, namespace: &Namespace) -> bool {
    [namespace.to_string(), namespace.buckets().to_string()].iter().any(|name| names.contains(name))
}

impl LeftOut {
    /// Whether this namespace is left out, whatever the scope.
    fn take(&mut self, namespace: &Namespace) -> bool {
        if namespace.is_oplog() {
            self.oplog = true;
        } else if namespace.is_special() {
            self.users_of_databases += 1;
        } else if users::is_temporary(namespace) {
            self.temporary += 1;
        } else if namespace.collection().contains('$') {
            self.odd_names += 1;
        } else {
            // The whole of `admin` is the provider's.
            return self.shared_tier && namespace.db() == "admin";
        }
        true
    }

    fn tell(&self, monitor: &dyn Monitor) {
        if self.oplog {
            monitor
                .warn("restored without its oplog: the collections are of the times at which each was read");
        }
        if self.shared_tier {
            monitor.warn("users, roles and the collections of admin are left out: a shared tier of Atlas has no such database");
        }
        if self.users_of_databases > 0 {
            monitor.note("users and roles of a single database ($admin.system.users) are left out");
        }
        if self.temporary > 0 {
            monitor.warn(
                "admin.tempusers and admin.temproles are left out: an earlier restore left them at the source, with \
                 credentials; drop them there",
            );
        }
        if self.hidden > 0 {
            monitor.warn(&format!(
                "{} hidden collections are left out: an earlier restore with --swap left them at the source",
                self.hidden
            ));
        }
        if self.odd_names > 0 {
            monitor.warn(&format!(
                "{} collections with $ in their name are left out: no server creates them",
                self.odd_names
            ));
        }
    }
}

/// `config` of a sharded cluster says where its data is: that of another cluster must not take its place by the way.
fn refuse_routing_tables(namespace: &Namespace, scope: &Scope, server: Server) -> Result<()> {
    if server.is_router() && namespace.db() == "config" && scope.db() != Some("config") {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "the archive holds the config database of a sharded cluster, and the target is one: restore single databases \
             with --db, or config alone by its name",
        )
        .at(namespace));
    }
    Ok(())
}

/// As mongorestore does, which supports the release that an archive was made from.
fn warn_of_other_version(source: &str, target: ServerVersion, monitor: &dyn Monitor) {
    let Ok(version) = source.parse::<ServerVersion>() else { return };
    if (version.major, version.minor) != (target.major, target.minor) {
        monitor.warn(&format!(
            "WARNING: This archive came from MongoDB `{source}`, but you are restoring to `{target}`: MongoDB supports the same \
             release only"
        ));
    }
}
