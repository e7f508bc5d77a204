//! Requests that are sent to another group as well (`mirror`), and faults that rules inject (`fault`).

use std::time::{Duration, Instant};

use headworks_testkit::origin::Received;
use headworks_testkit::{Client, Gate, Headworks, Origin, Step, ask, free_port, wait};
use http::Method;
use serde_json::Value;

use crate::http2_targets;
use crate::start;

fn yaml(mirror: &str) -> String {
    format!(
        "workers: 1\nload_balancers:\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: {{ groups: web, mirror: {mirror} }} }} }} }} }}\n\
         target_groups:\n  web: {{ targets: [<web>], health_check: {{ protocol: none }} }}\n  shadow: {{ targets: [<shadow>], health_check: {{ protocol: none }} }}\n"
    )
}

fn mirrored(headworks: &Headworks) -> f64 {
    headworks.metrics().sum("headworks_target_group_mirrored_requests_total", &[("target_group", "shadow")])
}

/// The copy is the request as its target got it, and the client only ever sees that target's answer.
#[test]
fn copies_are_what_was_sent() {
    let (web, shadow) =
        (Origin::echo("web"), Origin::new("shadow").on("/x", [Step::Body, Step::answer(500, "no")]).start());
    let headworks = start(&yaml("{ group: shadow, buffer: 64KiB }"), &[("web", &web), ("shadow", &shadow)]);
    let mut client = headworks.client();
    let requests = [
        ask("GET", "/x?a=b").with("X-A: b").with("Cookie: c=d"),
        ask("POST", "/x").body("hello"),
        ask("HEAD", "/x"),
        ask("PUT", "/x").body(vec![b'y'; 30_000]),
    ];
    for request in &requests {
        let response = client.ask(request).response_to(request.method());
        assert_eq!(response.status, 200, "{response}");
    }
    let chunked = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(client.send(chunked).response().status, 200);
    let copies = shadow.wait_heads(5);
    let whole = wait::until("whole copies", || {
        let copies = shadow.received();
        copies.iter().all(|copy| copy.body.is_some()).then_some(copies)
    });
    assert_eq!(copies.len(), 5);
    // one copy may overtake another
    let by_trace = |mut received: Vec<Received>| {
        received.sort_by_key(|received| received.request.fields.one("X-Amzn-Trace-Id").map(str::to_owned));
        received
    };
    for (sent, copy) in by_trace(web.received()).iter().zip(&by_trace(whole)) {
        assert_eq!((&sent.request.method, &sent.request.target), (&copy.request.method, &copy.request.target));
        assert_eq!(format!("{:?}", sent.request.fields), format!("{:?}", copy.request.fields));
        let content = |body: &Option<headworks_testkit::wire::Body>| body.as_ref().map(|body| body.content.clone());
        assert_eq!(content(&sent.body), content(&copy.body));
    }
    // over one connection, one after the other
    assert!(shadow.connections() <= 5);
    // too long to be kept: the request goes on, the copy does not
    assert_eq!(client.exchange(&ask("PUT", "/x").body(vec![b'z'; 100_000])).echo().body_length, 100_000);
    assert_eq!(client.exchange(&ask("GET", "/last")).status, 200);
    wait::until("the last copy", || (mirrored(&headworks) >= 6.0).then_some(()));
    assert!(shadow.received().iter().all(|copy| copy.body.as_ref().is_none_or(|body| body.content.len() < 100_000)));
}

/// Whatever the other group does, the request does not wait for it; what piles up is dropped and counted.
#[test]
fn copies_slow_nothing() {
    let gate = Gate::new();
    let (web, shadow) =
        (Origin::echo("web"), Origin::new("shadow").at_accept([Step::Wait(gate.clone()), Step::Reset]).start());
    let headworks = start(&yaml("shadow"), &[("web", &web), ("shadow", &shadow)]);
    let mut client = headworks.client();
    let begin = Instant::now();
    for _ in 0..200 {
        assert_eq!(client.exchange(&ask("GET", "/")).echo().origin, "web");
    }
    assert!(begin.elapsed() < Duration::from_secs(8), "200 requests took {:?}", begin.elapsed());
    let metrics = headworks.metrics();
    let of = |name: &str| metrics.sum(name, &[("target_group", "shadow")]);
    assert_eq!(of("headworks_target_group_mirrored_requests_total"), 128.0);
    assert_eq!(of("headworks_target_group_mirror_dropped_total"), 72.0);
    gate.open();
    let _ = headworks.wait_metrics("headworks_target_group_mirror_failed_total", &[("target_group", "shadow")], 128.0);
    assert_eq!(headworks.metrics().sum("headworks_target_in_flight_requests", &[("target_group", "shadow")]), 0.0);
}

