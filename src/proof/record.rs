//! The record as bytes: JSON that carries its own checksum.
//!
//! `{"format":1, ..., "checksum":"<16 hexadecimal digits>"}`, where the checksum is the CRC-64/NVME of the same document
//! without that field, written without spaces and with the fields in their order. So a record may be printed prettily and
//! stays valid; a changed, lost or added value is noticed. It protects from damage, not from people: whoever may write the
//! record may write another.

use super::Proof;
use crate::storage::checksum::Crc64;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use serde_json::Value;

/// Bytes of a record at most: 100,000 namespaces with the longest names take half of it.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// What is written here.
const FORMAT: u64 = 1;

/// The field that says which format it is.
const FORMAT_FIELD: &str = "format";

/// The field with the checksum of the others.
const CHECKSUM_FIELD: &str = "checksum";

pub(super) fn write(proof: &Proof) -> Result<Bytes> {
    let unwritten =
        |error| Error::new(ErrorKind::Internal, "the proof record cannot be written").with_source(error);
    let mut record = serde_json::Map::new();
    record.insert(FORMAT_FIELD.to_owned(), FORMAT.into());
    if let Value::Object(fields) = serde_json::to_value(proof).map_err(unwritten)? {
        record.extend(fields);
    }
    let sum = sum_of(&record).map_err(unwritten)?;
    record.insert(CHECKSUM_FIELD.to_owned(), hexadecimal::text(sum).into());
    serde_json::to_vec(&record).map(Bytes::from).map_err(unwritten)
}

pub(super) fn read(bytes: &[u8]) -> Result<Proof> {
    let mut record: serde_json::Map<String, Value> = serde_json::from_slice(bytes)
        .map_err(|error| damaged("it is no JSON document").with_source(error))?;
    let Some(found) = record.shift_remove(CHECKSUM_FIELD) else {
        return Err(damaged("it has no checksum"));
    };
    let sum = sum_of(&record).map_err(|error| damaged("it cannot be summed").with_source(error))?;
    if found.as_str() != Some(hexadecimal::text(sum).as_str()) {
        return Err(damaged("its checksum is wrong"));
    }
    if record.get(FORMAT_FIELD).and_then(Value::as_u64) != Some(FORMAT) {
        let message =
            "the proof record has a format that this release does not know; use the release that wrote it";
        return Err(Error::new(ErrorKind::Archive, message));
    }
    serde_json::from_value(Value::Object(record))
        .map_err(|error| damaged("it lacks what a record has").with_source(error))
}

pub(super) fn damaged(why: &str) -> Error {
    let message = format!(
        "the proof record is damaged ({why}) and proves nothing; verify the archive, which writes a new one"
    );
    Error::new(ErrorKind::Archive, message)
}

fn sum_of(record: &serde_json::Map<String, Value>) -> serde_json::Result<u64> {
    serde_json::to_vec(record).map(|bytes| Crc64::of(&bytes))
}

/// A checksum as 16 hexadecimal digits.
pub(super) mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::proof) fn text(sum: u64) -> String {
        format!("{sum:016x}")
    }

    pub(in crate::proof) fn value(text: &str) -> Option<u64> {
        u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16)
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(in crate::proof) fn serialize<S: Serializer>(sum: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*sum))
    }

    pub(in crate::proof) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        value(&String::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("a checksum has 16 hexadecimal digits"))
    }
}

/// The same where there may be none.
pub(super) mod maybe_hexadecimal {
    use super::hexadecimal::{text, value};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(in crate::proof) fn serialize<S: Serializer>(
        sum: &Option<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        sum.map(text).serialize(serializer)
    }

    pub(in crate::proof) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        let Some(found) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let sum = value(&found).ok_or_else(|| D::Error::custom("a checksum has 16 hexadecimal digits"))?;
        Ok(Some(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::{Proven, ProvenSnapshot};
    use bson::Timestamp;

    fn proof() -> Proof {
        let proven = |name: &str| Proven {
            namespace: name.to_owned(),
            documents: 3,
            bytes: (1 << 53) + 1,
            checksum: 0xF3EA_6143_6A44_59FE,
        };
        Proof {
            crc64: Some(1),
            proven_at: "2026-11-25T14:31:16.895Z".to_owned(),
            snapshot: Some(ProvenSnapshot {
                at: Some(Timestamp { time: u32::MAX, increment: 7 }),
                apart: vec!["shop.log".to_owned()],
                reason: None,
            }),
            ..Proof::of([proven("shop.\u{e9}\u{1F4A9}\"\\"), proven("shop.b")].into_iter())
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was_written_also_when_printed_prettily() {
        let bytes = write(&proof()).unwrap();
        assert_eq!(read(&bytes).unwrap(), proof());
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read(&serde_json::to_vec_pretty(&value).unwrap()).unwrap(), proof());
        assert_eq!(value["namespaces"][1]["checksum"], "f3ea61436a4459fe");
        assert_eq!(value["crc64"], "0000000000000001");
        assert_eq!((&value["format"], &value["snapshot"]["at"]["i"]), (&1.into(), &7.into()));
    }

    #[test]
    fn no_changed_byte_and_no_shorter_record_is_taken_for_a_proof() {
        let bytes = write(&proof()).unwrap();
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= 1 << bit;
                // What JSON reads as the same is the same.
                assert!(
                    read(&damaged).is_err_and(|error| error.kind() == ErrorKind::Archive),
                    "{at}, bit {bit}"
                );
            }
        }
    }

    #[test]
    fn a_later_format_is_told_and_not_called_damage() {
        let mut record: serde_json::Map<String, Value> =
            serde_json::from_slice(&write(&proof()).unwrap()).unwrap();
        record.shift_remove(CHECKSUM_FIELD);
        record[FORMAT_FIELD] = 2.into();
        let sum = hexadecimal::text(sum_of(&record).unwrap());
        record.insert(CHECKSUM_FIELD.to_owned(), sum.into());
        let error = read(&serde_json::to_vec(&record).unwrap()).unwrap_err();
        assert!(error.to_string().contains("format"), "{error}");
    }
}
