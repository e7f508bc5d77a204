//! HTTP/2 from clients: everything that a request meets behind its head is as on HTTP/1.1, and a stream that fails takes no
//! other with it.

pub(crate) mod client;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use h2::Reason;
use h2::client::Builder;
use headworks_testkit::echo::hash;
use headworks_testkit::frames::flag::{ACK, END_STREAM};
use headworks_testkit::frames::{self, data, frame, headers, kind, request, setting, settings, window};
use headworks_testkit::stream::End;
use headworks_testkit::{Ask, Gate, Origin, Response, Step, ask, check, wire};
use rustix::process::Signal;

use self::client::{Asked, Http2, response, within};
use crate::{proxy, start};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// What a target is sent does not tell which version its client spoke.
#[test]
fn targets_see_what_they_see_of_http1() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    const TRACE: &str = "X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678";
    let ask = |method: &str, target: &str| ask(method, target).with(TRACE);
    let rows = [
        ask("GET", "/a/b?c=d&e"),
        ask("GET", "/").with("Host: Shop.example.com:8080"),
        ask("HEAD", "/"),
        ask("DELETE", "/%41%2f//x"),
        ask("PURGE", "/"),
        ask("GET", "/").with("X-Forwarded-For: 192.0.2.1, 192.0.2.2").with("X-Forwarded-Proto: https"),
        ask("GET", "/").with("X-Forwarded-Port: 1").with("Forwarded: for=192.0.2.1").with("Via: 1.1 a"),
        ask("GET", "/").with("X-A: 1").with("X-B: 2").with("X-A: 3").with("X-Empty: "),
        ask("GET", "/").with("Accept: */*").with("User-Agent: t/1").with("Authorization: Basic YTpi"),
        ask("GET", "/").with("X_Under: 1").with("X-Latin: \u{e9}").with("X-Tab: a\tb"),
        ask("POST", "/").body("body"),
        ask("POST", "/").body(""),
        ask("PUT", "/").with("Content-Type: text/plain").body(pattern(100_000)),
    ];
    check(rows, ToString::to_string, |ask| {
        let sorted = |response: &Response| {
            let echo = response.echo();
            let fields = echo.fields.0.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
            // the part that is of this request alone
            let shared = |value: String| match value.split_once(';') {
                Some((own, rest)) if own.starts_with("Self=") => rest.to_owned(),
                _ => value,
            };
            let fields = fields.map(|(name, value)| (name, shared(value)));
            let mut fields: Vec<_> = fields.collect();
            fields.sort();
            (echo.method, echo.target, fields, echo.framing, echo.body_length, echo.body_hash)
        };
        let (new, old) = (Http2::connect(&headworks).exchange(ask), headworks.ask(ask));
        assert_eq!(new.status, 200, "{new}");
        if ask.method() == "HEAD" {
            assert_eq!(new.body.content.len(), 0);
        } else {
            assert_eq!(sorted(&new), sorted(&old));
        }
        let names = |response: &Response| {
            response.fields.0.iter().map(|(name, _)| name.to_ascii_lowercase()).collect::<BTreeSet<_>>()
        };
        assert_eq!(names(&new), names(&old));
    });
}

