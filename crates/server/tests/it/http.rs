//! HTTP/1.1 between client and target (H1, H2): connections that are kept and those that are not, order, bodiless answers,
//! versions, limits.

use headworks_testkit::wire::Framing;
use headworks_testkit::{Ask, Gate, Origin, Step, ask, check};

use crate::{proxy, start};

#[test]
fn connections_are_kept_on_both_sides() {
    let web = Origin::echo("web");
    let headworks = start(&format!("workers: 1\n{}", proxy("", "")), &[("web", &web)]);
    let mut client = headworks.client();
    for number in 1..=3 {
        let response = client.exchange(&ask("GET", "/"));
        assert_eq!(response.field("Connection"), None, "{response}");
        let echo = response.echo();
        assert_eq!((echo.connection, echo.request), (1, number));
    }
    // another client gets the same target connection, because it is idle
    assert_eq!(headworks.ask(&ask("GET", "/")).echo().connection, 1);
}

/// RFC 9112 section 9.3: what each version and Connection field means for the client's connection.
#[test]
fn when_the_client_connection_is_closed() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let rows = [
        (ask("GET", "/"), None),
        (ask("GET", "/").with("Connection: keep-alive"), None),
        (ask("GET", "/").with("Connection: close"), Some("close")),
        (ask("GET", "/").with("Connection: Close, x"), Some("close")),
        (ask("GET", "/").with("Connection: x").with("Connection: close"), Some("close")),
        (ask("GET", "/").http10(), Some("close")),
        (ask("GET", "/").http10().with("Connection: keep-alive"), Some("keep-alive")),
        (ask("POST", "/").body("x").with("Connection: close"), Some("close")),
        (ask("HEAD", "/").with("Connection: close"), Some("close")),
    ];
    check(
        rows,
        |(ask, _)| ask.to_string(),
        |(ask, expected)| {
            let mut client = headworks.client();
            let response = client.exchange(ask);
            assert_eq!(response.status, 200, "{response}");
            assert_eq!(response.field("Connection"), *expected, "{response}");
            if *expected == Some("close") {
                client.expect_closed();
            } else {
                assert_eq!(client.exchange(&Ask::parse("GET /again")).echo().target, "/again");
            }
        },
    );
}

/// RFC 9112 section 9.3.2: requests in one write are answered in their order, also when the first takes its time.
#[test]
fn pipelining() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/slow", [Step::Wait(gate.clone()), Step::answer(200, "slow")]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    let requests = [
        ask("GET", "/slow"),
        ask("POST", "/a").body("GET /not-a-request HTTP/1.1\r\nHost: x\r\n\r\n"),
        ask("POST", "/b").with("Transfer-Encoding: chunked"),
        ask("HEAD", "/c"),
        ask("GET", "/d").with("Connection: close"),
        ask("GET", "/never"),
    ];
    let mut bytes = Vec::new();
    for request in &requests {
        bytes.extend_from_slice(&request.bytes());
        if request.method() == "POST" && bytes.ends_with(b"chunked\r\n\r\n") {
            bytes.extend_from_slice(b"2\r\nhi\r\n0\r\n\r\n");
        }
    }
    client.send(&bytes);
    web.wait_heads(1);
    assert_eq!(web.received().len(), 1, "the second request must wait for the first answer");
    gate.open();
    assert_eq!(client.response().text(), "slow");
    assert_eq!(client.response().echo().target, "/a");
    let b = client.response().echo();
    assert_eq!((b.target.as_str(), b.body_length), ("/b", 2));
    assert_eq!(client.response_to("HEAD").status, 200);
    assert_eq!(client.response().echo().target, "/d");
    client.expect_ended();
    let targets: Vec<_> = web.received().iter().map(|received| received.request.target.clone()).collect();
    assert_eq!(targets, ["/slow", "/a", "/b", "/c", "/d"]);
}

#[test]
fn bytes_that_come_one_by_one() {
    let piecemeal: Vec<Step> =
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc".iter().map(|b| Step::Send(vec![*b])).collect();
    let web = Origin::new("web").on("/pieces", piecemeal).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    for byte in ask("POST", "/x?y").with("X-A: b").body("body").bytes() {
        client.send([byte]);
    }
    let echo = client.response().echo();
    assert_eq!((echo.target.as_str(), echo.fields.one("X-A"), echo.body_length), ("/x?y", Some("b"), 4));
    let response = client.exchange(&ask("GET", "/pieces"));
    assert_eq!((response.field("X-A"), response.text().as_str()), (Some("b"), "abc"));
}

/// RFC 9112 section 2.2: empty lines before a request line are gone over.
#[test]
fn empty_lines_before_a_request() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.send("\r\n\r\n");
    assert_eq!(client.exchange(&ask("GET", "/1")).echo().target, "/1");
    client.send("\r\n");
    assert_eq!(client.exchange(&ask("GET", "/2")).echo().target, "/2");
}

