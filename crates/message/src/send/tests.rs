use super::*;
use crate::head::RequestHead;
use crate::{request as parser, response as answers};

const FRESH: &[u8] = b"1-67891233-abcdef012345678912345678";

/// Nothing is added but what always is.
fn bare() -> Outgoing<'static> {
    Outgoing {
        target: None,
        host: Host::Keep,
        drop_unusual_names: false,
        forwarded_for: ForwardedFor::Remove,
        forwarded_lines: b"",
        certificate_lines: &[],
        cipher_lines: None,
        trace: FRESH,
        trailers: false,
        reserved: &[],
        renewed: &[],
        withheld_cookie: None,
    }
}

/// The lines that a target is sent for `received`, where `|` is CRLF; the trace line only when there was one.
fn sent(received: &str, plan: &Outgoing<'_>) -> String {
    let bytes = format!("{received}||").replace('|', "\r\n");
    let mut head = RequestHead::default();
    let parsed = parser::parse(bytes.as_bytes(), &mut head);
    assert_eq!(parsed, Ok(parser::Parsed::Complete), "{received:?}");
    shown(RequestView { bytes: bytes.as_bytes(), head: &head }, plan)
}

fn shown(view: RequestView<'_>, plan: &Outgoing<'_>) -> String {
    let mut out = b"before".to_vec();
    request(view, plan, &mut out);
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("before").unwrap().strip_suffix("\r\n\r\n").unwrap().replace("\r\n", "|");
    text.strip_suffix("|X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678").unwrap_or(&text).to_owned()
}

fn check(received: &str, plan: &Outgoing<'_>, expected: &str) {
    assert_eq!(sent(received, plan), expected, "{received:?}");
}

/// Fields behind `GET / HTTP/1.1` and a Host field become others.
fn fields(received: &str, expected: &str) {
    let start = "POST / HTTP/1.1|Host: a";
    let expected = if expected.is_empty() { start.to_owned() } else { format!("{start}|{expected}") };
    check(&format!("{start}|{received}"), &bare(), &expected);
}

#[test]
fn request_lines() {
    let line =
        |received: &str, expected: &str| check(&format!("{received}|Host: a"), &bare(), &format!("{expected}|Host: a"));
    line("GET /a?b=c HTTP/1.1", "GET /a?b=c HTTP/1.1");
    line("GET /a HTTP/1.0", "GET /a HTTP/1.1");
    line("||GET /a HTTP/1.1", "GET /a HTTP/1.1");
    line("GET /a HTTP/1.7", "GET /a HTTP/1.1");
    line("GET /a", "GET /a HTTP/1.1");
    line("GET  HTTP/1.1", "GET / HTTP/1.1");
    line("GET /a b\t\x01\u{e9}#c HTTP/1.1", "GET /a%20b%09%01%C3%A9%23c HTTP/1.1");
    line("GET /%zz%20|\\ HTTP/1.1".replace('|', "^").as_str(), "GET /%zz%20^\\ HTTP/1.1");
    line("OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1");
    line("GET http://a HTTP/1.1", "GET / HTTP/1.1");
    line("GET http://a?b HTTP/1.1", "GET /?b HTTP/1.1");
    line("GET https://a/b?c HTTP/1.1", "GET /b?c HTTP/1.1");
    // RFC 9112 section 3.2.4
    line("OPTIONS http://a HTTP/1.1", "OPTIONS * HTTP/1.1");
    line("OPTIONS http://a/ HTTP/1.1", "OPTIONS / HTTP/1.1");
    line("OPTIONS http://a?b HTTP/1.1", "OPTIONS /?b HTTP/1.1");
}

#[test]
fn target_of_a_transform() {
    let target = |target: &str, expected: &str| {
        let plan = Outgoing { target: Some(target.as_bytes()), ..bare() };
        check("GET /a HTTP/1.1|Host: a", &plan, &format!("GET {expected} HTTP/1.1|Host: a"));
    };
    target("/b?c", "/b?c");
    target("b", "/b");
    target("", "/");
    target("*b", "/*b");
    target("/b c\r\nX: \u{e9}#", "/b%20c%0D%0AX:%20%C3%A9%23");
}

