//! Bodies on their way through: sized, chunked with everything that chunks can carry, large, in both directions at once,
//! announced, cut short.

use headworks_testkit::echo::hash;
use headworks_testkit::stream::End;
use headworks_testkit::wire::Framing;
use headworks_testkit::{Gate, Origin, Step, ask, check};

use crate::{proxy, start};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// What arrives is what was sent, whatever its size and framing.
#[test]
fn request_bodies() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    for length in [0, 1, 1000, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 300_000, 5_000_000] {
        let body = pattern(length);
        let sized = client.exchange(&ask("POST", "/sized").body(&body)).echo();
        assert_eq!(
            (sized.framing.as_str(), sized.body_length as usize, sized.body_hash),
            ("length", length, hash(&body))
        );
        client.ask(&ask("POST", "/chunked").with("Transfer-Encoding: chunked"));
        for chunk in body.chunks(length / 3 + 1) {
            client.send(format!("{:x}\r\n", chunk.len())).send(chunk).send("\r\n");
        }
        let chunked = client.send("0\r\n\r\n").response().echo();
        assert_eq!(
            (chunked.framing.as_str(), chunked.body_length as usize, chunked.body_hash),
            ("chunked", length, hash(&body))
        );
    }
    assert_eq!(headworks.client().exchange(&ask("POST", "/none")).echo().framing, "none");
    assert_eq!(headworks.client().exchange(&ask("GET", "/none")).echo().framing, "none");
}

