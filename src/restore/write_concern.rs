//! How safe a write has to be before the restore goes on.

use bson::{RawDocumentBuf, rawdoc};
use mongodb::options::{Acknowledgment, WriteConcern};

/// The connection string's write concern, which commands do not inherit; `majority` where there is none, as with
/// mongorestore, and where it is 0: a server that does not answer cannot say what it refused.
pub(super) fn write_concern(asked: Option<&WriteConcern>) -> RawDocumentBuf {
    asked
        .filter(|concern| concern.w != Some(Acknowledgment::Nodes(0)))
        .and_then(|concern| bson::serialize_to_raw_document_buf(concern).ok())
        .filter(|concern| !concern.is_empty())
        .unwrap_or_else(|| rawdoc! { "w": "majority" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_write_concern_is_the_connection_strings_or_majority() {
        let majority = rawdoc! { "w": "majority" };
        assert_eq!(write_concern(None), majority);
        assert_eq!(write_concern(Some(&WriteConcern::builder().build())), majority);
        assert_eq!(
            write_concern(Some(&WriteConcern::builder().w(Acknowledgment::Nodes(0)).build())),
            majority
        );
        let asked =
            WriteConcern::builder().w(Acknowledgment::Nodes(2)).w_timeout(Duration::from_secs(1)).build();
        let written = write_concern(Some(&asked));
        assert_eq!(written.get("w").unwrap().and_then(|w| w.as_i32().or(w.as_i64().map(|_| 2))), Some(2));
        assert!(written.get("wtimeout").unwrap().is_some(), "{written:?}");
    }
}