#[test]
fn host() {
    let host = |received: &str, host: Host<'_>, expected: &str| {
        check(received, &Outgoing { host, ..bare() }, &format!("GET / HTTP/1.1|{expected}"));
    };
    const GET: &str = "GET / HTTP/1.1";
    host(&format!("{GET}|X: 1|Host: a:80|Y: 2"), Host::Keep, "X: 1|Host: a:80|Y: 2");
    host(&format!("{GET}|Host: a"), Host::Replace(b"b:81"), "Host: b:81");
    host(&format!("{GET}|X: 1|Host: a"), Host::AddPort(b":8080"), "Host: a:8080|X: 1");
    host(&format!("{GET}|Host: a:80"), Host::AddPort(b":8080"), "Host: a:80");
    host(&format!("{GET}|Host: [::1]"), Host::AddPort(b":8080"), "Host: [::1]:8080");
    host(&format!("{GET}|Host:"), Host::AddPort(b":8080"), "Host: ");
    host(&format!("{GET}|Host:"), Host::Keep, "Host: ");
    host("GET / HTTP/1.0|X: 1", Host::Keep, "Host: |X: 1");
    host("GET / HTTP/1.0", Host::Replace(b"b"), "Host: b");
    // the absolute form overrides Host (RFC 9112 section 3.2.2)
    host("GET http://b:81 HTTP/1.1|Host: a", Host::Keep, "Host: b:81");
    host("GET http://b HTTP/1.1|Host: a:80", Host::AddPort(b":8080"), "Host: b:8080");
}

#[test]
fn fields_of_one_hop_stay_behind() {
    fields("X-A: 1|Connection: keep-alive|X-B: 2", "X-A: 1|X-B: 2");
    fields("Keep-Alive: 5|Proxy-Connection: x|TE: trailers|Upgrade: x|HTTP2-Settings: x", "");
    fields("Proxy-Authorization: x|Authorization: y|Trailer: X", "Authorization: y|Trailer: X");
    fields("Connection: X-A, close|X-A: 1|x-a: 2|X-B: 3", "X-B: 3");
    fields("X-A: 1|Connection: close|Connection: x-a", "");
    // what the proxy itself goes by cannot be listed away
    let kept = "Content-Length: 5|Cookie: a=b|Expect: 100-continue|User-Agent: u";
    fields(&format!("Connection: Content-Length, Host, Cookie, Expect, User-Agent|{kept}"), kept);
}

#[test]
fn upgrades_pass_when_asked_for() {
    let upgrade = |received: &str, expected: &str| {
        check(&format!("GET / HTTP/1.1|Host: a|{received}"), &bare(), &format!("GET / HTTP/1.1|Host: a{expected}"));
    };
    const ASKS: &str = "Upgrade: websocket|Connection: keep-alive, Upgrade|Sec-WebSocket-Key: k";
    upgrade(ASKS, "|Sec-WebSocket-Key: k|Connection: Upgrade|Upgrade: websocket");
    upgrade("Upgrade: websocket", "");
    upgrade("Connection: Upgrade|Upgrade: h2c|HTTP2-Settings: x", "");
    upgrade("Connection: Upgrade|Upgrade: web\x01socket", "");
}

