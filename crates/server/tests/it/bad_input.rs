//! Bytes that are no requests: a documented status, a closed connection, nothing at the target, and a program that serves
//! the next client as if nothing had been.

use headworks_testkit::stream::End;
use headworks_testkit::wire::Response;
use headworks_testkit::{Client, Origin, Step, ask, check};

use crate::{proxy, start};

/// Bytes, and the statuses that are right for them.
const ROWS: &[(&[u8], &[u16])] = &[
    // request lines
    (b"\0\0\0\0\r\n\r\n", &[400]),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n", &[400]),
    (b"GET\r\n\r\n", &[400]),
    (b"GET \r\n\r\n", &[400]),
    (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"\tGET / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\nHost: a\n\n", &[400]),
    // without a line feed there may yet come more; not for long
    (b"GET / HTTP/1.1\rHost: a\r\r", &[400, 408]),
    (b"GET / http/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET / HTTP/1\r\nHost: a\r\n\r\n", &[400, 505]),
    (b"GET / HTTP/1.\r\nHost: a\r\n\r\n", &[400, 505]),
    (b"GET / HTTP/01.1\r\nHost: a\r\n\r\n", &[400, 505]),
    (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", &[400, 505]),
    (b"GET / HTTP/11.1\r\nHost: a\r\n\r\n", &[400, 505]),
    (b"GET / HTTQ/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET / HTTP/2\r\nHost: a\r\n\r\n", &[400, 505]),
    (b"G<T / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET \\ HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET http://a b/ HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET javascript:alert(1) HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", &[505]),
    // fields
    (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tfolded\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400]),
    (b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", &[400]),
    // framing
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x10\r\n\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 \x0b\r\n\r\nx", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1,1\r\n\r\nx", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", &[400]),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", &[400, 501]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunke\r\n\r\n0\r\n\r\n", &[400, 501]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", &[400, 501]),
    // chunks
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 1\r\nx\r\n0\r\n\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx0\r\n\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer with space: x\r\n\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\0b\r\n\r\n", &[400]),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z\r\n\r\n", &[400]),
];

#[test]
fn bytes_that_are_no_requests() {
    let web = Origin::echo("web");
    let headworks = start(&proxy(", idle_timeout: 2s", ""), &[("web", &web)]);
    check(
        ROWS,
        |(bytes, _)| format!("{:?}", String::from_utf8_lossy(bytes)),
        |(bytes, statuses)| {
            web.forget();
            // at once, and byte by byte: the verdict must not depend on how bytes happen to arrive
            for pieces in [vec![*bytes], bytes.chunks(1).collect()] {
                let mut client = headworks.client();
                for piece in pieces {
                    client.send_anyway(piece);
                }
                let response = client.response_to("POST");
                assert!(statuses.contains(&response.status), "expected {statuses:?}\n{response}");
                expect_closing(&response);
                client.expect_ended();
            }
            let whole: Vec<_> = web.received().into_iter().filter(|received| received.body.is_some()).collect();
            assert!(whole.is_empty(), "it reached the target: {whole:?}");
            assert!(web.malformed().is_empty());
            assert_eq!(headworks.ask(&ask("GET", "/still-there")).echo().target, "/still-there");
        },
    );
}

fn expect_closing(response: &Response) {
    assert_eq!(response.field("Connection"), Some("close"), "{response}");
    assert_eq!(response.field("Server"), Some("headworks"), "{response}");
}

/// What is wrong is said as soon as it is known, not when the head is whole: no need to hold what cannot become right.
#[test]
fn nothing_is_awaited_that_cannot_help() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let rows: [(&str, Vec<u8>); 4] = [
        ("an endless request line", [b"GET /".as_slice(), &[b'a'; 70_000]].concat()),
        ("an endless method", vec![b'A'; 70_000]),
        ("an endless field", [b"GET / HTTP/1.1\r\nHost: a\r\nX: ".as_slice(), &[b'a'; 70_000]].concat()),
        ("endless fields", [b"GET / HTTP/1.1\r\nHost: a\r\n".as_slice(), &b"X: y\r\n".repeat(20_000)].concat()),
    ];
    check(
        rows,
        |row| row.0,
        |(_, bytes)| {
            let mut client = headworks.client();
            let response = client.send_anyway(bytes).response();
            assert!(matches!(response.status, 400 | 414), "{response}");
            expect_closing(&response);
            client.expect_ended();
        },
    );
}