#[test]
fn response_bodies() {
    let lengths = [0, 1, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 300_000, 5_000_000];
    let mut origin = Origin::new("web");
    for length in lengths {
        let body = pattern(length);
        let mut sized = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        sized.extend_from_slice(&body);
        let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in body.chunks(length / 3 + 1) {
            chunked.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            chunked.extend_from_slice(chunk);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        let mut open = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        open.extend_from_slice(&body);
        origin = origin
            .on(&format!("/sized/{length}"), [Step::Send(sized)])
            .on(&format!("/chunked/{length}"), [Step::Send(chunked)])
            .on(&format!("/open/{length}"), [Step::Send(open), Step::Close]);
    }
    let web = origin.start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    for length in lengths {
        for framing in ["sized", "chunked", "open"] {
            let response = client.exchange(&ask("GET", &format!("/{framing}/{length}")));
            assert_eq!(response.body.content.len(), length, "{framing}");
            assert_eq!(hash(&response.body.content), hash(&pattern(length)), "{framing} {length}");
        }
    }
}

/// RFC 9112 section 7.1: extensions and trailers go through in both directions.
#[test]
fn chunk_extensions_and_trailers() {
    let answer = "5;a=b\r\nhello\r\n6;c=\"d e\"\r\n there\r\n0;last\r\nX-Sum: 11\r\nX-More: yes\r\n\r\n";
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
    let web = Origin::new("web").on("/answer", [Step::send(format!("{head}{answer}"))]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    let body = "3;x=1\r\nabc\r\nA;y\r\n0123456789\r\n0\r\nX-Check: ok\r\nX-Other: 2\r\n\r\n";
    client.ask(&ask("POST", "/").with("Transfer-Encoding: chunked").with("Trailer: X-Check")).send(body);
    let echo = client.response().echo();
    assert_eq!((echo.body_length, echo.body_hash), (13, hash(b"abc0123456789")));
    assert_eq!((echo.trailers.one("X-Check"), echo.trailers.one("X-Other")), (Some("ok"), Some("2")));
    let response = client.exchange(&ask("GET", "/answer"));
    assert_eq!(response.text(), "hello there");
    assert_eq!((response.body.trailers.one("X-Sum"), response.body.trailers.one("X-More")), (Some("11"), Some("yes")));
    assert_eq!(response.field("Trailer"), Some("X-Sum"));
}

/// RFC 9110 section 6.5.1: what has no business behind a body does not get to the other side, however the bytes arrive; what
/// frames or routes is the end of the message.
#[test]
fn trailers_that_may_not_be() {
    let trailers =
        "X-A: 1\r\nAuthorization: x\r\nX-Forwarded-For: 10.0.0.1\r\nSet-Cookie: a=b\r\nX-B: 2\r\nConnection: X-B\r\n";
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = format!("{head}5\r\nhello\r\n0\r\n{trailers}\r\n");
    let web = Origin::new("web")
        .lenient()
        .on("/whole", [Step::send(&answer)])
        .on("/bytes", answer.bytes().map(|b| Step::Send(vec![b])).collect::<Vec<_>>())
        .on("/length", [Step::send(format!("{head}0\r\nContent-Length: 5\r\n\r\n")), Step::ReadToEnd])
        .on("/bad-ext", [Step::send(format!("{head}5 ;a\r\nhello\r\n0\r\n\r\n")), Step::ReadToEnd])
        .start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let kept = [("X-A".to_owned(), "1".to_owned()), ("X-B".to_owned(), "2".to_owned())];
    let mut client = headworks.client();
    for path in ["/whole", "/bytes", "/whole"] {
        let response = client.exchange(&ask("GET", path));
        assert_eq!(
            (response.text().as_str(), response.body.trailers.0.as_slice()),
            ("hello", kept.as_slice()),
            "{path}"
        );
    }
    let request = ask("POST", "/echo").with("Transfer-Encoding: chunked");
    client.ask(&request).send(format!("3\r\nabc\r\n0\r\n{trailers}\r\n"));
    assert_eq!(client.response().echo().trailers.0, kept);
    client.ask(&request);
    for byte in format!("3\r\nabc\r\n0\r\n{trailers}\r\n").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.response().echo().trailers.0, kept);
    // a request of which all is there but the end, and one that another follows
    client.ask(&request).send(format!("3\r\nabc\r\n0\r\n{trailers}\r\n")).ask(&ask("GET", "/next"));
    assert_eq!(client.response().echo().trailers.0, kept);
    assert_eq!(client.response().echo().target, "/next");
    for path in ["/length", "/bad-ext"] {
        let mut client = headworks.client();
        let answer = client.ask(&ask("GET", path)).try_response_to("GET");
        assert!(!matches!(&answer, Ok(response) if response.status == 200), "{path}: {answer:?}");
    }
    check(
        [
            "0\r\nContent-Length: 4\r\n\r\n",
            "0\r\nX-A: b\r\ncontent_length: 4\r\n\r\n",
            "0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "0\r\nHost: other.example\r\n\r\n",
            "3 ;a\r\nabc\r\n0\r\n\r\n",
            "3; a\r\nabc\r\n0\r\n\r\n",
            "3;a=\"b\r\nabc\r\n0\r\n\r\n",
            "0;\r\n\r\n",
        ],
        |body| body.escape_default().to_string(),
        |body| {
            let before = web.received().len();
            let mut client = headworks.client();
            client.ask(&request).send_anyway(body);
            assert_eq!(client.response_to("POST").status, 400);
            client.expect_ended();
            let complete = web.received().iter().skip(before).filter(|received| received.body.is_some()).count();
            assert_eq!(complete, 0, "the target took the request for a whole one");
        },
    );
}

/// Answers that follow an `Expect: 100-continue` (RFC 9110 section 10.1.1): the target decides.
#[test]
fn expect_continue() {
    let go = "HTTP/1.1 100 Continue\r\n\r\n";
    let web = Origin::new("web")
        .on("/go", [Step::send(go), Step::Body, Step::answer(200, "got it")])
        .on("/no", [Step::answer_with(417, &["Connection: close"], "no"), Step::Close])
        .on("/silent", [Step::Body, Step::answer(200, "got it too")])
        .start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let ask = |path: &str| ask("POST", path).with("Expect: 100-continue").with("Content-Length: 4");
    let mut client = headworks.client();
    let interim = client.exchange(&ask("/go"));
    assert_eq!(interim.status, 100, "{interim}");
    client.send("body");
    assert_eq!(client.response().text(), "got it");
    assert_eq!(web.received()[0].request.fields.one("Expect"), Some("100-continue"));
    // a final answer instead: the body is never sent, so the connection cannot go on
    let mut client = headworks.client();
    let refused = client.exchange(&ask("/no"));
    assert_eq!((refused.status, refused.text().as_str()), (417, "no"), "{refused}");
    assert_eq!(refused.field("Connection"), Some("close"), "{refused}");
    client.expect_ended();
    // a client may send the body without waiting
    let mut client = headworks.client();
    client.ask(&ask("/silent")).send("body");
    let response = client.response();
    let response = if response.status == 100 { client.response() } else { response };
    assert_eq!(response.text(), "got it too");
}

/// The answer may come before the body has: it is passed on at once.
#[test]
fn early_answers() {
    let gate = Gate::new();
    let web = Origin::new("web")
        .on("/early", [Step::answer(200, "early"), Step::Body])
        .on(
            "/refuse",
            [Step::answer_with(413, &["Connection: close"], "too much"), Step::Wait(gate.clone()), Step::Reset],
        )
        .start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.ask(&ask("POST", "/early").with("Content-Length: 8")).send("half");
    assert_eq!(client.response().text(), "early");
    client.send_anyway("rest");
    // a target that refuses while the client still sends: the answer must survive
    let mut client = headworks.client();
    client.ask(&ask("POST", "/refuse").with("Content-Length: 100000000")).send(vec![b'x'; 100_000]);
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (413, "too much"), "{response}");
    assert_eq!(response.field("Connection"), Some("close"), "{response}");
    gate.open();
    client.send_anyway(vec![b'x'; 100_000]);
    client.expect_ended();
}