#[test]
fn one_cookie_is_withheld() {
    let plan = Outgoing { withheld_cookie: Some(b"own"), ..bare() };
    let cookies = |received: &str, expected: &str| {
        let expected = if expected.is_empty() { String::new() } else { format!("|{expected}") };
        check(&format!("GET / HTTP/1.1|Host: a|{received}"), &plan, &format!("GET / HTTP/1.1|Host: a{expected}"));
    };
    for (received, expected) in [
        ("Cookie: own=x", ""),
        ("cookie:own=x", ""),
        ("Cookie: own=", ""),
        ("Cookie: own =x", ""),
        ("Cookie: a=b; own=x", "Cookie: a=b"),
        ("Cookie: own=x; a=b", "Cookie: a=b"),
        ("Cookie: a=b; own=x; c=d", "Cookie: a=b; c=d"),
        ("Cookie: a=b;own=x;;c=d; own=y;", "Cookie: a=b; c=d"),
        ("Cookie: a=b; \town=x\t ; c=d", "Cookie: a=b; c=d"),
        ("Cookie: own=x|X-A: 1|Cookie: a=own; own=y|Cookie: c=d", "X-A: 1|Cookie: a=own|Cookie: c=d"),
        // one that only looks like it, and spelling that is another's
        ("Cookie: a=own", "Cookie: a=own"),
        ("Cookie: a=own=x;  b=\"c d\"", "Cookie: a=own=x; b=\"c d\""),
        ("Cookie: owner=x;Own=y; downy; own; xown=z", "Cookie: owner=x; Own=y; downy; own; xown=z"),
        // others as they were, whatever they are
        ("Cookie: a=b;c=d ;; e", "Cookie: a=b;c=d ;; e"),
        ("Cookie: $Version=1; a=b", "Cookie: $Version=1; a=b"),
        // quotes keep nothing in
        ("Cookie: a=\"; own=x; b=\"", "Cookie: a=\"; b=\""),
        ("Cookie: a=\"own=x\"; own=\"y\"", "Cookie: a=\"own=x\""),
        ("Cookie: a=\x01b; own=x\x01; c=\x7fd", "Cookie: a= b; c= d"),
        ("Cookie: a=\x01b", "Cookie: a= b"),
        // what is blank once it is sent on
        ("Cookie: \x08own=x", ""),
        ("Cookie: a=b;\x01own\x7f=x;\x01 c=d", "Cookie: a=b; c=d"),
        ("X-Cookie: own=x", "X-Cookie: own=x"),
    ] {
        cookies(received, expected);
    }
    let none = "Cookie: a=b; own=x; c=d|Cookie: own=y";
    check(&format!("GET / HTTP/1.1|Host: a|{none}"), &bare(), &format!("GET / HTTP/1.1|Host: a|{none}"));
}

#[test]
fn crumbs_of_a_cookie_that_is_withheld() {
    let plan = Outgoing { withheld_cookie: Some(b"own"), ..bare() };
    for (crumbs, expected) in [
        (&["own=x"][..], ""),
        (&["own=x", "own=y"], ""),
        (&["a=b", "own=x", "c=d"], "|Cookie: a=b; c=d"),
        (&["own=x", "a=b"], "|Cookie: a=b"),
        (&["a=b; own=x", "c=\"; own=y", "d=\""], "|Cookie: a=b; c=\"; d=\""),
        (&["a=b", "c=d"], "|Cookie: a=b; c=d"),
    ] {
        let (mut bytes, mut head) = (Vec::new(), RequestHead::default());
        let fields = crumbs.iter().map(|crumb| (&b"cookie"[..], crumb.as_bytes()));
        head.lay_out(&mut bytes, b"GET", b"/", b"a", fields);
        let sent = shown(RequestView { bytes: &bytes, head: &head }, &plan);
        assert_eq!(sent, format!("GET / HTTP/1.1|Host: a{expected}"), "{crumbs:?}");
    }
}

#[test]
fn unusual_names_and_control_characters() {
    let names = "X-A: 1|x_b: 2|X.C: 3|X D: 4|X-E : 5|: 6|X-F: 7";
    fields(names, "X-A: 1|x_b: 2|X.C: 3|X-F: 7");
    let plan = Outgoing { drop_unusual_names: true, ..bare() };
    check(&format!("POST / HTTP/1.1|Host: a|{names}"), &plan, "POST / HTTP/1.1|Host: a|X-A: 1|X-F: 7");
    fields("X-A: 1|X-B:\x01b\x7f\tc\x1f|X-C: 3", "X-A: 1|X-B:  b \tc |X-C: 3");
    fields("x_b: \x01|Content_Length: 5|Transfer-Encoding : chunked| Content-Length: 5", "");
}

