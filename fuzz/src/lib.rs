//! The fuzz targets of the message crate, and what all fuzz targets hunt with: plain functions over bytes, that panic when an
//! invariant does not hold. Deliberately absent: nightly Rust.
//!
//! Whatever reads bytes of somebody else's has a target, here or in the crate whose door is closed to others:
//!
//! | what is read | target | where |
//! |---|---|---|
//! | requests, and what becomes of them | `request`, `resend`, `differential` (against `httparse`) | here |
//! | answers, and what becomes of them | `response`, `encoded` | here |
//! | chunked bodies, trailers | `chunked` | here |
//! | Accept-Encoding | `accept_encoding` | here |
//! | HPACK; frames and settings of HTTP/2 | `field_blocks` | here |
//! | QPACK, Huffman; frames and settings of HTTP/3 | `field_section` | here |
//! | PROXY protocol, versions 1 and 2 | `proxy_protocol` | here |
//! | ClientHello | `client_hello` | here |
//! | whole connections of clients: HTTP/1.1, HTTP/2, HTTP/3 | `a_client`, `a_client_http2`, `a_client_http3` | `edge` |
//! | whole connections of targets: HTTP/1.1, HTTP/2 | `a_target`, `a_target_http2` | `edge` |
//! | what targets answer to health checks of HTTP, in both versions, and of gRPC | `a_health_check` | `edge` |
//! | what databases answer to health checks | `a_postgres`, `a_mysql`, `a_redis` | `edge` |
//! | certificates of clients | `a_certificate` | `edge` |
//! | datagrams of QUIC that nobody has decrypted; those that another process hands on | `a_datagram` | `edge` |
//! | stickiness cookies | `a_cookie` | `edge` |
//! | queries of the API, its pages, conditions and the console's cookie | `a_call` | `control` |
//! | signed requests | `a_signature` | `iam` |
//! | policy documents, and what they decide | `a_policy` | `iam` |
//! | times | `a_time` | `iam` |
//! | what authorities answer, by ACME | `an_authority` | `server` |
//! | what processes say to each other when one takes over | `a_message` | `server` |
//! | configurations, as YAML and JSON | `a_configuration` | `model` |
//!
//! What reads and is not ours is not hunted by itself: QUIC's packets, TLS, X.509's DER, DNS, JSON. It is behind several of these.
//!
//! `corpus` has what long hunts have left, a file for each target, a line for each input ([`hunt::Target::corpus`]); each
//! hunt begins with it. `make fuzz FUZZ_SECONDS=60 FUZZ_SAVE=fuzz/corpus` hunts each target for a minute and leaves there what it
//! finds; an input that has failed is there from then on, as the first line.
//!
//! The invariants of the targets here are those of the message crate's property tests, the same file.

use headworks_message::section::FieldSection;
use headworks_message::{Parsed, RequestHead, ResponseHead, request, response};

pub mod hunt;
#[path = "../../crates/message/tests/codec/invariants.rs"]
mod invariants;
pub mod mutate;

use self::hunt::Target;
use self::mutate::mutate;

/// A target called as its invariant is, with what earlier hunts have left.
macro_rules! target {
    ($name:ident, $shape:expr, $seeds:expr) => {
        Target {
            name: stringify!($name),
            run: invariants::$name,
            shape: $shape,
            mutate,
            seeds: $seeds,
            corpus: include_str!(concat!("../corpus/", stringify!($name))),
        }
    };
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target!(request, request_shape, REQUESTS),
    target!(response, response_shape, RESPONSES),
    target!(chunked, chunked_shape, BODIES),
    target!(resend, request_shape, REQUESTS),
    target!(encoded, response_shape, RESPONSES),
    target!(accept_encoding, coding_shape, CODINGS),
    target!(proxy_protocol, proxy_shape, PROXY_HEADERS),
    target!(client_hello, hello_shape, HELLOS),
    target!(field_section, section_shape, SECTIONS),
    target!(field_blocks, blocks_shape, BLOCKS),
    target!(differential, request_shape, REQUESTS),
];

