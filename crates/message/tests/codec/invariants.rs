//! What must hold for any bytes at all. Shared by the property tests and by the fuzzer in `fuzz/`.

use headworks_message::client_hello::Reader;
use headworks_message::encoding::{self, Asked, ContentCoding, Offer};
use headworks_message::h3::{self, FrameHead, Settings};
use headworks_message::proxy_protocol::{self, Header, Read, Tlvs};
use headworks_message::qpack;
use headworks_message::section::{self, Fault, FieldSection};
use headworks_message::send::{self, Answer, ForwardedFor, Host, Outgoing, Reframe};
use headworks_message::{
    Body, Fitness, Framing, Known, Parsed, Reason, RequestHead, RequestView, ResponseHead, Tier, Version, request,
    response,
};
use headworks_message::{h2, hpack};

/// Places to split `bytes` at: all of them while they are few.
fn splits(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let step = (bytes.len() / 256).max(1);
    (0..bytes.len()).step_by(step)
}

/// A ClientHello reads the same however it arrives, and nothing behind it matters.
pub(crate) fn client_hello(bytes: &[u8]) {
    let whole = Reader::default().read(bytes);
    if let Ok(Some(hello)) = &whole {
        let name = hello.server_name.as_deref().unwrap_or("a");
        assert!((1..=255).contains(&name.len()) && name.is_ascii() && name.to_ascii_lowercase() == name);
        assert!(hello.protocols.iter().all(|name| (1..=255).contains(&name.len())));
    }
    let mut reader = Reader::default();
    let mut outcome = Ok(None);
    for end in splits(bytes).chain([bytes.len()]) {
        outcome = reader.read(&bytes[..end]);
        if outcome != Ok(None) {
            break;
        }
    }
    assert_eq!(outcome, whole);
    if whole != Ok(None) {
        let more = [bytes, b"\x17\x03\x03\0\x01x"].concat();
        assert_eq!(Reader::default().read(&more), whole);
    }
}

/// A request head reads the same however it arrives.
pub(crate) fn request(bytes: &[u8]) {
    let mut whole = RequestHead::default();
    let outcome = request::parse(bytes, &mut whole);
    if outcome == Ok(Parsed::Complete) {
        assert!(whole.len <= bytes.len());
        assert!(whole.tier < Tier::Severe);
        assert_eq!(whole.tier == Tier::Compliant, whole.reason == Reason::Compliant);
        let spans = whole.fields.iter().flat_map(|f| [f.name, f.value]);
        for span in spans.chain([whole.method, whole.target, whole.path, whole.authority, whole.host]) {
            assert!((span.start + span.len) as usize <= whole.len);
        }
        assert!(request::may_be_whole(&bytes[..whole.len], whole.len - 1));
        said(RequestView { bytes, head: &whole });
    }
    let mut part = RequestHead::default();
    let mut scanned = 0;
    for end in splits(bytes) {
        let prefix = &bytes[..end];
        match request::parse(prefix, &mut part) {
            Ok(Parsed::Complete) => {
                assert_eq!(outcome, Ok(Parsed::Complete), "a prefix of {end} is complete");
                assert_eq!(format!("{part:?}"), format!("{whole:?}"));
                assert!(request::may_be_whole(prefix, scanned), "{scanned} to {end}");
                return;
            }
            Err(refusal) => {
                assert!(outcome.is_err(), "a prefix of {end} is refused: {refusal}");
                return;
            }
            Ok(Parsed::Incomplete) => scanned = end,
        }
    }
}

