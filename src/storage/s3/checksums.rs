//! Checksums in S3's notation, and what an object's own tell of it.

use crate::storage::Checked;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::ChecksumType;
use aws_smithy_types::base64;

/// Which checksums go with the bytes of an object.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Algorithm {
    /// None: the AWS settings want it so.
    #[default]
    Unchecked,
    /// For stores that do not know the other: each part has its own, and the whole a checksum of those.
    Crc32,
    /// Parts have their own, and the whole has that of all its bytes.
    Crc64Nvme,
}

/// What the store must hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Promise {
    pub(super) bytes: u64,
    pub(super) crc64: u64,
    /// What S3 calls the CRC-32 of this object, where that is what was sent.
    pub(super) crc32: Option<String>,
}

impl Promise {
    /// What the object's size and checksums say; `None` where it holds other bytes.
    pub(super) fn checked(&self, head: &HeadObjectOutput) -> Option<Checked> {
        if !super::size(head).is_ok_and(|size| size == self.bytes) {
            return None;
        }
        if let Some(crc64) = crc64(head) {
            return (crc64 == self.crc64).then_some(Checked::Crc64Nvme);
        }
        match (head.checksum_crc32(), &self.crc32) {
            // A store may have one of the whole object, which was not computed here.
            (Some(found), Some(sent)) if found.contains('-') == sent.contains('-') => {
                (found == sent).then_some(Checked::Crc32OfParts)
            }
            _ => Some(Checked::Size),
        }
    }
}

/// The CRC-64/NVME of the whole object, as far as the store tells.
pub(super) fn crc64(head: &HeadObjectOutput) -> Option<u64> {
    let is_of_parts = head.checksum_type() == Some(&ChecksumType::Composite);
    head.checksum_crc64_nvme().filter(|_| !is_of_parts).and_then(parse_crc64)
}

/// A CRC-64 as S3 writes it.
pub(super) fn format_crc64(crc64: u64) -> String {
    base64::encode(crc64.to_be_bytes())
}

fn parse_crc64(text: &str) -> Option<u64> {
    base64::decode(text).ok()?.try_into().ok().map(u64::from_be_bytes)
}

/// The CRC-32 of an object of parts, from theirs in their order: a checksum of checksums.
pub(super) fn crc32_of_parts(parts: &[String]) -> Option<String> {
    let mut sums = Vec::with_capacity(4 * parts.len());
    for part in parts {
        sums.extend(base64::decode(part).ok()?);
    }
    Some(format!(
        "{}-{}",
        format_crc32(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &sums)),
        parts.len()
    ))
}

/// A CRC-32 as S3 writes it.
pub(super) fn format_crc32(crc32: u64) -> String {
    let [.., a, b, c, d] = crc32.to_be_bytes();
    base64::encode([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_written_as_s3_writes_them() {
        assert_eq!(format_crc64(0xae8b_1486_0a79_9888), "rosUhgp5mIg=", "the check value of CRC-64/NVME");
        assert_eq!(parse_crc64("rosUhgp5mIg="), Some(0xae8b_1486_0a79_9888));
        assert_eq!(parse_crc64("rosUhgp5mIg=-3"), None);
        let parts = ["y/Q5Jg==".to_owned(), "y/Q5Jg==".to_owned()];
        assert!(crc32_of_parts(&parts).unwrap().ends_with("==-2"));
    }

    #[test]
    fn an_object_with_another_checksum_is_not_the_one_that_was_promised() {
        let promise =
            Promise { bytes: 9, crc64: 0xae8b_1486_0a79_9888, crc32: Some("y/Q5Jg==-1".to_owned()) };
        let crc64 = |text: &str| {
            promise.checked(&HeadObjectOutput::builder().content_length(9).checksum_crc64_nvme(text).build())
        };
        let crc32 = |text: &str| {
            promise.checked(&HeadObjectOutput::builder().content_length(9).checksum_crc32(text).build())
        };
        assert_eq!(crc64("rosUhgp5mIg="), Some(Checked::Crc64Nvme));
        assert_eq!(crc64("AAAAAAAAAAA="), None);
        assert_eq!(crc32("y/Q5Jg==-1"), Some(Checked::Crc32OfParts));
        assert_eq!(crc32("y/Q5Jg==-2"), None);
        assert_eq!(crc32("y/Q5Jg=="), Some(Checked::Size), "of the whole, not of the parts");
        let size = |bytes| promise.checked(&HeadObjectOutput::builder().content_length(bytes).build());
        assert_eq!((size(9), size(8)), (Some(Checked::Size), None));
    }
}
