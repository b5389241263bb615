//! Moments in a record: RFC 3339 for people, a cluster time as its two numbers.

use bson::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Now, as RFC 3339 writes it.
pub(super) fn now() -> String {
    bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default()
}

/// A cluster time as Extended JSON writes it inside `$timestamp`.
#[derive(Deserialize, Serialize)]
struct ClusterTime {
    t: u32,
    i: u32,
}

#[allow(clippy::ref_option, reason = "serde's signature")]
pub(super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| ClusterTime { t: time.time, i: time.increment }).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let time = Option::<ClusterTime>::deserialize(deserializer)?;
    Ok(time.map(|ClusterTime { t, i }| Timestamp { time: t, increment: i }))
}