/// The framing is what the framing fields say, read by the letter.
fn said(view: RequestView<'_>) {
    let of = |known| {
        let fields = view.head.fields.iter().filter(move |f| f.known == known);
        fields.map(|f| String::from_utf8_lossy(f.value.of(view.bytes)).into_owned()).collect::<Vec<_>>()
    };
    let ows = [' ', '\t'];
    let codings = of(Known::TransferEncoding).join(",").to_ascii_lowercase();
    let codings: Vec<_> = codings.split(',').map(|c| c.split(';').next().unwrap().trim_matches(ows)).collect();
    let lengths = of(Known::ContentLength);
    let chunked = codings.iter().filter(|c| **c == "chunked").count();
    match view.head.framing {
        Framing::Chunked => assert_eq!((codings.last(), chunked), (Some(&"chunked"), 1)),
        Framing::Length(n) => {
            assert_eq!(chunked, 0);
            assert!(!lengths.is_empty() && lengths.iter().all(|l| l.parse() == Ok(n) && !l.starts_with('+')));
        }
        _ => {
            assert_eq!(chunked, 0);
            assert!(!lengths.is_empty() || codings.iter().all(|c| matches!(*c, "" | "identity")), "{codings:?}");
            assert!(lengths.iter().all(|l| l.parse() == Ok(0)), "{lengths:?}");
        }
    }
}

/// A response head reads the same however it arrives, and what a client is sent is a response again.
pub(crate) fn response(bytes: &[u8]) {
    let mut whole = ResponseHead::default();
    let outcome = response::parse(bytes, &mut whole);
    let mut part = ResponseHead::default();
    for end in splits(bytes) {
        match response::parse(&bytes[..end], &mut part) {
            Ok(Parsed::Complete) => {
                assert_eq!(outcome, Ok(Parsed::Complete), "a prefix of {end} is complete");
                assert_eq!(format!("{part:?}"), format!("{whole:?}"));
                break;
            }
            Err(bad) => {
                assert!(outcome.is_err(), "a prefix of {end} is refused: {bad}");
                break;
            }
            Ok(Parsed::Incomplete) => {}
        }
    }
    if outcome != Ok(Parsed::Complete) {
        return;
    }
    assert!(whole.len <= bytes.len());
    let framing = whole.framing(false);
    for version in [Version::Http10, Version::Http11] {
        let reframe = match framing {
            Framing::UntilClose if version == Version::Http11 => Reframe::Chunk,
            Framing::Chunked if version == Version::Http10 => Reframe::Unchunk,
            _ => Reframe::Keep,
        };
        let expected = match reframe {
            Reframe::Keep => framing,
            Reframe::Chunk | Reframe::Encode => Framing::Chunked,
            Reframe::Unchunk => Framing::UntilClose,
        };
        let mut out = Vec::new();
        let answer = Answer { version, keep_alive: true, reframe, removed: [&[], &[]], lines: b"X-Added: 1\r\n" };
        send::response(bytes, &whole, &answer, &mut out);
        let mut again = ResponseHead::default();
        if out.len() > response::HEAD_LIMIT {
            continue;
        }
        assert_eq!(response::parse(&out, &mut again), Ok(Parsed::Complete), "{}", out.escape_ascii());
        assert_eq!(again.len, out.len());
        assert_eq!((again.status, again.framing(false)), (whole.status, expected));
        let framing_fields = |known| again.fields.iter().filter(|f| f.known == known).count();
        assert!(framing_fields(Known::ContentLength) + framing_fields(Known::TransferEncoding) <= 1);
    }
}

