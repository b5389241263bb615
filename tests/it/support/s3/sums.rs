//! Hashes and checksums in S3's notation.

use aws_smithy_types::base64;
use md5::Digest;

/// The `ETag` of an object that was put whole.
pub(super) fn md5_etag(bytes: &[u8]) -> String {
    let hex: Vec<String> = md5::Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{}\"", hex.concat())
}

pub(super) fn crc32(bytes: &[u8]) -> String {
    base64::encode(crc32_of(bytes).to_be_bytes())
}

pub(super) fn crc32_of(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iso_hdlc(bytes)
}

pub(super) fn crc64(bytes: &[u8]) -> String {
    base64::encode(crc_fast::crc64_nvme(bytes).to_be_bytes())
}