fn request_shape(bytes: &[u8]) -> String {
    let mut head = RequestHead::default();
    match request::parse(bytes, &mut head) {
        Ok(Parsed::Complete) => {
            let kinds: Vec<_> = head.fields.iter().map(|f| (f.known, f.fitness)).take(6).collect();
            format!("{:?} {:?} {:?} {:?} {kinds:?}", head.reason, head.framing, head.connection, head.version)
        }
        other => format!("{other:?}"),
    }
}

fn response_shape(bytes: &[u8]) -> String {
    let mut head = ResponseHead::default();
    let parsed = response::parse(bytes, &mut head);
    let kinds: Vec<_> = head.fields.iter().map(|f| f.known).take(6).collect();
    format!("{parsed:?} {} {:?} {:?} {kinds:?}", head.status / 100, head.framing(false), head.connection)
}

fn chunked_shape(bytes: &[u8]) -> String {
    let mut body = headworks_message::Body::new(headworks_message::Framing::Chunked);
    let good =
        bytes.iter().take_while(|b| body.take(std::slice::from_ref(b)).is_ok_and(|taken| taken.total() > 0)).count();
    format!("{} {body:?}", good.min(64))
}

fn section_shape(bytes: &[u8]) -> String {
    let mut section = FieldSection::default();
    let decoded = headworks_message::qpack::decode(bytes, 4096, &mut section);
    format!("{decoded:?} {}", lines_shape(&section))
}

fn blocks_shape(bytes: &[u8]) -> String {
    let mut decoder = headworks_message::hpack::Decoder::default();
    let mut section = FieldSection::default();
    let (mut rest, mut shape) = (bytes, String::new());
    while let Some((length, behind)) = rest.split_first()
        && shape.len() < 200
    {
        let (block, next) = behind.split_at(behind.len().min(usize::from(*length)));
        let decoded = decoder.decode(block, 4096, &mut section);
        shape += &format!("{decoded:?} {}", lines_shape(&section));
        rest = next;
    }
    shape
}

fn lines_shape(section: &FieldSection) -> String {
    let lengths: Vec<_> = section.iter().map(|(name, value)| (name.len().min(9), value.len().min(9))).take(4).collect();
    format!("{lengths:?} {:?}", headworks_message::section::request(section).is_ok())
}

fn coding_shape(bytes: &[u8]) -> String {
    use headworks_message::encoding::{ContentCoding, negotiate};
    let each = ContentCoding::ALL.map(|coding| negotiate([bytes], &[coding]).is_some());
    let members = bytes.split(|b| *b == b',').count().min(8);
    format!("{:?} {each:?} {members}", negotiate([bytes], &ContentCoding::ALL))
}

fn proxy_shape(bytes: &[u8]) -> String {
    use headworks_message::proxy_protocol::{Read, read};
    match read(bytes) {
        Ok(Read::Complete(header)) => {
            let kinds: Vec<_> = header.tlvs.map(|(kind, value)| (kind, value.len().min(4))).take(6).collect();
            format!("{:?} {kinds:?}", header.ends.map(|ends| (ends.source.is_ipv4(), ends.destination.is_ipv4())))
        }
        other => format!("{other:?} {}", bytes.len().min(64)),
    }
}

const PROXY_HEADERS: &[&[u8]] = &[
    b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\n",
    b"PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 1 65535\r\n",
    b"PROXY UNKNOWN ffff::1 x\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x1b\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\x01\xbb\x01\0\x02h2\x20\0\x05\x01\0\0\0\0\x05\0\x01x",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\x03\x04\0\0rest",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\x01\0\x02",
];

fn hello_shape(bytes: &[u8]) -> String {
    let read = headworks_message::client_hello::Reader::default().read(bytes);
    format!("{:?}", read.map(|hello| hello.map(|hello| (hello.server_name.is_some(), hello.protocols.len().min(4)))))
}

const REQUESTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"GET /a/b?c=d#e HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    b"POST http://b.example?x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked;q=1\r\nContent-Length: 3\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: [::1]:80\r\nConnection: Upgrade, X-A\r\nUpgrade: websocket\r\nX-A: 1\r\nX_B: 2\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4, ::1\r\nX-Amzn-Trace-Id: Root=1-a-b;Self=c;d=e\r\n\r\n",
    b"\r\nPUT /a b HTTP/1.2\r\nHost: a\r\nExpect: 100-continue\r\nX: \x01a\x7f\r\nTransfer-Encoding : chunked\r\n\r\n",
    b"HEAD  HTTP/1.1 \r\nHost:\r\n: x\r\n Content-Length: 5\r\nTransfer_Encoding:\tchunked\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b; headworks_session=c\r\nCookie:\theadworks_session=d;e\r\n\r\n",
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nCookie: a=b; c=d\r\nTE: trailers\r\nTrailer: X\r\n\r\n",
];

const RESPONSES: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\n\r\nhello",
    b"HTTP/1.0 404\r\nTransfer-Encoding: identity, chunked\r\nServer: s\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; a\r\nVary: Origin, X\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\n\r\n",
    b"HTTP/1.1 304 N\r\nVary: Origin\r\nvary: *\r\nETag: W/\"a\"\r\nCache-Control: a, no-transform\r\n\r\n",
    b"HTTP/1.1 204 \r\nContent-Length: 0\r\nContent-Length: 0\r\nSet-Cookie: a=b\r\n\r\n",
];

const SECTIONS: &[&[u8]] = &[
    b"\x00\x00\xd1\xd7\xc1\x50\x01a",
    b"\x00\x00\x51\x0b/index.html\x23abc\x03def",
    b"\x00\x00\x70\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
    b"\x00\x00\x2f\x00\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf",
];

/// Requests with literals, then out of the table that they made; a table that shrinks.
const BLOCKS: &[&[u8]] = &[
    b"\x0a\x82\x86\x84\x41\x05a.exa\x05\x82\x86\x84\xbe\x90",
    b"\x0b\x82\x87\x85\x40\x01a\x03xyz\x01\xbe\x06\x20\x3f\x09\x40\x01b\x04",
    b"\x11\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff\x01\xbe",
    b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\xff\xff",
];

/// A name and two protocols, in one record and in two; nothing but what must be there.
const HELLOS: &[&[u8]] = &[
    b"\x16\x03\x01\0\x4b\x01\0\0\x47\x03\x03rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\0\0\x02\x13\x01\x01\0\0\x1c\
\0\0\0\x0a\0\x08\0\0\x05a.exa\0\x10\0\x0a\0\x08\x02h2\x04http",
    b"\x16\x03\x01\0\x05\x01\0\0\x47\x03\x16\x03\x03\0\x46\x03rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\0\0\x02\x13\x01\x01\0\0\x1c\
\0\0\0\x0a\0\x08\0\0\x05a.exa\0\x10\0\x0a\0\x08\x02h2\x04http",
    b"\x16\x03\x01\0\x2d\x01\0\0\x29\x03\x03rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\0\0\x02\x13\x01\x01\0",
];

const CODINGS: &[&[u8]] =
    &[b"gzip, deflate, br, zstd", b"br;q=0.5, gzip ; q=0.501,\t*;q=0", b"identity;q=1.000, x-gzip;Q=0.9, zstd;q=2"];

const BODIES: &[&[u8]] = &[
    b"5\r\nhello\r\n0\r\n\r\n",
    b"00a;x=y\r\n0123456789\r\n0;z\r\nX: y\r\nZ:\r\n\r\nGET",
    b"fffffffffffffff\r\nabc",
    b"3;a=b;c\r\nabc\r\n0\r\nCookie: a\r\nX-A: b\r\nConnection:\r\nContent-Length: 5\r\n\r\n",
    b"0\r\nX-Forwarded-For: \t1\r\nTE: x\r\nX: y\r\nAuthorization:\r\n\r\n",
    b"1 ;\ta=\"b\"\r\n\r\r\nF\r\n012345678901234\r\n",
];
