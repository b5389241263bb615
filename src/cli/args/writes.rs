//! How `mongoark restore` writes.
#![allow(clippy::doc_markdown, reason = "these comments are printed as the help text")]

use std::num::NonZeroUsize;

use super::invalid;
use crate::Result;
use crate::restore::{IndexOptions, WriteConcern, WriteOptions};

#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Writes {
    /// How safe a write has to be before the restore goes on: a number of members, a mode, or a document as in
    /// '{w: 3, j: true, wtimeout: 500}'. Goes before the connection string's; majority without either.
    #[arg(long = "writeConcern", value_name = "CONCERN", allow_hyphen_values = true)]
    write_concern: Option<String>,

    /// Build no index but the one on _id.
    #[arg(long = "noIndexRestore")]
    no_index_restore: bool,

    /// Create collections without their options. Time series cannot be.
    #[arg(long = "noOptionsRestore")]
    no_options_restore: bool,

    /// Keep the version of each index, which otherwise is the server's own.
    #[arg(long = "keepIndexVersion")]
    keep_index_version: bool,

    /// Put index keys right that servers before 3.4 took: true, 0 and '' become 1.
    #[arg(long = "convertLegacyIndexes")]
    convert_legacy_indexes: bool,

    /// Build hashed indexes on fields of nested documents (a.b) as ascending ones.
    #[arg(long = "fixDottedHashIndex")]
    fix_dotted_hash_index: bool,

    /// Insert the documents of each collection in the order of the archive, and stop at the first that is refused.
    #[arg(long = "maintainInsertionOrder")]
    maintain_insertion_order: bool,

    /// Collections that are created, dropped or indexed at once. The archive says how many are filled at once.
    #[arg(
        long = "numParallelCollections",
        short = 'j',
        value_name = "NUMBER",
        default_value_t = 4,
        allow_negative_numbers = true
    )]
    num_parallel_collections: i64,

    /// Insert commands in flight for one collection [default: 4, and 1 with --stopOnError].
    #[arg(long = "numInsertionWorkersPerCollection", value_name = "NUMBER", allow_negative_numbers = true)]
    num_insertion_workers: Option<i64>,

    /// Stop at the first document that is refused, as a duplicate or by a validator, too. A few that follow may be inserted.
    #[arg(long = "stopOnError")]
    stop_on_error: bool,

    /// Exit with 1 when everything is restored but documents that were refused.
    #[arg(long)]
    strict: bool,

    /// Do not ask validators; buckets of time series have none.
    #[arg(long = "bypassDocumentValidation")]
    pub(super) bypass_document_validation: bool,

    /// Give collections the UUIDs that they had. Needs --drop and the right to applyOps.
    #[arg(long = "preserveUUID")]
    preserve_uuid: bool,

    /// Look at every byte of every document before it is inserted.
    #[arg(long)]
    objcheck: bool,

    /// Documents in one insert command at most.
    #[arg(long = "batchSize", value_name = "NUMBER", hide = true, allow_negative_numbers = true)]
    batch_size: Option<i64>,
}

impl Writes {
    pub(super) fn indexes(&self) -> IndexOptions {
        IndexOptions {
            none: self.no_index_restore,
            keep_version: self.keep_index_version,
            convert_legacy: self.convert_legacy_indexes,
            fix_dotted_hash: self.fix_dotted_hash_index,
        }
    }

    pub(super) fn writes(&self) -> Result<WriteOptions> {
        let concern = self.write_concern.as_deref().filter(|text| !text.is_empty());
        let concern = concern.map(str::parse::<WriteConcern>).transpose();
        let workers = match self.num_insertion_workers {
            Some(number) if number < 1 => {
                return Err(invalid("--numInsertionWorkersPerCollection has to be at least 1"));
            }
            asked => asked.and_then(bounded),
        };
        Ok(WriteOptions {
            concern: concern.map_err(|error| error.at("--writeConcern"))?,
            ordered: self.maintain_insertion_order,
            stop_on_error: self.stop_on_error,
            strict: self.strict,
            check_documents: self.objcheck,
            preserve_uuid: self.preserve_uuid,
            without_options: self.no_options_restore,
            // Numbers below 1 mean the archive's own to mongorestore, which is hardly ever another than its default.
            parallel_collections: bounded(self.num_parallel_collections).map_or(0, NonZeroUsize::get),
            workers,
            batch_documents: self.batch_size.and_then(|size| bounded(size.max(1))),
        })
    }
}

/// `None` for what is no number of anything.
fn bounded(number: i64) -> Option<NonZeroUsize> {
    usize::try_from(number).ok().and_then(NonZeroUsize::new)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::ErrorKind;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        writes: Writes,
    }

    fn read(arguments: &[&str]) -> Writes {
        Only::try_parse_from(["x"].iter().chain(arguments)).unwrap_or_else(|error| panic!("{error}")).writes
    }

    #[test]
    fn b60_a_write_concern_that_cannot_be_used_is_refused_before_a_server_is_asked() {
        for text in ["{w: ", "{w: -1}", "-1", "{w: 0, j: true}"] {
            let error = read(&["--writeConcern", text]).writes().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            assert!(error.report().contains("--writeConcern"), "{}", error.report());
        }
        let concern = |text| read(&["--writeConcern", text]).writes().unwrap().concern;
        assert!(concern("").is_none(), "as without it");
        assert_eq!(
            concern("{w: 3, wtimeout: 500, fsync: true, j: true}"),
            concern("{j:1,wtimeout:500,w:'3'}")
        );
    }

    #[test]
    fn w34_numbers_of_collections_and_workers_have_bounds() {
        for (arguments, collections) in [(&["-j", "0"][..], 0), (&["-j", "-3"], 0), (&["-j9"], 9), (&[], 4)] {
            assert_eq!(read(arguments).writes().unwrap().parallel_collections, collections, "{arguments:?}");
        }
        for number in ["0", "-1"] {
            let writes = read(&["--numInsertionWorkersPerCollection", number]).writes();
            assert!(writes.unwrap_err().to_string().contains("at least 1"), "{number}");
        }
        assert_eq!(
            read(&["--numInsertionWorkersPerCollection=3"]).writes().unwrap().workers,
            NonZeroUsize::new(3)
        );
        assert_eq!(read(&["--batchSize", "0"]).writes().unwrap().batch_documents, NonZeroUsize::new(1));
    }

    #[test]
    fn every_flag_reaches_its_option() {
        let plain = read(&[]);
        assert!(!plain.bypass_document_validation && !plain.indexes().none);
        let all = read(&[
            "--noIndexRestore",
            "--keepIndexVersion",
            "--convertLegacyIndexes",
            "--fixDottedHashIndex",
            "--maintainInsertionOrder",
            "--stopOnError",
            "--strict",
            "--objcheck",
            "--preserveUUID",
            "--noOptionsRestore",
            "--bypassDocumentValidation",
        ]);
        let (indexes, writes) = (all.indexes(), all.writes().unwrap());
        assert!(indexes.none && indexes.keep_version && indexes.convert_legacy && indexes.fix_dotted_hash);
        assert!(writes.ordered && writes.stop_on_error && writes.strict && writes.check_documents);
        assert!(writes.preserve_uuid && writes.without_options && all.bypass_document_validation);
    }
}
