//! Requests that are sent again, or twice at once (`retry`, `hedge`): which, where to, at what cost, and what is told of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use headworks_testkit::stream::End;
use headworks_testkit::{Ask, Gate, Headworks, Origin, Step, ask, check, wait};
use http::{Method, Request, Response};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::http2_targets::{ask as ask_h2, connect, ok, request, run};
use crate::start;

/// One worker, a log, and a group of these targets, of which the first one is asked first.
fn group(targets: &str, settings: &str) -> String {
    format!(
        "workers: 1\nload_balancers:\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: web }} }} }}, access_log: logs/access.log }}\n\
         target_groups:\n  web: {{ targets: {targets}, health_check: {{ protocol: none }}, {settings} }}\n"
    )
}

/// A target that fails in one way, and a good one that is asked as often.
fn beside(bad: &Origin, good: &Origin, settings: &str) -> Headworks {
    start(&group("[<bad>, <good>]", settings), &[("bad", bad), ("good", good)])
}

fn statuses(headworks: &Headworks, ask: &Ask, count: usize) -> Vec<u16> {
    (0..count).map(|_| headworks.ask(ask).status).collect()
}

fn lines(headworks: &Headworks, count: usize) -> Vec<Value> {
    let lines = headworks.log_lines("logs/access.log", count);
    lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Which requests follow a failure, by what is declared. Of every two that are sent, one meets the bad target first.
#[test]
fn what_is_sent_again() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let reset = "when: [reset_before_response], budget: 1";
    let big = vec![b'x'; 100_000];
    let rows: [(&str, String, Ask, bool); 15] = [
        ("a GET", reset.to_owned(), ask("GET", "/reset"), true),
        ("a PUT with a body, none being kept", reset.to_owned(), ask("PUT", "/reset").body("body"), false),
        ("a PUT with a kept body", format!("{reset}, buffer: 64KiB"), ask("PUT", "/reset").body("body"), true),
        ("a DELETE without a body", reset.to_owned(), ask("DELETE", "/reset"), true),
        ("a POST", format!("{reset}, buffer: 64KiB"), ask("POST", "/reset").body("body"), false),
        ("a POST without a body", format!("{reset}, buffer: 64KiB"), ask("POST", "/reset"), false),
        (
            "a POST that may be",
            format!("{reset}, buffer: 64KiB, non_idempotent: true"),
            ask("POST", "/reset").body("body"),
            true,
        ),
        (
            "a body that is too long to be kept",
            format!("{reset}, buffer: 64KiB"),
            ask("PUT", "/reset").body(&big),
            false,
        ),
        ("a long body that is kept", format!("{reset}, buffer: 128KiB"), ask("PUT", "/reset").body(&big), true),
        ("a status of choice", "when: status_500, budget: 1".to_owned(), ask("GET", "/500"), true),
        ("any status of an error", "when: status_5xx, budget: 1".to_owned(), ask("GET", "/500"), true),
        ("an answer that is no HTTP", reset.to_owned(), ask("GET", "/garbage"), true),
        ("a switch of protocols that nobody asked for", reset.to_owned(), ask("GET", "/switch"), true),
        ("no HTTP to a POST", reset.to_owned(), ask("POST", "/garbage"), false),
        ("an answer that ends in its head", reset.to_owned(), ask("GET", "/half"), true),
    ];
    let bad = Origin::new("bad")
        .on("/reset", [Step::Body, Step::Reset])
        .on("/switch", [Step::Body, Step::send(SWITCH)])
        .on("/garbage", [Step::Body, Step::send("\x16\x03\x01 this is no answer\r\n\r\n"), Step::Close])
        .on("/half", [Step::Body, Step::send("HTTP/1.1 200 OK\r\nContent-Le"), Step::Close])
        .on("/500", [Step::Body, Step::answer(500, "bad")])
        .start();
    let good = Origin::echo("good");
    check(
        rows,
        |row| row.0,
        |(_, retry, ask, follows)| {
            let headworks = beside(&bad, &good, &format!("retry: {{ {retry} }}"));
            let seen = statuses(&headworks, ask, 4);
            let failed = seen.iter().filter(|status| **status >= 500).count();
            assert_eq!(failed, if *follows { 0 } else { 2 }, "{seen:?}");
        },
    );
}

