//! The statuses that the load balancer makes itself (`docs/behaviour.md`): when, with which page, and what becomes of the
//! connection.

use std::net::{SocketAddr, TcpStream};

use headworks_testkit::stream::End;
use headworks_testkit::{Ask, Client, Gate, Headworks, Origin, Response, Step, ask, check};
use socket2::{Domain, Socket, Type};

use crate::{proxy, start};

/// An answer of our own: a page that says the status, our name on it, and a connection that is what it says it is.
fn expect_own(client: &mut Client, response: &Response, status: u16) {
    assert_eq!(response.status, status, "{response}");
    assert_eq!(response.field("Server"), Some("headworks"), "{response}");
    assert!(response.field("Date").is_some(), "{response}");
    assert!(response.text().contains(&status.to_string()), "{response}");
    match response.field("Connection") {
        Some("close") => client.expect_ended(),
        other => {
            assert_eq!(other, None, "{response}");
            assert_ne!(client.exchange(&ask("GET", "/next")).status, 0);
        }
    }
}

/// An address to which connections are refused, for as long as this is held.
struct Refusing(#[expect(dead_code, reason = "it holds the address")] Socket, SocketAddr);

fn refusing() -> Refusing {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap_or_else(|error| panic!("no socket: {error}"));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap_or_else(|error| panic!("cannot bind: {error}"));
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    Refusing(socket, address.unwrap_or(any))
}

/// An address at which connections are neither accepted nor refused: a listener whose queue is full.
struct Ignoring(#[expect(dead_code, reason = "they fill the queue")] (Socket, Vec<TcpStream>), SocketAddr);

fn ignoring() -> Ignoring {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap_or_else(|error| panic!("no socket: {error}"));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).and_then(|()| socket.listen(0)).unwrap_or_else(|error| panic!("cannot listen: {error}"));
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).unwrap_or(any);
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200)) {
        queue.push(stream);
    }
    Ignoring((socket, queue), address)
}

