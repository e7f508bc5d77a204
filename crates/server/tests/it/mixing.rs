//! Answers and requests must never change hands: whatever a target or a client leaves on a connection, nobody else gets it.

use headworks_testkit::{Gate, Origin, Step, ask, check};

use crate::{proxy, start};

const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

/// Bytes behind an answer, or with no answer at all, are not the answer to the next request.
#[test]
fn answers_that_nobody_asked_for() {
    let ok = |more: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{more}");
    let (later, sent) = (Gate::new(), Gate::new());
    let web = Origin::new("web")
        .on("/behind", [Step::send(ok(EVIL))])
        .on("/head", [Step::send(EVIL)])
        .on("/204", [Step::send(format!("HTTP/1.1 204 No Content\r\n\r\n{EVIL}"))])
        .on("/304", [Step::send(format!("HTTP/1.1 304 Not Modified\r\n\r\n{EVIL}"))])
        .on(
            "/chunked",
            [Step::send(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{EVIL}"))],
        )
        .on("/later", [Step::send(ok("")), Step::Wait(later.clone()), Step::send(EVIL), Step::Open(sent.clone())])
        .start();
    let headworks = start(&format!("workers: 1\n{}", proxy("", "")), &[("web", &web)]);
    let rows = [
        ("GET", "/behind", 200),
        ("HEAD", "/head", 200),
        ("GET", "/204", 204),
        ("GET", "/304", 304),
        ("GET", "/chunked", 200),
        ("GET", "/later", 200),
    ];
    check(
        rows,
        |row| row.1,
        |(method, path, status)| {
            let mut client = headworks.client();
            let response = client.exchange(&ask(method, path));
            assert_eq!(response.status, *status, "{response}");
            if *path == "/later" {
                later.open();
                sent.expect("the late bytes to be sent");
            }
            for mut other in [headworks.client(), client, headworks.client()] {
                let next = other.exchange(&ask("GET", "/mine"));
                assert_eq!(next.echo().target, "/mine", "{next}");
            }
        },
    );
}

/// A body whose answer came early is still a body: what is left of it is no request, to nobody.
#[test]
fn bodies_that_outlive_their_answer() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let web = Origin::new("web").on("/early", [Step::answer(200, "early"), Step::Body]).lenient().start();
    let headworks = start(&format!("workers: 1\n{}", proxy("", "")), &[("web", &web)]);
    let length = format!("Content-Length: {}", smuggled.len() + 4);
    let rows = [
        ("sized", ask("POST", "/early").with(&length), "half".to_owned(), smuggled.to_owned()),
        (
            "chunked",
            ask("POST", "/early").with("Transfer-Encoding: chunked"),
            format!("{:x}\r\nhalf", smuggled.len() + 4),
            format!("{smuggled}\r\n0\r\n\r\n"),
        ),
        ("never sent", ask("POST", "/early").with(&length), String::new(), String::new()),
    ];
    check(
        rows,
        |row| row.0,
        |(_, ask_early, first, rest)| {
            let mut client = headworks.client();
            client.ask(ask_early).send(first);
            assert_eq!(client.response_to("POST").text(), "early");
            // another client's request in between must not become part of that body
            assert_eq!(headworks.ask(&ask("GET", "/between")).echo().target, "/between");
            client.send_anyway(rest).send_anyway(ask("GET", "/after").bytes());
            // either the connection is over, or the next request is understood as the next
            if let Ok(after) = client.try_response_to("GET") {
                assert_eq!(after.echo().target, "/after");
            }
            assert_eq!(headworks.ask(&ask("GET", "/between")).echo().target, "/between");
            let targets: Vec<_> = web.received().iter().map(|r| r.request.target.clone()).collect();
            assert!(!targets.iter().any(|target| target == "/smuggled"), "{targets:?}");
        },
    );
}

/// Refused requests with bodies: what follows on the connection is not taken for a request.
#[test]
fn bodies_of_requests_that_are_not_forwarded() {
    let web = Origin::echo("web");
    let headworks = start(
        "load_balancers:\n  shop: { listeners: { http: { address: 127.0.0.1:0, rules: [\
         { if: { path: [/fixed] }, then: { fixed_response: { status: 200, body: fixed } } },\
         { if: { path: [/redirect] }, then: { redirect: { host: b.example.com } } },\
         { if: { path: [/empty] }, then: { forward: empty } }], default: { forward: web } } } }\n\
         target_groups:\n  web: { targets: [<web>], health_check: { protocol: none } }\n  empty: { targets: [], health_check: { protocol: none } }\n",
        &[("web", &web)],
    );
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let large = smuggled.repeat(10_000);
    let mut rows = Vec::new();
    for path in ["/fixed", "/redirect", "/empty"] {
        rows.push((path, "sized", ask("POST", path).body(smuggled).bytes()));
        let chunked = ask("POST", path).with("Transfer-Encoding: chunked").bytes();
        rows.push((path, "chunked", [chunked, chunk.clone().into_bytes()].concat()));
        rows.push((path, "large", ask("POST", path).body(&large).bytes()));
        let expecting =
            ask("POST", path).with("Expect: 100-continue").with(&format!("Content-Length: {}", smuggled.len()));
        rows.push((path, "announced", [expecting.bytes(), smuggled.as_bytes().to_vec()].concat()));
    }
    check(
        rows,
        |row| format!("{}, {}", row.0, row.1),
        |(_, _, bytes)| {
            web.forget();
            let mut client = headworks.client();
            client.send_anyway(bytes).send_anyway(ask("GET", "/after").bytes());
            let response = client.response_to("POST");
            if response.field("Connection") == Some("close") {
                client.expect_ended();
            } else {
                assert_eq!(client.response().echo().target, "/after");
            }
            let targets: Vec<_> = web.received().iter().map(|r| r.request.target.clone()).collect();
            assert!(targets.iter().all(|target| target == "/after"), "{targets:?}");
        },
    );
}
