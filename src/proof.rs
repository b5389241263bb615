//! Proof: what makes "complete" true, kept beside the object.
//!
//! The record of an archive `s3://BUCKET/KEY` is the object `KEY.proof.json`: one JSON document that says which bytes the
//! archive has (length, CRC-64/NVME, the store's names of them), what the store itself has said of them, and what is in
//! them: every namespace with its documents, bytes and checksum. So nobody needs a second source to list, verify or drill.
//!
//! Two things make a record worthless, and each is found: damage, by the record's own checksum, and another archive under
//! the key, by comparing the record with the object each time it is [found](Proof::find). A record never says anything
//! about an archive it was not made for; so it is written after the archive, and an old one beside a new archive does no
//! harm.
//!
//! Files have no record unless somebody puts one there: mongodump makes one file, and so does this program. Whoever copies
//! an archive from S3 together with its record has it in the file beside, and it is found there.

mod reading;
mod record;
#[cfg(test)]
mod tests;
mod time;

pub(crate) use reading::read;

use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

use crate::dump::{DumpReport, Snapshot};
use crate::storage::{Checked, CreateOptions, Location, Storage, Stored};
use crate::verify::{Verified, VerifyReport};
use crate::{Error, ErrorKind, Result};

/// What is known of an archive that has been proven to be whole: the record beside its object, `<key>.proof.json`.
///
/// In the record checksums are text, 16 hexadecimal digits: readers of JSON round numbers of more than 53 bits. S3 writes
/// the same CRC-64/NVME as the base64 of its eight bytes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Proof {
    /// Bytes of the stored archive.
    pub bytes: u64,
    /// CRC-64/NVME of the stored archive.
    #[serde(with = "record::maybe_hexadecimal")]
    pub crc64: Option<u64>,
    /// The store's name of these bytes; see [`Stored::etag`].
    pub etag: Option<String>,
    /// The version of the object in a bucket that keeps versions.
    pub version: Option<String>,
    /// What it rests on that the store holds the archive: `crc64nvme`, `crc32 of parts`, `size` or `reading`, as
    /// [`Checked::name`] says.
    pub checked: String,
    /// When it was proven, as RFC 3339 writes it.
    pub proven_at: String,
    /// Who made the record.
    pub tool: String,
    /// Release of the server that was dumped.
    pub server_version: String,
    /// What was dumped, as in the object's metadata; `None` where only the archive has been read.
    pub scope: Option<String>,
    /// When what is in it was read; `None` where only the archive has been read.
    pub snapshot: Option<ProvenSnapshot>,
    /// What is left out on purpose, by name.
    pub left_out: Vec<String>,
    /// All namespaces together.
    pub totals: ProvenTotals,
    /// Every namespace, in the order in which they end in the archive.
    pub namespaces: Vec<Proven>,
}

/// The moments at which what is in a proven archive was read; see [`Snapshot`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProvenSnapshot {
    /// The cluster time.
    #[serde(with = "time")]
    pub at: Option<bson::Timestamp>,
    /// What was read at other moments, by name.
    pub apart: Vec<String>,
    /// Why there is no such time.
    pub reason: Option<String>,
}

/// All namespaces of a proven archive together.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProvenTotals {
    /// How many there are.
    pub namespaces: usize,
    /// How many documents they have.
    pub documents: u64,
    /// The length of the documents together in bytes.
    pub bytes: u64,
}

/// One namespace of a proven archive.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Proven {
    /// Its name as the data is stored; for a time series, perhaps its buckets.
    pub namespace: String,
    /// How many documents it has.
    pub documents: u64,
    /// Their length together in bytes.
    pub bytes: u64,
    /// The CRC-64/XZ of them all, in the order of the archive.
    #[serde(with = "record::hexadecimal")]
    pub checksum: u64,
}

impl Proof {
    /// Where the record of an archive is; standard streams have none, and stay what they are.
    pub fn location(archive: &Location) -> Location {
        archive.with_suffix(".proof.json")
    }

    /// Whether this is the place of a record, as a listing of archives finds them between the others.
    pub fn is_at(location: &Location) -> bool {
        location.ends_with(".proof.json")
    }

