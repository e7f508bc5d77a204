//! Every published request-desync case in all three modes (H8, conformance/README.md): what is let through reaches the
//! target as exactly one request that can be read in one way only, what is not gets 400, and connections are closed where
//! two readers could have disagreed.

use headworks_testkit::stream::End;
use headworks_testkit::wire::Framing;
use headworks_testkit::{Client, Headworks, Origin, ask, check, wait};

use crate::start;
use crate::yaml_cases::{Case, Encoding, cases};

/// What a mode does with a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Forwarded as one clean request; the connections stay as they would.
    Forward,
    /// The same, and then both connections are closed.
    ForwardAndClose,
    /// 400, closed, and nothing reaches the target.
    Refuse,
    /// Either.
    ForwardOrRefuse,
}

fn expected(mode: &str, tier: &str) -> Expected {
    match (tier, mode) {
        ("Compliant", _) | ("Acceptable", "monitor" | "defensive") | ("Ambiguous", "monitor") => Expected::Forward,
        ("Ambiguous", "defensive") => Expected::ForwardAndClose,
        ("Severe", "monitor") => Expected::ForwardOrRefuse,
        ("Acceptable" | "Ambiguous", "strictest") | ("Severe", "defensive" | "strictest") => Expected::Refuse,
        other => panic!("no such tier and mode: {other:?}"),
    }
}

struct Bench {
    web: Origin,
    headworks: Headworks,
    mode: &'static str,
}

impl Bench {
    fn new(mode: &'static str) -> Bench {
        let web = Origin::echo("web");
        // one worker, so that the log has the order of the requests
        let yaml = format!(
            "workers: 1\nload_balancers:\n  shop: {{ desync_mitigation: {mode}, access_log: {{ path: access.log }}, listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: web }} }} }} }}\n\
             target_groups:\n  web: {{ targets: [<web>], health_check: {{ protocol: none }} }}\n"
        );
        let headworks = start(&yaml, &[("web", &web)]);
        Bench { web, headworks, mode }
    }

    /// Sends a case, and checks everything that can be seen of it. How many requests were answered on the connection.
    fn run(&self, case: &Case, encoding: Encoding) -> usize {
        let expected = expected(self.mode, &case.tier);
        self.web.forget();
        let mut client = self.headworks.client();
        client.send(case.bytes(encoding));
        wait::until("a request at the target, or an answer", || {
            (client.arrived() || !self.web.received().is_empty()).then_some(())
        });
        let refused = self.web.received().is_empty();
        match expected {
            Expected::Refuse => assert!(refused, "it reached the target: {:?}", self.web.received()),
            Expected::Forward | Expected::ForwardAndClose => {
                if refused {
                    panic!("it was refused:\n{}", client.response());
                }
            }
            Expected::ForwardOrRefuse => {}
        }
        if refused { self.refused(&mut client, case) } else { self.forwarded(&mut client, case, expected) }
    }

    fn refused(&self, client: &mut Client, case: &Case) -> usize {
        let response = client.response_to(&case.method);
        assert_eq!(response.status, 400, "{response}");
        assert_eq!(response.field("Connection"), Some("close"), "{response}");
        client.expect_ended();
        assert!(self.web.received().is_empty(), "it was refused, and reached the target all the same");
        1
    }