#[test]
fn framing_fields_are_one_and_plain() {
    fields("Content-Length: 5|X: 1", "Content-Length: 5|X: 1");
    fields("Content-Length: 5|X: 1|Content-Length: 5", "Content-Length: 5|X: 1");
    fields("Content-Length: 05|X: 1", "X: 1|Content-Length: 5");
    fields("Content-Length: 05|X: 1|Content-Length: 5", "X: 1|Content-Length: 5");
    fields("Content-Length: 0", "Content-Length: 0");
    fields("Content-Length: 5|Transfer-Encoding: chunked", "Transfer-Encoding: chunked");
    fields("Transfer-Encoding: identity|X: 1", "X: 1");
    fields("Transfer-Encoding: \t chunked;a=b ;", "Transfer-Encoding: chunked");
    fields(
        "Transfer-Encoding: GZIP;q=1 , identity|X: 1|Transfer-Encoding: chunked",
        "X: 1|Transfer-Encoding: GZIP, chunked",
    );
    fields("Transfer-Encoding: gzip|Content-Length: 5", "Content-Length: 5");
    check("GET / HTTP/1.1|Host: a|Content-Length: 0", &bare(), "GET / HTTP/1.1|Host: a");
    check("GET / HTTP/1.1|Host: a|Content-Length: 5", &bare(), "GET / HTTP/1.1|Host: a|Content-Length: 5");
}

#[test]
fn forwarded_for() {
    let forwarded = |received: &str, forwarded_for: ForwardedFor<'_>, expected: &str| {
        let plan = Outgoing { forwarded_for, ..bare() };
        let all = sent(&format!("GET / HTTP/1.1|Host: a|X: 1{received}"), &plan);
        assert_eq!(all.strip_prefix("GET / HTTP/1.1|Host: a|X: 1"), Some(expected), "{received:?}");
    };
    const ONE: &str = "|X-Forwarded-For: 10.0.0.1";
    let append = ForwardedFor::Append(b"[::1]:80");
    forwarded("", append, "|X-Forwarded-For: [::1]:80");
    forwarded(ONE, append, "|X-Forwarded-For: 10.0.0.1, [::1]:80");
    forwarded("|x-forwarded-for:", append, "|X-Forwarded-For: [::1]:80");
    forwarded("|X-Forwarded-For: a, b|X-Forwarded-For: c", append, "|X-Forwarded-For: a, b, c, [::1]:80");
    forwarded(ONE, ForwardedFor::Preserve, ONE);
    forwarded("", ForwardedFor::Preserve, "");
    forwarded(ONE, ForwardedFor::Remove, "");
    forwarded("|X-Forwarded-Proto: https|X-Forwarded-Port: 1", ForwardedFor::Remove, "");

    let plan = Outgoing { forwarded_lines: b"X-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n", ..bare() };
    let expected = "GET / HTTP/1.1|Host: a|X-Forwarded-Proto: http|X-Forwarded-Port: 80";
    check("GET / HTTP/1.1|X-Forwarded-Proto: https|Host: a", &plan, expected);
}

#[test]
fn addresses_in_forwarded_for_are_counted() {
    let count = |fields: &str| {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut head = RequestHead::default();
        assert_eq!(parser::parse(bytes.as_bytes(), &mut head), Ok(parser::Parsed::Complete));
        forwarded_for_length(RequestView { bytes: bytes.as_bytes(), head: &head })
    };
    assert_eq!(count(""), 0);
    assert_eq!(count("X-Forwarded-For: a\r\n"), 1);
    assert_eq!(count("X-Forwarded-For: a, b\r\nX-Forwarded-For: c\r\n"), 3);
}

/// What X-Amzn-Trace-Id becomes; `+` is the fresh one.
fn trace(received: &str, expected: &str) {
    let all = sent(&format!("GET / HTTP/1.1|Host: a|{received}|X-Z: 1"), &bare());
    let fresh = String::from_utf8_lossy(FRESH);
    let expected = match expected {
        "Root=+" => "GET / HTTP/1.1|Host: a|X-Z: 1".to_owned(),
        _ => format!("GET / HTTP/1.1|Host: a|X-Z: 1|X-Amzn-Trace-Id: {}", expected.replace('+', &fresh)),
    };
    assert_eq!(all, expected, "{received:?}");
}

