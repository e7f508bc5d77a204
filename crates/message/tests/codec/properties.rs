//! The invariants over structured random heads: pieces that are right, pieces that are nearly right, and bytes.

use std::fmt;
use std::ops::Deref;

use proptest::prelude::*;
use proptest::sample::select;

use crate::invariants;

/// Whole field lines: most of them good, so that heads are accepted and what is odd comes in company.
const LINES: &[&str] = &[
    "Accept: */*",
    "X-A: b",
    "x_b: c",
    "X.Y: z",
    "X-C: \x01a\x7fb",
    "X-D:a\tb",
    "User-Agent: u",
    "Cookie: a=b; c=d",
    "X-A : b",
    "Content-Length: 5",
    "Content-Length: 05",
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
    "TE: trailers",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked;a",
    "Transfer-Encoding: chunked\x0c",
    "Connection: close",
    "Connection: keep-alive, X-A",
    "Connection: upgrade, x_b",
    "Upgrade: websocket",
    "Upgrade: a\x01",
    "X-Forwarded-For: a, b",
    "X-Forwarded-For: \x01",
    "X-Amzn-Trace-Id: Root=1;Self=2",
    "X-Amzn-Trace-Id: Root=\x01",
    "X-Forwarded-Proto: ftp",
    "Expect: 100-continue",
    "Keep-Alive: 5",
    ": x",
    "\t: x",
    " Transfer-Encoding: chunked",
    "Transfer_Encoding: identity",
    "Content Length: 5",
    "Trailer: X",
];

/// Pieces of chunked bodies.
const PIECES: &[&str] = &[
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\n",
    "a;x=y\r\n0123456789\r\n",
    "3 ;a\r\nabc\r\n",
    "3;a=\"b;\\\"\";c\r\nabc\r\n",
    "0;a=b\r\n",
    "X: y\r\n",
    "Content-Length: 5\r\n",
    "Cookie: a=b\r\n",
    "x-forwarded-for: \t\r\n",
    "Connection:\r\n",
    "\r\n",
    "1\r\n",
    "10000000000000005\r\nhello\r\n",
    "ffffffffffffffff\r\n",
    "0;\n",
    "00000\r\n",
    " ",
    "\n",
];

