//! Writing a header.

use std::io::Write;
use std::net::IpAddr;

use super::tlv::{ALPN, AUTHORITY, CLIENT_SSL, PASS, SSL, SSL_CIPHER, SSL_VERSION, Tlvs, finish, put};
use super::{Ends, LOCAL, PROXY, SIGNATURE, TCP4, TCP6, UNSPECIFIED, VERSION};

/// The client has shown a certificate on this connection,
const CLIENT_CERT_CONN: u8 = 0x02;
/// or on one that began the session which this one goes on with.
const CLIENT_CERT_SESS: u8 = 0x04;
/// The result of verifying a client's certificate where one was shown and is trusted,
const VERIFIED: u32 = 0;
/// and where none was.
const UNVERIFIED: u32 = 1;

/// What is told of TLS between the client and this proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secured<'a> {
    /// Agreed on by ALPN, if anything was.
    pub protocol: Option<&'a [u8]>,
    /// `TLSv1.3`
    pub version: &'a str,
    /// By OpenSSL's name.
    pub cipher: &'a str,
    /// The client has shown a certificate that is trusted.
    pub certified: Option<Certified>,
}

/// When a client has shown its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certified {
    /// In the handshake of this connection.
    Now,
    /// In the one of a session that was taken up again.
    Before,
}

/// What is known of a client's TLS, and of who tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told<'a> {
    /// The name that the client asked for.
    pub server_name: Option<&'a str>,
    /// Where its TLS ends at this proxy.
    pub secured: Option<Secured<'a>>,
    /// By which the other end knows who tells it.
    pub pass: Option<&'a [u8]>,
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
pub fn put_v2(ends: Option<Ends>, told: Told<'_>, passed: Tlvs<'_>, out: &mut Vec<u8>) {
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
    let Told { server_name, secured, pass } = told;
    if let Some(pass) = pass {
        put(out, begin, PASS, pass);
    }
    if let Some(protocol) = secured.and_then(|secured| secured.protocol) {
        put(out, begin, ALPN, protocol);
    }
    if let Some(server_name) = server_name {
        put(out, begin, AUTHORITY, server_name.as_bytes());
    }
    if let Some(Secured { version, cipher, certified, .. }) = secured {
        let (client, verified) = match certified {
            Some(Certified::Now) => (CLIENT_SSL | CLIENT_CERT_CONN | CLIENT_CERT_SESS, VERIFIED),
            Some(Certified::Before) => (CLIENT_SSL | CLIENT_CERT_SESS, VERIFIED),
            None => (CLIENT_SSL, UNVERIFIED),
        };
        let mut ssl = vec![client];
        ssl.extend_from_slice(&verified.to_be_bytes());
        put(&mut ssl, 0, SSL_VERSION, version.as_bytes());
        put(&mut ssl, 0, SSL_CIPHER, cipher.as_bytes());
        put(out, begin, SSL, &ssl);
    }
    for (kind, value) in passed.passed() {
        let is_known_better = match kind {
            ALPN | SSL => secured.is_some(),
            AUTHORITY => secured.is_some() || server_name.is_some(),
            // it is for one hop, whoever has said it
            PASS => true,
            _ => false,
        };
        if !is_known_better {
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
