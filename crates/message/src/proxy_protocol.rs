//! The PROXY protocol, versions 1 and 2: what a proxy says of its client before the client's own bytes
//! (`proxy-protocol.txt` of HAProxy, cited here as PP).
//!
//! Read strictly: whoever may send a header says who the client is, so that one which could be understood in two ways is
//! none. Deliberately absent: datagrams, which no stream can be said to carry, and the judgement who may send a header.

mod read;
mod tlv;
mod write;

use std::net::{IpAddr, SocketAddr};

pub use read::read;
pub use tlv::{AUTHORITY, AWS, PASS, Tlvs, UNIQUE_ID};
pub use write::{Certified, Secured, Told, put_v1, put_v2};

/// The longest header that is read, in bytes. One of version 1 has at most 107 (PP 2.1); one of version 2 could have 64 KiB, and
/// has some hundreds.
pub const LIMIT: usize = 4096;

/// How every header of version 2 begins (PP 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
/// The version, in the upper half of its byte, and the commands in the lower one.
const VERSION: u8 = 0x20;
const LOCAL: u8 = 0;
const PROXY: u8 = 1;
/// Families and transports: TCP over IPv4 and IPv6, a stream socket in a file system, and nothing said.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

/// Between whom the connection is that a proxy speaks for; of one family, unless they were said apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client's address.
    pub source: SocketAddr,
    /// The address that the client connected to.
    pub destination: SocketAddr,
}

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its length in bytes: what follows is the client's.
    pub len: usize,
    /// None when the proxy speaks for itself (`LOCAL`), or does not know (`UNKNOWN`, `UNSPEC`, a socket in a file system).
    pub ends: Option<Ends>,
    /// What else version 2 says.
    pub tlvs: Tlvs<'a>,
}

/// What bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// What may become a header, with more bytes; none of them is the client's.
    Incomplete,
    /// A header.
    Complete(Header<'a>),
}

/// Why bytes do not begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They begin with something else.
    Missing,
    /// With one that is not by the grammar, or says what cannot be.
    Syntax,
    /// With one that is longer than [`LIMIT`].
    TooLong,
    /// With one whose checksum (PP 2.2.3) is not that of its bytes.
    Checksum,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Malformed::Missing => "no PROXY header",
            Malformed::Syntax => "malformed PROXY header",
            Malformed::TooLong => "PROXY header too long",
            Malformed::Checksum => "PROXY header with a wrong checksum",
        })
    }
}

impl std::error::Error for Malformed {}

impl Ends {
    /// Both in the same family: an IPv4 address that stands beside one of IPv6 is written as that (RFC 4291 section 2.5.5.2).
    fn of_one_family(self) -> Ends {
        let mapped = |address: SocketAddr| match address.ip() {
            IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
            IpAddr::V6(_) => address,
        };
        if self.source.is_ipv4() == self.destination.is_ipv4() {
            return self;
        }
        Ends { source: mapped(self.source), destination: mapped(self.destination) }
    }
}

#[cfg(test)]
mod tests;
