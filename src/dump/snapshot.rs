//! Whether a dump reads everything at one moment.

use std::fmt;

use bson::{DateTime, Timestamp};

use crate::{Error, ErrorKind, Result};

/// Names in a sentence about what is apart.
const NAMES_TOLD: usize = 5;

/// Whether all collections are read at one cluster time, with the server's snapshot reads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum SnapshotMode {
    /// Where the deployment can; the report says so where it cannot.
    #[default]
    Auto,
    /// A dump that is not of one moment, whole, fails.
    Required,
    /// Every collection at the time at which it is read.
    Off,
}

/// The moments at which what is in an archive was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The cluster time of everything in the archive but for what is `apart`; `None` where each collection is of its own time.
    pub at: Option<Timestamp>,
    /// What was read at other moments although the rest is of one, by name: capped collections, for one.
    pub apart: Vec<String>,
    /// Why there is no such time, in a sentence; `None` where there is, or none was wanted.
    pub reason: Option<String>,
    /// The cluster time of everything in the archive once its oplog is replayed; `None` where it holds none.
    pub replayed: Option<Timestamp>,
}

impl Snapshot {
    /// # Errors
    /// Not everything is of one moment.
    pub(super) fn require(&self) -> Result<()> {
        if self.at.is_none() {
            let reason = self.reason.clone().unwrap_or_default();
            let message = "a snapshot is required, and there is none; nothing was dumped (--snapshot auto dumps without)";
            return Err(Error::new(ErrorKind::Server, message).with_source(reason));
        }
        if self.apart.is_empty() {
            return Ok(());
        }
        let message = format!(
            "a snapshot is required, and the server does not show these as they were at one moment (capped collections, its \
             own): {}; nothing was dumped (--snapshot auto reads them as they are)",
            self.apart_by_name()
        );
        Err(Error::new(ErrorKind::Server, message))
    }

    /// What is kept beside an object of it. When an oplog ends is not known before the object has begun.
    pub(super) fn labels(&self, with_oplog: bool) -> [(&'static str, String); 2] {
        let (time, kind) = match self.at {
            Some(at) if self.apart.is_empty() => (written(at), "whole"),
            Some(at) => (written(at), "apart"),
            None if with_oplog => ("none".to_owned(), "oplog"),
            None => ("none".to_owned(), "none"),
        };
        [("mongoark-cluster-time", time), ("mongoark-snapshot", kind.to_owned())]
    }

    fn apart_by_name(&self) -> String {
        let more = self.apart.len().saturating_sub(NAMES_TOLD);
        let told = self.apart.iter().take(NAMES_TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
        if more == 0 { told } else { format!("{told} and {more} more") }
    }
}

/// What was of one moment, or why nothing was, as a sentence.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(end) = self.replayed {
            write!(
                f,
                "once its oplog is replayed, everything is of one moment, cluster time {} ({})",
                date(end),
                written(end)
            )?;
            return match &self.reason {
                Some(reason) => write!(f, "; as it is, it is not: {reason}"),
                None => Ok(()),
            };
        }
        let Some(at) = self.at else {
            return match &self.reason {
                Some(reason) => write!(f, "collections are of different moments: {reason}"),
                None => f.write_str("collections are of different moments"),
            };
        };
        let everything = if self.apart.is_empty() { "everything" } else { "everything else" };
        if !self.apart.is_empty() {
            write!(f, "read as they were at other moments: {}; ", self.apart_by_name())?;
        }
        write!(f, "{everything} is of one moment, cluster time {} ({})", date(at), written(at))
    }
}

fn date(at: Timestamp) -> String {
    DateTime::from_millis(i64::from(at.time) * 1000).try_to_rfc3339_string().unwrap_or_default()
}

/// Seconds and increment.
fn written(at: Timestamp) -> String {
    format!("{}.{}", at.time, at.increment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_says_what_it_is_in_a_sentence_and_in_labels() {
        let at = Some(Timestamp { time: 1_764_080_000, increment: 7 });
        let whole = Snapshot { at, ..Snapshot::default() };
        let said = "everything is of one moment, cluster time 2025-11-25T14:13:20Z (1764080000.7)";
        assert_eq!(whole.to_string(), said);
        assert_eq!(whole.labels(false).map(|(_, value)| value), ["1764080000.7", "whole"]);
        whole.require().unwrap();

        let apart = (0..7).map(|number| format!("d.capped{number}")).collect();
        let some = Snapshot { at, apart, ..Snapshot::default() };
        assert!(
            some.to_string().contains("d.capped4 and 2 more; everything else is of one moment"),
            "{some}"
        );
        assert_eq!(some.labels(false).map(|(_, value)| value), ["1764080000.7", "apart"]);
        assert!(some.require().unwrap_err().report().contains("d.capped0"));

        let none = Snapshot { reason: Some("it is old".to_owned()), ..Snapshot::default() };
        assert_eq!(none.to_string(), "collections are of different moments: it is old");
        assert_eq!(none.labels(false).map(|(_, value)| value), ["none", "none"]);
        assert!(none.require().unwrap_err().report().ends_with(": it is old"));

        let replayed =
            Snapshot { replayed: at, reason: Some("it took too long".to_owned()), ..Snapshot::default() };
        let said = "once its oplog is replayed, everything is of one moment, cluster time 2025-11-25T14:13:20Z (1764080000.7); as \
                    it is, it is not: it took too long";
        assert_eq!(replayed.to_string(), said);
        assert_eq!(replayed.labels(true).map(|(_, value)| value), ["none", "oplog"]);
    }
}