/// 502 in each way, with the connection to the client still of use where nothing of an answer has been passed on.
#[test]
fn targets_that_answer_nothing_of_use() {
    let head = "HTTP/1.1 200 OK\r\n";
    let rows: Vec<(&str, Vec<Step>)> = vec![
        ("/close", vec![Step::Close]),
        ("/reset", vec![Step::Reset]),
        ("/close-in-status", vec![Step::send("HTTP/1."), Step::Close]),
        ("/close-in-head", vec![Step::send("HTTP/1.1 200 OK\r\nContent-Le"), Step::Close]),
        ("/reset-in-head", vec![Step::send("HTTP/1.1 200 OK\r\n"), Step::Reset]),
        ("/close-after-100", vec![Step::send("HTTP/1.1 100 Continue\r\n\r\n"), Step::Close]),
        ("/garbage", vec![Step::send("this is no answer\r\n\r\n"), Step::ReadToEnd]),
        ("/binary", vec![Step::Send(vec![0x16, 3, 1, 0, 5, 0, 0, 0, 0, 0, 13, 10, 13, 10]), Step::ReadToEnd]),
        ("/http2", vec![Step::send("HTTP/2 200 OK\r\n\r\n"), Step::ReadToEnd]),
        ("/status-2-digits", vec![Step::send("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"), Step::ReadToEnd]),
        ("/status-4-digits", vec![Step::send("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), Step::ReadToEnd]),
        ("/status-0", vec![Step::send("HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"), Step::ReadToEnd]),
        ("/length-garbage", vec![Step::send(format!("{head}Content-Length: abc\r\n\r\n")), Step::ReadToEnd]),
        ("/length-negative", vec![Step::send(format!("{head}Content-Length: -1\r\n\r\n")), Step::ReadToEnd]),
        (
            "/length-two",
            vec![Step::send(format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")), Step::ReadToEnd],
        ),
        ("/no-colon", vec![Step::send(format!("{head}Content-Length: 0\r\nnonsense\r\n\r\n")), Step::ReadToEnd]),
        ("/nul", vec![Step::send(format!("{head}Content-Length: 0\r\nX-Nul: a\0b\r\n\r\n")), Step::ReadToEnd]),
        ("/space-before-colon", vec![Step::send(format!("{head}Content-Length : 0\r\n\r\n")), Step::ReadToEnd]),
        ("/endless-head", vec![Step::send(format!("{head}X: {}", "x".repeat(200_000))), Step::ReadToEnd]),
        (
            "/unasked-101",
            vec![
                Step::send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
                Step::ReadToEnd,
            ],
        ),
        (
            "/chunked-not-last",
            vec![Step::send(format!("{head}Transfer-Encoding: chunked, gzip\r\n\r\n")), Step::ReadToEnd],
        ),
        (
            "/chunked-and-length",
            vec![
                Step::send(format!("{head}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n")),
                Step::ReadToEnd,
            ],
        ),
    ];
    let web = rows.iter().fold(Origin::new("web"), |web, (path, steps)| web.on(path, steps.clone())).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    check(
        rows,
        |row| row.0,
        |(path, _)| {
            let mut client = headworks.client();
            let mut response = client.exchange(&ask("GET", path));
            // a request that may be repeated may be sent again on another connection, and be told to go on again
            while *path == "/close-after-100" && response.status == 100 {
                response = client.response();
            }
            if *path == "/chunked-and-length" && response.status == 200 {
                // RFC 9112 section 6.3: the length may also be taken out; our strict reader has seen that it was
                return assert_eq!(response.text(), "");
            }
            expect_own(&mut client, &response, 502);
        },
    );
    headworks.expect_alive();
}

/// 502 and 504 before a request could be sent at all, and 503 for a group without targets.
#[test]
fn targets_that_cannot_be_reached() {
    let (refusing, ignoring) = (refusing(), ignoring());
    let reset = Origin::new("reset").at_accept([Step::Reset]).start();
    let close = Origin::new("close").at_accept([Step::HalfClose, Step::ReadToEnd]).start();
    let stall = Origin::new("stall").at_accept([Step::ReadToEnd]).start();
    let gone = std::env::temp_dir().join("headworks-no-such-socket");
    let gone = format!("\"unix:{}\"", gone.display());
    let headworks = start(
        r"
load_balancers:
  shop:
    listeners:
      http:
        address: 127.0.0.1:0
        rules:
          - { if: { path: [/refuse] }, then: { forward: refuse } }
          - { if: { path: [/ignore] }, then: { forward: ignore } }
          - { if: { path: [/reset] }, then: { forward: reset } }
          - { if: { path: [/close] }, then: { forward: close } }
          - { if: { path: [/stall] }, then: { forward: stall } }
          - { if: { path: [/gone] }, then: { forward: gone } }
          - { if: { path: [/empty] }, then: { forward: empty } }
          - { if: { path: [/zero] }, then: { forward: { groups: { refuse: 0, reset: 0 } } } }
        default: { fixed_response: { status: 200 } }
target_groups:
  refuse: { targets: [<refuse>], health_check: { protocol: none } }
  ignore: { targets: [<ignore>], health_check: { protocol: none }, connect_timeout: 300ms }
  reset: { targets: [<reset>], health_check: { protocol: none } }
  close: { targets: [<close>], health_check: { protocol: none } }
  stall: { targets: [<stall>], health_check: { protocol: none }, response_timeout: 300ms }
  gone: { targets: [<gone>], health_check: { protocol: none } }
  empty: { targets: [], health_check: { protocol: none } }
",
        &[
            ("refuse", &refusing.1),
            ("ignore", &ignoring.1),
            ("reset", &reset),
            ("close", &close),
            ("stall", &stall),
            ("gone", &gone),
        ],
    );
    let rows = [
        ("/refuse", 502),
        ("/reset", 502),
        ("/close", 502),
        ("/gone", 502),
        ("/empty", 503),
        ("/zero", 503),
        ("/ignore", 504),
        ("/stall", 504),
    ];
    check(
        rows,
        |row| row.0,
        |(path, status)| {
            for ask in [ask("GET", path), ask("POST", path).body("four")] {
                let mut client = headworks.client();
                let response = client.exchange(&ask);
                expect_own(&mut client, &response, *status);
            }
        },
    );
}

/// 504: the head does not come in time, and a body that stalls is cut off.
#[test]
fn targets_that_stall() {
    let web = Origin::new("web")
        .on("/head", [Step::ReadToEnd])
        .on("/in-head", [Step::send("HTTP/1.1 200 OK\r\nX"), Step::ReadToEnd])
        .on("/after-100", [Step::send("HTTP/1.1 100 Continue\r\n\r\n"), Step::ReadToEnd])
        .on("/body", [Step::send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), Step::ReadToEnd])
        .start();
    let headworks = start(&proxy("", ", response_timeout: 300ms"), &[("web", &web)]);
    for path in ["/head", "/in-head", "/after-100"] {
        let mut client = headworks.client();
        let mut response = client.exchange(&ask("GET", path));
        if response.status == 100 {
            response = client.response();
        }
        expect_own(&mut client, &response, 504);
    }
    let mut client = headworks.client();
    let broken = client.ask(&ask("GET", "/body")).try_response_to("GET");
    assert!(broken.is_err(), "a stalled body passed for a whole one: {broken:?}");
    assert_ne!(client.rest().1, End::TimedOut, "the connection stays open");
}

/// Requests that are answered before a rule is asked.
#[test]
fn requests_that_cannot_be_served() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let addresses = |count: usize| vec!["10.0.0.1"; count].join(", ");
    let rows = [
        (ask("TRACE", "/"), 405, false),
        (ask("TRACE", "/").with("Max-Forwards: 0"), 405, false),
        (ask("CONNECT", "shop.example.com:443"), 405, false),
        (ask("POST", "/").with("Transfer-Encoding: gzip"), 501, true),
        (ask("POST", "/").with("Transfer-Encoding: gzip, deflate"), 501, true),
        (ask("GET", "/").with(&format!("X-Forwarded-For: {}", addresses(31))), 463, false),
        (
            ask("GET", "/")
                .with(&format!("X-Forwarded-For: {}", addresses(20)))
                .with(&format!("X-Forwarded-For: {}", addresses(11))),
            463,
            false,
        ),
        (ask("GET", &format!("/{}", "x".repeat(20_000))), 414, true),
        (ask("GET", "nowhere"), 400, true),
        (ask("GET", "ftp://shop.example.com/"), 400, true),
        (ask("GET", "*"), 400, true),
        (ask("GET", "http:///x"), 400, true),
        (ask("GET", "http://user@shop.example.com/"), 400, true),
        (ask("GET", "/").with("Host: a").with("Host: b"), 400, true),
        (ask("GET", "/").with("Host: a").with("Host: a"), 400, true),
        (ask("GET", "/").with("Host: a b"), 400, true),
        (ask("GET", "/").with("Host: a/b"), 400, true),
        (ask("POST", "/").with("Content-Length: -1"), 400, true),
        (ask("POST", "/").with("Content-Length: 1").with("Content-Length: 2"), 400, true),
        (ask("POST", "/").with("Transfer-Encoding: chunked, gzip"), 400, true),
    ];
    check(
        rows,
        |(ask, ..)| ask.to_string().chars().take(90).collect::<String>(),
        |(ask, status, closes)| {
            let mut client = headworks.client();
            let response = client.ask(ask).response();
            if *closes {
                assert_eq!(response.field("Connection"), Some("close"), "{response}");
            }
            expect_own(&mut client, &response, *status);
        },
    );
    // just within the limit
    let thirty = ask("GET", "/").with(&format!("X-Forwarded-For: {}", addresses(30)));
    assert_eq!(headworks.ask(&thirty).status, 200);
    let raw = [
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/3.1\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\n\r\n", 400),
    ];
    check(
        raw,
        |row| format!("{:?}", row.0),
        |(bytes, status)| {
            let mut client = headworks.client();
            let response = client.send(bytes).response();
            assert_eq!(response.field("Connection"), Some("close"), "{response}");
            expect_own(&mut client, &response, *status);
        },
    );
    // none of it reached a target, but for the one within the limit and the probes of open connections
    assert!(web.received().iter().all(|received| received.request.method == "GET"));
}

/// 408: the client does not go on.
#[test]
fn clients_that_stall() {
    let web = Origin::new("web").lenient().start();
    let headworks = start(&proxy(", idle_timeout: 300ms", ""), &[("web", &web)]);
    let rows: [(&str, Vec<u8>); 4] = [
        ("in the request line", b"GET /".to_vec()),
        ("in the fields", b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec()),
        ("in a sized body", [ask("POST", "/").with("Content-Length: 10").bytes(), b"half".to_vec()].concat()),
        ("in a chunk", [ask("POST", "/").with("Transfer-Encoding: chunked").bytes(), b"a\r\nhalf".to_vec()].concat()),
    ];
    check(
        rows,
        |row| row.0,
        |(_, bytes)| {
            let mut client = headworks.client();
            let response = client.send(bytes).response();
            assert_eq!(response.field("Connection"), Some("close"), "{response}");
            expect_own(&mut client, &response, 408);
        },
    );
}

/// A client that asks and does not read holds its target for the idle timeout, and no longer.
#[test]
fn clients_that_do_not_read() {
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n".to_vec(), vec![b'x'; 50_000_000]].concat();
    let web = Origin::new("web").on("/much", [Step::Send(answer)]).start();
    let headworks = start(&proxy(", idle_timeout: 300ms", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.ask(&ask("GET", "/much"));
    web.wait_end(1);
    assert!(client.try_response_to("GET").is_err(), "it was read after all");
}

/// CONFIG: `limits.header_timeout` bounds a head that drips in, byte by byte.
#[test]
fn clients_that_drip() {
    let web = Origin::echo("web");
    let headworks = start(
        "load_balancers:\n  shop: { listeners: { http: { address: 127.0.0.1:0, limits: { header_timeout: 500ms }, default: { forward: web } } } }\n\
         target_groups:\n  web: { targets: [<web>], health_check: { protocol: none } }\n",
        &[("web", &web)],
    );
    let mut client = headworks.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    // each byte comes well within the time for all of them
    let answered = headworks_testkit::wait::until("an answer to a head that drips", || {
        client.send_anyway("x");
        client.arrived().then(|| client.response())
    });
    assert_eq!(answered.status, 408, "{answered}");
    client.expect_ended();
}

fn logged(headworks: &Headworks, count: usize) -> Vec<serde_json::Value> {
    let lines = headworks.log_lines("access.log", count);
    lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// 460: the client is gone before its answer; only the log knows.
#[test]
fn clients_that_hang_up() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/slow", [Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let headworks = start(&proxy(", access_log: { path: access.log }", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.ask(&Ask::parse("GET /slow"));
    web.wait_heads(1);
    client.reset();
    let line = &logged(&headworks, 1)[0];
    assert_eq!((&line["status"], &line["target"]), (&460.into(), &"/slow".into()), "{line}");
    assert_eq!(line["target_status"], serde_json::Value::Null, "{line}");
    // the target's connection is given up with it
    web.wait_end(1);
    gate.open();
}

/// Answers of our own and of targets are told apart where they are counted.
#[test]
fn statuses_are_counted_by_who_made_them() {
    let web = Origin::new("web").on("/503", [Step::answer(503, "theirs")]).on("/502", [Step::Close]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let theirs = headworks.ask(&ask("GET", "/503"));
    assert_eq!((theirs.status, theirs.text().as_str(), theirs.field("Server")), (503, "theirs", None));
    assert_eq!(headworks.ask(&ask("GET", "/502")).status, 502);
    assert_eq!(headworks.ask(&ask("TRACE", "/")).status, 405);
    let metrics = headworks.wait_metrics("headworks_requests_total", &[], 3.0);
    let count = |origin, status| metrics.sum("headworks_responses_total", &[("origin", origin), ("status", status)]);
    assert_eq!((count("target", "503"), count("headworks", "503")), (1.0, 0.0));
    assert_eq!((count("target", "502"), count("headworks", "502")), (0.0, 1.0));
    assert_eq!(count("headworks", "405"), 1.0);
    // H13: a request for which no target was chosen is no routed request
    assert_eq!(metrics.sum("headworks_routed_requests_total", &[]), 2.0);
}
