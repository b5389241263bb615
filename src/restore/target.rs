//! What has to be made of one collection of the archive.

use archive_format::{CollectionMetadata, Namespace, ServerVersion};

use super::RestoreOptions;
use super::metadata::{Making, Metadata};
use super::server::Server;
use crate::{Error, ErrorKind, Result};

/// One collection of the archive and where it goes. Its options and indexes have been read once and are kept as text: for
/// many collections, read they are several times as large.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the collection")]
#[derive(Debug)]
pub(super) struct Target {
    /// The logical name in the archive: the time series, not its buckets.
    pub(super) source: Namespace,
    /// The logical name on the server.
    pub(super) destination: Namespace,
    /// Where it is made.
    pub(super) place: Place,
    entry: CollectionMetadata,
    timeseries: bool,
    making: Making,
    /// Whether the collection was there when the restore began.
    pub(super) present: bool,
    /// Whether what is there goes.
    pub(super) drops: bool,
}

/// Where a collection is made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Under its own name.
    Named,
    /// Under another until all is there.
    Hidden(Namespace),
}

impl Target {
    /// Reads the entry's metadata and looks whether this server can have such a collection.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] for metadata that cannot be read, [`ErrorKind::Server`] for what this server does not have.
    pub(super) fn new(entry: CollectionMetadata, options: &RestoreOptions, server: Server) -> Result<Self> {
        let metadata = Metadata::read(&entry)?;
        let timeseries = metadata.is_timeseries(entry.kind);
        if timeseries && !server.is_from(5, 0) {
            return Err(unknown("time series", "5.0", server.version));
        }
        if metadata.is_clustered() && !server.is_from(5, 3) {
            return Err(unknown("clustered collections", "5.3", server.version));
        }
        if timeseries && options.writes.without_options {
            let message =
                "a time series cannot be made without its options: restore it without --noOptionsRestore";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        if options.writes.preserve_uuid {
            metadata.uuid()?;
        }
        if server.is_from(4, 9)
            && !options.indexes.none
            && metadata.index_kinds().any(|kind| kind == "geoHaystack")
        {
            return Err(Error::new(
                ErrorKind::Server,
                format!(
                    "it has a geoHaystack index, which MongoDB {} no longer has: restore into 4.4, leave all indexes out \
                     with --noIndexRestore, or drop the index at the source and dump again",
                    server.version
                ),
            ));
        }
        let source = entry.namespace.clone();
        let mut destination = options.filter.destination(&source)?;
        if !options.prefix.is_empty() {
            let db = format!("{}{}", options.prefix, destination.db());
            destination = Namespace::new(&db, destination.collection()).map_err(Error::invalid_name)?;
        }
        Ok(Self {
            drops: options.drop && !destination.collection().starts_with("system."),
            source,
            destination,
            place: Place::Named,
            entry,
            timeseries,
            making: Making::of(options),
            present: false,
        })
    }

    /// Decides what happens to a collection that is `present` already, or of which there are `buckets` and no more.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] for a time series: its buckets cannot be merged with others.
    pub(super) fn over(mut self, present: bool, buckets: bool) -> Result<Self> {
        self.present = present;
        if !present && buckets && self.timeseries {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "buckets of a time series of this name exist without the time series; drop {} first",
                    self.destination.buckets()
                ),
            ));
        }
        if self.keeps() && self.timeseries {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "this time series exists already and its buckets cannot be merged; restore with --drop, or drop it first",
            ));
        }
        Ok(self)
    }

    /// Whether what is there stays.
    pub(super) fn keeps(&self) -> bool {
        self.present && !self.drops
    }

    /// Whether what is there is dropped before it is made.
    pub(super) fn replaces(&self) -> bool {
        self.present && self.drops && self.place == Place::Named
    }

    /// The name under which it is made.
    pub(super) fn made_at(&self) -> &Namespace {
        match &self.place {
            Place::Named => &self.destination,
            Place::Hidden(hidden) => hidden,
        }
    }

    pub(super) fn is_timeseries(&self) -> bool {
        self.timeseries
    }

    /// Options and indexes.
    pub(super) fn metadata(&self) -> Result<Metadata> {
        Ok(Metadata::read(&self.entry)?.made(self.making))
    }

    /// Where the documents go: for a time series, its buckets.
    pub(super) fn data(&self, server: Server) -> Namespace {
        if self.timeseries && !server.has_viewless_timeseries() {
            return self.destination.buckets();
        }
        self.made_at().clone()
    }
}

fn unknown(what: &str, since: &str, version: ServerVersion) -> Error {
    Error::new(
        ErrorKind::Server,
        format!(
            "MongoDB {version} has no {what}; restore into {since} or later, or a part of the archive with --db"
        ),
    )
}