/// Bytes that a failure shows as text.
struct Text(Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

const NAMES: &[&str] = &[
    "Host",
    "host",
    "Content-Length",
    "content-length",
    "Transfer-Encoding",
    "TE",
    "Connection",
    "Connection",
    "Upgrade",
    "Keep-Alive",
    "Expect",
    "Cookie",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Amzn-Trace-Id",
    "Trailer",
    "X-A",
    "x_b",
    "Transfer_Encoding",
    "Content Length",
    "Content-Length ",
    " Transfer-Encoding",
    "Transfer-Encod\u{131}ng",
    "",
    " ",
    ":",
    "X-\x01",
    "HTTP2-Settings",
    "Proxy-Connection",
    "Proxy-Authorization",
    "User-Agent",
    "X.Y",
    "Accept",
];
const VALUES: &[&str] = &[
    "",
    "a.example",
    "a.example:80",
    "[::1]:8080",
    "0",
    "5",
    "05",
    "5, 5",
    "18446744073709551615",
    "chunked",
    "Chunked",
    "gzip, chunked",
    "gzip;q=1, chunked",
    "chunked\x0c",
    "chunked, chunked",
    "identity",
    "close",
    "keep-alive",
    "upgrade",
    "upgrade, X-A",
    "x-a, x_b",
    "websocket",
    "h2c",
    "100-continue",
    "Root=1-a-b;Self=c;x=y",
    "\x01a\x7fb",
    "a\tb",
    " a ",
    "\u{e9}",
    "a=b; c=d",
    "1.2.3.4, ::1",
    "a\rb",
    "a\nb",
    "a\0b",
    "a\r\n b",
    "trailers",
];
const TARGETS: &[&str] = &[
    "/",
    "/a?b=c",
    "/a b",
    "/a#b",
    "/\u{e9}",
    "/a\tb",
    "/%",
    "*",
    "",
    "http://b.example",
    "http://b.example?c",
    "https://b.example:1/x",
    "http://u@b.example/",
    "b.example:443",
    "/a HTTP/1.1",
    "/\x01",
    "//x",
    "?a",
];
const VERSIONS: &[&str] = &[
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.0",
    " HTTP/1.1 ",
    " HTTP/1.2",
    " HTTP/0.9",
    "",
    " HTTP/2.0",
    " http/1.1",
    "  HTTP/1.1",
];

fn piece(known: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => select(known).prop_map(|s| s.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => "[ -~]{0,12}".prop_map(String::into_bytes),
    ]
}

fn head() -> impl Strategy<Value = Text> {
    let method =
        select(&["GET", "GET", "POST", "POST", "HEAD", "OPTIONS", "CONNECT", "PUT", "M\x01", "", "\r\nPUT"][..]);
    let colon = prop_oneof![20 => select(&[":", ": ", ":\t "][..]), 1 => Just("")];
    let made = (piece(NAMES), colon, piece(VALUES)).prop_map(|(n, colon, v)| [&n, colon.as_bytes(), &v].concat());
    let line = prop_oneof![2 => select(LINES).prop_map(|l| l.as_bytes().to_vec()), 1 => made];
    let fields = proptest::collection::vec(line, 0..6);
    let end = select(&["\r\n", "\r\n", "\r\n", "\n", "\r", "\r\nGET / HTTP/1.1\r\n\r\n"][..]);
    let host = prop_oneof![4 => Just("Host: c.example\r\n"), 1 => Just("")];
    (method, piece(TARGETS), select(VERSIONS), host, fields, end).prop_map(
        |(method, target, version, host, fields, end)| {
            let mut head = format!("{method} ").into_bytes();
            head.extend_from_slice(&target);
            head.extend_from_slice(version.as_bytes());
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(host.as_bytes());
            for line in fields {
                head.extend_from_slice(&line);
                head.extend_from_slice(b"\r\n");
            }
            head.extend_from_slice(end.as_bytes());
            Text(head)
        },
    )
}

fn answer() -> impl Strategy<Value = Text> {
    let line = select(
        &[
            "HTTP/1.1 200 OK",
            "HTTP/1.1 204",
            "HTTP/1.0 404 \t",
            "HTTP/1.1 101 S",
            "HTTP/1.1 100 Continue",
            "HTTP/1.1 304 ",
            "HTTP/1.1 99 x",
            "HTTP/1.1 1000",
            "HTTP/2 200",
            "HTTP/1.9 599 \u{e9}",
        ][..],
    );
    let fields = proptest::collection::vec((piece(NAMES), piece(VALUES)), 0..6);
    (line, fields).prop_map(|(line, fields)| {
        let mut head = format!("{line}\r\n").into_bytes();
        for (name, value) in fields {
            head.extend_from_slice(&[&name, &b": "[..], &value, b"\r\n"].concat());
        }
        head.extend_from_slice(b"\r\n");
        Text(head)
    })
}

/// Members of Accept-Encoding, and what is nearly one.
fn accept_encoding() -> impl Strategy<Value = Text> {
    let names =
        ["gzip", "br", "zstd", "identity", "*", "x-gzip", "GZIP", "deflate", "", "gzip\t", "g zip", "br;", "zst"];
    let weights = [
        "",
        "",
        ";q=1",
        ";q=0",
        "; q=0.5",
        ";Q=0.501",
        " ;q=0.05",
        ";q=1.000",
        ";q=1.001",
        ";q=0.0",
        ";q=.5",
        ";q=0.1234",
        ";q=2",
        ";q",
        ";q=",
        ";level=1",
        ";q=1;q=0",
        ";q=0.",
        ";q=-0",
        ";q=0.5 ",
        ";q= 1",
        ";q=1e0",
    ];
    let made = (select(names.to_vec()), select(weights.to_vec())).prop_map(|(n, w)| format!("{n}{w}").into_bytes());
    let member = prop_oneof![8 => made, 1 => "[ -~]{0,6}".prop_map(String::into_bytes), 1 => proptest::collection::vec(any::<u8>(), 0..4)];
    proptest::collection::vec(member, 0..6).prop_map(|members| Text(members.join(&b", "[..])))
}

/// Heads of answers that may be encoded.
fn encodable() -> impl Strategy<Value = Text> {
    let lines = [
        "Content-Type: text/html",
        "content-type: Application/JSON; charset=x",
        "Content-Type: image/png",
        "Content-Length: 5",
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "ETag: \"a\"",
        "etag: W/\"a\"",
        "ETag: a",
        "Vary: Origin",
        "vary: *",
        "VARY: x, accept-encoding",
        "Vary:",
        "Accept-Ranges: bytes",
        "Content-Encoding: br",
        "Cache-Control: no-transform",
        "Cache-Control: max-age=1",
        "Content-Range: bytes 0-1/2",
        "Trailer: X",
        "Connection: ETag, Vary",
        "Set-Cookie: a=b",
    ];
    let status = select(vec!["200 OK", "200 OK", "404 ", "206 P", "304 N", "204 N", "101 S", "500"]);
    (status, proptest::collection::vec(select(lines.to_vec()), 0..7)).prop_map(|(status, lines)| {
        let mut lines: Vec<&str> = lines;
        if !lines.iter().any(|line| line.to_ascii_lowercase().starts_with("content-type")) {
            lines.push("Content-Type: text/css");
        }
        Text(format!("HTTP/1.1 {status}\r\n{}\r\n\r\n", lines.join("\r\n")).into_bytes())
    })
}

fn body() -> impl Strategy<Value = Text> {
    let any = proptest::collection::vec(any::<u8>(), 0..8);
    let piece = prop_oneof![6 => select(PIECES).prop_map(|s| s.as_bytes().to_vec()), 1 => any];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| Text(pieces.concat()))
}

