//! What may be in flight, and what waits (`limits`).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use headworks_testkit::{Client, Gate, Headworks, Origin, Response, Step, ask, wait};

use crate::start;

fn group(workers: u32, targets: &str, limits: &str) -> String {
    format!(
        "workers: {workers}\nload_balancers:\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: web }} }} }} }}\n\
         target_groups:\n  web: {{ targets: {targets}, health_check: {{ protocol: none }}, limits: {{ {limits} }} }}\n"
    )
}

/// An origin whose answers to `/held` wait for the gate.
fn held(name: &str, gate: &Gate) -> Origin {
    Origin::new(name).on("/held", [Step::Wait(gate.clone()), Step::answer(200, name)]).start()
}

fn asking(headworks: &Headworks, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| headworks.client()).collect();
    for client in &mut clients {
        client.ask(&ask("GET", "/held"));
    }
    clients
}

fn wait_pending(headworks: &Headworks, count: f64) {
    let _ = headworks.wait_metrics("headworks_target_group_pending_requests", &[("target_group", "web")], count);
}

pub(crate) fn expect_refused(response: &Response) {
    assert_eq!((response.status, response.field("Retry-After")), (503, Some("1")), "{response}");
    assert_eq!(response.field("Server"), Some("headworks"), "{response}");
}

/// CONFIG `limits`: so many are in flight, so many wait, and what is over that is refused at once; the oldest is served first.
#[test]
fn a_queue_with_a_bound() {
    let gate = Gate::new();
    let web = held("web", &gate);
    let headworks = start(&group(1, "[<web>]", "max_connections: 1, max_pending: 2"), &[("web", &web)]);
    let mut first = asking(&headworks, 1);
    web.wait_heads(1);
    let mut clients: Vec<Client> = (0..2).map(|_| headworks.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.ask(&ask("GET", &format!("/{number}")));
        wait_pending(&headworks, (number + 1) as f64);
    }
    let begin = Instant::now();
    expect_refused(&headworks.ask(&ask("GET", "/over")));
    assert!(begin.elapsed() < Duration::from_secs(2), "refused after {:?}", begin.elapsed());
    assert_eq!(web.received().len(), 1, "more in flight than declared");
    gate.open();
    assert_eq!(first[0].response().text(), "web");
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    let order: Vec<String> = web.received().into_iter().map(|received| received.request.target).collect();
    assert_eq!(order, ["/held", "/0", "/1"]);
    wait_pending(&headworks, 0.0);
    assert_eq!(headworks.ask(&ask("GET", "/after")).status, 200);
    let metrics = headworks.metrics();
    assert_eq!(metrics.sum("headworks_target_group_queued_requests_total", &[]), 2.0);
    assert_eq!(metrics.sum("headworks_target_group_overloaded_total", &[]), 1.0);
}

/// Nobody waits for longer than declared, and whoever goes away makes room.
#[test]
fn a_queue_with_a_deadline() {
    let gate = Gate::new();
    let web = held("web", &gate);
    let limits = "max_connections: 1, max_pending: 1, pending_timeout: 300ms";
    let headworks = start(&group(1, "[<web>]", limits), &[("web", &web)]);
    let mut first = asking(&headworks, 1);
    web.wait_heads(1);
    let late = headworks.ask(&ask("GET", "/late"));
    expect_refused(&late);
    assert_eq!(headworks.metrics().sum("headworks_target_group_pending_timeouts_total", &[]), 1.0);
    let mut gone = headworks.client();
    gone.ask(&ask("GET", "/gone"));
    wait_pending(&headworks, 1.0);
    gone.reset();
    wait_pending(&headworks, 0.0);
    gate.open();
    assert_eq!(first[0].response().text(), "web");
    assert_eq!(web.received().len(), 1, "one that was refused, or had gone, was sent after all");
}

/// A retry waits for a place as well, and meanwhile keeps nobody from the places that it cannot use.
#[test]
fn retries_wait() {
    let gate = Gate::new();
    let good = held("good", &gate);
    let bad = Origin::new("bad").on("/reset", [Step::Reset]).on("/", [Step::answer(200, "bad")]).start();
    for (patience, status, text) in [("100ms", 502, "Bad Gateway"), ("1m", 200, "good")] {
        let limits = format!("max_connections: 1, max_pending: 2, pending_timeout: {patience}");
        let retry = "retry: { when: [reset_before_response], budget: 1 }, limits:";
        let yaml = group(1, "[<good>, <bad>]", &limits).replace("limits:", retry);
        let headworks = start(&yaml, &[("good", &good), ("bad", &bad)]);
        let heads = good.received().len();
        let mut first = asking(&headworks, 1);
        good.wait_heads(heads + 1);
        let mut again = headworks.client();
        again.ask(&ask("GET", "/reset"));
        let is_kept = status == 200;
        if is_kept {
            wait_pending(&headworks, 1.0);
            for _ in 0..3 {
                assert_eq!(
                    headworks.ask(&ask("GET", "/")).text(),
                    "bad",
                    "held up by one that waits for another target"
                );
            }
            wait_pending(&headworks, 1.0);
            gate.open();
        }
        let response = again.response();
        assert!(response.status == status && response.text().contains(text), "{response}");
        let in_vain = headworks.metrics().sum("headworks_target_group_pending_timeouts_total", &[]);
        assert_eq!(in_vain == 0.0, is_kept, "{in_vain}");
        if is_kept {
            assert_eq!(first[0].response().text(), "good");
        }
    }
}