#[test]
fn trace_ids() {
    trace("X-Amzn-Trace-Id:", "Root=+");
    trace("X-Amzn-Trace-Id: Root=1-a-b", "Self=+;Root=1-a-b");
    trace("x-amzn-trace-id: Root=1-a-b; Parent=c;Sampled=1", "Self=+;Root=1-a-b;Parent=c;Sampled=1");
    trace("X-Amzn-Trace-Id: Self=1-c-d;Root=1-a-b;X=y", "Self=+;Root=1-a-b;X=y");
    trace("X-Amzn-Trace-Id: Root=1-a-b;self=1-c-d", "Self=+;Root=1-a-b");
    trace("X-Amzn-Trace-Id: X=y", "Root=+;X=y");
    trace("X-Amzn-Trace-Id: Self=1-c-d", "Root=+");
    trace("X-Amzn-Trace-Id: Root=1-a-\x01b", "Root=+");
    trace("X-Amzn-Trace-Id: Root=1|X-Amzn-Trace-Id: Root=2", "Self=+;Root=1");
    // a head of over 7 KiB
    let bytes =
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\nX-Amzn-Trace-Id: Root=1\r\n\r\n", "a".repeat(TRACE_LIMIT));
    let mut head = RequestHead::default();
    assert_eq!(parser::parse(bytes.as_bytes(), &mut head), Ok(parser::Parsed::Complete));
    assert!(
        !shown(RequestView { bytes: bytes.as_bytes(), head: &head }, &bare()).contains("X-Amzn"),
        "only a fresh Root"
    );
}

#[test]
fn heads_that_did_not_come_as_text() {
    let fields: [(&[u8], &[u8]); 11] = [
        (b"cookie", b"a=b"),
        (b"accept", b"*/*"),
        (b"cookie", b"c=d; e=f"),
        (b"x-split", b"a\r\nTransfer-Encoding: chunked\r\n\r\nGET / HTTP/1.1"),
        (b"x\r\ny", b"1"),
        (b"transfer_encoding", b"chunked"),
        (b"te", b"trailers"),
        (b"connection", b"x"),
        (b"content-length", b"7"),
        (b"", b"1"),
        (b"x_y", b"1"),
    ];
    let mut bytes = Vec::new();
    let mut head = RequestHead::default();
    head.lay_out(&mut bytes, b"POST", b"/a b?c\r\n", b"h.example:443", fields);
    let view = RequestView { bytes: &bytes, head: &head };
    assert_eq!((view.path(), view.query(), view.host()), (&b"/a b"[..], Some(&b"c\r\n"[..]), &b"h.example"[..]));
    let start = "POST /a%20b?c%0D%0A HTTP/1.1|Host: h.example:443|accept: */*|\
        x-split: a  Transfer-Encoding: chunked    GET / HTTP/1.1|x_y: 1";
    let start = &format!("{start}|Cookie: a=b; c=d; e=f");
    assert_eq!(&shown(view, &bare()), start);
    head.framing = Framing::Length(7);
    let expected = start.replace("|x_y", "|content-length: 7|x_y");
    assert_eq!(shown(RequestView { bytes: &bytes, head: &head }, &bare()), expected);
    // the length that the frames have is what counts
    head.framing = Framing::Length(8);
    let expected = start.replace("|Cookie", "|Content-Length: 8|Cookie");
    assert_eq!(shown(RequestView { bytes: &bytes, head: &head }, &bare()), expected);
    head.framing = Framing::Chunked;
    let expected = start.replace("|Cookie", "|Transfer-Encoding: chunked|Cookie");
    assert_eq!(shown(RequestView { bytes: &bytes, head: &head }, &bare()), expected);
}

/// What a client is sent for `received`, where `|` is CRLF.
fn answer(received: &str, plan: &Answer<'_>, expected: &str) {
    let bytes = format!("{received}||").replace('|', "\r\n");
    let mut head = ResponseHead::default();
    assert_eq!(answers::parse(bytes.as_bytes(), &mut head), Ok(parser::Parsed::Complete), "{received:?}");
    let mut out = Vec::new();
    response(bytes.as_bytes(), &head, plan, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text.strip_suffix("\r\n\r\n").map(|t| t.replace("\r\n", "|")).as_deref(),
        Some(expected),
        "{received:?}"
    );
}