/// Pieces of headers of the PROXY protocol, most of them in an order that makes one.
fn proxy_header() -> impl Strategy<Value = Text> {
    const WORDS: &[&str] =
        &["TCP4", "TCP6", "UNKNOWN", "1.2.3.4", "255.255.255.255", "::1", "1", "65535", "", "x", "\r\n"];
    let line =
        proptest::collection::vec(select(WORDS), 0..7).prop_map(|words| format!("PROXY {}\r\n", words.join(" ")));
    let fixed = (select(&[0x20_u8, 0x21, 0x11, 0x22][..]), select(&[0_u8, 0x11, 0x21, 0x31, 0x12, 0xff][..]));
    let record = (select(&[1_u8, 2, 3, 4, 5, 0x20, 0xea][..]), proptest::collection::vec(any::<u8>(), 0..8));
    let record = record.prop_map(|(kind, value)| [&[kind, 0, value.len() as u8][..], &value].concat());
    let ends =
        select(&[0_usize, 12, 36, 216][..]).prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length));
    let binary =
        (fixed, ends, proptest::collection::vec(record, 0..4), -2_i32..3).prop_map(|(fixed, ends, records, off)| {
            let rest = [ends, records.concat()].concat();
            let length = (rest.len() as i32 + off).max(0) as u16;
            [b"\r\n\r\n\0\r\nQUIT\n", &[fixed.0, fixed.1][..], &length.to_be_bytes(), &rest].concat()
        });
    prop_oneof![line.prop_map(String::into_bytes), binary].prop_map(Text)
}

