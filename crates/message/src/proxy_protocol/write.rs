//! Writing a header.

use std::io::Write;
use std::net::IpAddr;

use super::tlv::{ALPN, AUTHORITY, SSL, SSL_CIPHER, SSL_VERSION, Tlvs, finish, put};
use super::{Ends, LOCAL, PROXY, SIGNATURE, TCP4, TCP6, UNSPECIFIED, VERSION};

/// The client has connected over TLS (PP 2.2.6).
const CLIENT_SSL: u8 = 0x01;
/// The result of verifying a client's certificate where none was shown: not zero, which means that it was.
const UNVERIFIED: u32 = 1;

/// What is told of TLS between the client and this proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secured<'a> {
    /// Agreed on by ALPN, if anything was.
    pub protocol: Option<&'a [u8]>,
    /// The name that the client asked for.
    pub server_name: Option<&'a str>,
    /// `TLSv1.3`
    pub version: &'a str,
    /// By OpenSSL's name.
    pub cipher: &'a str,
}

/// Appends a header of version 1. Without `ends`, the proxy speaks for itself.
pub fn put_v1(ends: Option<Ends>, out: &mut Vec<u8>) {
    let Some(Ends { source, destination }) = ends.map(Ends::of_one_family) else {
        out.extend_from_slice(b"PROXY UNKNOWN\r\n");
        return;
    };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.port(), destination.port());
    // a vector takes everything
    let _ = write!(out, "PROXY {family} {} {} {from} {to}\r\n", source.ip(), destination.ip());
}

/// Appends a header of version 2, with a checksum. Without `ends`, the proxy speaks for itself, and says nothing else.
/// `passed` is what another proxy has said before; of what this one knows better, it is left out.
pub fn put_v2(ends: Option<Ends>, secured: Option<Secured<'_>>, passed: Tlvs<'_>, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(SIGNATURE);
    let Some(Ends { source, destination }) = ends.map(Ends::of_one_family) else {
        out.extend_from_slice(&[VERSION | LOCAL, UNSPECIFIED, 0, 0]);
        return;
    };
    out.extend_from_slice(&[VERSION | PROXY, if source.is_ipv4() { TCP4 } else { TCP6 }, 0, 0]);
    put_ip(source.ip(), out);
    put_ip(destination.ip(), out);
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
    if let Some(Secured { protocol, server_name, version, cipher }) = secured {
        if let Some(protocol) = protocol {
            put(out, begin, ALPN, protocol);
        }
        if let Some(server_name) = server_name {
            put(out, begin, AUTHORITY, server_name.as_bytes());
        }
        let mut ssl = vec![CLIENT_SSL];
        ssl.extend_from_slice(&UNVERIFIED.to_be_bytes());
        put(&mut ssl, 0, SSL_VERSION, version.as_bytes());
        put(&mut ssl, 0, SSL_CIPHER, cipher.as_bytes());
        put(out, begin, SSL, &ssl);
    }
    for (kind, value) in passed.passed() {
        if secured.is_none() || !matches!(kind, ALPN | AUTHORITY | SSL) {
            put(out, begin, kind, value);
        }
    }
    finish(out, begin);
}

fn put_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
}