/// RFC 9112 section 6.3: answers that have no body whatever their fields say, and the request that follows them.
#[test]
fn bodiless_answers() {
    let web = Origin::new("web")
        .on("/head", [Step::send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX-Here: yes\r\n\r\n")])
        .on("/head-chunked", [Step::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Here: yes\r\n\r\n")])
        .on("/head-open", [Step::send("HTTP/1.1 200 OK\r\nX-Here: yes\r\n\r\n"), Step::Close])
        .on("/204", [Step::send("HTTP/1.1 204 No Content\r\nX-Here: yes\r\n\r\n")])
        .on("/304", [Step::send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nX-Here: yes\r\n\r\n")])
        .on("/304-length", [Step::send("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nX-Here: yes\r\n\r\n")])
        .on("/empty", [Step::send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Here: yes\r\n\r\n")])
        .on("/no-reason", [Step::send("HTTP/1.1 200 \r\nContent-Length: 0\r\nX-Here: yes\r\n\r\n")])
        .start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    let rows = [
        ("HEAD", "/head", 200, Some("1000")),
        ("HEAD", "/head-chunked", 200, None),
        ("HEAD", "/head-open", 200, None),
        ("GET", "/204", 204, None),
        ("GET", "/304", 304, None),
        ("GET", "/304-length", 304, Some("99")),
        ("GET", "/empty", 200, Some("0")),
        ("GET", "/no-reason", 200, Some("0")),
    ];
    for (method, path, status, length) in rows {
        let response = client.exchange(&ask(method, path));
        assert_eq!((response.status, response.field("Content-Length")), (status, length), "{path}: {response}");
        assert_eq!(response.field("X-Here"), Some("yes"), "{path}: {response}");
        assert!(response.body.content.is_empty(), "{path}: {response}");
    }
    assert_eq!(client.exchange(&ask("GET", "/end")).echo().target, "/end");
}

/// RFC 9110 section 15.2: interim answers go through to those that know them.
#[test]
fn interim_answers() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    let more = "HTTP/1.1 102 Processing\r\n\r\n";
    let web = Origin::new("web")
        .on("/hints", [Step::send(hints), Step::send(more), Step::answer(200, "done")])
        .on("/in-one", [Step::send(format!("{hints}{more}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"))])
        .start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    for path in ["/hints", "/in-one"] {
        let mut client = headworks.client();
        let first = client.exchange(&ask("GET", path));
        assert_eq!((first.status, first.field("Link")), (103, Some("</a.css>; rel=preload")), "{first}");
        assert_eq!(client.response().status, 102);
        assert_eq!(client.response().text(), "done");
        // RFC 9110 section 15.2: a 1xx must not be sent to a client of HTTP/1.0
        let old = headworks.ask(&ask("GET", path).http10());
        assert_eq!((old.status, old.text().as_str()), (200, "done"), "{old}");
    }
}

/// An answer that ends with the target's connection does not have to end the client's.
#[test]
fn answers_without_a_length() {
    let web = Origin::new("web")
        .on("/open", [Step::send("HTTP/1.1 200 OK\r\n\r\nall of it"), Step::Close])
        .on("/old", [Step::send("HTTP/1.0 200 OK\r\n\r\nall of it"), Step::Close])
        .on("/old-length", [Step::send("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nall of it"), Step::Close])
        .start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    for (path, framing) in
        [("/open", Framing::Chunked), ("/old", Framing::Chunked), ("/old-length", Framing::Length(9))]
    {
        let response = client.exchange(&ask("GET", path));
        assert_eq!((response.text().as_str(), response.framing), ("all of it", framing), "{path}: {response}");
    }
    let mut old = headworks.client();
    let response = old.exchange(&ask("GET", "/open").http10());
    assert_eq!((response.text().as_str(), response.framing), ("all of it", Framing::UntilClose), "{response}");
}

/// HTTP/1.0 clients: no chunks for them, and a Host for the target in any case.
#[test]
fn http10_clients() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n";
    let web = Origin::new("web").on("/chunks", [Step::send(chunks)]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    let response = client.exchange(&ask("GET", "/chunks").http10());
    assert_eq!((response.text().as_str(), response.framing), ("abcde", Framing::UntilClose), "{response}");
    assert!(
        response.fields.all("Trailer").is_empty() && response.fields.all("Transfer-Encoding").is_empty(),
        "{response}"
    );
    let mut client = headworks.client();
    client.send("GET /no-host HTTP/1.0\r\n\r\n");
    let echo = client.response().echo();
    assert!(echo.fields.one("Host").is_some_and(|host| !host.is_empty()), "{echo:?}");
    client.expect_closed();
    let mut client = headworks.client();
    client.send("POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(client.response().echo().body_length, 4);
}

/// A target that ends its connection between requests costs nobody anything.
#[test]
fn target_connections_that_end() {
    let web = Origin::new("web")
        .on("/last", [Step::answer_with(200, &["Connection: close"], "last"), Step::Close])
        .on("/gone", [Step::answer(200, "gone"), Step::Close])
        .start();
    let headworks = start(&format!("workers: 1\n{}", proxy("", "")), &[("web", &web)]);
    let mut client = headworks.client();
    for (path, connection) in [("/last", 1), ("/gone", 2)] {
        assert_eq!(client.exchange(&ask("GET", path)).status, 200);
        web.wait_end(connection);
        let next = client.exchange(&ask("GET", "/next"));
        assert_eq!(next.status, 200, "{next}");
    }
    // nor does one that goes down with a request on an idle connection: the request may be repeated
    assert_eq!(client.exchange(&ask("GET", "/next")).status, 200);
    web.reset_connections();
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"] {
        let next = client.exchange(&ask(method, "/next"));
        assert_eq!(next.status, 200, "{method}: {next}");
        web.reset_connections();
    }
}

/// H1: a connection on which nothing moves is closed, in good order and without a word.
#[test]
fn idle_connections_are_closed() {
    let web = Origin::echo("web");
    let headworks = start(&proxy(", idle_timeout: 300ms", ""), &[("web", &web)]);
    let mut fresh = headworks.client();
    let mut used = headworks.client();
    assert_eq!(used.exchange(&ask("GET", "/")).status, 200);
    used.expect_closed();
    fresh.expect_closed();
}

/// H1: `client_keep_alive` bounds the life of a connection that is in use.
#[test]
fn old_connections_are_closed() {
    let web = Origin::echo("web");
    let headworks = start(&proxy(", client_keep_alive: 300ms", ""), &[("web", &web)]);
    let mut client = headworks.client();
    headworks_testkit::wait::until("Connection: close on an old connection", || {
        let response = client.exchange(&ask("GET", "/"));
        assert_eq!(response.status, 200, "{response}");
        (response.field("Connection") == Some("close")).then_some(())
    });
    client.expect_closed();
}

/// H2: at the limit and above it.
#[test]
fn limits() {
    let long = |length: usize| "x".repeat(length);
    let response = |total: usize| {
        let mut text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".to_owned();
        while text.len() < total - 1100 {
            text.push_str(&format!("X-Pad: {}\r\n", long(1000)));
        }
        let pad = total - text.len() - "X-Pad: \r\n\r\n".len();
        Step::send(format!("{text}X-Pad: {}\r\n\r\nok", long(pad)))
    };
    let web = Origin::new("web")
        .on("/below", [response(32 * 1024 - 64)])
        .on("/above", [response(32 * 1024 + 512)])
        .on("/far-above", [response(300 * 1024)])
        .start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let line = 16 * 1024;
    let pad = |name: &str, length: usize| format!("{name}: {}", long(length - name.len() - 4));
    let pads = |count: usize, length: usize| {
        (0..count).fold(ask("GET", "/"), |ask, i| ask.with(&pad(&format!("X-{i}"), length)))
    };
    let rows = [
        ("a request line of 16 K", ask("GET", &format!("/{}", long(line - 32))), 200),
        ("a longer request line", ask("GET", &format!("/{}", long(line + 32))), 414),
        ("a far longer request line", ask("GET", &format!("/{}", long(200 * 1024))), 414),
        ("a field line of 16 K", ask("GET", "/").with(&pad("X-Long", line - 8)), 200),
        ("a longer field line", ask("GET", "/").with(&pad("X-Long", line + 64)), 400),
        ("a far longer field line", ask("GET", "/").with(&pad("X-Long", 200 * 1024)), 400),
        ("all fields below 64 K", pads(60, 1000), 200),
        ("all fields above 64 K", pads(70, 1000), 400),
        ("all fields far above 64 K", pads(2000, 1000), 400),
        ("a thousand short fields", pads(1000, 16), 200),
        ("response fields below 32 K", ask("GET", "/below"), 200),
        ("response fields above 32 K", ask("GET", "/above"), 502),
        ("response fields far above 32 K", ask("GET", "/far-above"), 502),
    ];
    check(
        rows,
        |row| row.0,
        |(_, ask, status)| {
            let mut client = headworks.client();
            let response = client.send_anyway(ask.bytes()).response();
            assert_eq!(response.status, *status, "{}", response.raw.len());
            if matches!(status, 400..500) {
                assert_eq!(response.field("Connection"), Some("close"), "{response}");
                client.expect_ended();
            }
        },
    );
    headworks.expect_alive();
}
