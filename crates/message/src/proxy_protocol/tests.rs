//! Headers that are read, headers that are refused, and that what is written is what is read.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::tlv::{ALPN, SSL, finish, put};
use super::*;

fn ends(source: &str, destination: &str) -> Ends {
    Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// A header of version 2 of this command and family with this behind its length.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = [&SIGNATURE[..], &[VERSION | command, family]].concat();
    header.extend_from_slice(&(rest.len() as u16).to_be_bytes());
    header.extend_from_slice(rest);
    header
}

const FOUR: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 0x01, 0xbb];

#[test]
fn lines_of_version_1() {
    let longest = format!("PROXY TCP6 {0} {0} 65535 65535\r\n", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    let rows: [(&str, Option<(&str, &str)>); 7] = [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", Some(("192.0.2.1:56324", "192.0.2.2:443"))),
        ("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", Some(("255.255.255.255:65535", "0.0.0.0:0"))),
        ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", Some(("[2001:db8::1]:1", "[::1]:2"))),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Some(("[::ffff:192.0.2.1]:1", "[::1]:2"))),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ff:: whatever 1\r\n", None),
        (
            &longest,
            Some((
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            )),
        ),
    ];
    for (text, expected) in rows {
        let bytes = [text.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
        let expected = expected.map(|(source, destination)| ends(source, destination));
        let header = Header { len: text.len(), ends: expected, tlvs: Tlvs::default() };
        assert_eq!(read(&bytes), Ok(Read::Complete(header)), "{text}");
    }
}

#[test]
fn what_is_no_header() {
    let long_unknown = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    let rows: [(&[u8], Malformed); 33] = [
        (b"GET / HTTP/1.1\r\n", Malformed::Missing),
        (b"PRI * HTTP/2.0\r\n", Malformed::Missing),
        (b"\x16\x03\x01", Malformed::Missing),
        (b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Malformed::Missing),
        (b"\r\n\r\n\0\r\nQUIX", Malformed::Missing),
        (b"PROXY\tTCP4", Malformed::Missing),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", Malformed::Syntax),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n", Malformed::Syntax),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", Malformed::Syntax),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", Malformed::Syntax),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", Malformed::Syntax),
        (b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", Malformed::Syntax),
        (b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Malformed::Syntax),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", Malformed::Syntax),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", Malformed::Syntax),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", Malformed::Syntax),
        (b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", Malformed::Syntax),
        (b"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", Malformed::Syntax),
        (b"PROXY TCP4 ::1 ::2 1 2\r\n", Malformed::Syntax),
        (b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", Malformed::Syntax),
        (b"PROXY TCP6 ::1%lo ::2 1 2\r\n", Malformed::Syntax),
        (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", Malformed::Syntax),
        (b"PROXY UNKNOWNX\r\n", Malformed::Syntax),
        (b"PROXY TCP4 192.0.2.1 \0", Malformed::Syntax),
        (b"PROXY TCP4 192.0.2.1\xc3\xa9", Malformed::Syntax),
        (long_unknown.as_bytes(), Malformed::TooLong),
        (&v2(2, TCP4, &FOUR), Malformed::Syntax),
        (b"\r\n\r\n\0\r\nQUIT\n\x11", Malformed::Syntax),
        (&v2(PROXY, 0x12, &FOUR), Malformed::Syntax),
        (&v2(PROXY, 0x41, &FOUR), Malformed::Syntax),
        (&v2(PROXY, TCP4, &FOUR[..11]), Malformed::Syntax),
        (&v2(PROXY, TCP6, &FOUR), Malformed::Syntax),
        (&v2(PROXY, TCP4, &vec![0; LIMIT]), Malformed::TooLong),
    ];
    for (bytes, expected) in rows {
        assert_eq!(read(bytes), Err(expected), "{}", bytes.escape_ascii());
    }
}

#[test]
fn headers_of_version_2() {
    let six: Vec<u8> = [&[0; 15][..], &[1], &[0; 15], &[2], &[0, 1, 0, 2]].concat();
    let rows = [
        (v2(PROXY, TCP4, &FOUR), Some(ends("192.0.2.1:56324", "192.0.2.2:443"))),
        (v2(PROXY, TCP6, &six), Some(ends("[::1]:1", "[::2]:2"))),
        (v2(PROXY, UNIX_STREAM, &[b'x'; 216]), None),
        (v2(PROXY, UNSPECIFIED, &[]), None),
        (v2(PROXY, UNSPECIFIED, &[1, 2, 3]), None),
        (v2(LOCAL, UNSPECIFIED, &[]), None),
        (v2(LOCAL, TCP4, &FOUR), None),
        // whatever stands in what is skipped
        (v2(LOCAL, 0xff, &[3, 0]), None),
    ];
    for (bytes, expected) in rows {
        let header = Header { len: bytes.len(), ends: expected, tlvs: Tlvs::default() };
        let behind = [&bytes[..], b"GET"].concat();
        assert_eq!(read(&behind), Ok(Read::Complete(header)), "{}", bytes.escape_ascii());
    }
}

#[test]
fn records_of_version_2() {
    let of = |records: &[u8]| v2(PROXY, TCP4, &[&FOUR[..], records].concat());
    let ssl: &[u8] = &[SSL, 0, 15, 1, 0, 0, 0, 0, 0x21, 0, 7, b'T', b'L', b'S', b'v', b'1', b'.', b'3'];
    let whole = [&[4, 0, 2, 0, 0, ALPN, 0, 2, b'h', b'2', AWS, 0, 1, 9][..], ssl].concat();
    let bytes = of(&whole);
    let Ok(Read::Complete(header)) = read(&bytes) else { panic!("{:?}", read(&bytes)) };
    let records: Vec<(u8, &[u8])> = header.tlvs.passed().collect();
    assert_eq!(records, [(ALPN, &b"h2"[..]), (AWS, &[9]), (SSL, &ssl[3..])]);
    assert_eq!(Tlvs::of(header.tlvs.bytes()), header.tlvs);
    let rows: [(Vec<u8>, Malformed); 7] = [
        (of(&[1]), Malformed::Syntax),
        (of(&[1, 0, 2, b'h']), Malformed::Syntax),
        (of(&[3, 0, 3, 0, 0, 0]), Malformed::Syntax),
        (of(&[3, 0, 4, 0, 0, 0, 0]), Malformed::Checksum),
        (of(&[&[UNIQUE_ID, 0, 129][..], &[0; 129]].concat()), Malformed::Syntax),
        (of(&[SSL, 0, 4, 0, 0, 0, 0]), Malformed::Syntax),
        (of(&[SSL, 0, 7, 1, 0, 0, 0, 0, 0x21, 9]), Malformed::Syntax),
    ];
    for (bytes, expected) in rows {
        assert_eq!(read(&bytes), Err(expected), "{}", bytes.escape_ascii());
    }
}

/// The checksum is that of RFC 3720 appendix B.4: of 32 zeros it is known.
#[test]
fn checksums_are_verified() {
    let mut header = v2(PROXY, TCP4, &FOUR);
    put(&mut header, 0, AWS, b"vpce");
    finish(&mut header, 0);
    assert!(matches!(read(&header), Ok(Read::Complete(_))), "{:?}", read(&header));
    // but for the type of the record that says it
    for at in (FIXED..header.len()).filter(|at| at + 7 != header.len()) {
        let mut other = header.clone();
        other[at] ^= 1;
        assert!(read(&other).is_err(), "a changed byte at {at} passes");
    }
    assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
}

#[test]
fn what_the_proxy_says_of_itself() {
    let mut out = b"before".to_vec();
    put_v1(None, &mut out);
    assert_eq!(out, b"beforePROXY UNKNOWN\r\n");
    out.clear();
    put_v2(None, Told::default(), Tlvs::default(), &mut out);
    assert_eq!(out, v2(LOCAL, UNSPECIFIED, &[]));
}

/// What this proxy knows better takes the place of what was passed to it.
#[test]
fn what_is_passed_on() {
    let passed = [ALPN, 0, 1, b'x', AUTHORITY, 0, 1, b'y', AWS, 0, 1, 9, UNIQUE_ID, 0, 1, 7, 3, 0, 4, 1, 2, 3, 4];
    let secured = Secured { protocol: Some(b"h2"), version: "TLSv1.3", cipher: "C", certified: None };
    let between = ends("192.0.2.1:1", "192.0.2.2:2");
    let kinds = |server_name, secured| {
        let mut out = Vec::new();
        put_v2(Some(between), Told { server_name, secured, pass: None }, Tlvs::of(&passed), &mut out);
        let Ok(Read::Complete(header)) = read(&out) else { panic!("{:?}", read(&out)) };
        header.tlvs.passed().map(|(kind, value)| (kind, value.to_vec())).collect::<Vec<_>>()
    };
    let rest = [(AWS, vec![9]), (UNIQUE_ID, vec![7])];
    let with = |first: &[(u8, &[u8])]| {
        let first = first.iter().map(|(kind, value)| (*kind, value.to_vec()));
        first.chain(rest.clone()).collect::<Vec<_>>()
    };
    let name = "a.example";
    assert_eq!(kinds(None, None), with(&[(ALPN, b"x"), (AUTHORITY, b"y")]));
    // a name is all that is known of TLS which ends elsewhere
    let expected = [&[(AUTHORITY, name.as_bytes().to_vec()), (ALPN, b"x".to_vec())][..], &rest].concat();
    assert_eq!(kinds(Some(name), None), expected);
    let ssl = |client: u8, verify: u8| [&[client, 0, 0, 0, verify], &b"\x21\0\x07TLSv1.3\x23\0\x01C"[..]].concat();
    for (certified, ssl) in [(None, ssl(1, 1)), (Some(Certified::Now), ssl(7, 0)), (Some(Certified::Before), ssl(5, 0))]
    {
        let secured = Some(Secured { certified, ..secured });
        let expected = with(&[(ALPN, b"h2"), (AUTHORITY, name.as_bytes()), (SSL, &ssl)]);
        assert_eq!(kinds(Some(name), secured), expected);
        assert_eq!(kinds(None, secured), with(&[(ALPN, b"h2"), (SSL, &ssl)]), "what was passed may be of another");
    }
}

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![any::<([u8; 4], u16)>().prop_map(SocketAddr::from), any::<([u16; 8], u16)>().prop_map(SocketAddr::from)]
}

/// Records as they stood in a header that was read: those whose values have rules of their own are left out.
fn records() -> impl Strategy<Value = Vec<u8>> {
    let kind = any::<u8>().prop_filter("has rules", |kind| ![UNIQUE_ID, SSL].contains(kind));
    let record = (kind, prop::collection::vec(any::<u8>(), 0..600))
        .prop_map(|(kind, value)| [&[kind][..], &(value.len() as u16).to_be_bytes(), &value].concat());
    prop::collection::vec(record, 0..12).prop_map(|records| records.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        source in address(),
        destination in address(),
        name in "[a-z.]{0,300}",
        passed in records(),
        rest in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let said = Ends { source, destination };
        let mut one = Vec::new();
        put_v1(Some(said), &mut one);
        let secured = Secured { protocol: None, version: "TLSv1.2", cipher: "X", certified: None };
        let told = Told { server_name: Some(&name), secured: Some(secured), pass: Some(b"pass") };
        let mut two = Vec::new();
        put_v2(Some(said), told, Tlvs::of(&passed), &mut two);
        for mut bytes in [one, two] {
            let len = bytes.len();
            prop_assert!(len <= LIMIT);
            bytes.extend_from_slice(&rest);
            let Ok(Read::Complete(header)) = read(&bytes) else { panic!("{:?}: {}", read(&bytes), bytes.escape_ascii()) };
            prop_assert_eq!((header.len, header.ends), (len, Some(said.of_one_family())));
        }
    }
}
