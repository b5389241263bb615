//! The query by which a dump takes some documents of a collection, and no others.

use std::fmt;

use bson::raw::CString;
use bson::{RawDocument, RawDocumentBuf};

use crate::extended_json::read_document;
use crate::{Error, ErrorKind, Result};

/// A filter, as `find` takes it. Its fields keep their order, and a name may stand twice. It is shown by nothing.
#[derive(Clone, PartialEq)]
pub struct Query(RawDocumentBuf);

impl Query {
    /// Reads Extended JSON v2: `{"at": {"$gt": {"$date": "2026-01-01T00:00:00Z"}}}`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it is none: names without double quotes, JavaScript, or no document. Nothing of it is
    /// repeated.
    pub fn parse(text: &str) -> Result<Self> {
        read_document(text).map(Self).map_err(|error| {
            // What stands before the place may repeat a value.
            let report = error.report();
            let place = report.rsplit_once(" at line ").map(|(_, at)| format!(" (line {at})")).unwrap_or_default();
            Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the query is no document of Extended JSON v2{place}: names and texts stand in double quotes, as in \
                     {{\"n\":{{\"$gt\":1}}}}"
                ),
            )
        })
    }

    /// What `find` is asked for; `None` where that is everything.
    pub(super) fn filter(&self) -> Option<RawDocumentBuf> {
        (!self.0.is_empty()).then(|| self.0.clone())
    }

    /// The same query for the buckets of a time series with these options, where the metadata lies under another name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it asks for anything else than the metadata.
    pub(super) fn of_buckets(&self, options: Option<&RawDocument>) -> Result<Option<RawDocumentBuf>> {
        let invalid = |message: &str| Err(Error::new(ErrorKind::InvalidInput, message));
        if self.0.is_empty() {
            return Ok(None);
        }
        let series = options.and_then(|options| options.get_document("timeseries").ok());
        let Some(meta) = series.and_then(|series| series.get_str("metaField").ok()) else {
            return invalid(
                "it is a time series without a field of metadata, and a query may ask for nothing else",
            );
        };
        let mut rewritten = RawDocumentBuf::new();
        for field in &self.0 {
            let Ok((name, value)) = field else { return invalid("the query cannot be read") };
            let rest =
                name.as_str().strip_prefix(meta).filter(|rest| rest.is_empty() || rest.starts_with('.'));
            let name = rest.and_then(|rest| CString::try_from(format!("meta{rest}")).ok());
            let Some(name) = name else {
                return invalid(&format!(
                    "it is a time series, of which a query may ask for the field of its metadata, {meta}, and nothing else"
                ));
            };
            rewritten.append(name, value);
        }
        Ok(Some(rewritten))
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn b31_a_query_is_strict_extended_json() {
        for text in [
            "",
            "{x:1}",
            "{'x':1}",
            "[]",
            "\"secret\"",
            "{\"x\":1",
            "{\"x\":1} x",
            "{\"x\":ObjectId(\"secret\")}",
            "{\"x\":{\"$oid\":\"secret\"}}",
        ] {
            let error = Query::parse(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let report = error.report();
            assert!(report.contains("Extended JSON v2") && !report.contains("secret"), "{report}");
        }
        let query =
            Query::parse(r#"{"b":{"$gt":1.5},"a":{"$date":{"$numberLong":"0"}},"b":{"$lt":5000000000}}"#);
        let mut expected = rawdoc! { "b": { "$gt": 1.5 }, "a": bson::DateTime::from_millis(0) };
        expected.append(bson::cstr!("b"), rawdoc! { "$lt": 5_000_000_000_i64 });
        let query = query.unwrap();
        assert_eq!(query.filter(), Some(expected));
        assert!(!format!("{query:?}").contains("gt"));
    }

    #[test]
    fn b31_a_query_for_the_metadata_of_a_time_series_is_one_for_meta() {
        let options = rawdoc! { "timeseries": { "timeField": "t", "metaField": "m" } };
        let asked = |text: &str| Query::parse(text).unwrap().of_buckets(Some(&options));
        assert_eq!(asked(r#"{"m":1,"m.a.b":2}"#).unwrap(), Some(rawdoc! { "meta": 1, "meta.a.b": 2 }));
        assert_eq!(asked("{}").unwrap(), None);
        for text in [r#"{"t":1}"#, r#"{"m":1,"v":2}"#, r#"{"mm":1}"#, r#"{"$or":[{"m":1}]}"#, r#"{"meta":1}"#]
        {
            assert_eq!(asked(text).unwrap_err().kind(), ErrorKind::InvalidInput, "{text}");
        }
        let bare = rawdoc! { "timeseries": { "timeField": "t" } };
        assert!(Query::parse(r#"{"m":1}"#).unwrap().of_buckets(Some(&bare)).is_err());
    }
}
