//! What the archive says of users and roles.

use std::collections::BTreeSet;

use archive_format::{Documents, ServerVersion};
use bson::RawDocument;
use bytes::Bytes;

use super::schema;
use super::special::Special;
use crate::{Error, ErrorKind, Result};

/// Bytes of users and roles that are kept in memory: about fifty thousand users with SCRAM credentials of both kinds.
const MAX_SIZE: usize = 64 * 1024 * 1024;

/// Users and roles until they are merged.
#[derive(Debug)]
pub(in crate::restore) struct Gathered {
    /// Of the archive; `None` until it is read.
    schema: Option<i64>,
    server_schema: i64,
    /// Of this database alone.
    pub(super) database: Option<String>,
    pub(super) users: Credentials,
    pub(super) roles: Credentials,
    /// Documents of `system.version`.
    pub(in crate::restore) versions: u64,
    size: usize,
}

/// The documents of one of the two collections.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// Whether the archive has the collection, if only an empty one.
    pub(super) present: bool,
    pub(super) documents: u64,
    pub(super) chunks: Vec<Bytes>,
}

impl Gathered {
    /// Of an archive that holds these special namespaces, made from a server of this version.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] for users of a schema that the server does not take, where that is known without reading on.
    pub(super) fn new(
        special: &[Special],
        server_version: &str,
        server_schema: i64,
        database: Option<&str>,
    ) -> Result<Self> {
        // From 8.1 on the schema document may be missing and is the newest one.
        let newest = ServerVersion { major: 8, minor: 1, patch: 0 };
        let is_newest = server_version.parse::<ServerVersion>().is_ok_and(|version| version >= newest);
        let of =
            |wanted: Special| Credentials { present: special.contains(&wanted), ..Credentials::default() };
        let schema = match database {
            _ if is_newest => Some(schema::SCRAM),
            _ if special.contains(&Special::Version) => None,
            Some(_) => Some(schema::MIXED),
            None => Some(schema::OLDEST),
        };
        let gathered = Self {
            schema,
            server_schema,
            database: database.map(ToOwned::to_owned),
            users: of(Special::Users),
            roles: of(Special::Roles),
            versions: 0,
            size: 0,
        };
        gathered.check()?;
        Ok(gathered)
    }

    /// How many users there are.
    pub(in crate::restore) fn users(&self) -> u64 {
        self.users.documents
    }

    /// How many roles there are.
    pub(in crate::restore) fn roles(&self) -> u64 {
        self.roles.documents
    }

    pub(super) fn are_none(&self) -> bool {
        !self.users.present && !self.roles.present
    }

    /// Takes documents of one special namespace.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] for users of a schema that the server does not take, or too many.
    pub(in crate::restore) fn take(&mut self, special: Special, documents: &Documents) -> Result<()> {
        let credentials = match special {
            Special::Version => {
                self.versions += documents.count();
                self.schema = documents.iter().filter_map(schema::of_document).last().or(self.schema);
                return self.check();
            }
            Special::Users => &mut self.users,
            Special::Roles => &mut self.roles,
        };
        self.size += documents.bytes().len();
        if self.size > MAX_SIZE {
            let message = format!(
                "the archive holds more than {} MiB of users and roles, which are kept in memory: restore the databases one \
                 by one with --db, and make the users anew",
                MAX_SIZE / (1024 * 1024)
            );
            return Err(Error::new(ErrorKind::Archive, message).at(documents.namespace()));
        }
        credentials.documents += documents.count();
        // A copy: the chunk of the archive would be kept whole.
        credentials.chunks.push(Bytes::copy_from_slice(documents.bytes()));
        Ok(())
    }

    /// One special namespace has ended, and its checksum was right.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] where it does not say the schema of the users.
    pub(in crate::restore) fn end(&self, special: Special) -> Result<()> {
        if special == Special::Version && self.schema.is_none() && !self.are_none() {
            let message = "system.version does not have the authSchema document, and without the schema of its users and \
                           roles they cannot be restored: restore without them (--nsExclude=admin.system.*)";
            return Err(Error::new(ErrorKind::Archive, message).at(special.name()));
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        match self.schema {
            Some(archive) if !self.are_none() => schema::check(archive, self.server_schema),
            _ => Ok(()),
        }
    }
}

impl Credentials {
    /// Every document.
    pub(super) fn documents(&self) -> impl Iterator<Item = (&Bytes, std::ops::Range<usize>)> {
        self.chunks.iter().flat_map(|chunk| {
            let mut begin = 0;
            std::iter::from_fn(move || {
                let range = begin..begin + length_at(chunk, begin)?;
                begin = range.end;
                Some((chunk, range))
            })
        })
    }

    /// What they are called: `database.name`.
    pub(super) fn ids(&self) -> BTreeSet<&str> {
        let documents = self.documents().filter_map(|(chunk, range)| chunk.get(range));
        documents.filter_map(|document| RawDocument::from_bytes(document).ok()?.get_str("_id").ok()).collect()
    }
}

fn length_at(chunk: &Bytes, begin: usize) -> Option<usize> {
    let prefix = chunk.get(begin..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*prefix)).ok()
}