/// Both directions at once, each waiting for the other.
#[test]
fn full_duplex() {
    let mut steps = vec![Step::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")];
    for _ in 0..10 {
        // a chunk of the request: "4\r\nping\r\n"
        steps.extend([Step::Read(9), Step::send("4\r\npong\r\n")]);
    }
    steps.extend([Step::Read(5), Step::send("0\r\n\r\n"), Step::Close]);
    let web = Origin::new("web").on("/duplex", steps).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.ask(&ask("POST", "/duplex").with("Transfer-Encoding: chunked"));
    let head = client.response_head();
    assert_eq!((head.status, head.framing), (200, Framing::Chunked));
    for _ in 0..10 {
        client.send("4\r\nping\r\n");
        assert_eq!(client.bytes(9), b"4\r\npong\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.bytes(5), b"0\r\n\r\n");
}

/// What one side does not read, the other cannot send without end, and nothing is lost once it does read.
#[test]
fn back_pressure() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/slow", [Step::Wait(gate.clone()), Step::Body, Step::answer(200, "all")]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let body = pattern(30_000_000);
    let mut client = headworks.client();
    let sending = {
        let mut bytes = ask("POST", "/slow").with(&format!("Content-Length: {}", body.len())).bytes();
        bytes.extend_from_slice(&body);
        std::thread::spawn(move || {
            client.send(bytes);
            client
        })
    };
    web.wait_heads(1);
    let memory = resident(headworks.pid());
    assert!(memory < 200 * 1024, "{memory} KiB are held for a body that nobody reads");
    gate.open();
    let mut client = sending.join().unwrap_or_else(|_| panic!("the client could not send"));
    assert_eq!(client.response().text(), "all");
    assert_eq!(web.received()[0].body.as_ref().map(|body| hash(&body.content)), Some(hash(&body)));
}

/// Resident memory in KiB.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(u64::MAX)
}

/// A client that has said its last still gets its answer.
#[test]
fn half_closed_clients() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/slow", [Step::Body, Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut quick = headworks.client();
    let response = quick.ask(&ask("POST", "/quick").body("x")).finish().response();
    assert_eq!(response.echo().target, "/quick");
    quick.expect_closed();
    let mut slow = headworks.client();
    slow.ask(&ask("POST", "/slow").body("x")).finish();
    web.wait_heads(2);
    gate.open();
    assert_eq!(slow.response().text(), "late");
    slow.expect_closed();
}