/// What is sent again is what was sent, whatever its framing.
#[test]
fn bodies_come_again_as_they_were() {
    let bad = Origin::new("bad").on("/x", [Step::Body, Step::Reset]).start();
    let good = Origin::echo("good");
    let settings = "retry: { when: [reset_before_response], budget: 1, buffer: 256KiB, non_idempotent: true }";
    let headworks = beside(&bad, &good, settings);
    let chunks: String =
        (0..50).map(|n| format!("3e8\r\n{}\r\n", n.to_string().repeat(1000).split_at(1000).0)).collect();
    let sized: String = (0..200_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    let rows: [(&str, Vec<u8>, usize); 3] = [
        ("small", b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody".to_vec(), 4),
        (
            "sized",
            format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n{sized}").into_bytes(),
            200_000,
        ),
        (
            "chunked",
            format!("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into_bytes(),
            50_000,
        ),
    ];
    for (name, bytes, length) in rows {
        for _ in 0..2 {
            let mut client = headworks.client();
            let response = client.send(&bytes).response();
            assert_eq!(response.status, 200, "{name}: {response}");
            let echo = response.echo();
            assert_eq!((echo.origin.as_str(), echo.body_length as usize), ("good", length), "{name}");
        }
    }
    let bodies = |origin: &Origin| -> Vec<Vec<u8>> {
        origin.received().into_iter().filter_map(|received| Some(received.body?.content)).collect()
    };
    // of two attempts in turn, each has one
    assert_eq!(bodies(&bad).len(), 3);
    for body in bodies(&bad) {
        assert!(bodies(&good).contains(&body), "a body came again as another");
    }
}

/// `per_try_timeout` ends an attempt long before the answer's own time is over, and only that one.
#[test]
fn attempts_have_a_time_of_their_own() {
    let slow = Origin::new("slow").on("/x", [Step::ReadToEnd]).start();
    let good = Origin::echo("good");
    let settings = "retry: { attempts: 2, when: [timeout], per_try_timeout: 150ms, budget: 1 }, response_timeout: 1m";
    let headworks = beside(&slow, &good, settings);
    let begin = Instant::now();
    assert_eq!(statuses(&headworks, &ask("GET", "/x"), 4), [200; 4]);
    assert!(begin.elapsed() < Duration::from_secs(5), "the attempts took {:?}", begin.elapsed());
    // without another target, or for what is not sent twice, it is the answer that is late
    let posted = statuses(&headworks, &ask("POST", "/x").body("body"), 2);
    assert!(posted.contains(&504), "{posted:?}");
    let late = lines(&headworks, 6).into_iter().find(|line| line["status"] == 504).unwrap_or_default();
    assert_eq!(late["error"], "AttemptTimeout", "{late:#}");
}

/// What the log and the metrics say of attempts.
#[test]
fn attempts_are_told() {
    let bad = Origin::new("bad").on("/reset", [Step::Reset]).on("/503", [Step::answer(503, "busy")]).start();
    let good = Origin::echo("good");
    let settings = "retry: { when: [reset_before_response, status_503], budget: 1, backoff: { base: 20ms } }";
    let headworks = beside(&bad, &good, settings);
    assert_eq!(statuses(&headworks, &ask("GET", "/reset"), 2), [200; 2]);
    assert_eq!(statuses(&headworks, &ask("GET", "/503"), 2), [200; 2]);
    let told: Vec<Value> = lines(&headworks, 4).into_iter().filter(|line| line["retries"] == 1).collect();
    let of = |line: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let attempts = line["attempts"].as_array().into_iter().flatten();
        attempts.map(|attempt| (text(&attempt["target"]), text(&attempt["outcome"]))).collect()
    };
    let (bad_at, good_at) = (bad.address().to_string(), good.address().to_string());
    let expected = |outcome: &str| vec![(bad_at.clone(), outcome.to_owned()), (good_at.clone(), "200".to_owned())];
    let expected = ["TargetReset", "503"].map(expected);
    assert_eq!(told.iter().map(of).collect::<Vec<_>>(), expected, "{told:#?}");
    assert!(told[0]["attempts"][0]["duration"].is_f64(), "{told:#?}");
    let metrics = headworks.metrics();
    let retries = |reason| metrics.sum("headworks_target_group_retries_total", &[("reason", reason)]);
    assert_eq!((retries("reset_before_response"), retries("status"), retries("timeout")), (1.0, 1.0, 0.0));
}

/// A budget holds when everything fails: retries stay a share of requests.
#[test]
fn an_outage_makes_no_storm() {
    let (one, two) = (Origin::new("one"), Origin::new("two"));
    let (one, two) = (one.on("/x", [Step::answer(503, "")]).start(), two.on("/x", [Step::answer(503, "")]).start());
    let headworks = beside(&one, &two, "retry: { attempts: 10, when: [status_503], budget: 0.2 }");
    assert_eq!(statuses(&headworks, &ask("GET", "/x"), 100), [503; 100]);
    let metrics = headworks.metrics();
    let retried = metrics.sum("headworks_target_group_retries_total", &[("target_group", "web")]);
    assert!(retried <= 24.0, "{retried} retries of 100 requests");
    assert!(metrics.sum("headworks_target_group_retries_over_budget_total", &[]) >= 70.0);
}

/// A GET that has no answer in time is sent to another target as well; the slower one is called off, and not blamed.
#[test]
fn hedges() {
    let gate = Gate::new();
    let slow = Origin::new("slow")
        .on("/x", [Step::ReadToEnd])
        .on("/y", [Step::Wait(gate.clone()), Step::answer(200, "slow")])
        .start();
    let quick =
        Origin::new("quick").on("/x", [Step::answer(200, "quick")]).on("/y", [Step::answer(200, "quick")]).start();
    let settings =
        "hedge: { after: 50ms }, retry: { budget: 1 }, circuit_breaker: { consecutive_failures: 1, open_for: 1h }";
    let headworks = beside(&slow, &quick, settings);
    let mut client = headworks.client();
    for _ in 0..4 {
        let response = client.exchange(&ask("GET", "/x"));
        assert_eq!((response.status, response.text().as_str()), (200, "quick"));
    }
    assert_eq!(client.exchange(&ask("HEAD", "/x")).status, 200);
    // the loser is called off by closing its connection
    assert_ne!(slow.wait_end(1), End::TimedOut);
    let metrics = headworks.metrics();
    let won = metrics.sum("headworks_target_group_hedges_won_total", &[]);
    assert!(won >= 2.0 && won <= metrics.sum("headworks_target_group_hedges_total", &[]), "{won} won");
    let hedged = lines(&headworks, 5).into_iter().find(|line| line["hedges"] == 1).unwrap_or_default();
    let outcomes: Vec<_> = hedged["attempts"].as_array().into_iter().flatten().map(|a| a["outcome"].clone()).collect();
    assert_eq!(outcomes, ["cancelled", "200"], "{hedged:#}");
    assert_eq!(hedged["target_address"], quick.address().to_string(), "{hedged:#}");
    // nobody is blamed, and a POST is not hedged
    let asked = slow.received().len() + quick.received().len();
    let mut posting = headworks.client();
    posting.ask(&ask("POST", "/y").body("body"));
    let mut other = headworks.client();
    other.ask(&ask("POST", "/y").body("body"));
    wait::until("both requests at their targets", || {
        (slow.received().len() + quick.received().len() >= asked + 2).then_some(())
    });
    gate.open();
    let mut answers = [posting.response().text(), other.response().text()];
    answers.sort_unstable();
    assert_eq!(answers, ["quick", "slow"], "a POST was sent twice, or its target was ejected");
}

/// `p95`: as long as most answers have taken of late; and a rule may hedge where its group does not.
#[test]
fn hedges_by_latency() {
    let slow = Origin::new("slow").on("/x", [Step::ReadToEnd]).start();
    let quick = Origin::echo("quick");
    let yaml = group("[<bad>, <good>]", "response_timeout: 500ms")
        .replace("default: { forward: web }", "default: { forward: { groups: web, hedge: p95 } }");
    let headworks = start(&yaml, &[("bad", &slow), ("good", &quick)]);
    assert_eq!(statuses(&headworks, &ask("GET", "/"), 40), [200; 40]);
    wait::until("a hedge", || {
        // until it is known what answers take, those that meet the slow one are late
        assert!(matches!(headworks.ask(&ask("GET", "/x")).status, 200 | 504));
        (headworks.metrics().sum("headworks_target_group_hedges_won_total", &[]) >= 1.0).then_some(())
    });
}

/// Without an answer from anyone, a race ends like any attempt: the last failure is what the client is told.
#[test]
fn hedges_that_all_fail() {
    let one = Origin::new("one").on("/x", [Step::Reset]).start();
    let two = Origin::new("two").on("/x", [Step::Reset]).start();
    let headworks = beside(&one, &two, "hedge: 10ms");
    assert_eq!(statuses(&headworks, &ask("GET", "/x"), 4), [502; 4]);
    let stall = Origin::new("stall").on("/x", [Step::ReadToEnd]).start();
    let headworks = beside(&stall, &stall_too(), "hedge: 10ms, response_timeout: 300ms");
    assert_eq!(statuses(&headworks, &ask("GET", "/x"), 2), [504; 2]);
    headworks.expect_alive();
}

fn stall_too() -> Origin {
    Origin::new("stall too").on("/x", [Step::ReadToEnd]).start()
}

/// A target of HTTP/2 that turns the first so many streams away unseen, in one of two ways, and then answers with what it got.
async fn refusing(listener: TcpListener, refused: usize, goes_away: bool) {
    let mut left = refused;
    while let Ok((stream, _)) = listener.accept().await {
        let mut connection = ok(server::handshake(stream).await, "no handshake");
        while let Some(Ok((request, respond))) = connection.accept().await {
            if left == 0 {
                tokio::spawn(answer(request, respond));
                continue;
            }
            left -= 1;
            let mut respond: SendResponse<Bytes> = respond;
            respond.send_reset(Reason::REFUSED_STREAM);
            if goes_away {
                connection.graceful_shutdown();
            }
        }
    }
}

async fn answer(mut request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut body = Vec::new();
    while let Some(Ok(piece)) = request.body_mut().data().await {
        body.extend_from_slice(&piece);
    }
    let mut stream = ok(respond.send_response(Response::new(()), false), "cannot answer");
    ok(stream.send_data(body.into(), true), "cannot send");
}

/// RFC 9113 section 8.7: what a target says it has not looked at is asked again, whatever its method, at no cost.
#[test]
fn refused_streams_are_asked_again() {
    for goes_away in [false, true] {
        run(async {
            let listener = ok(TcpListener::bind("127.0.0.1:0").await, "no port");
            let address = ok(listener.local_addr(), "no address");
            tokio::spawn(refusing(listener, 2, goes_away));
            let yaml = group("[<web>]", "version: http2, circuit_breaker: { consecutive_failures: 1 }");
            let headworks = start(&yaml, &[("web", &address)]);
            let mut send = connect(headworks.address()).await;
            let answered = ask_h2(&mut send, request(Method::GET, "/a"), None).await;
            assert_eq!(answered.status, 200, "{goes_away}");
            let posted = ask_h2(&mut send, request(Method::POST, "/a"), Some(b"hello")).await;
            assert_eq!((posted.status.as_u16(), posted.body.as_slice()), (200, &b"hello"[..]), "{goes_away}");
            let metrics = headworks.metrics();
            assert_eq!(metrics.sum("headworks_target_group_retries_total", &[("reason", "unprocessed")]), 2.0);
            assert_eq!(metrics.sum("headworks_target_group_retries_over_budget_total", &[]), 0.0);
        });
    }
    // a POST whose body is on its way already, and kept
    run(async {
        let listener = ok(TcpListener::bind("127.0.0.1:0").await, "no port");
        let address = ok(listener.local_addr(), "no address");
        tokio::spawn(refusing(listener, 1, false));
        let yaml = group("[<web>]", "version: http2, retry: { buffer: 64KiB }");
        let headworks = start(&yaml, &[("web", &address)]);
        let mut send = connect(headworks.address()).await;
        let posted = ask_h2(&mut send, request(Method::POST, "/a"), Some(&[b'x'; 40_000])).await;
        assert_eq!((posted.status.as_u16(), posted.body.len()), (200, 40_000));
    });
}

/// The answer of a target is the client's when no other has room for an attempt more; one that is let go of counts as its
/// target's.
#[test]
fn answers_are_let_go_of_for_another() {
    let gate = Gate::new();
    let held = Origin::new("held").on("/x", [Step::Wait(gate.clone()), Step::answer(200, "held")]).start();
    let busy = Origin::new("busy").on("/x", [Step::answer(503, "busy")]).start();
    let settings = "retry: { when: [status_503], budget: 1 }, limits: { max_connections: 1 }";
    let headworks = start(&group("[<held>, <busy>]", settings), &[("held", &held), ("busy", &busy)]);
    let mut first = headworks.client();
    first.ask(&ask("GET", "/x"));
    held.wait_heads(1);
    let response = headworks.ask(&ask("GET", "/x"));
    assert_eq!((response.status, response.text().as_str()), (503, "busy"));
    gate.open();
    assert_eq!(first.response().text(), "held");
    assert_eq!(statuses(&headworks, &ask("GET", "/x"), 2), [200; 2]);
    let metrics = headworks.metrics();
    let retries = metrics.sum("headworks_target_group_retries_total", &[("reason", "status")]);
    let refused = metrics.sum("headworks_target_responses_total", &[("target", &busy.address().to_string())]);
    assert!(retries >= 1.0 && refused == 1.0 + retries, "{retries} of {refused}");
}

/// What costs nothing leaves all attempts to `retry`.
#[test]
fn attempts_are_those_of_retry() {
    let stale = Origin::new("stale").on("/x", [Step::Reset]).start();
    let busy = Origin::new("busy").on("/x", [Step::answer(503, "busy")]).start();
    let good = Origin::echo("good");
    let settings = "retry: { attempts: 2, when: [status_503], budget: 1 }";
    let headworks =
        start(&group("[<stale>, <busy>, <good>]", settings), &[("stale", &stale), ("busy", &busy), ("good", &good)]);
    let mut client = headworks.client();
    for _ in 0..3 {
        assert_eq!(client.exchange(&ask("GET", "/")).status, 200);
    }
    let response = client.exchange(&ask("GET", "/x"));
    assert_eq!((response.status, response.echo().origin.as_str()), (200, "good"), "{response}");
    let metrics = headworks.metrics();
    let retries = |reason| metrics.sum("headworks_target_group_retries_total", &[("reason", reason)]);
    assert_eq!((retries("stale_connection"), retries("status")), (1.0, 1.0));
}

/// A target of HTTP/2 that ends the stream of `/reset`, and the connection at `/drop`. It counts the requests that it got.
async fn breaking_off(listener: TcpListener, asked: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let asked = asked.clone();
        tokio::spawn(async move {
            let mut connection = ok(server::handshake(stream).await, "no handshake");
            while let Some(Ok((request, respond))) = connection.accept().await {
                asked.fetch_add(1, Ordering::Relaxed);
                let mut respond: SendResponse<Bytes> = respond;
                match request.uri().path() {
                    "/reset" => respond.send_reset(Reason::INTERNAL_ERROR),
                    "/drop" => return,
                    _ => drop(tokio::spawn(answer(request, respond))),
                }
            }
        });
    }
}

/// A stream that is reset on a connection that lives on is the target's failure like any other; a connection that ended is not,
/// but for so long only.
#[test]
fn streams_that_break_off() {
    run(async {
        let listener = ok(TcpListener::bind("127.0.0.1:0").await, "no port");
        let address = ok(listener.local_addr(), "no address");
        let asked = Arc::new(AtomicUsize::new(0));
        tokio::spawn(breaking_off(listener, asked.clone()));
        let rows: [(&str, usize, f64); 2] = [("/reset", 1, 0.0), ("/drop", 2, 1.0)];
        for (path, times, stale) in rows {
            let headworks = start(&group("[<web>]", "version: http2"), &[("web", &address)]);
            let mut send = connect(headworks.address()).await;
            assert_eq!(ask_h2(&mut send, request(Method::GET, "/"), None).await.status, 200);
            let before = asked.load(Ordering::Relaxed);
            assert_eq!(ask_h2(&mut send, request(Method::GET, path), None).await.status, 502, "{path}");
            assert_eq!(asked.load(Ordering::Relaxed) - before, times, "{path}");
            let retries =
                headworks.metrics().sum("headworks_target_group_retries_total", &[("reason", "stale_connection")]);
            assert_eq!(retries, stale, "{path}");
        }
        // it is blamed for those, and `retry` says what follows
        let other = ok(TcpListener::bind("127.0.0.1:0").await, "no port");
        let other_at = ok(other.local_addr(), "no address");
        tokio::spawn(refusing(other, 0, false));
        let settings = "version: http2, retry: { when: [reset_before_response], budget: 1 }, circuit_breaker: { consecutive_failures: 2, open_for: 1h }";
        let headworks = start(&group("[<bad>, <good>]", settings), &[("bad", &address), ("good", &other_at)]);
        let mut send = connect(headworks.address()).await;
        for path in ["/", "/", "/reset", "/reset", "/reset", "/reset"] {
            assert_eq!(ask_h2(&mut send, request(Method::GET, path), None).await.status, 200, "{path}");
        }
        let metrics = headworks.wait_metrics("headworks_target_ejected", &[("target", &address.to_string())], 1.0);
        let retries = |reason| metrics.sum("headworks_target_group_retries_total", &[("reason", reason)]);
        assert!(retries("reset_before_response") >= 2.0);
        assert_eq!(retries("stale_connection"), 0.0);
    });
}
