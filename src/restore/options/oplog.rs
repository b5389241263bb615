//! What becomes of the oplog of an archive, and up to which time.

use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// What becomes of the oplog of an archive.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OplogReplay {
    /// It is left out, and every collection is as it was when it was read; unless the archive says that only its oplog makes
    /// it whole ([`Prelude::replay_oplog`](archive_format::Prelude::replay_oplog)): then it is replayed, as far as it is of
    /// the scope, where neither `swap` nor `exact` are asked for.
    #[default]
    Ignored,
    /// It is applied when all documents are there, and before indexes are built. The archive has to have one, and all of the
    /// archive is restored.
    Replayed {
        /// Entries of this time and after it are left out.
        limit: Option<OplogLimit>,
    },
}

impl OplogReplay {
    pub(in crate::restore) fn is_asked_for(self) -> bool {
        self != Self::Ignored
    }
}

/// A time of an oplog: entries of this time and after it are not replayed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct OplogLimit {
    /// Seconds since 1970.
    pub seconds: u32,
    /// Which operation of that second.
    pub increment: u32,
}

impl OplogLimit {
    /// Whether an entry of this time is to be replayed.
    pub(in crate::restore) fn is_after(self, (seconds, increment): (u32, u32)) -> bool {
        Self { seconds, increment } < self
    }
}

impl FromStr for OplogLimit {
    type Err = Error;

    /// Reads mongorestore's `SECONDS[:INCREMENT]`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for anything else.
    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| {
            text.parse().map_err(|_| {
                let message = "error parsing timestamp argument to --oplogLimit: it is SECONDS or SECONDS:INCREMENT, both \
                               of 32 bits";
                Error::new(ErrorKind::InvalidInput, message)
            })
        };
        let (seconds, increment) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self {
            seconds: number(seconds)?,
            increment: if increment.is_empty() { 0 } else { number(increment)? },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b74_a_limit_is_read_as_mongorestore_reads_it() {
        for (text, seconds, increment) in
            [("123:456", 123, 456), ("123", 123, 0), ("123:", 123, 0), ("+5:+6", 5, 6)]
        {
            assert_eq!(text.parse::<OplogLimit>().unwrap(), OplogLimit { seconds, increment }, "{text}");
        }
        for text in ["123.123", ":", "1:1:1", "cats", "", "-1", "4294967296", "1:x", " 1"] {
            assert_eq!(text.parse::<OplogLimit>().unwrap_err().kind(), ErrorKind::InvalidInput, "{text}");
        }
    }

    #[test]
    fn b74_the_limit_itself_is_not_replayed() {
        let limit = OplogLimit { seconds: 5, increment: 0 };
        for (time, is_replayed) in [
            ((1000, 0), false),
            ((5, 1), false),
            ((5, 0), false),
            ((4, 9), true),
            ((4, 0), true),
            ((0, 1), true),
        ] {
            assert_eq!(limit.is_after(time), is_replayed, "{time:?}");
        }
    }
}