/// Trailers and chunk extensions without end.
#[test]
fn endless_framing() {
    let web = Origin::new("web").lenient().start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let head = ask("POST", "/").with("Transfer-Encoding: chunked").bytes();
    let rows: [(&str, Vec<u8>); 3] = [
        ("an endless chunk extension", [b"1;".as_slice(), &[b'a'; 200_000]].concat()),
        ("endless trailers", [b"0\r\n".as_slice(), &b"X: y\r\n".repeat(50_000)].concat()),
        ("an endless chunk size", vec![b'0'; 200_000]),
    ];
    check(
        rows,
        |row| row.0,
        |(_, body)| {
            let mut client = headworks.client();
            let response = client.send_anyway(&head).send_anyway(body).response_to("POST");
            assert_eq!(response.status, 400, "{response}");
            client.expect_ended();
        },
    );
    headworks.expect_alive();
}

/// What follows a good request is judged like the first.
#[test]
fn nonsense_behind_a_request() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let rows = ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\0", "HTTP/1.1 200 OK\r\n\r\n"];
    check(
        rows,
        |row| format!("{row:?}"),
        |bytes| {
            let mut client = headworks.client();
            client.send([ask("POST", "/good").body("body").bytes(), bytes.as_bytes().to_vec()].concat());
            assert_eq!(client.response().echo().target, "/good");
            let response = client.response();
            assert_eq!(response.status, 400, "{response}");
            client.expect_ended();
        },
    );
}

/// Connections that say nothing, or nothing of use, and go away again.
#[test]
fn connections_that_come_to_nothing() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    for _ in 0..20 {
        drop(headworks.client());
        headworks.client().reset();
        let mut client = headworks.client();
        client.send("GET / HT");
        drop(client);
        let mut client = headworks.client();
        client.send("GET / HT");
        client.reset();
        let mut client = headworks.client();
        let (rest, end) = client.send("GET / HT").finish().rest();
        assert!(matches!(end, End::Closed | End::Reset), "{end}");
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400 "), "{:?}", String::from_utf8_lossy(&rest));
        let mut client = headworks.client();
        client.ask(&ask("POST", "/").with("Content-Length: 10")).send("half");
        client.reset();
    }
    assert_eq!(headworks.ask(&ask("GET", "/")).status, 200);
    let open = || headworks.metrics().sum("headworks_active_connections", &[]);
    headworks_testkit::wait::until("connections that are gone to be counted so", || (open() == 0.0).then_some(()));
}

/// Random bytes, from a seed that is printed when it fails: an answer of 4xx or 505 or a closed connection, never a hang.
#[test]
fn noise() {
    let web = Origin::new("web").lenient().start();
    let headworks = start(&proxy(", idle_timeout: 1s", ""), &[("web", &web)]);
    let seed = std::env::var("HEADWORKS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let valid = ask("POST", "/path?query").with("X-A: b").with("Content-Length: 4").with("Connection: close").bytes();
    let valid = [valid, b"body".to_vec()].concat();
    for round in 0..300 {
        // a request with a few bytes changed, taken out or put in: closer to the edges than pure noise
        let mut bytes = valid.clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = random(256) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"\r\n\0 :;,\t/0"[random(10)]),
            }
        }
        let mut client = headworks.client();
        let answer = client.send_anyway(&bytes).finish().try_response_to("POST");
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        match answer {
            Ok(response) => {
                let fine = response.status < 600 && response.status != 500;
                assert!(fine, "HEADWORKS_SEED={seed}, round {round}: {shown:?}\n{response}");
            }
            Err(end) => assert!(
                matches!(end, End::Closed | End::Reset),
                "HEADWORKS_SEED={seed}, round {round}: {end} after {shown:?}"
            ),
        }
    }
    assert!(web.malformed().iter().all(|why| why.starts_with("closed inside")), "{:?}", web.malformed());
    headworks.expect_alive();
}

/// Many clients that do as they please at once.
#[test]
fn a_crowd() {
    let web = Origin::new("web").on("/drop", [Step::Reset]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let to = headworks.address();
    let threads: Vec<_> = (0..8)
        .map(|number| {
            std::thread::spawn(move || {
                for round in 0..30 {
                    let mut client = Client::connect(to);
                    match (number + round) % 4 {
                        0 => assert_eq!(client.exchange(&ask("GET", "/")).status, 200),
                        1 => assert_eq!(client.exchange(&ask("GET", "/drop")).status, 502),
                        2 => drop(client.ask(&ask("GET", "/"))),
                        _ => assert_eq!(client.send("nonsense\r\n\r\n").response().status, 400),
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        assert!(thread.join().is_ok(), "a client was not served");
    }
    headworks.expect_alive();
}
