//! The header of a gzip member that tells its own length in an extra field (RFC 1952).
//!
//! ```text
//! 1f 8b 08 04  tt tt tt tt  xx oo         deflate, extra field and nothing else; time, hints and system do not matter
//! NN NN                                   length of the extra field, which is made of subfields:
//!   SI SI  nn nn  ..                      any number, before and after; whoever does not know one steps over it
//!   'm' 'a'  nn nn                        ours, of at least 8 bytes
//!   LL LL LL LL  RR RR RR RR  ..          length of this whole member, length of its inflated bytes (u32, LE)
//! .. deflate ..  CRC-32  ISIZE
//! ```

use bytes::{BufMut, BytesMut};

/// Bytes up to the extra field, its length among them.
pub(super) const FIXED: usize = 12;

/// Bytes of the header that is written.
pub(super) const WRITTEN: usize = FIXED + 12;

/// CRC-32 and length, after the deflate stream.
pub(super) const TRAILER: usize = 8;

/// Largest member that is written, and that is inflated as a whole, in bytes on either side: one document of 16 MiB with the
/// small blocks beside it, and what incompressible bytes gain (`LARGEST_INPUT` in the writer). What claims more is inflated
/// as a stream, so that no length in an archive can make this program allocate more than this.
pub(super) const MAX_MEMBER: usize = 20 * 1024 * 1024;

/// Begin and flags of a member that has an extra field and no other.
const BEGIN: [u8; 4] = [0x1f, 0x8b, 8, 4];

/// The name of the subfield.
const NAME: [u8; 2] = *b"ma";

/// What a member tells of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    /// Bytes before the deflate stream.
    pub(super) size: usize,
    /// Bytes of the whole member.
    pub(super) member: usize,
    /// Bytes that it inflates to.
    pub(super) inflated: usize,
}

impl Header {
    /// Appends the header of a member of so many bytes, which inflates to so many.
    pub(super) fn write(out: &mut BytesMut, member: u32, inflated: u32) {
        out.put_slice(&BEGIN);
        // No time, no hint, unknown system.
        out.put_slice(&[0, 0, 0, 0, 0, 0xff]);
        // One subfield of 8 bytes.
        out.put_slice(&[12, 0, b'm', b'a', 8, 0]);
        out.put_u32_le(member);
        out.put_u32_le(inflated);
    }

    /// How many bytes the header has, by its first [`FIXED`]; `None` if it is of another form.
    pub(super) fn extent(begin: &[u8]) -> Option<usize> {
        let fixed = begin.first_chunk::<FIXED>()?;
        let extra = u16::from_le_bytes(*fixed.last_chunk()?);
        fixed.starts_with(&BEGIN).then_some(FIXED + usize::from(extra))
    }

    /// Reads the header at the begin of `bytes`; `None` if the member does not tell its length, or one that no writer makes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let size = Self::extent(bytes)?;
        let lengths = find(bytes.get(FIXED..size)?)?;
        let (member, rest) = lengths.split_first_chunk::<4>()?;
        let (member, inflated) = (number(*member)?, number(*rest.first_chunk()?)?);
        let is_sane = (size + TRAILER..=MAX_MEMBER).contains(&member) && inflated <= MAX_MEMBER;
        is_sane.then_some(Self { size, member, inflated })
    }
}

/// Our subfield, if it is there once and the extra field is well-formed.
fn find(mut subfields: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    while !subfields.is_empty() {
        let (name, rest) = subfields.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (data, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        if *name == NAME && found.replace(data).is_some() {
            return None;
        }
        subfields = rest;
    }
    found
}

/// A length in a header or trailer.
pub(super) fn number(bytes: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100,000 and 10,000.
    const LENGTHS: &[u8] = &[0xa0, 0x86, 1, 0, 0x10, 0x27, 0, 0];

    fn subfield(name: [u8; 2], data: &[u8]) -> Vec<u8> {
        [&name[..], &u16::try_from(data.len()).unwrap().to_le_bytes(), data].concat()
    }

    /// A header with this extra field.
    fn header(extra: &[u8]) -> Vec<u8> {
        let length = u16::try_from(extra.len()).unwrap().to_le_bytes();
        [&BEGIN[..], &[0, 0, 0, 0, 0, 0xff], &length, extra].concat()
    }

    #[test]
    fn what_is_written_stays_the_same_and_is_read() {
        let mut out = BytesMut::new();
        Header::write(&mut out, 1000, 10_000);
        let expected = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x0c\0ma\x08\0\xe8\x03\0\0\x10\x27\0\0";
        assert_eq!(out, expected[..]);
        assert_eq!(Header::read(&out), Some(Header { size: WRITTEN, member: 1000, inflated: 10_000 }));
    }

    #[test]
    fn the_lengths_are_found_among_any_other_subfields() {
        let ours = subfield(*b"ma", LENGTHS);
        let (empty, long) = (subfield(*b"AP", b""), subfield(*b"mb", &[7; 300]));
        for extra in [
            [&empty[..], &ours].concat(),
            [&ours[..], &empty].concat(),
            [&long[..], &empty, &ours, &long].concat(),
            subfield(*b"ma", &[LENGTHS, b"what later writers add"].concat()),
            [&subfield(*b"zz", &vec![0; 65_535 - 12 - 4])[..], &ours].concat(),
        ] {
            let header = header(&extra);
            let expected = Header { size: FIXED + extra.len(), member: 100_000, inflated: 10_000 };
            assert_eq!(Header::read(&header), Some(expected), "{extra:?}");
            assert_eq!(Header::read(&header[..header.len() - 1]), None, "not whole yet");
            assert_eq!(Header::extent(&header[..FIXED]), Some(header.len()));
        }
    }

    #[test]
    fn a_member_that_does_not_tell_its_length_is_another_tools() {
        let ours = subfield(*b"ma", LENGTHS);
        let mut larger = ours.clone();
        larger[4..8].copy_from_slice(&u32::try_from(MAX_MEMBER + 1).unwrap().to_le_bytes());
        let mut inflates_to_more = ours.clone();
        inflates_to_more[8..].copy_from_slice(&u32::MAX.to_le_bytes());
        for extra in [
            Vec::new(),
            subfield(*b"am", LENGTHS),
            subfield(*b"ma", &LENGTHS[..7]),
            ours[..11].to_vec(),
            [&ours[..], b"m"].concat(),
            [&ours[..], b"AP\x01\0"].concat(),
            [&ours[..], &ours].concat(),
            subfield(*b"ma", &[0; 8]),
            larger,
            inflates_to_more,
        ] {
            assert_eq!(Header::read(&header(&extra)), None, "{extra:?}");
        }
        let good = header(&ours);
        for (at, byte) in [(0, 0), (1, 0), (2, 7), (3, 0), (3, 5), (3, 12), (3, 0x84)] {
            let mut other = good.clone();
            other[at] = byte;
            assert_eq!((Header::extent(&other), Header::read(&other)), (None, None), "{byte} at {at}");
        }
        assert_eq!(Header::extent(&good[..FIXED - 1]), None);
    }
}