/// An answer that is encoded is chunked, says its coding once and so that caches know of it, and has no strong entity tag.
pub(crate) fn encoded(bytes: &[u8]) {
    let mut head = ResponseHead::default();
    if response::parse(bytes, &mut head) != Ok(Parsed::Complete) {
        return;
    }
    let types = ["text/*", "application/json"].map(Into::into).to_vec();
    let offer = Offer { codings: ContentCoding::ALL.to_vec(), types, minimum_size: 1 };
    for (coding, holds_weak) in [(Some(ContentCoding::Gzip), false), (None, true)] {
        let (framing, asked) = (head.framing(false), Asked { coding, holds_weak });
        let mut lines = Vec::new();
        let shaped = encoding::shape(bytes, &head, framing, &offer, asked, &mut lines, Some);
        let reframe = if shaped.encoder.is_some() { Reframe::Encode } else { Reframe::Keep };
        let removed = [shaped.removed, &[]];
        let answer = Answer { version: Version::Http11, keep_alive: true, reframe, removed, lines: &lines };
        let mut out = Vec::new();
        send::response(bytes, &head, &answer, &mut out);
        if out.len() > response::HEAD_LIMIT {
            continue;
        }
        let shown = out.escape_ascii();
        let mut again = ResponseHead::default();
        assert_eq!(response::parse(&out, &mut again), Ok(Parsed::Complete), "{shown}");
        let values = |name: &str| {
            let fields = again.fields.iter().filter(|f| f.name.of(&out).eq_ignore_ascii_case(name.as_bytes()));
            fields.map(|f| f.value.of(&out)).collect::<Vec<_>>()
        };
        if reframe == Reframe::Encode {
            assert_eq!(again.framing(false), Framing::Chunked, "{shown}");
            assert_eq!(values("content-encoding"), [b"gzip"], "{shown}");
            let named = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding");
            let vary = values("vary");
            assert!(vary.iter().any(|v| v.split(|b| *b == b',').any(|n| named(trim(n)))), "{shown}");
            let tags = values("etag");
            assert!(tags.len() <= 1 && tags.iter().all(|tag| tag.starts_with(b"W/\"")), "{shown}");
            assert!(values("content-length").is_empty() && values("accept-ranges").is_empty(), "{shown}");
        } else {
            assert_eq!((again.status, again.framing(false)), (head.status, framing), "{shown}");
        }
    }
}

/// Accept-Encoding is read by the letter.
pub(crate) fn accept_encoding(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let ows = [' ', '\t'];
    let members: Vec<(&str, f64)> = text
        .split(',')
        .map(|member| match member.split_once(';') {
            None => (member.trim_matches(ows), 1.0),
            Some((name, weight)) => (name.trim_matches(ows), weight_by_the_letter(weight.trim_matches(ows))),
        })
        .collect();
    let of = |names: &[&str]| {
        let named = members.iter().filter(|(name, _)| names.contains(name));
        named.map(|(_, weight)| *weight).reduce(f64::min)
    };
    let weight = |coding: ContentCoding| {
        let names: &[&str] = if coding == ContentCoding::Gzip { &["gzip", "x-gzip"] } else { &[coding.name()] };
        of(names).or(of(&["*"])).unwrap_or(0.0)
    };
    let orders = [
        ContentCoding::ALL.as_slice(),
        &[ContentCoding::Gzip, ContentCoding::Zstd, ContentCoding::Brotli],
        &[ContentCoding::Zstd],
    ];
    for offered in orders {
        let best = offered.iter().map(|coding| weight(*coding)).fold(0.0, f64::max);
        let expected = offered.iter().copied().find(|coding| weight(*coding) == best);
        let wanted = best > 0.0 && of(&["identity"]).is_none_or(|identity| identity <= best);
        let found = encoding::negotiate([bytes], offered);
        assert_eq!(found, expected.filter(|_| wanted), "{} of {offered:?}", bytes.escape_ascii());
        // a field may come in parts
        for at in bytes.iter().enumerate().filter(|(_, b)| **b == b',').map(|(at, _)| at) {
            assert_eq!(encoding::negotiate([&bytes[..at], &bytes[at + 1..]], offered), found);
        }
    }
}

fn weight_by_the_letter(text: &str) -> f64 {
    let Some(number) = text.strip_prefix("q=") else { return 0.0 };
    let shape: Vec<char> = number.chars().map(|c| if c.is_ascii_digit() { 'd' } else { c }).collect();
    let fits = matches!(
        shape.as_slice(),
        ['d'] | ['d', '.'] | ['d', '.', 'd'] | ['d', '.', 'd', 'd'] | ['d', '.', 'd', 'd', 'd']
    );
    number.parse().ok().filter(|weight| fits && *weight <= 1.0).unwrap_or(0.0)
}