/// What has no body does not wait for the answer to the request itself.
#[test]
fn copies_begin_beside() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "web")]).start();
    let shadow = Origin::echo("shadow");
    let headworks = start(&yaml("shadow"), &[("web", &web), ("shadow", &shadow)]);
    let mut client = headworks.client();
    client.ask(&ask("GET", "/held"));
    web.wait_heads(1);
    assert_eq!(shadow.wait_heads(1)[0].request.target, "/held");
    assert!(!client.arrived(), "answered by the wrong group, or too early");
    gate.open();
    assert_eq!(client.response().text(), "web");
    assert_eq!(client.exchange(&ask("GET", "/last")).status, 200);
    let _ =
        headworks.wait_metrics("headworks_target_group_mirrored_requests_total", &[("target_group", "shadow")], 2.0);
    assert_eq!(shadow.received().len(), 2, "one copy of each");
}

/// The other group may speak the other version of HTTP: it gets what the request says, in its words. The target that speaks HTTP/2 is
/// a second listener, with an origin behind it.
#[test]
fn copies_in_the_other_version() {
    let (one, two) = (Origin::new("one").start(), Origin::new("two").start());
    let port = free_port();
    let yaml = "
workers: 1
load_balancers:
  front:
    listeners:
      http:
        address: 127.0.0.1:0
        rules: [ { if: { path: [/two/*] }, then: { forward: { groups: two, mirror: { group: one, buffer: 16KiB } } } } ]
        default: { forward: { groups: one, mirror: { group: two, buffer: 16KiB } } }
  back:
    listeners: { http: { address: 127.0.0.1:<port>, default: { forward: behind } } }
target_groups:
  one: { targets: [<one>], health_check: { protocol: none } }
  two: { targets: [127.0.0.1:<port>], version: http2, health_check: { protocol: none } }
  behind: { targets: [<two>], health_check: { protocol: none } }
";
    let headworks = start(yaml, &[("one", &one), ("two", &two), ("port", &port)]);
    let address = headworks.listener("front/http");
    let content = |origin: &Origin, count: usize| {
        let mut all: Vec<_> = wait::until("whole copies", || {
            let received = origin.received();
            (received.len() >= count && received.iter().all(|one| one.body.is_some())).then_some(received)
        })
        .into_iter()
        .map(|received| {
            let body = received.body.map(|body| body.content).unwrap_or_default();
            (received.request.method, received.request.target, String::from_utf8_lossy(&body).into_owned())
        })
        .collect();
        all.sort();
        all
    };
    let mut client = Client::connect(address);
    let chunked = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(client.send(chunked).response().status, 200);
    assert_eq!(client.exchange(&ask("GET", "/none")).status, 200);
    assert_eq!(client.exchange(&ask("PUT", "/sized").body("sized")).status, 200);
    let expected = content(&one, 3);
    assert_eq!(content(&two, 3), expected);
    one.forget();
    two.forget();
    http2_targets::run(async {
        let mut send = http2_targets::connect(address).await;
        for body in [None, Some(&b"until the end"[..]), Some(b"")] {
            let method = if body.is_some() { Method::POST } else { Method::GET };
            let request = http2_targets::request(method, "/two/x");
            assert_eq!(http2_targets::ask(&mut send, request, body).await.status, 200);
        }
    });
    let expected = content(&two, 3);
    assert_eq!(expected[2].2, "until the end");
    assert_eq!(content(&one, 3), expected);
}

#[test]
fn a_share_of_requests() {
    let (web, shadow) = (Origin::echo("web"), Origin::echo("shadow"));
    let headworks = start(&yaml("{ group: shadow, share: 0.25 }"), &[("web", &web), ("shadow", &shadow)]);
    let mut client = headworks.client();
    for _ in 0..400 {
        assert_eq!(client.exchange(&ask("GET", "/")).status, 200);
    }
    // five standard deviations of the binomial
    let copies = mirrored(&headworks);
    assert!((57.0..=143.0).contains(&copies), "{copies} of 400");
    assert_eq!(client.exchange(&ask("POST", "/").body("not kept")).status, 200);
    assert!(shadow.received().iter().all(|copy| copy.request.method == "GET"));
}

/// Faults are met by the share of a rule's requests that is to meet them, and by no other; log and metrics tell of them.
#[test]
fn injected_faults() {
    let web = Origin::echo("web");
    let yaml = "
workers: 1
load_balancers:
  shop:
    access_log: logs/access.log
    listeners:
      http:
        address: 127.0.0.1:0
        rules:
          - { if: { path: [/slow] }, fault: { delay: 300ms }, then: { forward: web } }
          - { if: { path: [/forever] }, fault: { delay: 1h }, then: { forward: web } }
          - { if: { path: [/fail] }, fault: { abort: 418 }, then: { forward: web } }
          - { if: { path: [/some] }, fault: { abort: { status: 503, share: 0.5 } }, then: { forward: web } }
          - { if: { path: [/both] }, fault: { delay: { for: 10ms }, abort: { status: 500 } }, then: { fixed_response: { status: 200 } } }
        default: { forward: web, fault: { abort: { status: 599, share: 0 } } }
target_groups:
  web: { targets: [<web>], health_check: { protocol: none } }
";
    let mut headworks = start(yaml, &[("web", &web)]);
    let mut client = headworks.client();
    let begin = Instant::now();
    assert_eq!(client.exchange(&ask("POST", "/slow").body("body")).echo().body_length, 4);
    assert!(begin.elapsed() >= Duration::from_millis(300), "it took {:?}", begin.elapsed());
    assert_eq!(client.exchange(&ask("GET", "/fail")).status, 418);
    assert_eq!(client.exchange(&ask("GET", "/both")).status, 500);
    assert_eq!(client.exchange(&ask("GET", "/")).status, 200);
    let lines = headworks.log_lines("logs/access.log", 4);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
    let faults: Vec<&Value> = lines.iter().map(|line| &line["fault"]).collect();
    assert_eq!(faults, [&Value::from("delay"), &Value::from("abort"), &Value::from("delay, abort"), &Value::Null]);
    assert_eq!(lines[1]["error"], "FaultInjected");
    // nobody is held back who does not wait any more; whoever has only said its last does
    let mut gone = headworks.client();
    gone.ask(&ask("GET", "/forever"));
    let _ = headworks.wait_metrics("headworks_injected_faults_total", &[("kind", "delay")], 3.0);
    gone.reset();
    let line = headworks.log_lines("logs/access.log", 5).pop().unwrap_or_default();
    assert!(line.contains("\"error\":\"ClientClosed\""), "{line}");
    assert_eq!(headworks.client().ask(&ask("GET", "/slow")).finish().response().status, 200);
    let failed = (0..200).filter(|_| client.exchange(&ask("GET", "/some")).status == 503).count();
    assert!((65..=135).contains(&failed), "{failed} of 200");
    let metrics = headworks.metrics();
    assert_eq!(metrics.sum("headworks_injected_faults_total", &[("kind", "delay")]), 4.0);
    assert_eq!(metrics.sum("headworks_injected_faults_total", &[("kind", "abort")]), (failed + 2) as f64);
    assert_eq!(web.received().len(), 203 - failed);
    // requests that no rule takes
    headworks.reload(&yaml.replace("share: 0 }", "share: 1 }"), &[("web", &web)]);
    assert_eq!(client.exchange(&ask("GET", "/")).status, 599);
    assert_eq!(client.exchange(&ask("GET", "/fail")).status, 418);
}