    /// Proves that what is stored at `at` is what the dump has written, and keeps the record beside an S3 object.
    ///
    /// Of a file the size is compared, and of what is no regular file nothing; neither gets a record.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] where something else is there, or the store does not tell what is; then there is no record.
    /// What [`Storage::create`] refuses.
    ///
    /// # Cancellation
    /// There is a whole record or none when the future is dropped; which of them, [`Proof::find`] tells.
    pub async fn of_dump(storage: &Storage, at: &Location, report: &DumpReport) -> Result<Self> {
        let stored = storage.stat(at).await?;
        let mut proof = Self {
            bytes: report.bytes,
            crc64: report.crc64,
            etag: report.etag.clone(),
            version: report.version.clone(),
            checked: report.checked.name().to_owned(),
            scope: Some(report.label()),
            snapshot: Some(ProvenSnapshot::of(&report.snapshot)),
            left_out: report.left_out.clone(),
            server_version: report.server_version.clone(),
            ..Self::of(report.namespaces.iter().map(Proven::of))
        };
        match stored {
            Some(stored) => {
                proof.is_of(&stored).map_err(|difference| something_else(&difference).at(at))?;
                if at.is_s3() && proof.etag.is_none() && stored.crc64.is_none() {
                    return Err(something_else("the store tells neither checksum nor ETag").at(at));
                }
                (proof.etag, proof.version) = (stored.etag, stored.version);
            }
            None if at.is_s3() => return Err(something_else("nothing is there").at(at)),
            None => {}
        }
        if at.is_s3() {
            proof.keep(storage, at).await?;
        }
        Ok(proof)
    }

    /// Keeps the record of an archive that has been read to its end and found whole.
    ///
    /// It says nothing about the scope of the dump and the moment of its data, which no archive tells. A record that is
    /// there already and agrees with the reading stays: it knows more.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`] where the archive is damaged, [`ErrorKind::Storage`] where another is there by now.
    ///
    /// # Cancellation
    /// As [`Proof::of_dump`].
    pub async fn of_reading(storage: &Storage, at: &Location, report: &VerifyReport) -> Result<Self> {
        is_whole(report).map_err(|error| error.at(at))?;
        let stored = storage.stat(at).await?;
        let mut proof = Self {
            bytes: report.bytes,
            crc64: report.crc64,
            etag: report.etag.clone(),
            checked: Checked::Reading.name().to_owned(),
            server_version: report.server_version.clone(),
            ..Self::of(report.whole.iter().map(|verified| Proven::of(&verified.end)))
        };
        let Some(stored) = stored else {
            return if at.is_s3() { Err(something_else("nothing is there").at(at)) } else { Ok(proof) };
        };
        proof.is_of(&stored).map_err(|difference| something_else(&difference).at(at))?;
        if !at.is_s3() {
            return Ok(proof);
        }
        (proof.etag, proof.version) = (stored.etag.clone(), stored.version.clone());
        // A damaged record is no reason not to write a new one.
        if let Ok(Some(known)) = Self::read(storage, at).await
            && known.is_of(&stored).is_ok()
            && known.compare(report).is_ok()
        {
            return Ok(known);
        }
        proof.keep(storage, at).await?;
        Ok(proof)
    }

    /// The record of the archive that is there now; `None` where there is none, or it is of another one.
    ///
    /// # Errors
    /// The place does not tell; [`ErrorKind::Archive`] where the record is damaged, or of a later format.
    ///
    /// # Cancellation
    /// Nothing is left behind when the future is dropped.
    pub async fn find(storage: &Storage, at: &Location) -> Result<Option<Self>> {
        let Some(stored) = storage.stat(at).await? else { return Ok(None) };
        let found = Self::read(storage, at).await?;
        Ok(found.filter(|proof| proof.is_of(&stored).is_ok()))
    }

    /// Holds what a reading has found against the record.
    ///
    /// # Errors
    /// [`ErrorKind::Archive`]: the damage, or the first namespace that differs or is missing on either side.
    pub fn compare(&self, read: &VerifyReport) -> Result<()> {
        if let Some(damage) = &read.damage {
            return Err(Error::new(ErrorKind::Archive, damage.report()));
        }
        let found: HashMap<String, &Verified> =
            read.whole.iter().map(|verified| (verified.end.namespace.to_string(), verified)).collect();
        for proven in &self.namespaces {
            let Some(verified) = found.get(&proven.namespace) else {
                return Err(differs("is in the proof record, and not in the archive").at(&proven.namespace));
            };
            let end = &verified.end;
            for (what, was, is) in
                [("documents", proven.documents, end.documents), ("bytes", proven.bytes, end.bytes)]
            {
                if was != is {
                    let message = format!("has {is} {what}, and {was} by the proof record");
                    return Err(differs(&message).at(&proven.namespace));
                }
            }
            if proven.checksum != end.checksum {
                return Err(differs("has other documents than by the proof record (the checksum differs)")
                    .at(&proven.namespace));
            }
        }
        let known: HashSet<&str> = self.namespaces.iter().map(|proven| proven.namespace.as_str()).collect();
        for verified in &read.whole {
            let name = verified.end.namespace.to_string();
            if !known.contains(name.as_str()) {
                return Err(differs("is in the archive, and not in the proof record").at(name));
            }
        }
        if let Some(name) = read.lost.first() {
            return Err(differs("is not whole in the archive").at(name));
        }
        if self.bytes != read.bytes {
            let message =
                format!("the archive has {} bytes, and {} by the proof record", read.bytes, self.bytes);
            return Err(differs(&message));
        }
        match (self.crc64, read.crc64) {
            (Some(was), Some(is)) if was != is => {
                Err(differs("the archive has other bytes than by the proof record (the checksum differs)"))
            }
            _ => Ok(()),
        }
    }

