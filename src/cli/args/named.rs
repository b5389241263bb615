//! The servers that a connection string names, held against --host and --port.

use std::collections::BTreeSet;

use mongodb::options::ServerAddress;

use super::invalid;
use super::seeds::{Seeds, written};
use crate::{Error, MongoUri, Result};

/// What a connection string names.
#[derive(Debug)]
pub(super) struct Named {
    /// `None` for mongodb+srv, whose hosts only the DNS knows.
    hosts: Option<Vec<ServerAddress>>,
    set: Option<String>,
}

impl Named {
    pub(super) fn by(uri: &MongoUri) -> Self {
        let (hosts, set) = uri.seeds();
        Self { hosts, set }
    }

    pub(super) fn agrees(&self, seeds: &Seeds, origin: &str) -> Result<()> {
        let Some(hosts) = &self.hosts else { return Err(by_dns(origin)) };
        let plain = |hosts: &[ServerAddress]| hosts.iter().map(written).collect::<BTreeSet<_>>();
        if plain(hosts) != plain(&seeds.hosts) {
            return Err(name_different("hosts", "--host", origin));
        }
        if seeds.set.is_some() && seeds.set != self.set {
            return Err(name_different("replica sets", "--host", origin));
        }
        Ok(())
    }

    pub(super) fn has_port(&self, port: u16, origin: &str) -> Result<()> {
        let Some(hosts) = &self.hosts else { return Err(by_dns(origin)) };
        if !hosts.iter().all(|host| written(host).ends_with(&format!(":{port}"))) {
            return Err(name_different("ports", "--port", origin));
        }
        Ok(())
    }
}

fn name_different(what: &str, option: &str, origin: &str) -> Error {
    invalid(&format!("{option} and {origin} name different {what}: give one of them"))
}

fn by_dns(origin: &str) -> Error {
    invalid(&format!(
        "the hosts of a mongodb+srv connection string come from the DNS: give {origin} without --host and --port"
    ))
}