    fn forwarded(&self, client: &mut Client, case: &Case, expected: Expected) -> usize {
        // the body is what the target was led to expect
        let received = self.web.wait_heads(1);
        let (request, connection) = (&received[0].request, received[0].connection);
        match request.framing {
            Framing::Length(length) => drop(client.send(vec![b'x'; usize::try_from(length).unwrap_or(0)])),
            Framing::Chunked => drop(client.send("0\r\n\r\n")),
            _ => {}
        }
        let response = client.response_to(&request.method);
        assert_eq!(response.status, 200, "{response}");
        assert!(self.web.malformed().is_empty(), "the target was sent something malformed");
        let closes = response.field("Connection") == Some("close");
        let mut answers = 1;
        if expected == Expected::ForwardAndClose {
            assert!(closes, "the client is not told\n{response}");
            assert_eq!(self.web.wait_end(connection), End::Closed, "the target's connection");
        }
        if closes {
            client.expect_ended();
        } else if case.tier == "Compliant" || case.tier == "Acceptable" || !client.arrived() {
            // both sides agree where the next request begins
            let after = client.exchange(&ask("GET", "/after")).echo();
            assert_eq!(after.target, "/after");
            answers += 1;
        }
        let targets: Vec<_> = self.web.received().iter().map(|r| r.request.target.clone()).collect();
        assert_eq!(targets.len(), answers, "requests that nobody sent: {targets:?}");
        answers
    }
}

fn check_all(mode: &'static str) {
    let (cases, skipped) = cases();
    assert!(cases.len() > 140 && skipped < 15, "{} cases, {skipped} skipped", cases.len());
    let bench = Bench::new(mode);
    let rows = cases.iter().flat_map(|case| case.encodings().into_iter().map(move |encoding| (case, encoding)));
    check(
        rows,
        |(case, encoding)| format!("{mode}: {}, {} ({}, {encoding:?})", case.file, case.name, case.tier),
        |(case, encoding)| {
            bench.run(case, *encoding);
        },
    );
    bench.headworks.expect_alive();
}

#[test]
fn monitor() {
    check_all("monitor");
}

#[test]
fn defensive() {
    check_all("defensive");
}

#[test]
fn strictest() {
    check_all("strictest");
}

/// The log says tier and reason of every case, in AWS's words.
#[test]
fn reasons_are_logged() {
    let bench = Bench::new("defensive");
    let (cases, _) = cases();
    let mut lines: Vec<Option<&Case>> = Vec::new();
    for case in &cases {
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.run(case, Encoding::Utf8)));
        // what a case does is for the tests above
        let Ok(answered) = answered else { break };
        lines.push(Some(case));
        lines.resize(lines.len() + answered - 1, None);
    }
    let logged = bench.headworks.log_lines("access.log", lines.len());
    let rows = lines.iter().zip(&logged).filter_map(|(case, line)| Some(((*case)?, line)));
    check(
        rows,
        |(case, _)| format!("{}, {}", case.file, case.name),
        |(case, line)| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let of = |key: &str| line[key].as_str().unwrap_or("Compliant");
            let said = (of("classification"), of("classification_reason"));
            assert_eq!(said, (case.tier.as_str(), case.reason.as_str()), "{line}");
        },
    );
    assert_eq!(lines.iter().flatten().count(), cases.len(), "a case failed, so the log was checked in part");
}

/// Attacks that take two requests: the second must never be anything but the bytes of the first's body.
#[test]
fn smuggled_requests_stay_bodies() {
    let bench = Bench::new("defensive");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\nX: ";
    let length = smuggled.len();
    let rows = [
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nTransfer-Encoding : chunked\r\n\r\n{smuggled}"
        ),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nX: y\rContent-Length: 0\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
        format!("GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n{smuggled}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n{smuggled}"),
    ];
    check(
        rows,
        |row| format!("{row:?}"),
        |bytes| {
            bench.web.forget();
            let mut client = bench.headworks.client();
            client.send(format!("{bytes}\r\n\r\n")).finish();
            client.rest();
            // whatever came of it, a target that is asked afterwards was never asked for the smuggled one
            assert_eq!(bench.headworks.ask(&ask("GET", "/after")).echo().target, "/after");
            let targets: Vec<_> = bench.web.received().iter().map(|r| r.request.target.clone()).collect();
            assert!(!targets.iter().any(|target| target == "/smuggled"), "{targets:?}");
            assert!(bench.web.malformed().is_empty(), "the target was sent something malformed");
        },
    );
    bench.headworks.expect_alive();
}
