//! Versions of servers.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// The version of a server, without what may follow it (`-rc1`, `-ent`, `+git`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl ServerVersion {
    /// From here on a time series is one collection with its buckets inside, no longer a view of them.
    const VIEWLESS_TIMESERIES: Self = Self { major: 8, minor: 3, patch: 0 };

    /// Whether such a server keeps the data of a time series apart from it, under [`Namespace::buckets`]: up to 8.2.
    ///
    /// [`Namespace::buckets`]: crate::Namespace::buckets
    pub fn keeps_buckets_apart(self) -> bool {
        self < Self::VIEWLESS_TIMESERIES
    }
}

impl FromStr for ServerVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let numbers = text.split(['-', '+']).next().unwrap_or_default();
        let parts: Option<Vec<u32>> = numbers.split('.').map(|part| part.parse().ok()).collect();
        if let Some(&[major, minor, patch]) = parts.as_deref() {
            return Ok(Self { major, minor, patch });
        }
        let shown: String = text.chars().take(40).collect();
        let what = format!("server version {shown:?} is not of the form major.minor.patch");
        Err(Error::new(ErrorKind::InvalidVersion, what))
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_ignored() {
        for text in ["6.0.27", "6.0.27-ent", "6.0.27+git5", "6.0.27-3.1.4"] {
            assert_eq!(text.parse::<ServerVersion>().unwrap().to_string(), "6.0.27");
        }
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        let version = |text: &str| text.parse::<ServerVersion>().unwrap();
        assert!(version("8.2.10") < version("8.3.0"));
        assert!(version("9.0.0") < version("10.0.0"));
    }

    #[test]
    fn what_mongorestore_refuses_is_refused() {
        for text in ["", "unknown", "6", "6.0", "6.0.", "6.0.0.0", "6.a.0", "-6.0.0", ".6.0"] {
            assert_eq!(
                text.parse::<ServerVersion>().unwrap_err().kind(),
                ErrorKind::InvalidVersion,
                "{text}"
            );
        }
    }
}
