//! Reading a header of either version, as it arrives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{
    Ends, FIXED, Header, LIMIT, LOCAL, Malformed, PROXY, Read, SIGNATURE, TCP4, TCP6, UNIX_STREAM, UNSPECIFIED,
    VERSION, tlv,
};

/// How every header of version 1 begins, and the most bytes of one (PP 2.1).
const PREFIX: &[u8] = b"PROXY ";
const LINE_LIMIT: usize = 107;
/// Addresses and ports in version 2, by family.
const ENDS4: usize = 12;
const ENDS6: usize = 36;
const ENDS_UNIX: usize = 216;

/// The header at the start of `bytes`. What is `Incomplete` now may be offered again with more behind it, whatever the
/// pieces; what is refused is refused with any more.
///
/// # Errors
/// When the bytes do not begin with a header.
pub fn read(bytes: &[u8]) -> Result<Read<'_>, Malformed> {
    let begins = |with: &[u8]| {
        let length = bytes.len().min(with.len());
        bytes.get(..length) == with.get(..length)
    };
    if begins(PREFIX) {
        line(bytes)
    } else if begins(SIGNATURE) {
        binary(bytes)
    } else {
        Err(Malformed::Missing)
    }
}

/// Version 1: a line of text.
fn line(bytes: &[u8]) -> Result<Read<'_>, Malformed> {
    let within = bytes.get(..LINE_LIMIT).unwrap_or(bytes);
    let end = within.iter().position(|byte| !(b' '..=b'~').contains(byte)).unwrap_or(within.len());
    match within.get(end..) {
        Some([]) if end == LINE_LIMIT => return Err(Malformed::TooLong),
        Some([]) => return Ok(Read::Incomplete),
        Some([b'\r']) if end + 1 < LINE_LIMIT => return Ok(Read::Incomplete),
        Some([b'\r', b'\n', ..]) => {}
        _ => return Err(Malformed::Syntax),
    }
    let said =
        within.get(PREFIX.len()..end).and_then(|said| std::str::from_utf8(said).ok()).ok_or(Malformed::Syntax)?;
    let header = |ends| Ok(Read::Complete(Header { len: end + 2, ends, tlvs: tlv::Tlvs::default() }));
    // what follows it says nothing (PP 2.1)
    if said == "UNKNOWN" || said.starts_with("UNKNOWN ") {
        return header(None);
    }
    let mut words = said.split(' ');
    let mut next = || words.next().ok_or(Malformed::Syntax);
    let family = next()?;
    let address = |text: &str| -> Result<IpAddr, Malformed> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| Malformed::Syntax),
            "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| Malformed::Syntax),
            _ => Err(Malformed::Syntax),
        }
    };
    let (source, destination) = (address(next()?)?, address(next()?)?);
    let (from, to) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(Malformed::Syntax);
    }
    header(Some(Ends { source: (source, from).into(), destination: (destination, to).into() }))
}

/// In decimal, as nobody but one way writes it.
fn port(text: &str) -> Result<u16, Malformed> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(Malformed::Syntax)
}

/// Version 2.
fn binary(bytes: &[u8]) -> Result<Read<'_>, Malformed> {
    // what is wrong already is not waited for
    let command = match bytes.get(SIGNATURE.len()) {
        None => return Ok(Read::Incomplete),
        Some(byte) if byte & 0xf0 == VERSION && matches!(byte & 0x0f, LOCAL | PROXY) => byte & 0x0f,
        Some(_) => return Err(Malformed::Syntax),
    };
    let Some([family, high, low]) = bytes.get(SIGNATURE.len() + 1..FIXED) else { return Ok(Read::Incomplete) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let ends_length = match (command, *family) {
        // everything is to be skipped, whatever it is (PP 2.2)
        (LOCAL, _) => None,
        (_, UNSPECIFIED) => Some(0),
        (_, TCP4) => Some(ENDS4),
        (_, TCP6) => Some(ENDS6),
        (_, UNIX_STREAM) => Some(ENDS_UNIX),
        _ => return Err(Malformed::Syntax),
    };
    if ends_length.is_some_and(|ends| length < ends) {
        return Err(Malformed::Syntax);
    }
    let len = FIXED + length;
    if len > LIMIT {
        return Err(Malformed::TooLong);
    }
    let Some(header) = bytes.get(..len) else { return Ok(Read::Incomplete) };
    let Some(ends_length) = ends_length else {
        return Ok(Read::Complete(Header { len, ends: None, tlvs: tlv::Tlvs::default() }));
    };
    let (ends, tlvs) = match *family {
        // without a family, nothing says where addresses end and records begin
        UNSPECIFIED => (None, tlv::Tlvs::default()),
        TCP4 => (ends4(header), tlv::check(header, FIXED + ends_length)?),
        TCP6 => (ends6(header), tlv::check(header, FIXED + ends_length)?),
        _ => (None, tlv::check(header, FIXED + ends_length)?),
    };
    Ok(Read::Complete(Header { len, ends, tlvs }))
}

fn ends4(header: &[u8]) -> Option<Ends> {
    let (source, rest) = header.get(FIXED..)?.split_first_chunk::<4>()?;
    let (destination, rest) = rest.split_first_chunk::<4>()?;
    ends(Ipv4Addr::from(*source).into(), Ipv4Addr::from(*destination).into(), rest)
}

fn ends6(header: &[u8]) -> Option<Ends> {
    let (source, rest) = header.get(FIXED..)?.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    ends(Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into(), rest)
}

fn ends(source: IpAddr, destination: IpAddr, ports: &[u8]) -> Option<Ends> {
    let (from, rest) = ports.split_first_chunk::<2>()?;
    let (to, _) = rest.split_first_chunk::<2>()?;
    Some(Ends {
        source: SocketAddr::new(source, u16::from_be_bytes(*from)),
        destination: SocketAddr::new(destination, u16::from_be_bytes(*to)),
    })
}
