//! How fast clients have to be: whoever moves a byte now and then holds nothing for long, and whoever means well is left alone.

use std::time::{Duration, Instant};

use headworks_testkit::frames::code::INTERNAL_ERROR;
use headworks_testkit::frames::flag::END_STREAM;
use headworks_testkit::frames::{headers, kind, request, setting, window};
use headworks_testkit::stream::End;
use headworks_testkit::{Client, Origin, Step, ask, wait};

use crate::start;

/// One listener with a rate that clients must keep, in front of `<web>`.
const PACED: &str = "load_balancers:\n  shop: { listeners: { http: { address: 127.0.0.1:0, limits: { minimum_rate: 2000 }, \
                     default: { forward: web } } } }\ntarget_groups:\n  web: { targets: [<web>], health_check: { protocol: none } }\n";

/// The grace, and what a coarse clock and a busy machine add to it; far from the time-outs of a minute that there are else.
fn expect_after_grace(started: Instant) {
    let passed = started.elapsed();
    assert!((4.5..9.0).contains(&passed.as_secs_f64()), "noticed after {passed:?}");
}

/// Sends a piece ten times a second for as long as somebody listens, `seconds` at most: slowness is what is tested here.
fn drip(client: &mut Client, piece: &str, seconds: u64) {
    for _ in 0..seconds * 10 {
        if client.arrived() {
            return;
        }
        client.send_anyway(piece);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Reads half of so many bytes slower than everything that is held on the way would last, and faster than it must; then the
/// rest, of which it says how much came.
fn read_steadily(client: &mut Client, length: usize) -> usize {
    for _ in 0..160 {
        client.bytes(100_000);
        std::thread::sleep(Duration::from_millis(100));
    }
    client.bytes(length - 16_000_000).len()
}

#[test]
fn a_rate_for_heads() {
    let web = Origin::new("web").start();
    let headworks = start(PACED, &[("web", &web)]);
    let started = Instant::now();
    let mut slow = headworks.client();
    slow.send("GET / HTTP/1.1\r\nHost: shop\r\nX-A: ");
    drip(&mut slow, "a", 20);
    assert_eq!(slow.response().status, 408);
    expect_after_grace(started);
}

#[test]
fn a_rate_for_bodies() {
    let web = Origin::new("web").start();
    let headworks = start(PACED, &[("web", &web)]);
    let (started, to) = (Instant::now(), headworks.address());
    // 4000 bytes a second, for longer than the grace
    let steady = std::thread::spawn(move || {
        let mut client = Client::connect(to);
        client.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 28000\r\n\r\n");
        drip(&mut client, &"b".repeat(400), 7);
        client.response().echo().body_length
    });
    let mut slow = headworks.client();
    slow.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 28000\r\n\r\n");
    drip(&mut slow, "b", 20);
    assert_eq!(slow.response().status, 408);
    expect_after_grace(started);
    assert_eq!(steady.join().unwrap_or(0), 28_000);
}

#[test]
fn a_rate_for_those_who_read() {
    let length = 32 << 20;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let body = [head.as_bytes(), &vec![b'x'; length]].concat();
    let web = Origin::new("web").on("/big", [Step::Send(body)]).start();
    let headworks = start(PACED, &[("web", &web)]);
    let (started, to) = (Instant::now(), headworks.address());
    let steady = std::thread::spawn(move || {
        let mut client = Client::connect(to);
        client.ask(&ask("GET", "/big")).response_head();
        read_steadily(&mut client, length)
    });
    let mut stuck = headworks.client();
    stuck.ask(&ask("GET", "/big")).response_head();
    let ended = || (headworks.metrics().sum("headworks_active_connections", &[]) == 1.0).then_some(());
    assert!(wait::within(Duration::from_secs(20), ended).is_some(), "a client that does not read stays");
    // what was sent before may count once: as long as the grace again
    let passed = started.elapsed().as_secs_f64();
    assert!((4.5..15.0).contains(&passed) && !steady.is_finished(), "noticed after {passed} s");
    assert_eq!(stuck.rest().1, End::Reset);
    assert_eq!(steady.join().unwrap_or(0), length - 16_000_000);
}

/// Over HTTP/2, windows are the client's too: one that opens its own by a byte now and then is cut off, and its connection is
/// not. Who takes enough of one answer may let another wait.
#[test]
fn a_rate_for_streams() {
    let web = Origin::new("web").on("/big", [Step::answer(200, &"x".repeat(100_000))]).start();
    let headworks = start(PACED, &[("web", &web)]);
    let (started, to) = (Instant::now(), headworks.address());
    let steady = std::thread::spawn(move || {
        let mut client = Client::connect(to);
        client.begin_http2(&[(setting::INITIAL_WINDOW_SIZE, 1)]);
        client.send(headers(END_STREAM, 1, request("/big", &[])));
        client.frame_until("a byte that waits for more", |frame| frame.kind == kind::DATA && frame.stream == 1);
        // 4000 bytes a second of another, for longer than the grace
        client.send(headers(END_STREAM, 3, request("/big", &[])));
        for _ in 0..80 {
            client.send(window(3, 400));
            std::thread::sleep(Duration::from_millis(100));
        }
        client.send([window(0, 200_000), window(1, 100_000), window(3, 100_000)].concat());
        for _ in 0..2 {
            let last = client.frame_until("both answers", |f| f.kind == kind::RST_STREAM || f.ends_stream());
            assert_eq!(last.kind, kind::DATA, "{last:x?}");
        }
    });
    let mut slow = headworks.client();
    slow.begin_http2(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    slow.send(headers(END_STREAM, 1, request("/big", &[])));
    let mut dripping = slow.twin();
    let drip = std::thread::spawn(move || {
        for _ in 0..30 {
            dripping.send_anyway(window(1, 1));
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    let reset = slow.frame_until("a reset", |frame| frame.kind == kind::RST_STREAM);
    assert_eq!((reset.stream, reset.code()), (1, Some(INTERNAL_ERROR)));
    expect_after_grace(started);
    assert!(drip.join().is_ok());
    slow.send(headers(END_STREAM, 3, request("/", &[])));
    let answer = slow.frame_until("another answer", |frame| frame.stream == 3 && frame.status().is_some());
    assert_eq!(answer.status(), Some(200));
    assert!(steady.join().is_ok());
}

/// Without a rate of its own a listener has one that nobody misses who means well: of a body whose length is known, and only
/// when it has taken longer than the idle timeout.
#[test]
fn a_rate_by_default() {
    let web = Origin::new("web").start();
    let yaml = PACED.replace("limits: { minimum_rate: 2000 }, ", "").replace("shop: {", "shop: { idle_timeout: 5s,");
    let headworks = start(&yaml, &[("web", &web)]);
    let (started, to) = (Instant::now(), headworks.address());
    let of_unknown_length = std::thread::spawn(move || {
        let mut client = Client::connect(to);
        client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n");
        drip(&mut client, "1\r\nb\r\n", 8);
        client.send("0\r\n\r\n").response().status
    });
    let mut slow = headworks.client();
    slow.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 28000\r\n\r\n");
    drip(&mut slow, "b", 20);
    assert_eq!(slow.response().status, 408);
    expect_after_grace(started);
    assert_eq!(of_unknown_length.join().unwrap_or(0), 200);
}

/// Who reads what a flow brings by a byte now and then is cut off; who brings nothing has nothing more to say.
#[test]
fn a_rate_for_flows() {
    let length = 32 << 20;
    let web = Origin::new("web").on("/big", [Step::Send(vec![b'x'; length])]).start();
    let yaml = "load_balancers:\n  net: { type: network, access_log: access.log, listeners: { tcp: { address: 127.0.0.1:0, protocol: tcp, \
                limits: { minimum_rate: 2000 }, default: { forward: web } } } }\n\
                target_groups:\n  web: { protocol: tcp, targets: [<web>], health_check: { protocol: none } }\n";
    let headworks = start(yaml, &[("web", &web)]);
    let (started, to) = (Instant::now(), headworks.address());
    let mut quiet = headworks.client();
    assert_eq!(quiet.exchange(&ask("GET", "/")).status, 200);
    let steady = std::thread::spawn(move || {
        let mut client = Client::connect(to);
        client.ask(&ask("GET", "/big"));
        read_steadily(&mut client, length)
    });
    let mut stuck = headworks.client();
    stuck.ask(&ask("GET", "/big"));
    let labels = [("reason", "client_too_slow")];
    let ended = || (headworks.metrics().sum("headworks_flows_ended_total", &labels) == 1.0).then_some(());
    assert!(wait::within(Duration::from_secs(20), ended).is_some(), "a client that does not read stays");
    let passed = started.elapsed().as_secs_f64();
    assert!((4.5..15.0).contains(&passed) && !steady.is_finished(), "noticed after {passed} s");
    assert_eq!(stuck.rest().1, End::Reset);
    assert_eq!(steady.join().unwrap_or(0), length - 16_000_000);
    assert_eq!(quiet.exchange(&ask("GET", "/")).status, 200);
}