/// ClientHellos in records of some size, whole and cut off, with bytes that are not what they were.
fn hello() -> impl Strategy<Value = Vec<u8>> {
    const EXTENSIONS: &[&[u8]] = &[
        b"\0\0\0\x0a\0\x08\0\0\x05a.exa",
        b"\0\0\0\x0a\0\x08\0\0\x05A-EXA",
        b"\0\x10\0\x0a\0\x08\x02h2\x04http",
        b"\0\x10\0\x05\0\x03\x02h2",
        b"\0\x2b\0\x03\x02\x03\x04",
        b"\0\x15\0\0",
    ];
    let extensions = prop::collection::vec(select(EXTENSIONS), 0..4);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (extensions, changes, 1..200usize, any::<prop::sample::Index>()).prop_map(|(extensions, changes, size, end)| {
        let extensions = extensions.concat();
        let length = extensions.len() as u8;
        let body = [&[3, 3][..], &[b'r'; 32], b"\0\0\x02\x13\x01\x01\0\0", &[length], &extensions].concat();
        let mut message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
        for (at, to) in changes.iter().take(2) {
            let at = at.index(message.len());
            message[at] = *to;
        }
        let record = |piece: &[u8]| [&[22, 3, 1, 0, piece.len() as u8][..], piece].concat();
        let mut bytes: Vec<u8> = message.chunks(size).flat_map(record).collect();
        if let [_, _, (at, to)] = changes[..] {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        let cut = end.index(bytes.len() * 3);
        bytes.truncate(cut.max(1));
        bytes
    })
}

/// Field lines of every form, whole and broken.
fn section() -> impl Strategy<Value = Vec<u8>> {
    let string = |prefix: u8| {
        let any = proptest::collection::vec(any::<u8>(), 0..5);
        any.prop_map(move |bytes| [&[prefix | bytes.len() as u8][..], &bytes].concat())
    };
    let line = prop_oneof![
        3 => (0xc0..=0xfe_u8).prop_map(|indexed| vec![indexed]),
        3 => (0x50..0x5f_u8, string(0)).prop_map(|(name, value)| [vec![name], value].concat()),
        2 => (string(0x20), string(0)).prop_map(|(name, value)| [name, value].concat()),
        2 => (string(0x28), string(0x80)).prop_map(|(name, value)| [name, value].concat()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(line, 0..8).prop_map(|lines| [vec![0, 0], lines.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn request_reads_the_same_in_any_pieces(bytes in head()) {
        invariants::request(&bytes);
    }

    #[test]
    fn what_is_accepted_is_sent_on_clean(bytes in head()) {
        invariants::resend(&bytes);
    }

    #[test]
    fn another_parser_agrees(bytes in head()) {
        invariants::differential(&bytes);
    }

    #[test]
    fn response_reads_the_same_in_any_pieces(bytes in answer()) {
        invariants::response(&bytes);
    }

    #[test]
    fn chunked_body_ends_where_it_ends(bytes in body()) {
        invariants::chunked(&bytes);
    }

    #[test]
    fn client_hello_reads_the_same_in_any_pieces(bytes in hello()) {
        invariants::client_hello(&bytes);
    }

    #[test]
    fn weights_are_read_by_the_letter(bytes in accept_encoding()) {
        invariants::accept_encoding(&bytes);
    }

    #[test]
    fn proxy_headers_read_the_same_in_any_pieces(bytes in proxy_header()) {
        invariants::proxy_protocol(&bytes);
    }

    #[test]
    fn encoded_answers_say_so(bytes in encodable()) {
        invariants::encoded(&bytes);
        invariants::response(&bytes);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        invariants::request(&bytes);
        invariants::response(&bytes);
        invariants::chunked(&bytes);
        invariants::resend(&bytes);
        invariants::differential(&bytes);
        invariants::encoded(&bytes);
        invariants::accept_encoding(&bytes);
        invariants::proxy_protocol(&bytes);
        invariants::field_section(&bytes);
        invariants::field_blocks(&bytes);
    }

    #[test]
    fn fields_say_the_same_encoded_anew(bytes in section()) {
        invariants::field_section(&bytes);
    }
}
