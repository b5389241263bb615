//! What is particular to the writes into one collection.

use bson::{RawDocumentBuf, cstr, rawdoc};

use super::WriteConcern;
use super::server::Server;

/// What a collection's documents need besides its name.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own, and any may go with any")]
pub(super) struct Rules {
    /// One after the other, in the order of the archive: the order of a capped collection is its documents' age.
    pub(super) ordered: bool,
    /// Whether the first that is refused, for whatever reason, is the last.
    pub(super) stops: bool,
    /// Whether every byte of a document is looked at before it is sent.
    pub(super) checks: bool,
    /// Whether this restore has created the collection: what is refused as a duplicate is in the archive twice.
    pub(super) created: bool,
    /// Whether the collection's validator is not asked.
    pub(super) bypass_validation: bool,
    /// Whether the documents are buckets of a time series.
    pub(super) buckets: bool,
}

impl Rules {
    /// What every write says besides its documents.
    pub(super) fn options(
        self,
        server: Server,
        concern: &WriteConcern,
        number: Option<i64>,
    ) -> RawDocumentBuf {
        let mut options = rawdoc! { "ordered": self.ordered };
        options.append(cstr!("writeConcern"), concern.document().clone());
        if let Some(number) = number {
            options.append(cstr!("txnNumber"), number);
        }
        if self.bypass_validation {
            options.append(cstr!("bypassDocumentValidation"), true);
        }
        if server.keeps_empty_timestamps() {
            options.append(cstr!("bypassEmptyTsReplacement"), true);
        }
        if server.has_viewless_timeseries() {
            options.append(cstr!("rawData"), true);
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b58_b61_newer_servers_are_told_to_take_documents_as_they_are() {
        let rules = Rules { ordered: true, bypass_validation: true, ..Rules::default() };
        for (version, timestamps, raw) in [
            ((4, 4, 0), false, false),
            ((7, 0, 13), true, false),
            ((8, 2, 0), true, false),
            ((9, 0, 0), true, true),
        ] {
            let options = rules.options(Server::for_test(version), &WriteConcern::default(), Some(7));
            let mut expected = rawdoc! {
                "ordered": true, "writeConcern": { "w": "majority" }, "txnNumber": 7_i64,
                "bypassDocumentValidation": true,
            };
            if timestamps {
                expected.append(cstr!("bypassEmptyTsReplacement"), true);
            }
            if raw {
                expected.append(cstr!("rawData"), true);
            }
            assert_eq!(options, expected, "{version:?}");
        }
    }
}
