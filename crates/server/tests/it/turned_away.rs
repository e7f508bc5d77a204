//! Targets of HTTP/2 that turn requests away because a connection has served its time: that says nothing of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use headworks_testkit::Headworks;
use headworks_testkit::frames::{block, data, flag, frame, headers, kind, settings};
use http::{HeaderValue, Method};

use crate::http2_targets::{ask, connect, request, run};
use crate::start;

/// A target whose connections answer one request each, with its name; what comes after that has come too late (RFC 9113 section
/// 6.8). One without a name never answers.
fn leaving(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("cannot listen: {error}"));
    let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // whoever goes away ends it
            thread::spawn(move || serve(connection, name));
        }
    });
    address
}

fn serve(mut connection: TcpStream, name: &str) -> std::io::Result<()> {
    connection.read_exact(&mut [0; 24])?;
    connection.write_all(&settings(&[]))?;
    loop {
        let mut head = [0; 9];
        connection.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        connection.read_exact(&mut payload)?;
        match (kind, u32::from_be_bytes(stream)) {
            (kind::SETTINGS, _) if flags & flag::ACK == 0 => {
                connection.write_all(&frame(kind::SETTINGS, flag::ACK, 0, []))?;
            }
            (kind::HEADERS, 1) if !name.is_empty() => {
                connection.write_all(&headers(flag::END_HEADERS, 1, block(&[":status: 200"])))?;
                connection.write_all(&data(flag::END_STREAM, 1, name))?;
            }
            (kind::HEADERS, 3..) => {
                let (last, no_error) = (1u32.to_be_bytes(), 0u32.to_be_bytes());
                connection.write_all(&frame(kind::GOAWAY, flag::NONE, 0, [last, no_error].concat()))?;
            }
            _ => {}
        }
    }
}

fn group(targets: &str, settings: &str) -> String {
    format!(
        "workers: 1\nload_balancers:\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: web }} }} }} }}\n\
         target_groups:\n  web: {{ version: http2, targets: {targets}, health_check: {{ protocol: none }}, {settings} }}\n"
    )
}

/// Who answers so many requests, one after the other, which carry the cookies that were set before.
fn answered(headworks: &Headworks, count: usize) -> Vec<String> {
    run(async {
        let mut send = connect(headworks.address()).await;
        let mut cookies = Vec::new();
        let mut names = Vec::new();
        for number in 0..count {
            let mut asked = request(Method::GET, "/");
            for cookie in &cookies {
                asked.headers_mut().append("cookie", HeaderValue::clone(cookie));
            }
            let answer = ask(&mut send, asked, None).await;
            assert_eq!(answer.status, 200, "request {number}");
            let set =
                answer.fields.get_all("set-cookie").iter().flat_map(|set| set.as_bytes().split(|b| *b == b';').next());
            let set: Vec<HeaderValue> = set.flat_map(HeaderValue::from_bytes).collect();
            if !set.is_empty() {
                cookies = set;
            }
            names.push(String::from_utf8_lossy(&answer.body).into_owned());
        }
        names
    })
}

/// Two that close their connections at once, and one that is dead: all requests are answered by the two.
#[test]
fn the_dead_one_is_not_the_last_resort() {
    let (a, b, dead) = (leaving("a"), leaving("b"), leaving(""));
    for targets in ["[<a>, <b>, <dead>]", "[<a>, <dead>, <b>]", "[<dead>, <a>, <b>]"] {
        let settings = "retry: { attempts: 2, when: [timeout], per_try_timeout: 100ms, budget: 1 }, \
                        circuit_breaker: { consecutive_failures: 100 }";
        let headworks = start(&group(targets, settings), &[("a", &a), ("b", &b), ("dead", &dead)]);
        let names = answered(&headworks, 12);
        assert!(["a", "b"].iter().all(|name| names.iter().filter(|by| by == name).count() >= 4), "{names:?}");
        let retries = |reason| headworks.metrics().sum("headworks_target_group_retries_total", &[("reason", reason)]);
        let counts = [retries("unprocessed"), retries("timeout")];
        assert!(counts.iter().all(|count| *count >= 2.0), "{counts:?}");
    }
}

/// A session stays with its target, on another connection.
#[test]
fn sessions_stay() {
    let (a, b) = (leaving("a"), leaving("b"));
    let settings = "stickiness: { type: lb_cookie, duration: 1h }";
    let headworks = start(&group("[<a>, <b>]", settings), &[("a", &a), ("b", &b)]);
    let names = answered(&headworks, 8);
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
}
