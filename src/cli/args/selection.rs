//! Which collections and documents `mongoark dump` takes, and from which member.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::path::{Path, PathBuf};

use super::invalid;
use super::read_preference::read_preference;
use crate::dump::{Query, Selection};
use crate::{ErrorKind, MongoUri, Result, Scope};

#[derive(clap::Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct Choice {
    /// Dump only documents of --collection that match this filter, in Extended JSON v2: '{"n":{"$gt":1}}'. Of a time series, the
    /// field of its metadata can be asked for.
    #[arg(short, long, value_name = "JSON")]
    query: Option<String>,

    /// As --query, from a file.
    #[arg(long = "queryFile", value_name = "FILE")]
    query_file: Option<PathBuf>,

    /// Leave out this collection of --db, by its exact name; may be given several times.
    #[arg(long = "excludeCollection", value_name = "NAME", action = clap::ArgAction::Append)]
    exclude_collection: Vec<String>,

    /// Leave out the collections of --db whose names begin so; may be given several times.
    #[arg(long = "excludeCollectionsWithPrefix", value_name = "PREFIX", action = clap::ArgAction::Append)]
    exclude_collections_with_prefix: Vec<String>,

    /// Dump the documents that views show, as collections, and nothing but views.
    #[arg(long = "viewsAsCollections")]
    views_as_collections: bool,

    /// Dump users and roles of --db with it.
    #[arg(long = "dumpDbUsersAndRoles")]
    dump_db_users_and_roles: bool,

    /// Take a --collection that does not exist for a success, as mongodump does. No file is made or touched either way.
    #[arg(long = "allowMissing")]
    pub(super) allow_missing: bool,

    /// The members that may be read from: primary, primaryPreferred, secondary, secondaryPreferred, nearest, or JSON like
    /// {mode: "secondary", tagSets: [{dc: "east"}], maxStalenessSeconds: 120}. The connection string's goes before it.
    #[arg(long = "readPreference", value_name = "MODE|JSON")]
    read_preference: Option<String>,

    /// Has no effect: what is dumped whole is always read as it lies.
    #[arg(long = "forceTableScan")]
    force_table_scan: bool,
}

impl Choice {
    /// What is taken of the scope; the connection string learns which members are read.
    pub(super) fn check(self, uri: &mut MongoUri, scope: &Scope) -> Result<Selection> {
        // An empty one is none, as with mongodump.
        let query = self.query.filter(|query| !query.is_empty());
        let file = self.query_file.filter(|file| !file.as_os_str().is_empty());
        let is_asked = query.is_some();
        let query = match (query, file) {
            (Some(_), Some(_)) => {
                return Err(invalid("--query and --queryFile are two queries: give one of them"));
            }
            (Some(_), None) if self.force_table_scan => {
                return Err(invalid(
                    "--forceTableScan does not go together with --query: leave it out, it has no effect",
                ));
            }
            (Some(text), None) => Some(text),
            (None, Some(file)) => Some(text_of(&file)?),
            (None, None) => None,
        };
        let origin = if is_asked { "--query" } else { "--queryFile" };
        let selection = Selection {
            excluded: self.exclude_collection,
            excluded_prefixes: self.exclude_collections_with_prefix,
            query: query.map(|text| Query::parse(&text).map_err(|error| error.at(origin))).transpose()?,
            views_as_collections: self.views_as_collections,
            users_of_database: self.dump_db_users_and_roles,
        };
        selection.check(scope)?;
        if let Some(text) = self.read_preference.filter(|text| !text.is_empty()) {
            uri.prefer(read_preference(&text).map_err(|error| error.at("--readPreference"))?);
        }
        Ok(selection)
    }
}

fn text_of(file: &Path) -> Result<String> {
    let place = || format!("--queryFile {}", file.display());
    let bytes = std::fs::read(file).map_err(|error| {
        crate::Error::new(ErrorKind::InvalidInput, "the file cannot be read").at(place()).with_source(error)
    })?;
    String::from_utf8(bytes).map_err(|_| invalid("the file is not valid UTF-8").at(place()))
}
