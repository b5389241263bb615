//! Which deployment of MongoDB a connection string leads to.

use bson::{Bson, Document, doc};
use crc_fast::CrcAlgorithm;
use mongodb::options::{ReadPreference, SelectionCriteria};

use crate::server_error::{code, driver_error};
use crate::{Deployment, Result};

/// The server's code for a command that it does not know: `hello` before 4.4.2.
const COMMAND_NOT_FOUND: i32 = 59;

/// Letters of a replica set's name that are part of a lease's key.
const MAX_SET_NAME: usize = 64;

/// The name of a deployment, the same for every connection string and every account that leads to it.
///
/// A replica set's is its name and its members, which each member tells everybody, logged in or not. Its own id
/// (`replicaSetId`) would be better, but only some accounts may ask for it, and two accounts of one deployment must come to
/// the same name. Routers and standalone servers tell no name: theirs are the hosts of the connection string.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Identity {
    set: Option<String>,
    hosts: Vec<String>,
}

impl Identity {
    /// Asks any member.
    pub(super) async fn ask(deployment: &Deployment) -> Result<Self> {
        let any = SelectionCriteria::ReadPreference(ReadPreference::Nearest { options: None });
        let mut told = deployment.command("admin", doc! { "hello": 1 }, Some(&any)).await;
        if told.as_ref().is_err_and(|error| code(error) == Some(COMMAND_NOT_FOUND)) {
            told = deployment.command("admin", doc! { "isMaster": 1 }, Some(&any)).await;
        }
        let told = told.map_err(|error| driver_error("the server does not tell what it is", &error))?;
        Ok(Self::of(&told, deployment.uri().hosts()))
    }

    /// From the answer to `hello`, and the connection string's hosts.
    fn of(told: &Document, hosts: &str) -> Self {
        let set = told.get_str("setName").ok().map(str::to_owned);
        let members = ["hosts", "passives"].into_iter().filter_map(|field| told.get_array(field).ok());
        let mut names: Vec<String> = match set {
            Some(_) => members.flatten().filter_map(Bson::as_str).map(str::to_lowercase).collect(),
            None => hosts.split(',').map(str::to_lowercase).collect(),
        };
        names.sort();
        names.dedup();
        Self { set, hosts: names }
    }

    /// The key of its lease.
    pub(super) fn lease_key(&self) -> String {
        let plain = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        let set = self.set.as_deref().unwrap_or_default();
        let readable: String = set.chars().filter(plain).take(MAX_SET_NAME).collect();
        let whole = format!("{set}\n{}", self.hosts.join("\n"));
        let sum = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, whole.as_bytes());
        let dash = if readable.is_empty() { "" } else { "-" };
        format!("locks/{readable}{dash}{sum:016x}.lease")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(told: &Document, hosts: &str) -> String {
        Identity::of(told, hosts).lease_key()
    }

    #[test]
    fn a_set_is_known_by_its_name_and_members_whatever_the_connection_string() {
        let told = doc! { "setName": "rs0", "hosts": ["b.example:27017", "A.example:27017"], "me": "b.example:27017" };
        let again =
            doc! { "setName": "rs0", "hosts": ["a.example:27017", "b.example:27017"], "passives": [] };
        let one = key(&told, "b.example:27017");
        assert_eq!(one, key(&again, "a.example,b.example"));
        assert!(one.starts_with("locks/rs0-"), "{one}");
        let other = doc! { "setName": "rs0", "hosts": ["c.example:27017"] };
        assert_ne!(one, key(&other, "b.example:27017"));
        let other = doc! { "setName": "rs1", "hosts": ["a.example:27017", "b.example:27017"] };
        assert_ne!(one, key(&other, "b.example:27017"));
    }

    #[test]
    fn a_router_is_known_by_the_hosts_of_the_connection_string() {
        let router = doc! { "msg": "isdbgrid" };
        assert_eq!(key(&router, "a:1,b:2"), key(&router, "B:2,A:1"));
        assert_ne!(key(&router, "a:1"), key(&router, "b:2"));
    }

    #[test]
    fn a_key_is_the_same_in_every_version() {
        let told = doc! { "setName": "r/s 0", "hosts": ["a.example:27017"] };
        assert_eq!(key(&told, ""), "locks/rs0-f600d5765eeb79b8.lease");
    }
}