/// A body ends where it ends, however it arrives.
pub(crate) fn chunked(bytes: &[u8]) {
    let whole = walk(bytes, bytes.len().max(1));
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(walk(bytes, size), whole, "in pieces of {size}");
    }
    if let Ok((taken, content, true)) = whole {
        assert_eq!(by_the_letter(bytes), Some((taken, content)));
    }
}

/// Length and content of the chunked body that `bytes` begin with.
fn by_the_letter(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let line = |at: usize| {
        let length = bytes.get(at..)?.windows(2).position(|w| w == b"\r\n")?;
        Some((&bytes[at..at + length], at + length + 2))
    };
    let (mut at, mut content) = (0, Vec::new());
    loop {
        let (size, start) = line(at)?;
        let size = std::str::from_utf8(size.split(|b| *b == b';').next()?).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        at = start;
        if size == 0 {
            break;
        }
        content.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        at += size;
        at = bytes.get(at..)?.starts_with(b"\r\n").then_some(at + 2)?;
    }
    loop {
        let (trailer, next) = line(at)?;
        at = next;
        if trailer.is_empty() {
            return Some((at, content));
        }
    }
}

/// Bytes taken, content, whether it is over; or that it is malformed. What is not taken is offered again with the next
/// piece. What may be sent on is a chunked body of the same content, and its trailers are such as may be.
fn walk(bytes: &[u8], size: usize) -> Result<(usize, Vec<u8>, bool), ()> {
    let (mut body, mut other) = (Body::new(Framing::Chunked), Body::new(Framing::Chunked));
    let (mut content, mut passed) = (Vec::new(), Vec::new());
    let (mut total, mut decoded, mut end) = (0, 0, 0);
    while end < bytes.len() && !body.is_done() {
        end = (end + size).min(bytes.len());
        loop {
            let taken = body.take(&bytes[total..end]).map_err(|_| ())?;
            passed.extend_from_slice(&bytes[total..total + taken.kept]);
            total += taken.total();
            if taken.total() == 0 || body.is_done() {
                break;
            }
        }
        decoded += other.take_decoded(&bytes[decoded..end], &mut content).map_err(|_| ())?;
        assert_eq!((decoded, other.is_done()), (total, body.is_done()));
    }
    if body.is_done() {
        assert_eq!(by_the_letter(&passed), Some((passed.len(), content.clone())), "{}", passed.escape_ascii());
        let lines = passed.split(|b| *b == b'\n').rev().skip(2).take_while(|line| line.contains(&b':'));
        for line in lines {
            let name = line.split(|b| *b == b':').next().unwrap();
            let known = headworks_message::fields::known(name);
            assert_eq!(known, Known::Other, "{} goes on in {}", name.escape_ascii(), passed.escape_ascii());
        }
    }
    Ok((total, content, body.is_done()))
}

/// The ways in which a request is sent on, that the check goes through.
const PLANS: [Outgoing<'static>; 3] = [
    Outgoing {
        target: None,
        host: Host::Keep,
        drop_unusual_names: false,
        forwarded_for: ForwardedFor::Append(b"192.0.2.1"),
        forwarded_lines: b"X-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n",
        certificate_lines: &[],
        cipher_lines: None,
        trace: b"1-00000000-000000000000000000000000",
        trailers: false,
        reserved: &[],
        renewed: &[],
        withheld_cookie: None,
    },
    Outgoing {
        target: None,
        host: Host::AddPort(b":8080"),
        drop_unusual_names: true,
        forwarded_for: ForwardedFor::Preserve,
        forwarded_lines: b"",
        certificate_lines: &[],
        cipher_lines: None,
        trace: b"1-00000000-000000000000000000000000",
        trailers: false,
        reserved: &[],
        renewed: &[],
        withheld_cookie: Some(b"headworks_session"),
    },
    Outgoing {
        target: Some(b"/re written?\r\n"),
        host: Host::Replace(b"replaced.example"),
        drop_unusual_names: true,
        forwarded_for: ForwardedFor::Remove,
        forwarded_lines: b"X-Forwarded-Proto: http\r\n",
        certificate_lines: &[],
        cipher_lines: None,
        trace: b"1-00000000-000000000000000000000000",
        trailers: false,
        reserved: &[],
        renewed: &[],
        withheld_cookie: None,
    },
];