fn to(version: Version, keep_alive: bool, reframe: Reframe) -> Answer<'static> {
    Answer { version, keep_alive, reframe, removed: [&[], &[]], lines: b"" }
}

#[test]
fn answers_to_http_1_1() {
    let keep = to(Version::Http11, true, Reframe::Keep);
    let close = to(Version::Http11, false, Reframe::Keep);
    let chunk = to(Version::Http11, true, Reframe::Chunk);
    const OK: &str = "HTTP/1.1 200 OK";
    let both = |fields: &str, expected: &str| answer(&format!("{OK}{fields}"), &keep, &format!("{OK}{expected}"));
    both("|X: 1|Content-Length: 5|Set-Cookie: a=b", "|X: 1|Content-Length: 5|Set-Cookie: a=b");
    both("|Content-Length: 5|X: 1|Content-Length: 5", "|Content-Length: 5|X: 1");
    both("|Content-Length: 5|Transfer-Encoding: chunked|X: 1", "|X: 1|Transfer-Encoding: chunked");
    both("|Transfer-Encoding: identity|Transfer-Encoding: chunked;a", "|Transfer-Encoding: chunked");
    both("|Connection: close, X-A|X-A: 1|Keep-Alive: 5|Content-Length: 0|Server: s", "|Content-Length: 0|Server: s");
    both(
        "|Upgrade: h2c|Proxy-Authenticate: x|Content-Length: 0|WWW-Authenticate: y",
        "|Content-Length: 0|WWW-Authenticate: y",
    );
    answer("HTTP/1.0 404|Content-Length: 0", &keep, "HTTP/1.1 404 |Content-Length: 0");
    answer(&format!("{OK}|Content-Length: 0"), &close, &format!("{OK}|Content-Length: 0|Connection: close"));
    answer(&format!("{OK}|X: 1"), &chunk, &format!("{OK}|X: 1|Transfer-Encoding: chunked"));
    let lines = Answer { lines: b"Set-Cookie: c=d\r\n", ..keep };
    answer(&format!("{OK}|Content-Length: 0"), &lines, &format!("{OK}|Content-Length: 0|Set-Cookie: c=d"));
    let removed = Answer { removed: [&["X-A", "server"], &["ETag"]], lines: b"X-A: new\r\n", ..keep };
    let received = "|x-a: 1|Server: s|Content-Length: 0|X-A: 2|X-B: 3|etag: \"e\"";
    answer(&format!("{OK}{received}"), &removed, &format!("{OK}|Content-Length: 0|X-B: 3|X-A: new"));
    let encode = to(Version::Http11, true, Reframe::Encode);
    answer(&format!("{OK}|Content-Length: 5|X: 1"), &encode, &format!("{OK}|X: 1|Transfer-Encoding: chunked"));
    answer(&format!("{OK}|Transfer-Encoding: chunked"), &encode, &format!("{OK}|Transfer-Encoding: chunked"));
    // no framing where there can be no content
    answer("HTTP/1.1 204 No Content|Content-Length: 0|X: 1", &keep, "HTTP/1.1 204 No Content|X: 1");
    answer("HTTP/1.1 204 No Content|Transfer-Encoding: chunked", &keep, "HTTP/1.1 204 No Content");
    answer("HTTP/1.1 304 Not Modified|Content-Length: 5", &keep, "HTTP/1.1 304 Not Modified|Content-Length: 5");
}

#[test]
fn answers_to_http_1_0() {
    const OK: &str = "HTTP/1.1 200 OK";
    let keep = to(Version::Http10, true, Reframe::Keep);
    answer(&format!("{OK}|Content-Length: 5"), &keep, &format!("{OK}|Content-Length: 5|Connection: keep-alive"));
    let close = to(Version::Http10, false, Reframe::Keep);
    answer(&format!("{OK}|Content-Length: 5"), &close, &format!("{OK}|Content-Length: 5|Connection: close"));
    let unchunk = to(Version::Http10, false, Reframe::Unchunk);
    answer(&format!("{OK}|Transfer-Encoding: chunked|X: 1"), &unchunk, &format!("{OK}|X: 1|Connection: close"));
    // to HEAD there is nothing to reframe; the field goes all the same
    answer(&format!("{OK}|Transfer-Encoding: chunked|X: 1"), &close, &format!("{OK}|X: 1|Connection: close"));
}