/// RFC 9113 section 8.2.3: cookies may come in pieces; a target gets them in one. And what is new is added.
#[test]
fn fields_that_are_changed() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    // the console's is not for targets
    let own = "cookie: headworks_session=x";
    let fields = ["cookie: a=1", own, "cookie: b=2; headworks_session=y; c=3", "te: trailers", "cookie: d=4", own];
    client.begin_http2(&[]).send(headers(END_STREAM, 1, request("/", &fields)));
    let body = client.frame_until("a body", |frame| frame.kind == kind::DATA);
    assert!(body.ends_stream());
    let echo = wire::latin1(&body.payload);
    assert!(echo.contains("[\"Cookie\",\"a=1; b=2; c=3; d=4\"]"), "{echo}");
    let seen = web.received()[0].request.fields.clone();
    assert_eq!(seen.one("Host"), Some(format!("test.example:{}", headworks.address().port()).as_str()));
    assert_eq!(seen.one("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(seen.one("X-Forwarded-Proto"), Some("http"));
    assert_eq!(seen.one("X-Forwarded-Port"), Some(headworks.address().port().to_string().as_str()));
    assert!(seen.one("X-Amzn-Trace-Id").is_some_and(|trace| trace.starts_with("Root=1-")), "{seen:?}");
}

/// Fields of an answer that are about the target's connection do not leave it (RFC 9113 section 8.2.2).
#[test]
fn hop_by_hop_fields_of_answers() {
    let lines = [
        "Connection: X-Hop, keep-alive",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: close",
        "X-Kept: 1",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
    ];
    let web = Origin::new("web").on("/", [Step::answer_with(200, &lines, "ok")]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let response = Http2::connect(&headworks).exchange(&ask("GET", "/"));
    for gone in ["connection", "x-hop", "keep-alive", "proxy-connection", "transfer-encoding"] {
        assert_eq!(response.fields.all(gone), [""; 0], "{response}");
    }
    assert_eq!((response.field("x-kept"), response.text().as_str()), (Some("1"), "ok"));
    assert_eq!(response.fields.all("set-cookie"), ["a=1", "b=2"]);
}

/// Rules and the answers that the load balancer gives itself.
#[test]
fn rules_and_own_answers() {
    let (web, api) = (Origin::echo("web"), Origin::echo("api"));
    let yaml = r##"
load_balancers:
  shop:
    listeners:
      http:
        address: 127.0.0.1:0
        rules:
          - { if: { path: [/fixed] }, then: { fixed_response: { status: 418, content_type: text/plain, body: short } } }
          - { if: { path: [/empty] }, then: { fixed_response: { status: 204 } } }
          - { if: { path: [/move] }, then: { redirect: { host: other.example, path: "/new/#{path}", status: 301 } } }
          - { if: { host: [api.example.com] }, then: { forward: api } }
          - { if: { method: [PATCH] }, then: { fixed_response: { status: 200, body: method } } }
          - { if: { header: { X-Version: ["v2*"] } }, then: { fixed_response: { status: 200, body: header } } }
          - { if: { query: [{ key: key, value: "a?b" }] }, then: { fixed_response: { status: 200, body: query } } }
        default: { forward: web }
target_groups:
  web: { targets: [<web>], health_check: { protocol: none } }
  api: { targets: [<api>], health_check: { protocol: none } }
"##;
    let headworks = start(yaml, &[("web", &web), ("api", &api)]);
    let mut client = Http2::connect(&headworks);
    let rows = [
        ("GET /fixed", 418, "short"),
        ("GET /empty", 204, ""),
        ("HEAD /fixed", 418, ""),
        ("POST /fixed", 418, "short"),
        ("PATCH /x", 200, "method"),
        ("GET /x | X-Version: V2.1", 200, "header"),
        ("GET /x?key=aXb", 200, "query"),
    ];
    for (text, status, body) in rows {
        let response = client.exchange(&Ask::parse(text));
        assert_eq!((response.status, response.text().as_str()), (status, body), "{text}: {response}");
        assert_eq!(response.field("connection"), None);
    }
    let moved = client.exchange(&Ask::parse("GET shop.example/move?q=1"));
    let port = headworks.address().port();
    assert_eq!(moved.field("location"), Some(format!("http://other.example:{port}/new/move?q=1").as_str()), "{moved}");
    assert_eq!(client.exchange(&Ask::parse("GET api.example.com/x")).echo().origin, "api");
    assert_eq!(client.exchange(&Ask::parse("GET /x")).echo().origin, "web");
    assert_eq!(client.exchange(&ask("TRACE", "/")).status, 405);
    // an answer of our own to a request whose body is still to come
    let asked = client.begin(&ask("POST", "/fixed"));
    assert_eq!(asked.response().map(|response| response.text()).ok(), Some("short".to_owned()));
}

/// Bodies of all sizes, with a length and without, in both directions.
#[test]
fn bodies() {
    let lengths = [0, 1, 16 * 1024, 16 * 1024 + 1, 65_535, 65_536, 300_000, 5_000_000];
    let mut origin = Origin::new("web");
    for length in lengths {
        let body = pattern(length);
        let sized = [format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes(), &body].concat();
        let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in body.chunks(length / 3 + 1) {
            chunked.extend([format!("{:x};e=1\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        chunked.extend(b"0\r\nX-Trailer: 1\r\n\r\n");
        let open = [b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat();
        origin = origin
            .on(&format!("/sized/{length}"), [Step::Send(sized)])
            .on(&format!("/chunked/{length}"), [Step::Send(chunked)])
            .on(&format!("/open/{length}"), [Step::Send(open), Step::Close]);
    }
    let web = origin.start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = Http2::connect(&headworks);
    for length in lengths {
        let body = pattern(length);
        for framing in ["sized", "chunked", "open"] {
            let response = client.exchange(&ask("GET", &format!("/{framing}/{length}")));
            assert_eq!(hash(&response.body.content), hash(&body), "{framing} {length}");
        }
        let sized = client.exchange(&ask("POST", "/").body(&body)).echo();
        assert_eq!((sized.body_length as usize, sized.body_hash), (length, hash(&body)));
        let mut asked = client.begin(&ask("POST", "/"));
        asked.body.send_data(body.clone().into(), true).unwrap_or_else(|error| panic!("{error}"));
        let open = asked.response().unwrap_or_else(|error| panic!("{error}")).echo();
        assert_eq!(
            (open.framing.as_str(), open.body_length as usize, open.body_hash),
            ("chunked", length, hash(&body))
        );
    }
}

/// Answers without a body end with their head, and keep the length that they would have had.
#[test]
fn bodiless_answers() {
    let web = Origin::new("web")
        .on("/head", [Step::send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")])
        .on("/204", [Step::send("HTTP/1.1 204 No Content\r\n\r\n")])
        .on("/304", [Step::send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 99\r\n\r\n")])
        .on("/empty", [Step::send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")])
        .start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = Http2::connect(&headworks);
    let rows = [
        ("HEAD", "/head", 200, Some("1000")),
        ("GET", "/204", 204, None),
        ("GET", "/304", 304, Some("99")),
        ("GET", "/empty", 200, Some("0")),
    ];
    for (method, path, status, length) in rows {
        let asked = client.ask(&ask(method, path));
        let answer = within("an answer", asked.answer).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(answer.body().is_end_stream(), "{path}");
        let (head, _) = answer.into_parts();
        let response = response(&head, Vec::new());
        assert_eq!((response.status, response.field("content-length")), (status, length), "{path}");
    }
}

#[test]
fn interim_answers() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let steps = [Step::send(hints), Step::send("HTTP/1.1 102 Processing\r\n\r\n"), Step::answer(200, "done")];
    let go = [Step::send("HTTP/1.1 100 Continue\r\n\r\n"), Step::Body, Step::answer(200, "got it")];
    let web = Origin::new("web").on("/hints", steps).on("/go", go).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.begin_http2(&[]).send(headers(END_STREAM, 1, request("/hints", &[])));
    for status in [103, 102, 200] {
        let head = client.frame_until("a head", |frame| frame.kind == kind::HEADERS);
        assert_eq!((head.status(), head.ends_stream()), (Some(status), false), "{head:x?}");
    }
    assert_eq!(client.frame_until("a body", |frame| frame.kind == kind::DATA).payload, b"done");
    // RFC 9110 section 10.1.1
    let expects = [":method: POST", ":scheme: http", ":authority: a", ":path: /go", "expect: 100-continue"];
    client.send(headers(0, 3, frames::block(&expects)));
    let head = client.frame_until("leave to go on", |frame| frame.kind == kind::HEADERS);
    assert_eq!(head.status(), Some(100), "{head:x?}");
    client.send(data(END_STREAM, 3, "body"));
    assert_eq!(client.frame_until("a head", |frame| frame.kind == kind::HEADERS).status(), Some(200));
}

/// Targets that fail do so for one stream, the others on the connection go on.
#[test]
fn errors_are_of_one_stream() {
    let gate = Gate::new();
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n";
    let web = Origin::new("web")
        .on("/held", [Step::Wait(gate.clone()), Step::answer(200, "late")])
        .on("/close", [Step::Close])
        .on("/garbage", [Step::send("nonsense\r\n\r\n"), Step::ReadToEnd])
        .on("/silent", [Step::ReadToEnd])
        .on("/cut", [Step::send(half), Step::Close])
        .on("/cut-reset", [Step::send(half), Step::Reset])
        .on("/cut-chunks", [Step::send(chunks), Step::Close])
        .on("/stalls", [Step::send(half), Step::ReadToEnd])
        .start();
    let yaml = proxy("", ", response_timeout: 2s")
        .replace("default: {", "rules: [{ if: { path: [/none] }, then: { forward: none } }], default: {")
        + "  none: { targets: [], health_check: { protocol: none } }\n";
    let headworks = start(&yaml.replace("response_timeout: 2s", "response_timeout: 4s"), &[("web", &web)]);
    let mut client = Http2::connect(&headworks);
    let held = client.ask(&ask("GET", "/held"));
    web.wait_heads(1);
    let rows = [
        ("/close", Ok(502)),
        ("/garbage", Ok(502)),
        ("/none", Ok(503)),
        ("/cut", Err(Reason::INTERNAL_ERROR)),
        ("/cut-reset", Err(Reason::INTERNAL_ERROR)),
        ("/cut-chunks", Err(Reason::INTERNAL_ERROR)),
    ];
    for (path, expected) in rows {
        let answered = client.ask(&ask("GET", path)).response();
        match (&answered, expected) {
            (Ok(response), Ok(status)) => assert_eq!(response.status, status, "{path}"),
            (Err(error), Err(reason)) => assert!(error.is_reset() && error.reason() == Some(reason), "{path}: {error}"),
            _ => panic!("{path}: {answered:?}"),
        }
    }
    let (silent, stalls) = (client.ask(&ask("GET", "/silent")), client.ask(&ask("GET", "/stalls")));
    gate.open();
    assert_eq!(held.response().map(|response| response.text()).ok(), Some("late".to_owned()));
    assert_eq!(silent.response().map(|response| response.status).ok(), Some(504));
    assert!(stalls.response().is_err_and(|error| error.is_reset()));
    assert_eq!(client.exchange(&ask("GET", "/")).status, 200);
}

/// 460: a client that gives a request up frees its target.
#[test]
fn requests_that_are_given_up() {
    let web = Origin::new("web").on("/held", [Step::ReadToEnd]).on("/body", [Step::Body]).lenient().start();
    let headworks =
        start(&format!("workers: 1\n{}", proxy(", access_log: { path: access.log }", "")), &[("web", &web)]);
    let mut client = Http2::connect(&headworks);
    let mut asked = client.ask(&ask("GET", "/held"));
    web.wait_heads(1);
    asked.body.send_reset(Reason::CANCEL);
    web.wait_end(1);
    // with a body that is not whole: to the target it must not look whole
    let mut asked = client.begin(&ask("POST", "/body"));
    asked.body.send_data(Bytes::from_static(b"half"), false).unwrap_or_else(|error| panic!("{error}"));
    web.wait_heads(2);
    asked.body.send_reset(Reason::CANCEL);
    web.wait_end(2);
    assert!(web.received().iter().all(|received| received.request.path() != "/body" || received.body.is_none()));
    assert_eq!(client.exchange(&ask("GET", "/")).status, 200);
    let lines = headworks.log_lines("access.log", 3);
    let statuses: Vec<_> = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap_or_default())
        .map(|line| (line["status"].as_u64(), line["version"].as_str().unwrap_or_default().to_owned()))
        .collect();
    let version = || "HTTP/2.0".to_owned();
    assert_eq!(statuses, [(Some(460), version()), (Some(400), version()), (Some(200), version())], "{lines:#?}");
    let _ = headworks.wait_metrics("headworks_target_in_flight_requests", &[], 0.0);
    let now = headworks.wait_metrics("headworks_requests_total", &[("listener", "http")], 3.0);
    assert_eq!(now.sum("headworks_connections_total", &[("listener", "http")]), 1.0);
    assert_eq!(now.sum("headworks_active_connections", &[("listener", "http")]), 1.0);
}

/// The same when the answer has begun and its target is silent: events that nobody listens to any more.
#[test]
fn answers_that_are_given_up() {
    let events = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    let web = Origin::new("web").on("/events", [Step::send(events), Step::ReadToEnd]).start();
    let headworks =
        start(&format!("workers: 1\n{}", proxy(", access_log: { path: access.log }", "")), &[("web", &web)]);
    let mut client = headworks.client();
    client.begin_http2(&[]).send(headers(END_STREAM, 1, request("/events", &[])));
    assert_eq!(client.frame_until("an event", |frame| frame.kind == kind::DATA).payload, b"first");
    client.send(frames::reset(1, frames::code::CANCEL));
    web.wait_end(1);
    let line = headworks.log_lines("access.log", 1).join("");
    assert!(line.contains("\"status\":200"), "{line}");
    let _ = headworks.wait_metrics("headworks_target_in_flight_requests", &[], 0.0);
}

/// Answers that come before the request's body has: the stream is closed without an error (RFC 9113 section 8.1), and what
/// the client had sent of its window comes back, also from streams that it gives up itself.
#[test]
fn bodies_that_nobody_reads() {
    // "4\r\nhalf\r\n": an answer to a body that has begun
    let early = [Step::Read(9), Step::answer_with(200, &["Connection: close"], "early"), Step::ReadToEnd];
    let web = Origin::new("web").on("/early", early).on("/held", [Step::ReadToEnd]).lenient().start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut raw = headworks.client();
    let post = [":method: POST", ":scheme: http", ":authority: a", ":path: /early"];
    raw.begin_http2(&[]).send(headers(0, 1, frames::block(&post))).send(data(0, 1, "half"));
    let last = raw.frame_until("the answer's end", frames::Frame::ends_stream);
    assert_eq!(last.payload, b"early");
    let reset = raw.frame_until("the stream's end", |frame| frame.kind == kind::RST_STREAM);
    assert_eq!((reset.stream, reset.code()), (1, Some(frames::code::NO_ERROR)), "{reset:x?}");
    let mut client = Http2::connect(&headworks);
    for number in 0..12 {
        let mut asked = client.begin(&ask("POST", if number % 2 == 0 { "/early" } else { "/held" }));
        asked.body.send_data(pattern(200_000).into(), false).unwrap_or_else(|error| panic!("{error}"));
        if number % 2 == 0 {
            assert_eq!(asked.response().map(|response| response.text()).ok(), Some("early".to_owned()));
        } else {
            web.wait_heads(number + 2);
            asked.body.send_reset(Reason::CANCEL);
        }
    }
    let body = pattern(3_000_000);
    assert_eq!(client.exchange(&ask("POST", "/").body(&body)).echo().body_hash, hash(&body));
}

#[test]
fn stickiness() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    let yaml = proxy("", ", stickiness: { type: lb_cookie }").replace("[<web>]", "[<a>, <b>]");
    let headworks = start(&yaml, &[("a", &a), ("b", &b)]);
    let mut client = Http2::connect(&headworks);
    let first = client.exchange(&ask("GET", "/"));
    let cookies = first.fields.all("set-cookie");
    let cookie = cookies.iter().find_map(|cookie| cookie.strip_prefix("AWSALB=")).unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default();
    for _ in 0..6 {
        let again = client.exchange(&ask("GET", "/").with("Cookie: x=1").with(&format!("Cookie: AWSALB={cookie}")));
        assert_eq!(again.echo().origin, first.echo().origin);
    }
}

/// Streams of one connection are spread like requests of many.
#[test]
fn streams_are_balanced() {
    let gate = Gate::new();
    let held = |name: &str| {
        let steps = [Step::Wait(gate.clone()), Step::answer_with(200, &[&format!("X-Origin: {name}")], "late")];
        Origin::new(name).on("/held", steps).start()
    };
    let (a, b) = (held("a"), held("b"));
    let yaml = format!("workers: 1\n{}", proxy("", "").replace("[<web>]", "[<a>, <b>]"));
    let headworks = start(&yaml, &[("a", &a), ("b", &b)]);
    let mut client = Http2::connect(&headworks);
    let asked: Vec<Asked> = (0..100).map(|_| client.ask(&ask("GET", "/held"))).collect();
    a.wait_heads(50);
    b.wait_heads(50);
    gate.open();
    let mut answered = BTreeMap::new();
    for asked in asked {
        let response = asked.response().unwrap_or_else(|error| panic!("{error}"));
        *answered.entry(response.field("x-origin").unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(answered, BTreeMap::from([("a".to_owned(), 50), ("b".to_owned(), 50)]));
}

/// H3: after 10,000 requests the connection is told to go away; streams that are open finish.
#[test]
fn ten_thousand_requests() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let yaml = proxy("", "").replace(
        "default: {",
        "rules: [{ if: { path: [/f] }, then: { fixed_response: { status: 204 } } }], default: {",
    );
    let headworks = start(&yaml, &[("web", &web)]);
    let mut client = headworks.client();
    client.begin_http2(&[]).send(headers(END_STREAM, 1, request("/held", &[])));
    let mut answered = 0;
    for hundred in 0..100_u32 {
        let streams = (0..if hundred == 99 { 99 } else { 100 }).map(|n| 3 + 2 * (hundred * 100 + n));
        let requests: Vec<u8> = streams.flat_map(|stream| headers(END_STREAM, stream, request("/f", &[]))).collect();
        client.send(requests);
        let wanted = if hundred == 99 { 9999 } else { (hundred + 1) * 100 };
        while answered < wanted {
            let frame = client.frame().unwrap_or_else(|end| panic!("{answered}: {end}"));
            assert!(frame.kind != kind::GOAWAY || answered >= 9900, "too early: {answered}");
            answered += u32::from(frame.status() == Some(204));
            if frame.kind == kind::PING {
                client.send(frames::frame(kind::PING, ACK, 0, &frame.payload));
            }
        }
    }
    gate.open();
    let late = client.frame_until("the first answer", |frame| frame.kind == kind::DATA || frame.kind == kind::PING);
    if late.kind == kind::PING {
        client.send(frame(kind::PING, ACK, 0, &late.payload));
        assert_eq!(client.frame_until("the first answer", |frame| frame.kind == kind::DATA).payload, b"late");
    }
    let end = loop {
        match client.frame() {
            Ok(frame) => assert!(frame.code().is_none_or(|code| code == 0), "{frame:x?}"),
            Err(end) => break end,
        }
    };
    assert_eq!(end, End::Closed);
}

/// SIGTERM: no new streams, those that are open finish, and the program ends with 0.
#[test]
fn the_end_in_good_order() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    let (mut client, mut idle) = (Http2::connect(&headworks), Http2::connect(&headworks));
    // one that answers nothing, which holds nobody up
    let mut silent = headworks.client();
    silent.begin_http2(&[]).send(headers(END_STREAM, 1, request("/", &[])));
    silent.frame_until("an answer", frames::Frame::ends_stream);
    assert_eq!(idle.exchange(&ask("GET", "/")).status, 200);
    let held: Vec<Asked> = (0..10).map(|_| client.ask(&ask("GET", "/held"))).collect();
    web.wait_heads(12);
    headworks.signal(Signal::TERM);
    assert!(idle.over().is_ok());
    gate.open();
    for asked in held {
        assert_eq!(asked.response().map(|response| response.text()).ok(), Some("late".to_owned()));
    }
    assert!(client.over().is_ok());
    assert_eq!(headworks.wait_exit().code(), Some(0), "{}", headworks.said());
    let farewell = silent.frame_until("a farewell", |frame| frame.kind == kind::GOAWAY);
    assert_eq!(farewell.code(), Some(0), "{farewell:x?}");
}

/// A reload that takes rules, targets and the listener away leaves open streams alone.
#[test]
fn reloads() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = Http2::connect(&headworks);
    let held: Vec<Asked> = (0..10).map(|_| client.ask(&ask("GET", "/held"))).collect();
    web.wait_heads(10);
    let fixed = "load_balancers:\n  shop: { listeners: { http: { address: 127.0.0.1:0, default: { fixed_response: { status: 200, body: new } } } } }\n";
    headworks.reload(fixed, &[]);
    // new streams of the same connection have the new rules
    assert_eq!(client.exchange(&ask("GET", "/")).text(), "new");
    headworks.reload(&fixed.replace("http:", "other:"), &[]);
    gate.open();
    for asked in held {
        assert_eq!(asked.response().map(|response| response.text()).ok(), Some("late".to_owned()));
    }
    assert!(client.over().is_ok());
}

/// H1: an idle connection is told to go away, whatever it pings.
#[test]
fn idle_connections() {
    let web = Origin::echo("web");
    let headworks = start(&proxy(", idle_timeout: 500ms", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.begin_http2(&[]).send(headers(END_STREAM, 1, request("/", &[])));
    let answer = client.frame_until("an answer", |frame| frame.status().is_some());
    assert_eq!(answer.status(), Some(200));
    client.send(frames::ping([1; 8]));
    let (mut farewell, mut pings) = (None, 0);
    let end = loop {
        match client.frame() {
            Ok(frame) if frame.kind == kind::GOAWAY => farewell = frame.code(),
            Ok(frame) if frame.kind == kind::PING && frame.flags == ACK => {
                // a client that pings is alive, and idle all the same
                pings += 1;
                if pings < 1000 {
                    client.send_anyway(frames::ping([1; 8]));
                }
            }
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    assert_eq!(farewell, Some(0));
    assert!(matches!(end, End::Closed | End::Reset), "{end}");
}

/// What one side does not take, the other is not asked for, and nothing is lost.
#[test]
fn back_pressure() {
    let gate = Gate::new();
    let body = pattern(10 * 1024 * 1024);
    let answer = [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    let web = Origin::new("web")
        .on("/up", [Step::Wait(gate.clone()), Step::Body, Step::answer(200, "all")])
        .on("/down", [Step::Send(answer)])
        .start();
    let headworks = start(&format!("workers: 1\n{}", proxy("", "")), &[("web", &web)]);
    let mut small = Builder::new();
    small.initial_window_size(1000).initial_connection_window_size(65_535);
    let mut client = Http2::with(&headworks, &small);
    let mut up = client.begin(&ask("POST", "/up"));
    up.body.send_data(body.clone().into(), true).unwrap_or_else(|error| panic!("{error}"));
    web.wait_heads(1);
    let down = client.exchange(&ask("GET", "/down"));
    assert_eq!(hash(&down.body.content), hash(&body));
    assert!(web.received()[0].body.is_none());
    gate.open();
    assert_eq!(up.response().map(|response| response.text()).ok(), Some("all".to_owned()));
    assert_eq!(web.received()[0].body.as_ref().map(|body| hash(&body.content)), Some(hash(&body)));
}

/// RFC 9113 section 6.9.2: a change of the initial window moves the windows of streams that are open, below zero too.
#[test]
fn windows_that_move() {
    let web = Origin::new("web").on("/", [Step::answer(200, "0123456789")]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.begin_http2(&[(setting::INITIAL_WINDOW_SIZE, 3)]).send(headers(END_STREAM, 1, request("/", &[])));
    let next = |client: &mut headworks_testkit::Client| {
        let frame = client.frame_until("DATA", |frame| frame.kind == kind::DATA);
        (wire::latin1(&frame.payload), frame.ends_stream())
    };
    assert_eq!(next(&mut client), ("012".to_owned(), false));
    // 3 - 3 - 1 = -1, then 1
    client.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 2)])).send(window(1, 2));
    assert_eq!(next(&mut client), ("3".to_owned(), false));
    client.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 5)]));
    assert_eq!(next(&mut client), ("456".to_owned(), false));
    client.send(window(1, 100));
    assert_eq!(next(&mut client), ("789".to_owned(), true));
    // nothing moves as long as the window is closed
    client.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])).send(headers(END_STREAM, 3, request("/", &[])));
    client.send(frame(kind::PING, 0, 0, [5; 8]));
    client.frame_until("the answer's head", |frame| frame.stream == 3 && frame.status() == Some(200));
    client.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 1)]));
    assert_eq!(next(&mut client), ("0".to_owned(), false));
    headworks.expect_alive();
}