/// Whatever is accepted is sent on as one request that no strict reader can read otherwise: by the RFCs, with the framing
/// it was read with, and with nothing behind it.
///
/// One exception: a GET or HEAD with content keeps it (RFC 9110 section 9.3.1 leaves that to the two ends), and such a
/// request is Ambiguous by definition.
pub(crate) fn resend(bytes: &[u8]) {
    let mut head = RequestHead::default();
    if request::parse(bytes, &mut head) != Ok(Parsed::Complete) {
        return;
    }
    let view = RequestView { bytes, head: &head };
    for plan in &PLANS {
        if view.method() == b"CONNECT" && plan.target.is_some() {
            continue;
        }
        let mut out = Vec::new();
        send::request(view, plan, &mut out);
        if out.len() > request::REQUEST_LINE_LIMIT {
            continue;
        }
        sent(view, plan, &out);
    }
}

fn sent(view: RequestView<'_>, plan: &Outgoing<'_>, out: &[u8]) {
    let shown = out.escape_ascii();
    let mut again = RequestHead::default();
    assert_eq!(request::parse(out, &mut again), Ok(Parsed::Complete), "{shown}");
    let sent = RequestView { bytes: out, head: &again };
    let framing = view.head.framing;
    let has_body = framing != Framing::None;
    if matches!(view.method(), b"GET" | b"HEAD") && has_body {
        let undefined = [Reason::UndefinedContentLengthSemantics, Reason::UndefinedTransferEncodingSemantics];
        assert!(undefined.contains(&again.reason), "{} {shown}", again.reason);
    } else {
        assert_eq!((again.tier, again.reason), (Tier::Compliant, Reason::Compliant), "{shown}");
    }
    assert_eq!(again.len, out.len(), "{shown}");
    assert_eq!(again.framing, framing, "{shown}");
    assert_eq!(again.version, Version::Http11);
    assert_eq!(sent.method(), view.method());
    assert!(!again.target_unclean, "{shown}");
    let authority = view.head.authority.of(view.bytes);
    match plan.host {
        Host::Keep => assert_eq!(sent.known(Known::Host), Some(authority)),
        Host::AddPort(_) => assert!(sent.known(Known::Host).is_some_and(|host| host.starts_with(authority))),
        Host::Replace(host) => assert_eq!(sent.known(Known::Host), Some(host)),
    }
    assert!(out.iter().all(|b| !b.is_ascii_control() || matches!(b, b'\r' | b'\n' | b'\t')), "{shown}");

    let of = |known| again.fields.iter().filter(|f| f.known == known).count();
    let has = |known, expected| assert_eq!(of(known), expected, "{known:?} {shown}");
    has(Known::Host, 1);
    has(Known::ContentLength, usize::from(matches!(framing, Framing::Length(_))));
    has(Known::TransferEncoding, usize::from(framing == Framing::Chunked));
    has(Known::XAmznTraceId, 1);
    let upgrades = view.head.connection.upgrade;
    has(Known::Connection, usize::from(upgrades));
    has(Known::Upgrade, usize::from(upgrades));
    for gone in [Known::Te, Known::KeepAlive, Known::ProxyConnection, Known::ProxyAuthorization, Known::Http2Settings] {
        has(gone, 0);
    }
    for name in [Known::XForwardedProto, Known::XForwardedPort] {
        assert!(of(name) <= 1);
    }
    // nor is what is for somebody else there, as that one reads it
    assert!(plan.withheld_cookie.is_none_or(|name| sent.cookie(name).is_none()), "{shown}");

    // the fields that are nobody's business but the target's: the same, in the same order
    // where one is withheld, or looks as if it were, the others are written anew
    let has = |name: &[u8]| view.bytes.windows(name.len()).any(|found| found == name);
    let keeps_cookies = !plan.withheld_cookie.is_some_and(has);
    let own = |view: RequestView<'_>| -> Vec<(Vec<u8>, Vec<u8>)> {
        let fields = view.head.fields.iter().filter(|f| match f.fitness {
            Fitness::Clean | Fitness::ControlInValue => true,
            Fitness::UnusualName => !plan.drop_unusual_names,
            Fitness::Unfit => false,
        });
        let fields = fields.filter(|f| match f.known {
            Known::Other => !view.head.connection.lists_fields || !listed(view, f.name.of(view.bytes)),
            Known::Cookie => keeps_cookies,
            known => matches!(known, Known::UserAgent | Known::Referer | Known::Expect),
        });
        let clean =
            |value: &[u8]| value.iter().map(|b| if *b < 0x20 && *b != 9 || *b == 0x7f { 32 } else { *b }).collect();
        fields
            .map(|f| (f.name.of(view.bytes).to_vec(), clean(f.value.of(view.bytes))))
            .map(|(n, v): (_, Vec<u8>)| (n, trim(&v).to_vec()))
            .filter(|(n, _)| !n.eq_ignore_ascii_case(b"x-added"))
            .collect()
    };
    assert_eq!(own(sent), own(view), "{shown}");
}

