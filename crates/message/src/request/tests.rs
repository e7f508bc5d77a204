use super::*;
use crate::head::RequestView;

/// Parses `line`, a Host field and `fields` (each without its CRLF), and hands the outcome over as `tier reason`, or the
/// status and reason of a refusal.
fn outcome(line: &str, fields: &[&str]) -> (String, RequestHead, String) {
    let mut text = format!("{line}\r\n");
    for field in fields {
        text.push_str(field);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    let mut head = RequestHead::default();
    let shown = match parse(text.as_bytes(), &mut head) {
        Ok(Parsed::Complete) if head.reason == Reason::Compliant => "Compliant".to_owned(),
        Ok(Parsed::Complete) => format!("{:?} {}", head.tier, head.reason),
        Ok(Parsed::Incomplete) => "incomplete".to_owned(),
        Err(refusal) => refusal.to_string(),
    };
    (shown, head, text)
}

const HOST: &str = "Host: a.example";

/// A request line with a Host field comes out as expected.
fn line(line: &str, expected: &str) {
    assert_eq!(outcome(line, &[HOST]).0, expected, "{line:?}");
}

#[test]
fn request_lines() {
    line("GET / HTTP/1.1", "Compliant");
    line("GET / HTTP/1.0", "Compliant");
    line("\r\n\r\nGET / HTTP/1.1", "Compliant");
    line("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1", "400 BadMethod");
    line("\nGET / HTTP/1.1", "400 BadMethod");
    line("!#$%&'*+-.^_`|~aZ9 / HTTP/1.1", "Compliant");
    line("G\u{e9}T / HTTP/1.1", "400 BadMethod");
    line("GE(T / HTTP/1.1", "400 BadMethod");
    line(" GET / HTTP/1.1", "400 BadMethod");
    line("GET\t/ HTTP/1.1", "400 BadMethod");
    line("GET", "400 BadMethod");
    line("", "400 BadMethod");
    // versions
    line("GET / HTTP/1.2", "Acceptable NonCompliantVersion");
    line("GET / HTTP/0.9", "Acceptable NonCompliantVersion");
    line("GET /", "Acceptable NonCompliantVersion");
    line("GET / ", "Acceptable NonCompliantVersion");
    line("GET / HTTP/1.1 ", "Acceptable NonCompliantVersion");
    line("GET / HTTP/1.1\t", "Acceptable NonCompliantVersion");
    line("GET / HTTP/2.0", "505 BadVersion");
    line("PRI * HTTP/2.0", "505 BadVersion");
    line("GET / HTTP/3.1", "505 BadVersion");
    line("GET / HTTP/0.8", "505 BadVersion");
    line("GET / HTTP/1.10", "400 BadVersion");
    line("GET / HTTP/1", "400 BadVersion");
    line("GET / HTTP/1.x", "400 BadVersion");
    line("GET / http/1.1", "400 BadVersion");
    line("GET / HTTP /1.1", "400 BadVersion");
    line("GET / HTTPS/1.1", "400 BadVersion");
    line("GET / HTTP/1.1 HTTP/1.1", "400 BadVersion");
    // targets
    line("GET /a\tb HTTP/1.1", "Ambiguous AmbiguousUri");
    line("GET /a\x01b HTTP/1.1", "Ambiguous AmbiguousUri");
    line("GET /a\x7fb HTTP/1.1", "Ambiguous AmbiguousUri");
    line("GET /a b HTTP/1.1", "Acceptable SpaceInUri");
    line("GET /a  HTTP/1.1", "Acceptable SpaceInUri");
    line("GET  / HTTP/1.1", "400 BadUri");
    line("GET /a\0b HTTP/1.1", "400 BadUri");
    line("GET /a\rb HTTP/1.1", "400 BadUri");
    line("GET /a\nb HTTP/1.1", "400 BadUri");
    line("GET  HTTP/1.1", "Ambiguous MissingUri");
    line("GET HTTP/1.1", "Ambiguous MissingUri");
    line("GET /\u{e9}#{}|\"<>\\^` HTTP/1.1", "Compliant");
    line("GET a HTTP/1.1", "400 BadUri");
    line("GET ?a HTTP/1.1", "400 BadUri");
    line("GET * HTTP/1.1", "400 BadUri");
    line("OPTIONS * HTTP/1.1", "Compliant");
    line("OPTIONS *a HTTP/1.1", "400 BadUri");
    line("CONNECT a.example:443 HTTP/1.1", "Compliant");
    line("CONNECT a.example HTTP/1.1", "400 BadUri");
    line("CONNECT / HTTP/1.1", "400 BadUri");
    line("CONNECT [::1]:443 HTTP/1.1", "Compliant");
    line("GET ftp://a/ HTTP/1.1", "400 BadUri");
    line("GET http:///a HTTP/1.1", "400 BadUri");
    line("GET http://u@a/ HTTP/1.1", "400 BadUri");
    line("GET http://a:b/ HTTP/1.1", "400 BadUri");
    line("GET http://a b/ HTTP/1.1", "400 BadUri");
}

/// Target, authority and host, path and query, of a request line with `Host: a.example`.
fn target(line: &str, authority: &str, host: &str, path: &str, query: Option<&str>) {
    let (shown, head, text) = outcome(line, &[HOST]);
    let view = RequestView { bytes: text.as_bytes(), head: &head };
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let found = (text(head.authority.of(view.bytes)), text(view.host()), text(view.path()), view.query().map(text));
    assert_eq!(found, (authority.into(), host.into(), path.into(), query.map(str::to_owned)), "{line:?} {shown}");
}

#[test]
fn target_forms() {
    target("GET / HTTP/1.1", "a.example", "a.example", "/", None);
    target("GET /a?b?c=/d HTTP/1.1", "a.example", "a.example", "/a", Some("b?c=/d"));
    target("GET /a? HTTP/1.1", "a.example", "a.example", "/a", Some(""));
    target("GET /a b?c d HTTP/1.1", "a.example", "a.example", "/a b", Some("c d"));
    target("OPTIONS * HTTP/1.1", "a.example", "a.example", "*", None);
    // RFC 9112 section 3.2.2: the target overrides Host
    target("GET http://b.example:81/c?d HTTP/1.1", "b.example:81", "b.example", "/c", Some("d"));
    target("GET HTTP://b.example HTTP/1.1", "b.example", "b.example", "", None);
    target("GET https://[::1]:81?d HTTP/1.1", "[::1]:81", "[::1]", "", Some("d"));
    target("CONNECT b.example:443 HTTP/1.1", "b.example:443", "b.example", "", None);
    target("GET  HTTP/1.1", "a.example", "a.example", "", None);
}

/// Fields, without a Host unless given, come out as expected.
fn fields(version: &str, fields: &[&str], expected: &str) {
    assert_eq!(outcome(&format!("POST / {version}"), fields).0, expected, "{fields:?}");
}

#[test]
fn host_rules() {
    fields("HTTP/1.1", &[], "400 BadHost");
    fields("HTTP/1.2", &[], "400 BadHost");
    fields("HTTP/1.1 ", &[], "400 BadHost");
    fields("HTTP/1.0", &[], "Compliant");
    fields("HTTP/1.1", &["Host:"], "Compliant");
    fields("HTTP/1.1", &[HOST, HOST], "400 BadHost");
    fields("HTTP/1.0", &[HOST, HOST], "400 BadHost");
    fields("HTTP/1.1", &["hOST:a:80"], "Compliant");
    for bad in ["a b", "a/b", "u@a", "a:b", "[::1", "a\x01", "a,b:c", ":80", "\u{e9}"] {
        fields("HTTP/1.1", &[&format!("Host: {bad}")], "400 BadHost");
    }
    // a name with white space is another name
    fields("HTTP/1.1", &["Host : a"], "400 BadHost");
}

#[test]
fn field_lines() {
    let field = |line: &str, expected: &str| fields("HTTP/1.1", &[HOST, line, "X-Last: 1"], expected);
    field("X-A:", "Compliant");
    field("X-A:\t b \t", "Compliant");
    field("x_a.b!: c\td\u{e9}", "Compliant");
    field("X-A: b\x01", "Acceptable NonCompliantHeader");
    field("X-A: \x7f", "Acceptable NonCompliantHeader");
    field("x_a: \x01", "Acceptable NonCompliantHeader");
    field("X-A : b", "Acceptable NonCompliantHeader");
    field("X A: b", "Acceptable NonCompliantHeader");
    field("\u{e9}: b", "Acceptable NonCompliantHeader");
    field("(X): b", "Acceptable NonCompliantHeader");
    field(": b", "Ambiguous EmptyHeader");
    field(" \t: b", "Ambiguous EmptyHeader");
    field("X-A", "400 BadHeader");
    field("X-A: b\r", "400 BadHeader");
    field("X-A: b\0", "400 BadHeader");
    field("X-A\0: b", "400 BadHeader");
    field("X-A: b\rc", "400 BadHeader");
    field("X-A: b\nc: d", "400 BadHeader");
    field("X-A: b\nc", "400 BadHeader");
    field("\r", "400 BadHeader");
    // obs-fold, behind another field and behind the request line
    field(" b", "400 BadHeader");
    field("\tb: c", "400 BadHeader");
    fields("HTTP/1.1", &[" Host: a", HOST], "400 BadHeader");
}

#[test]
fn imitations_of_framing_fields() {
    let suspicious = |line: &str| fields("HTTP/1.1", &[HOST, line], "Ambiguous SuspiciousHeader");
    suspicious("Transfer_Encoding: chunked");
    suspicious("TransferEncoding: chunked");
    suspicious("-Transfer-Encoding: chunked");
    suspicious("Transfer-Encoding : chunked");
    suspicious(" Transfer-Encoding: chunked");
    suspicious("\x01Content-Length: 5");
    suspicious("Content.Length: 5");
    suspicious("CONTENTLENGTH: 5");
    suspicious("Tran\u{17f}fer-Encoding: chunked");
    suspicious("Transfer-Encod\u{131}ng: chunked");
    fields("HTTP/1.1", &[HOST, "X-Content-Length: 5"], "Compliant");
    fields("HTTP/1.1", &[HOST, "Content-Length-2: 5"], "Compliant");
    fields("HTTP/1.1", &[HOST, "Transfer-Encodings: 5"], "Compliant");
    fields("HTTP/1.1", &[HOST, "Content_Length: 5", "Content-Length: 6"], "400 MultipleContentLength");
    fields("HTTP/1.1", &[HOST, "Content_Length: x"], "400 BadContentLength");
    fields("HTTP/1.1", &[HOST, "Transfer_Encoding: x"], "400 BadTransferEncoding");
    let both = ["Transfer-Encoding: chunked", "Transfer_Encoding: chunked"];
    fields("HTTP/1.1", &[HOST, both[0], both[1]], "400 MultipleTransferEncodingChunked");
    fields("HTTP/1.1", &[HOST, both[1], both[0]], "400 MultipleTransferEncodingChunked");
}

/// The framing that `fields` decide, and their tier.
fn framing(line: &str, fields: &[&str], expected: Result<(Framing, &str), &str>) {
    let all: Vec<_> = [HOST].iter().chain(fields).copied().collect();
    let (shown, head, _) = outcome(line, &all);
    match expected {
        Ok((framing, tier)) => assert_eq!((head.framing, shown.as_str()), (framing, tier), "{line} {fields:?}"),
        Err(refusal) => assert_eq!(shown, refusal, "{line} {fields:?}"),
    }
}

#[test]
fn framing_of_requests() {
    use Framing::{Chunked, Length, None};
    const POST: &str = "POST / HTTP/1.1";
    const GET: &str = "GET / HTTP/1.1";
    const OLD: &str = "POST / HTTP/1.0";
    framing(POST, &[], Ok((None, "Compliant")));
    framing(POST, &["Content-Length: 0"], Ok((Length(0), "Compliant")));
    framing(POST, &["Content-Length: 005"], Ok((Length(5), "Compliant")));
    framing(POST, &["Content-Length: 18446744073709551615"], Ok((Length(u64::MAX), "Compliant")));
    framing(POST, &["Content-Length: 5", "content-length:5"], Ok((Length(5), "Ambiguous DuplicateContentLength")));
    framing(POST, &["Content-Length: 5", "Content-Length: 6"], Err("400 MultipleContentLength"));
    for bad in ["", "5,5", "+5", "-5", "0x5", "5 5", "5\x01", "\x0c5", "18446744073709551616", "\u{661}"] {
        framing(POST, &[&format!("Content-Length: {bad}")], Err("400 BadContentLength"));
    }
    framing(POST, &["Transfer-Encoding: chunked"], Ok((Chunked, "Compliant")));
    framing(POST, &["Transfer-Encoding: CHUNKED"], Ok((Chunked, "Compliant")));
    framing(POST, &["Transfer-Encoding: gzip, chunked"], Ok((Chunked, "Compliant")));
    framing(POST, &["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], Ok((Chunked, "Compliant")));
    framing(POST, &["Transfer-Encoding: identity"], Ok((None, "Compliant")));
    framing(POST, &["Transfer-Encoding: gzip"], Err("501 BadTransferEncoding"));
    for bad in
        ["", "chunked,", ",chunked", "xchunked", "chunk", "chunked\x0c", "\x0bchunked", "chunked\u{a0}", "chun ked"]
    {
        framing(POST, &[&format!("Transfer-Encoding: {bad}")], Err("400 BadTransferEncoding"));
    }
    framing(POST, &["Transfer-Encoding: chunked, gzip"], Err("400 BadTransferEncoding"));
    framing(POST, &["Transfer-Encoding: chunked, identity"], Err("400 BadTransferEncoding"));
    framing(POST, &["Transfer-Encoding: chunked, chunked"], Err("400 MultipleTransferEncodingChunked"));
    let both = ["Transfer-Encoding: chunked", "Content-Length: 5"];
    framing(POST, &both, Ok((Chunked, "Ambiguous BothTeClPresent")));
    framing(POST, &[both[1], both[0]], Ok((Chunked, "Ambiguous BothTeClPresent")));
    framing(POST, &["Transfer-Encoding: gzip", both[1]], Ok((Length(5), "Ambiguous BothTeClPresent")));
    framing(GET, &["Content-Length: 0"], Ok((None, "Acceptable GetHeadZeroContentLength")));
    framing(GET, &["Content-Length: 5"], Ok((Length(5), "Ambiguous UndefinedContentLengthSemantics")));
    framing(GET, &[both[0]], Ok((Chunked, "Ambiguous UndefinedTransferEncodingSemantics")));
    framing("HEAD / HTTP/1.1", &["Content-Length: 5"], Ok((Length(5), "Ambiguous UndefinedContentLengthSemantics")));
    let coded = ["Transfer-Encoding: gzip", "Content-Length: 0"];
    framing(GET, &coded, Ok((None, "Ambiguous UndefinedTransferEncodingSemantics")));
    // methods are compared with case: "get" is none of ours
    framing("get / HTTP/1.1", &["Content-Length: 5"], Ok((Length(5), "Compliant")));
    framing(OLD, &[both[0]], Ok((Chunked, "Ambiguous UndefinedTransferEncodingSemantics")));
    framing(OLD, &["Content-Length: 5"], Ok((Length(5), "Compliant")));
    framing("POST /", &["Content-Length: 5"], Ok((Length(5), "Ambiguous UndefinedContentLengthSemantics")));
    // a line that only imitates a framing field decides nothing
    framing(POST, &["Content-Length : 5"], Ok((None, "Ambiguous SuspiciousHeader")));
}

#[test]
fn connection_says_what_becomes_of_it() {
    let connection = |version: &str, fields: &[&str]| {
        let all: Vec<_> = [HOST].iter().chain(fields).copied().collect();
        let (shown, head, _) = outcome(&format!("GET / {version}"), &all);
        assert_eq!(shown, "Compliant", "{fields:?}");
        let ConnectionOptions { keep_alive, close, upgrade, lists_fields } = head.connection;
        (keep_alive, close, upgrade, lists_fields)
    };
    assert_eq!(connection("HTTP/1.1", &[]), (true, false, false, false));
    assert_eq!(connection("HTTP/1.0", &[]), (false, false, false, false));
    assert_eq!(connection("HTTP/1.0", &["Connection: Keep-Alive"]), (true, false, false, false));
    assert_eq!(connection("HTTP/1.1", &["Connection: CLOSE"]), (false, true, false, false));
    assert_eq!(connection("HTTP/1.1", &["Connection: close, keep-alive"]), (false, true, false, false));
    assert_eq!(connection("HTTP/1.0", &["Connection: close", "Connection: keep-alive"]), (false, true, false, false));
    assert_eq!(connection("HTTP/1.1", &["Connection: ,, x-a ,"]), (true, false, false, true));
    let websocket = ["Connection: keep-alive, Upgrade", "Upgrade: WebSocket"];
    assert_eq!(connection("HTTP/1.1", &websocket), (true, false, true, false));
    assert_eq!(connection("HTTP/1.0", &websocket), (true, false, false, false));
    assert_eq!(connection("HTTP/1.1", &websocket[..1]), (true, false, false, false));
    assert_eq!(connection("HTTP/1.1", &websocket[1..]), (true, false, false, false));
    for refused in ["Upgrade: h2c", "Upgrade: websocket, H2C", "Upgrade: h2c-14", "Upgrade:"] {
        assert_eq!(connection("HTTP/1.1", &[websocket[0], refused]), (true, false, false, false), "{refused}");
    }
    let many = format!("Connection: {}", "a,".repeat(LISTED_LIMIT + 1));
    fields("HTTP/1.1", &[HOST, &many], "400 BadHeader");
}

#[test]
fn expectation_is_for_http_1_1() {
    let expects = |version: &str, value: &str| outcome(&format!("PUT / {version}"), &[HOST, value]).1.expects_continue;
    assert!(expects("HTTP/1.1", "Expect: 100-Continue"));
    assert!(!expects("HTTP/1.1", "Expect: 200-ok"));
    assert!(!expects("HTTP/1.0", "Expect: 100-continue"));
}

/// The outcome for `bytes` alone.
fn raw(bytes: &[u8]) -> Result<Parsed, Refusal> {
    parse(bytes, &mut RequestHead::default())
}

fn refusal(status: u16, reason: Reason) -> Result<Parsed, Refusal> {
    Err(Refusal { status, reason })
}

#[test]
fn limits() {
    let with_target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length - 15));
    assert_eq!(raw(with_target(REQUEST_LINE_LIMIT).as_bytes()), Ok(Parsed::Complete));
    assert_eq!(raw(with_target(REQUEST_LINE_LIMIT + 2).as_bytes()), refusal(414, Reason::BadUri));
    // it is known before the line ends
    assert_eq!(raw(&with_target(20_000).as_bytes()[..REQUEST_LINE_LIMIT + 1]), refusal(414, Reason::BadUri));
    assert_eq!(raw("A".repeat(20_000).as_bytes()), refusal(400, Reason::BadMethod));

    let with_field = |name: &str, length: usize| {
        let name = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: ");
        let line = name.len() - 25;
        format!("{name}{}\r\n\r\n", "a".repeat(length - line - 2))
    };
    for name in ["X-A", "X A", "x_a"] {
        assert_eq!(raw(with_field(name, FIELD_LIMIT).as_bytes()), Ok(Parsed::Complete), "{name}");
        let longer = with_field(name, FIELD_LIMIT + 1);
        assert_eq!(raw(longer.as_bytes()), refusal(400, Reason::BadHeader), "{name}");
        assert_eq!(raw(&longer.as_bytes()[..FIELD_LIMIT + 26]), refusal(400, Reason::BadHeader), "{name}");
    }

    let with_fields = |length: usize| {
        let mut text = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
        while text.len() + 2 < length {
            let line = (length - text.len() - 2).min(8_000);
            let line = if length - text.len() - 2 - line < 6 { length - text.len() - 2 } else { line };
            text.push_str(&format!("X: {}\r\n", "a".repeat(line - 5)));
        }
        text + "\r\n"
    };
    assert_eq!(with_fields(HEAD_LIMIT).len(), HEAD_LIMIT);
    assert_eq!(raw(with_fields(HEAD_LIMIT).as_bytes()), Ok(Parsed::Complete));
    assert_eq!(raw(with_fields(HEAD_LIMIT + 1).as_bytes()), refusal(400, Reason::BadHeader));
    assert_eq!(raw(&with_fields(HEAD_LIMIT + 9_000).as_bytes()[..HEAD_LIMIT + 1]), refusal(400, Reason::BadHeader));
}

#[test]
fn what_follows_the_head_is_not_looked_at() {
    let mut head = RequestHead::default();
    let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\0\r\nGET";
    assert_eq!(parse(bytes, &mut head), Ok(Parsed::Complete));
    assert_eq!((head.len, head.framing), (bytes.len() - 6, Framing::Length(3)));
}

#[test]
fn a_head_is_cleared_before_it_is_filled() {
    let mut head = RequestHead::default();
    let first =
        b"POST /a b?c HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close, x\r\n\r\n";
    assert_eq!(parse(first, &mut head), Ok(Parsed::Complete));
    let second = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n";
    assert_eq!(parse(second, &mut head), Ok(Parsed::Complete));
    let mut fresh = RequestHead::default();
    assert_eq!(parse(second, &mut fresh), Ok(Parsed::Complete));
    assert_eq!(format!("{head:?}"), format!("{fresh:?}"));
}

#[test]
fn a_whole_head_is_noticed_wherever_reads_end() {
    for text in ["GET / HTTP/1.1\r\nHost: a\r\n\r\nbody", "GET / HTTP/1.1\nHost: a\n\nbody"] {
        let end = text.find("body").unwrap();
        for scanned in 0..end {
            assert!(may_be_whole(&text.as_bytes()[..end], scanned), "{scanned}");
            assert!(may_be_whole(text.as_bytes(), scanned), "{scanned}");
        }
    }
    // short of its end, a head is worth another look only for what no head may hold
    let unfinished = b"GET / HTTP/1.1\r\nHost: a\r\n\r";
    assert!((0..unfinished.len()).all(|scanned| !may_be_whole(unfinished, scanned)));
    for odd in ["GET / HTTP/1.1\n", "GET / HTTP/1.1\rH", "GET / HTTP/1.1\r\nHost: \0"] {
        assert!(may_be_whole(odd.as_bytes(), odd.len() - 2), "{odd:?}");
    }
    assert!(may_be_whole(&vec![b'a'; HEAD_LIMIT + 1], HEAD_LIMIT));
}
