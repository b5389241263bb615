//! What becomes of every entry of the prelude: everything that can be checked is, before the first write.

use std::collections::{BTreeSet, HashMap};

use archive_format::{Namespace, Prelude, ServerVersion};

use super::existing::Existing;
use super::server::{Server, is_shared_tier};
use super::swap::{run_of, run_of_record};
use super::target::Target;
use super::users::Special;
use super::{RestoreOptions, conflicts, users};
use crate::progress::Monitor;
use crate::{Deployment, Error, ErrorKind, Result, Scope};

/// What becomes of the entries of a prelude, by their position. Those that are not in it are left out.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) collections: HashMap<usize, Target>,
    pub(super) special: HashMap<usize, Special>,
    /// The oplog, if it is to be replayed.
    pub(super) oplog: Option<usize>,
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
    /// `system.profile` and `system.indexes`.
    of_the_server: u64,
    /// Users and roles whose collections were to be renamed.
    renamed_accounts: bool,
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
        let takes = |namespace: &Namespace| options.filter.takes(&options.scope, namespace);
        let needs_admin = options.accounts.of_database
            || prelude
                .collections
                .iter()
                .any(|entry| entry.namespace.db() == "admin" && takes(&entry.namespace));
        left_out.shared_tier = needs_admin && is_shared_tier(deployment).await?;
        if left_out.shared_tier && (options.accounts.of_database || options.scope.db() == Some("admin")) {
            let message = "cannot restore to the admin database when connected to a shared tier of Atlas, which has none: \
                           restore without --db=admin and --restoreDbUsersAndRoles";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let hidden = Hidden::of(&prelude);
        let has_accounts = prelude.collections.iter().any(|entry| {
            takes(&entry.namespace)
                && matches!(special(&entry.namespace, options), Some(Special::Users | Special::Roles))
        });
        for (position, entry) in prelude.collections.into_iter().enumerate() {
            let namespace = entry.namespace.clone();
            let special = special(&namespace, options).filter(|_| !left_out.shared_tier);
            // The schema of users and roles that are restored is read, whatever is included: it is never written.
            let is_read = special == Some(Special::Version) && has_accounts;
            if !takes(&namespace) && !namespace.is_oplog() && !is_read {
                continue;
            }
            if options.only.as_ref().is_some_and(|only| !is_among(only, &namespace)) {
                continue;
            }
            if namespace.is_oplog() && options.oplog.is_asked_for() {
                plan.oplog = Some(position);
            } else if hidden.has(&namespace) {
                left_out.hidden += 1;
            } else if let Some(special) = special {
                if special == Special::Version || !is_renamed(&namespace, options)? {
                    plan.special.insert(position, special);
                } else {
                    left_out.renamed_accounts = true;
                }
            } else if !left_out.take(&namespace) {
                let target = Target::new(entry, options, server).map_err(|error| error.at(&namespace))?;
                refuse_destination(&target, &options.scope, server).map_err(|error| error.at(&namespace))?;
                plan.collections.insert(position, target);
            }
        }
        if plan.oplog.is_none() && options.oplog.is_asked_for() {
            let message = "no oplog file to replay; make sure you run mongodump with --oplog";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        plan.refuse_lack_of_accounts(options)?;
        let pairs = plan.collections.values().map(|target| (&target.source, &target.destination));
        conflicts::refuse(pairs, monitor)?;
        left_out.tell(monitor);
        if plan.collections.is_empty() && plan.special.values().all(|special| *special == Special::Version) {
            if !options.filter.is_empty() {
                monitor.warn(
                    "the archive holds nothing of what is included and not excluded: nothing is restored",
                );
            } else if options.scope != Scope::Everything {
                monitor.warn(&format!("the archive holds nothing of {}: nothing is restored", options.scope));
            }
        }
        Ok(plan)
    }

    fn refuse_lack_of_accounts(&self, options: &RestoreOptions) -> Result<()> {
        let are_some = self.special.values().any(|special| *special != Special::Version);
        if !options.accounts.of_database || are_some {
            return Ok(());
        }
        let message = "no users or roles found in restore target: omit --restoreDbUsersAndRoles, or use an archive of this \
                       database created with --dumpDbUsersAndRoles";
        Err(Error::new(ErrorKind::InvalidInput, message).at(&options.scope))
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
                let is_there = |name: &Namespace| self.existing.get(name.db(), name.collection()).is_some();
                let (present, buckets) = (is_there(&namespace), is_there(&namespace.buckets()));
                let target = target.over(present, buckets).map_err(|error| error.at(&namespace))?;
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

/// What a namespace is of the users and roles that may be restored, if it is.
fn special(namespace: &Namespace, options: &RestoreOptions) -> Option<Special> {
    if !options.prefix.is_empty() {
        return None;
    }
    match options.scope.db() {
        None | Some("admin") => Special::of(namespace, None),
        Some(database) if options.accounts.of_database => Special::of(namespace, Some(database)),
        Some(_) => None,
    }
}

/// Whether users or roles would get another name, which they cannot have.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for those of a database that were asked for.
fn is_renamed(namespace: &Namespace, options: &RestoreOptions) -> Result<bool> {
    let is_renamed = options.filter.destination(namespace)? != *namespace;
    if is_renamed && options.accounts.of_database {
        let message = "--restoreDbUsersAndRoles restores users and roles of the database that they were made in, and the \
                       database is renamed: restore without it";
        return Err(Error::new(ErrorKind::InvalidInput, message).at(namespace));
    }
    Ok(is_renamed)
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
            self.users_of_databases += u64::from(namespace.db() != "admin");
        } else if users::is_temporary(namespace) {
            self.temporary += 1;
        } else if matches!(namespace.collection(), "system.profile" | "system.indexes") {
            self.of_the_server += 1;
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
        if self.renamed_accounts {
            monitor.warn("users and roles are left out: their collections cannot be renamed");
        }
        if self.of_the_server > 0 {
            monitor.note("system.profile and system.indexes are left out: they are the server's own");
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

/// `config` of a sharded cluster says where its data is: that of another cluster must not take its place by the way. And what
/// is no user takes no place among them.
fn refuse_destination(target: &Target, scope: &Scope, server: Server) -> Result<()> {
    let message = if server.is_router() && target.destination.db() == "config" && scope.db() != Some("config")
    {
        "the archive holds the config database of a sharded cluster, and the target is one: restore single databases with --db, \
         or config alone by its name, or leave it out with --nsExclude=config.*"
    } else if target.source != target.destination && target.destination.is_special() {
        "a collection cannot be renamed into one of users, roles or their schema"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidInput, message))
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