fn trim(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |i| i + 1);
    let start = value.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(end);
    &value[start..end]
}

fn listed(view: RequestView<'_>, name: &[u8]) -> bool {
    let connection = view.head.fields.iter().filter(|f| f.known == Known::Connection && f.fitness == Fitness::Clean);
    connection
        .flat_map(|f| f.value.of(view.bytes).split(|b| *b == b','))
        .any(|option| trim(option).eq_ignore_ascii_case(name))
}

/// What is Compliant here is a request to another parser too, with the same pieces.
pub(crate) fn differential(bytes: &[u8]) {
    let mut head = RequestHead::default();
    if request::parse(bytes, &mut head) != Ok(Parsed::Complete) || head.tier != Tier::Compliant {
        return;
    }
    let view = RequestView { bytes, head: &head };
    let mut fields = vec![httparse::EMPTY_HEADER; head.fields.len() + 1];
    let mut other = httparse::Request::new(&mut fields);
    let parsed = other.parse(bytes);
    // it wants UTF-8 in the target, and knows no fragment or quotes there
    if head.target_unclean && parsed == Err(httparse::Error::Token) {
        return;
    }
    assert_eq!(parsed, Ok(httparse::Status::Complete(head.len)), "{}", bytes.escape_ascii());
    assert_eq!(other.method.map(str::as_bytes), Some(view.method()));
    assert_eq!(other.version, Some(u8::from(head.version == Version::Http11)));
    assert_eq!(other.headers.len(), head.fields.len());
    for (theirs, ours) in other.headers.iter().zip(&head.fields) {
        assert_eq!(theirs.name.as_bytes(), ours.name.of(bytes));
        assert_eq!(trim(theirs.value), ours.value.of(bytes));
    }
    let mut status = ResponseHead::default();
    let _ = response::parse(bytes, &mut status);
}

/// A header of the PROXY protocol reads the same however it arrives, and the same again when it is passed on.
pub(crate) fn proxy_protocol(bytes: &[u8]) {
    let whole = proxy_protocol::read(bytes);
    for end in splits(bytes) {
        match proxy_protocol::read(&bytes[..end]) {
            Ok(Read::Incomplete) => {}
            part => {
                assert_eq!(part, whole, "a prefix of {end} is read otherwise");
                break;
            }
        }
    }
    let Ok(Read::Complete(Header { len, ends, tlvs })) = whole else { return };
    assert!(len <= bytes.len().min(proxy_protocol::LIMIT));
    assert_eq!(proxy_protocol::read(&bytes[..len - 1]), Ok(Read::Incomplete));
    let mut again = Vec::new();
    proxy_protocol::put_v2(ends, proxy_protocol::Told::default(), tlvs, &mut again);
    let Ok(Read::Complete(read)) = proxy_protocol::read(&again) else { panic!("{}", again.escape_ascii()) };
    assert_eq!(read.len, again.len());
    if ends.is_some_and(|ends| ends.source.is_ipv4() == ends.destination.is_ipv4()) {
        assert_eq!(read.ends, ends);
        // all of it but a pass that somebody else shows, where there is room for another checksum
        let passed = |tlvs: Tlvs<'_>| tlvs.passed().map(|(kind, value)| (kind, value.to_vec())).collect::<Vec<_>>();
        let mut expected = passed(tlvs);
        expected.retain(|(kind, _)| *kind != proxy_protocol::PASS);
        assert!(passed(read.tlvs) == expected || len + 7 > proxy_protocol::LIMIT);
    }
    again.clear();
    proxy_protocol::put_v1(ends, &mut again);
    assert!(matches!(proxy_protocol::read(&again), Ok(Read::Complete(read)) if read.len == again.len()));
}