/// Exact over all workers, for each target and for the group, and through a queue that workers share.
#[test]
fn limits_are_exact_over_workers() {
    for (limits, most) in [("max_connections: 3, max_pending: 100", 6), ("max_requests: 4, max_pending: 100", 4)] {
        let gate = Gate::new();
        let (a, b) = (held("a", &gate), held("b", &gate));
        let headworks = start(&group(4, "[<a>, <b>]", limits), &[("a", &a), ("b", &b)]);
        let mut clients = asking(&headworks, 40);
        wait_pending(&headworks, (40 - most) as f64);
        let sent = || a.received().len() + b.received().len();
        wait::until("those with a place at their targets", || (sent() >= most).then_some(()));
        assert_eq!(sent(), most, "{limits}");
        gate.open();
        for client in &mut clients {
            assert_eq!(client.response().status, 200, "{limits}");
        }
        wait_pending(&headworks, 0.0);
    }
}

/// A retry, a client that hangs up, a target that fails: whatever becomes of a request, its place comes free.
#[test]
fn places_come_free() {
    let web = Origin::new("web").on("/reset", [Step::Reset]).on("/stall", [Step::ReadToEnd]).start();
    let limits = "max_connections: 1, max_requests: 1";
    let yaml = group(2, "[<web>]", limits).replace("limits:", "response_timeout: 100ms, limits:");
    let headworks = start(&yaml, &[("web", &web)]);
    // a place comes free when all of a request is over, which is a little after its client has read the answer
    let status = |target: &str| {
        let answered = || Some(headworks.ask(&ask("GET", target)).status).filter(|status| *status != 503);
        wait::until("a place", answered)
    };
    for _ in 0..5 {
        assert_eq!(status("/reset"), 502);
        assert_eq!(status("/stall"), 504);
        let mut client = headworks.client();
        let heads = web.received().len();
        client.ask(&ask("GET", "/stall"));
        web.wait_heads(heads + 1);
        client.reset();
        assert_eq!(status("/"), 200);
    }
}

/// Adaptive concurrency finds a limit within its bounds, and what is over it is refused.
#[test]
fn a_limit_that_is_found_out() {
    let gate = Gate::new();
    let web = held("web", &gate);
    let limits = "adaptive: { minimum: 2, maximum: 20 }";
    let headworks = start(&group(1, "[<web>]", limits), &[("web", &web)]);
    let found = wait::until("a limit", || {
        let metrics = headworks.metrics();
        metrics
            .has("headworks_target_group_adaptive_limit")
            .then(|| metrics.sum("headworks_target_group_adaptive_limit", &[]) as usize)
    });
    assert!((2..=20).contains(&found), "a limit of {found}");
    let mut clients = asking(&headworks, 30);
    web.wait_heads(found);
    gate.open();
    let answers: Vec<u16> = clients.iter_mut().map(|client| client.response().status).collect();
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), web.received().len(), "{answers:?}");
    assert!(answers.contains(&503) && web.received().len() <= 20, "{answers:?}");
}

/// A limit that was found out holds from the first moment on: beginning anew would refuse what can be served.
#[test]
fn a_limit_that_was_found_out_is_known() {
    let web = Origin::new("web").on("/", [Step::Pause(Duration::from_millis(5)), Step::answer(200, "")]).start();
    let limits = "adaptive: { minimum: 5, maximum: 100, tolerance: 50 }";
    let mut headworks = start(&group(1, "[<web>]", limits), &[("web", &web)]);
    let limit = |headworks: &Headworks| headworks.metrics().sum("headworks_target_group_adaptive_limit", &[]);
    // it begins with 20, and grows where it holds something back
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..40 {
            let (mut client, over) = (headworks.client(), &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    client.exchange(&ask("GET", "/"));
                }
            });
        }
        let grown = wait::within(wait::PATIENCE, || (limit(&headworks) >= 28.0).then_some(()));
        over.store(true, Ordering::Relaxed);
        assert!(grown.is_some(), "a limit of {}", limit(&headworks));
    });
    let before = limit(&headworks);
    headworks.upgrade();
    let after = wait::until("a limit", || Some(limit(&headworks)).filter(|limit| *limit > 0.0));
    assert!(after >= 28.0, "{before} before, {after} after");
}

/// A server that meets one connection after the other, as one with a process for each does when it has but one.
fn one_at_a_time() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("cannot listen: {error}"));
    let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            let mut head = Vec::new();
            let mut byte = [0];
            while connection.read(&mut byte).is_ok_and(|read| read == 1) {
                head.push(byte[0]);
                if head.ends_with(b"\r\n\r\n") {
                    head.clear();
                    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            }
        }
    });
    address
}

/// Connections that wait for a request count as well, and give way to one that has one, in whichever worker they are: else it
/// would wait behind them for as long as they are kept.
#[test]
fn idle_connections_give_way() {
    let one = one_at_a_time();
    let limits = "max_connections: 1, max_pending: 100, pending_timeout: 1m";
    let headworks = start(&group(2, "[<one>]", limits), &[("one", &one)]);
    // among so many, both workers have some
    let mut clients: Vec<Client> = (0..16).map(|_| headworks.client()).collect();
    for round in 0..4 {
        for (number, client) in clients.iter_mut().enumerate() {
            let response = client.exchange(&ask("GET", "/"));
            assert_eq!((response.status, response.text().as_str()), (200, "ok"), "{number} in round {round}");
        }
    }
    let connections = headworks.status()["target_groups"]["web"]["targets"][0]["connections"].clone();
    assert_eq!(connections["idle"], 1, "{connections}");
    // by turns, so that they have changed workers
    assert!(connections["total"].as_u64().is_some_and(|total| total > 1), "{connections}");
    // all at once
    for client in &mut clients {
        client.ask(&ask("GET", "/"));
    }
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}