/// A body that breaks off must look broken to whoever reads it.
#[test]
fn responses_that_break_off() {
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
    let chunked = head("Transfer-Encoding: chunked");
    let rows = [
        ("/sized-close", vec![Step::send(head("Content-Length: 10") + "12345"), Step::Close]),
        ("/sized-reset", vec![Step::send(head("Content-Length: 10") + "12345"), Step::Reset]),
        ("/chunked-close", vec![Step::send(chunked.clone() + "5\r\n12345\r\n"), Step::Close]),
        ("/chunked-in-chunk", vec![Step::send(chunked.clone() + "5\r\n123"), Step::Close]),
        ("/chunked-reset", vec![Step::send(chunked.clone() + "5\r\n12345\r\n"), Step::Reset]),
        ("/chunk-size", vec![Step::send(chunked.clone() + "5\r\n12345\r\nzz\r\n"), Step::ReadToEnd]),
        ("/chunk-end", vec![Step::send(chunked.clone() + "5\r\n12345xx0\r\n\r\n"), Step::ReadToEnd]),
        ("/chunk-huge", vec![Step::send(chunked + "5\r\n12345\r\nffffffffffffffffff\r\n"), Step::ReadToEnd]),
    ];
    let origin = rows.iter().fold(Origin::new("web"), |origin, (path, steps)| origin.on(path, steps.clone()));
    let web = origin.start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    check(
        rows,
        |row| row.0,
        |(path, _)| {
            let mut client = headworks.client();
            let answer = client.ask(&ask("GET", path)).try_response_to("GET");
            match answer {
                // before anything was passed on, an error of our own is as good
                Ok(response) => assert_eq!(response.status, 502, "{response}"),
                Err(end) => assert!(matches!(end, End::Reset | End::Malformed(_)), "{end}"),
            }
            let (_, end) = client.rest();
            assert!(matches!(end, End::Closed | End::Reset), "{end}");
        },
    );
    headworks.expect_alive();
}

/// A client's body that breaks off, or is no body: 400 where an answer is still possible, and the target is not led to
/// believe that it has it all.
#[test]
fn requests_that_break_off() {
    let web = Origin::new("web").lenient().start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let sized = ask("POST", "/").with("Content-Length: 10").bytes();
    let chunked = ask("POST", "/").with("Transfer-Encoding: chunked").bytes();
    let rows: [(&str, &[u8], &str, bool); 9] = [
        ("sized, cut short", &sized, "12345", true),
        ("sized, none at all", &sized, "", true),
        ("chunked, cut short", &chunked, "5\r\n12345\r\n", true),
        ("chunked, inside a chunk", &chunked, "5\r\n12", true),
        ("chunk size is none", &chunked, "zz\r\n", false),
        ("chunk size is negative", &chunked, "-1\r\n", false),
        ("chunk size overflows", &chunked, "fffffffffffffffff\r\n", false),
        ("chunk does not end", &chunked, "2\r\nabcd", false),
        ("bare LF behind a size", &chunked, "2\nab\r\n0\r\n\r\n", false),
    ];
    check(
        rows,
        |row| row.0,
        |(_, head, body, finish)| {
            let before = web.received().len();
            let mut client = headworks.client();
            client.send(head).send_anyway(body);
            if *finish {
                client.finish();
            }
            let response = client.response_to("POST");
            assert_eq!(response.status, 400, "{response}");
            client.expect_ended();
            let complete = web.received().iter().skip(before).filter(|received| received.body.is_some()).count();
            assert_eq!(complete, 0, "the target took the request for a whole one");
        },
    );
    headworks.expect_alive();
}