/// A field section of HTTP/3 that can be decoded says the same when it is encoded anew, and never more than its limit.
pub(crate) fn field_section(bytes: &[u8]) {
    const LIMIT: usize = 4096;
    let _ = (FrameHead::parse(bytes), Settings::parse(bytes));
    if let Some((n, length)) = h3::integer(bytes) {
        let mut out = Vec::new();
        h3::put_integer(&mut out, n);
        assert!(out.len() <= length && h3::integer(&out) == Some((n, out.len())));
    }
    let (mut section, mut again) = (FieldSection::default(), FieldSection::default());
    if qpack::decode(bytes, LIMIT, &mut section).is_err() {
        return;
    }
    check_section(&section, LIMIT);
    let mut encoded = Vec::new();
    qpack::begin(&mut encoded);
    section.iter().for_each(|(name, value)| qpack::put(&mut encoded, name, value));
    assert_eq!(qpack::decode(&encoded, LIMIT, &mut again), Ok(()));
    assert_eq!(lines(&again), lines(&section));
}

/// Frames of HTTP/2, and their field blocks decoded one after the other: what can be decoded says the same when it is encoded
/// anew, and never more than its limit.
pub(crate) fn field_blocks(bytes: &[u8]) {
    const LIMIT: usize = 4096;
    if let Some(head) = h2::FrameHead::parse(bytes) {
        let payload = bytes.get(h2::FRAME_HEAD..).unwrap_or(&[]);
        if let Ok((content, _)) = h2::content(&head, payload) {
            assert!(content.len() <= payload.len());
        }
        let mut settings = h2::Settings::default();
        if settings.update(payload).is_ok() {
            assert!(settings.initial_window <= h2::GREATEST && settings.max_frame_size >= h2::FRAME_LIMIT);
        }
    }
    let mut decoder = hpack::Decoder::default();
    let (mut section, mut again) = (FieldSection::default(), FieldSection::default());
    // each block is as long as the byte before it says
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first() {
        let (block, next) = behind.split_at(behind.len().min(usize::from(*length)));
        rest = next;
        match decoder.decode(block, LIMIT, &mut section) {
            Ok(()) => {}
            Err(Fault::TooLarge) => continue,
            Err(Fault::Undecodable) => return,
        }
        check_section(&section, LIMIT);
        let mut encoded = Vec::new();
        hpack::begin(&mut encoded);
        section.iter().for_each(|(name, value)| hpack::put(&mut encoded, name, value));
        assert_eq!(hpack::Decoder::default().decode(&encoded, LIMIT, &mut again), Ok(()));
        assert_eq!(lines(&again), lines(&section));
    }
}

fn lines(section: &FieldSection) -> Vec<(Vec<u8>, Vec<u8>)> {
    section.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect()
}

fn check_section(lines: &FieldSection, limit: usize) {
    let size: usize = lines.iter().map(|(name, value)| name.len() + value.len() + section::FIELD_OVERHEAD).sum();
    assert!(size <= limit);
    if let Ok(request) = section::request(lines) {
        assert!(lines.iter().skip(request.count).all(|(name, value)| section::check(name, value).is_ok()));
    }
}
