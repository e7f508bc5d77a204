//! What a header of version 2 says besides addresses: type, length, value, one after the other (PP 2.2).

use super::{FIXED, LIMIT, Malformed};

/// The protocol agreed on by ALPN.
pub(super) const ALPN: u8 = 0x01;
/// The host that the client asked for, by SNI for instance.
pub const AUTHORITY: u8 = 0x02;
/// CRC32c of the header, with zeros here.
const CRC32C: u8 = 0x03;
/// Padding.
const NOOP: u8 = 0x04;
/// Opaque, at most 128 bytes; names the connection over several proxies.
pub const UNIQUE_ID: u8 = 0x05;
/// TLS between the client and the proxy: flags, the result of verification, and more of these within.
pub(super) const SSL: u8 = 0x20;
pub(super) const SSL_VERSION: u8 = 0x21;
pub(super) const SSL_CIPHER: u8 = 0x23;
/// Of those that are for whoever uses them (PP 2.2.7): what this program knows itself by, at its own admin address.
pub const PASS: u8 = 0xe5;
/// What AWS says, such as the identifier of a VPC endpoint.
pub const AWS: u8 = 0xea;

/// The client has connected over TLS, by the flags of [`SSL`] (PP 2.2.6).
pub(super) const CLIENT_SSL: u8 = 0x01;

/// Type and length.
const PREFIX: usize = 3;
/// Of [`UNIQUE_ID`] (PP 2.2.5).
const UNIQUE_ID_LIMIT: usize = 128;
/// Flags and the result, in [`SSL`] before what is within (PP 2.2.6).
const SSL_FIXED: usize = 5;

/// A type and a value.
type Record<'a> = (u8, &'a [u8]);

/// The records of a header, which are whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    /// Of bytes that were a header's ([`Tlvs::bytes`]); of others, those records that are whole.
    pub fn of(bytes: &'a [u8]) -> Tlvs<'a> {
        Tlvs(bytes)
    }

    /// As they stood in the header.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The value of the first record of a type.
    pub fn value(mut self, kind: u8) -> Option<&'a [u8]> {
        self.find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// Whether the client came over TLS, as the proxy says (PP 2.2.6).
    pub fn is_secured(self) -> bool {
        self.value(SSL).and_then(<[u8]>::first).is_some_and(|flags| flags & CLIENT_SSL != 0)
    }

    /// Those that are for the next proxy as well: not what was said of this header alone, that is its checksum and its
    /// padding.
    pub fn passed(self) -> impl Iterator<Item = Record<'a>> {
        self.filter(|(kind, _)| !matches!(*kind, CRC32C | NOOP))
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (record, rest) = first(self.0)?;
        self.0 = rest;
        Some(record)
    }
}

/// The first record, and what follows.
fn first(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let ([kind, high, low], rest) = bytes.split_first_chunk::<PREFIX>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some(((*kind, value), rest))
}

/// The records at the end of `header`, which is whole, from `start` on.
///
/// # Errors
/// When a record is cut off, has a value that its type cannot have, or when the checksum is wrong.
pub(super) fn check(header: &[u8], start: usize) -> Result<Tlvs<'_>, Malformed> {
    let tlvs = header.get(start..).ok_or(Malformed::Syntax)?;
    let mut rest = tlvs;
    let mut has_checksum = false;
    while !rest.is_empty() {
        let at = header.len() - rest.len() + PREFIX;
        let ((kind, value), behind) = first(rest).ok_or(Malformed::Syntax)?;
        rest = behind;
        match kind {
            CRC32C if has_checksum => return Err(Malformed::Syntax),
            CRC32C => {
                has_checksum = true;
                let told = value.try_into().map(u32::from_be_bytes).map_err(|_| Malformed::Syntax)?;
                if told != checksum(header, at) {
                    return Err(Malformed::Checksum);
                }
            }
            UNIQUE_ID if value.len() > UNIQUE_ID_LIMIT => return Err(Malformed::Syntax),
            SSL => {
                let mut within = value.get(SSL_FIXED..).ok_or(Malformed::Syntax)?;
                while !within.is_empty() {
                    within = first(within).ok_or(Malformed::Syntax)?.1;
                }
            }
            _ => {}
        }
    }
    Ok(Tlvs(tlvs))
}

/// CRC32c (RFC 4960 appendix B) of a header with zeros for the four bytes at `at`.
fn checksum(header: &[u8], at: usize) -> u32 {
    let (before, rest) = header.split_at_checked(at).unwrap_or((header, &[]));
    let behind = rest.get(4..).unwrap_or(&[]);
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]), behind)
}

/// Appends a record, unless the header would become longer than any that is read.
pub(super) fn put(out: &mut Vec<u8>, begin: usize, kind: u8, value: &[u8]) {
    let length = out.len() - begin + PREFIX + value.len();
    if let Ok(value_length) = u16::try_from(value.len())
        && length <= LIMIT - CHECKSUM
    {
        out.push(kind);
        out.extend_from_slice(&value_length.to_be_bytes());
        out.extend_from_slice(value);
    }
}

/// The room that the checksum takes.
const CHECKSUM: usize = PREFIX + 4;

/// Appends the checksum as the last record of the header that begins at `begin`, and says in the header how long it is.
pub(super) fn finish(out: &mut Vec<u8>, begin: usize) {
    out.extend_from_slice(&[CRC32C, 0, 4, 0, 0, 0, 0]);
    let length = (out.len() - begin - FIXED) as u16;
    if let Some(place) = out.get_mut(begin + FIXED - 2..begin + FIXED) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    let at = out.len() - 4;
    let sum = checksum(out.get(begin..).unwrap_or(&[]), at - begin);
    if let Some(place) = out.get_mut(at..) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}