#[test]
fn interim_answers_and_switches() {
    let keep = to(Version::Http11, true, Reframe::Keep);
    answer("HTTP/1.1 100 Continue|Content-Length: 5", &keep, "HTTP/1.1 100 Continue");
    answer("HTTP/1.1 103 Early Hints|Link: </a>", &keep, "HTTP/1.1 103 Early Hints|Link: </a>");
    let switch = "HTTP/1.1 101 Switching Protocols|Upgrade: websocket|Connection: Upgrade|Sec-WebSocket-Accept: x";
    let expected = "HTTP/1.1 101 Switching Protocols|Upgrade: websocket|Sec-WebSocket-Accept: x|Connection: Upgrade";
    answer(switch, &to(Version::Http11, false, Reframe::Keep), expected);
}

/// S4: what only we may say of a client's certificate, in any spelling that a target could take for it.
#[test]
fn fields_of_client_certificates_never_come_from_clients() {
    for name in [
        "X-Amzn-Mtls-Clientcert",
        "x-amzn-mtls-clientcert",
        "X-Amzn-Mtls-Clientcert-Leaf",
        "X-Amzn-Mtls-Clientcert-Serial-Number",
        "X-AMZN-MTLS-ANYTHING",
        "X_Amzn_Mtls_Clientcert",
        "x-amzn_mtls-clientcert_subject",
        "X.Amzn.Mtls.Clientcert-Issuer",
    ] {
        fields(&format!("A: b|{name}: x|C: d"), "A: b|C: d");
        let named = format!("GET / HTTP/1.1|Host: a|{name}: x");
        let ours = Outgoing { certificate_lines: b"X-Amzn-Mtls-Clientcert: ours\r\n", ..bare() };
        check(&named, &ours, "GET / HTTP/1.1|Host: a|X-Amzn-Mtls-Clientcert: ours");
        // nor do rules see them
        let bytes = format!("{named}||").replace('|', "\r\n");
        let mut head = RequestHead::default();
        assert_eq!(parser::parse(bytes.as_bytes(), &mut head), Ok(parser::Parsed::Complete));
        let seen = RequestView { bytes: bytes.as_bytes(), head: &head };
        assert_eq!(seen.fields().map(|(name, _)| name).collect::<Vec<_>>(), [b"Host"], "{name}");
    }
    fields("X-Amzn-Mtl: x|X-Amzn-Mtlsclientcert: y", "X-Amzn-Mtl: x|X-Amzn-Mtlsclientcert: y");
}

/// H6: fields of version and cipher are ours when we tell them, and else the client's.
#[test]
fn fields_of_version_and_cipher() {
    let received = "GET / HTTP/1.1|Host: a|X-Amzn-Tls-Version: x|x_amzn_tls_cipher_suite: y|X-Amzn-Tls-Other: z";
    check(received, &bare(), received);
    let none = Outgoing { cipher_lines: Some(b""), ..bare() };
    check(received, &none, "GET / HTTP/1.1|Host: a|X-Amzn-Tls-Other: z");
    let told = Outgoing { cipher_lines: Some(b"x-amzn-tls-version: TLSv1.3\r\n"), ..bare() };
    check(received, &told, "GET / HTTP/1.1|Host: a|X-Amzn-Tls-Other: z|x-amzn-tls-version: TLSv1.3");
}

/// What is said anew replaces what came, also under a name that others read as the same; without a value it only goes.
#[test]
fn renewed_fields() {
    let start = "GET / HTTP/1.1|Host: a";
    let renewed: [Renewed<'_>; 2] = [(b"X-Left", Some(b"250")), (b"X-Gone", None)];
    let plan = Outgoing { renewed: &renewed, ..bare() };
    check(start, &plan, &format!("{start}|X-Left: 250"));
    let received = format!("{start}|x-left: 9|X-A: b|X_Left: 8|X-Gone: c|X-Left: 7");
    check(&received, &plan, &format!("{start}|X-A: b|X-Left: 250"));
}