    /// A record of these namespaces, made now, and of nothing else yet.
    fn of(namespaces: impl Iterator<Item = Proven>) -> Self {
        let namespaces: Vec<Proven> = namespaces.collect();
        let totals = ProvenTotals {
            namespaces: namespaces.len(),
            documents: namespaces.iter().map(|proven| proven.documents).sum(),
            bytes: namespaces.iter().map(|proven| proven.bytes).sum(),
        };
        Self {
            bytes: 0,
            crc64: None,
            etag: None,
            version: None,
            checked: Checked::Size.name().to_owned(),
            proven_at: time::now(),
            tool: concat!("mongoark ", env!("CARGO_PKG_VERSION")).to_owned(),
            server_version: String::new(),
            scope: None,
            snapshot: None,
            left_out: Vec::new(),
            totals,
            namespaces,
        }
    }

    /// Whether the record is of what is stored there: all that both know of must be the same.
    fn is_of(&self, stored: &Stored) -> Result<(), String> {
        if self.bytes != stored.bytes {
            return Err(format!("it has {} bytes instead of {}", stored.bytes, self.bytes));
        }
        let names = [("ETag", &self.etag, &stored.etag), ("version", &self.version, &stored.version)];
        for (what, was, is) in names {
            if was.is_some() && is.is_some() && was != is {
                return Err(format!("its {what} is another"));
            }
        }
        match (self.crc64, stored.crc64) {
            (Some(was), Some(is)) if was != is => Err("its checksum is another".to_owned()),
            _ => Ok(()),
        }
    }

    async fn keep(&self, storage: &Storage, archive: &Location) -> Result<()> {
        let mut sink = storage.create(&Self::location(archive), &CreateOptions::default()).await?;
        match sink.store(record::write(self)?).await {
            Ok(()) => sink.complete().await.map(drop),
            Err(error) => {
                sink.abort().await?;
                Err(error)
            }
        }
    }

    async fn read(storage: &Storage, archive: &Location) -> Result<Option<Self>> {
        let at = Self::location(archive);
        let Some(stored) = storage.stat(&at).await? else { return Ok(None) };
        if stored.bytes > record::MAX_BYTES {
            return Err(record::damaged("it is too large for one").at(&at));
        }
        let mut source = storage.open(&at).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = source.next().await? {
            bytes.extend_from_slice(&piece);
            if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > record::MAX_BYTES {
                return Err(record::damaged("it is too large for one").at(&at));
            }
        }
        record::read(&bytes).map(Some).map_err(|error| error.at(&at))
    }
}

impl Proven {
    fn of(end: &archive_format::End) -> Self {
        Self {
            namespace: end.namespace.to_string(),
            documents: end.documents,
            bytes: end.bytes,
            checksum: end.checksum,
        }
    }
}

impl ProvenSnapshot {
    fn of(snapshot: &Snapshot) -> Self {
        Self { at: snapshot.at, apart: snapshot.apart.clone(), reason: snapshot.reason.clone() }
    }
}

fn is_whole(report: &VerifyReport) -> Result<()> {
    if let Some(damage) = &report.damage {
        let message = "the archive is damaged, so there is no proof of it";
        return Err(Error::new(ErrorKind::Archive, message).with_source(damage.report()));
    }
    match report.lost.first() {
        Some(name) => {
            Err(Error::new(ErrorKind::Archive, format!("{name} is not whole, so there is no proof")))
        }
        None => Ok(()),
    }
}

fn something_else(difference: &str) -> Error {
    let message = format!(
        "what is stored there is not the archive that is to be proven ({difference}): another writer was there, or the \
         store has lost it; there is no proof, look before relying on it"
    );
    Error::new(ErrorKind::Storage, message)
}

fn differs(message: &str) -> Error {
    Error::new(ErrorKind::Archive, message)
}
