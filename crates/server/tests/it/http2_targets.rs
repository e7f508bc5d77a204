//! HTTP/2 to targets, and WebSocket over HTTP/2. The target that speaks HTTP/2 is a second listener of the product itself,
//! with an origin behind it that says what arrived.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use h2::client::{self, SendRequest};
use h2::ext::Protocol;
use headworks_testkit::{Authority, Origin, Step, free_port};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::tls::folder;
use crate::{proxy, start};

const CHAIN: &str = "load_balancers:
  front:
    listeners: { http: { address: 127.0.0.1:0, default: { forward: second } } }
  back:
    listeners: { http: { address: 127.0.0.1:<port>, default: { forward: web } } }
target_groups:
  second: { version: http2, targets: [127.0.0.1:<port>], health_check: <check> }
  web: { targets: [<web>], health_check: { protocol: none } }
";

/// Runs an asynchronous test, for so long.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    let ended = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), test).await });
    ended.unwrap_or_else(|_| panic!("the test does not end"))
}

pub(crate) fn ok<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

pub(crate) async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = ok(TcpStream::connect(address).await, "cannot connect");
    let (send, connection) = ok(client::handshake(stream).await, "no handshake");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    ok(send.ready().await, "not ready")
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Vec<u8>,
}

pub(crate) async fn ask(send: &mut SendRequest<Bytes>, request: Request<()>, body: Option<&[u8]>) -> Answer {
    let (response, mut stream) = ok(send.send_request(request, body.is_none()), "cannot ask");
    if let Some(body) = body {
        ok(stream.send_data(Bytes::copy_from_slice(body), true), "cannot send");
    }
    read(ok(response.await, "no answer")).await
}

async fn read(response: http::Response<h2::RecvStream>) -> Answer {
    let (head, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = stream.data().await {
        let frame = ok(frame, "the body breaks off");
        ok(stream.flow_control().release_capacity(frame.len()), "no window");
        body.extend_from_slice(&frame);
    }
    Answer { status: head.status, fields: head.headers, body }
}

pub(crate) fn request(method: Method, target: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(format!("http://shop.example.com{target}"));
    ok(request.body(()), "no request")
}

#[test]
fn exchanges_over_one_connection() {
    let web = Origin::new("web").on("/empty", [Step::send("HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n")]).start();
    let port = free_port();
    let headworks = start(CHAIN, &[("web", &web), ("port", &port), ("check", &"{ protocol: none }")]);
    let front = headworks.listener("front/http");
    let big = vec![b'x'; 3 << 20];
    run(async {
        let mut send = connect(front).await;
        let rows: [(Method, &str, Option<&[u8]>, u16); 6] = [
            (Method::GET, "/a?b=c", None, 200),
            (Method::POST, "/a", Some(b"hello"), 200),
            (Method::POST, "/a", Some(b""), 200),
            (Method::PUT, "/big", Some(&big), 200),
            (Method::GET, "/empty", None, 204),
            (Method::HEAD, "/a", None, 200),
        ];
        for (method, target, body, status) in rows {
            let answer = ask(&mut send, request(method.clone(), target), body).await;
            assert_eq!(answer.status.as_u16(), status, "{method} {target}");
            if status == 204 || method == Method::HEAD {
                assert!(answer.body.is_empty());
                continue;
            }
            let said: Value = ok(serde_json::from_slice(&answer.body), "no echo");
            assert_eq!(said["target"], target);
            assert_eq!(said["body_length"], body.map_or(0, <[u8]>::len));
            assert!(!answer.fields.contains_key("transfer-encoding"));
            let fields = said["headers"].to_string();
            for once in ["X-Forwarded-Port", "X-Amzn-Trace-Id"] {
                assert_eq!(fields.to_lowercase().matches(&once.to_lowercase()).count(), 1, "{once} in {fields}");
            }
            // appended on each of the two ways
            assert!(fields.contains("127.0.0.1, 127.0.0.1"), "{fields}");
        }
        // twenty at once, and still one connection to the target
        let asked: Vec<_> = (0..20)
            .map(|number| ok(send.send_request(request(Method::GET, &format!("/{number}")), true), "cannot ask").0)
            .collect();
        for answer in asked {
            assert_eq!(ok(answer.await, "no answer").status(), 200);
        }
    });
    let connections = headworks.metrics().sum("headworks_target_connections_total", &[("target_group", "second")]);
    assert_eq!(connections as u64, 1);
}

/// By ALPN.
#[test]
fn exchanges_over_tls() {
    let folder = folder();
    Authority::new("Test Authority").issue(&["localhost"]).place(folder.path(), "a");
    let (web, port) = (Origin::echo("web"), free_port());
    let at = folder.path().join("a").display().to_string();
    let yaml = CHAIN
        .replace("address: 127.0.0.1:<port>,", "address: 127.0.0.1:<port>, protocol: https, certificates: [a],")
        .replace("second: { version", "second: { protocol: https, version")
        + &format!("certificates: {{ a: {{ certificate: {at}.pem, key: {at}.key }} }}\n");
    let headworks = start(&yaml, &[("web", &web), ("port", &port), ("check", &"{ interval: 100ms, path: /well }")]);
    let _ = headworks.wait_metrics("headworks_target_group_healthy_targets", &[("target_group", "second")], 1.0);
    run(async {
        let mut send = connect(headworks.listener("front/http")).await;
        for number in 0..5 {
            let answer = ask(&mut send, request(Method::POST, "/a"), Some(b"hello")).await;
            let said: Value = ok(serde_json::from_slice(&answer.body), "no echo");
            assert_eq!((answer.status.as_u16(), &said["body_length"]), (200, &5.into()), "request {number}");
            assert!(said["headers"].to_string().contains("https"), "the second way is over TLS: {said}");
        }
    });
    let connections = headworks.metrics().sum("headworks_target_connections_total", &[("target_group", "second")]);
    assert_eq!(connections as u64, 1);
}

/// T3, in the version of the group.
#[test]
fn health_checks_speak_it_too() {
    let web = Origin::echo("web");
    let port = free_port();
    let check = "{ interval: 100ms, path: /well }";
    let headworks = start(CHAIN, &[("web", &web), ("port", &port), ("check", &check)]);
    let _ = headworks.wait_metrics("headworks_target_group_healthy_targets", &[("target_group", "second")], 1.0);
}

/// What a client says behind a request's content, as far as trailers may say it (C2).
#[test]
fn request_trailers() {
    run(async {
        let listener = ok(TcpListener::bind("127.0.0.1:0").await, "cannot listen");
        let address = ok(listener.local_addr(), "no address");
        // answers with the names and values of the trailers
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = ok(h2::server::handshake(stream).await, "no handshake");
                tokio::spawn(async move {
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        tokio::spawn(async move {
                            let mut body = request.into_body();
                            while let Some(frame) = body.data().await {
                                let length = ok(frame, "the body breaks off").len();
                                ok(body.flow_control().release_capacity(length), "no window");
                            }
                            let trailers = ok(body.trailers().await, "no trailers");
                            let said = trailers.map(|trailers| format!("{trailers:?}")).unwrap_or_default();
                            let mut answer = ok(respond.send_response(http::Response::new(()), false), "no answer");
                            ok(answer.send_data(said.into(), true), "cannot answer");
                        });
                    }
                });
            }
        });
        let headworks = start(&proxy("", ", version: http2"), &[("web", &address)]);
        let mut send = connect(headworks.address()).await;
        let rows: [(&[(&str, &str)], &str); 4] = [
            (&[("x-checksum", "abc")], r#"{"x-checksum": "abc"}"#),
            (
                &[("x-checksum", "abc"), ("authorization", "me"), ("x-forwarded-for", "1.2.3.4")],
                r#"{"x-checksum": "abc"}"#,
            ),
            (&[("cookie", "a=b")], ""),
            (&[], ""),
        ];
        for (trailers, expected) in rows {
            let (response, mut stream) = ok(send.send_request(request(Method::POST, "/"), false), "cannot ask");
            ok(stream.send_data(Bytes::from_static(b"content"), trailers.is_empty()), "cannot send");
            if !trailers.is_empty() {
                let name = |name: &str| ok(http::HeaderName::try_from(name), "no name");
                let value = |value: &str| ok(http::HeaderValue::try_from(value), "no value");
                let fields = trailers.iter().map(|(n, v)| (name(n), value(v))).collect();
                ok(stream.send_trailers(fields), "cannot send trailers");
            }
            let answer = read(ok(response.await, "no answer")).await;
            assert_eq!(String::from_utf8_lossy(&answer.body), expected, "{trailers:?}");
        }
    });
}

/// A target of HTTP/2 is not sent the console's cookie, whether its client sends cookies in one field or in pieces.
#[test]
fn the_cookie_of_the_console_stays_here() {
    run(async {
        let listener = ok(TcpListener::bind("127.0.0.1:0").await, "cannot listen");
        let address = ok(listener.local_addr(), "no address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut connection = ok(h2::server::handshake(stream).await, "no handshake");
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        let seen = request.headers().get_all("cookie").iter().filter_map(|line| line.to_str().ok());
                        let seen = seen.collect::<Vec<_>>().join("; ");
                        let answer = http::Response::builder().header("x-seen", seen).body(());
                        ok(respond.send_response(ok(answer, "no answer"), true), "cannot answer");
                    }
                });
            }
        });
        let headworks = start(&proxy("", ", version: http2"), &[("web", &address)]);
        for (cookies, expected) in [
            (&["a=1; headworks_session=x; b=2"][..], "a=1; b=2"),
            (&["a=1", "headworks_session=x", "b=2"], "a=1; b=2"),
            (&["headworks_session=x"], ""),
        ] {
            let mut send = connect(headworks.address()).await;
            let mut asked = request(Method::GET, "/");
            for cookie in cookies {
                asked.headers_mut().append("cookie", http::HeaderValue::from_static(cookie));
            }
            let answer = ask(&mut send, asked, None).await;
            let seen = answer.fields.get("x-seen").and_then(|seen| seen.to_str().ok());
            assert_eq!((answer.status.as_u16(), seen), (200, Some(expected)), "{cookies:?}");
        }
    });
}

/// The target goes away with its connection: the next request gets a new one.
#[test]
fn a_lost_connection_is_made_again() {
    run(async {
        let listener = ok(TcpListener::bind("127.0.0.1:0").await, "cannot listen");
        let address = ok(listener.local_addr(), "no address");
        let served = tokio::spawn(async move {
            let mut connections = 0;
            loop {
                let (stream, _) = ok(listener.accept().await, "cannot accept");
                connections += 1;
                let mut connection = ok(h2::server::handshake(stream).await, "no handshake");
                // one request on each, then the connection is dropped, answer and all
                if let Some(Ok((_, mut respond))) = connection.accept().await {
                    ok(respond.send_response(http::Response::new(()), true), "cannot answer");
                    connection.graceful_shutdown();
                    let _ = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
                }
                if connections == 5 {
                    return connections;
                }
            }
        });
        let headworks = start(&proxy("", ", version: http2"), &[("web", &address)]);
        let mut send = connect(headworks.address()).await;
        for number in 0..5 {
            let answer = ask(&mut send, request(Method::GET, "/"), None).await;
            assert_eq!(answer.status, 200, "request {number}");
        }
        assert_eq!(ok(served.await, "the target failed"), 5);
    });
}

/// A target that is gone without a word: its connection is used no more after one answer that was late.
#[test]
fn a_dead_connection_is_used_no_more() {
    run(async {
        let listener = ok(TcpListener::bind("127.0.0.1:0").await, "cannot listen");
        let address = ok(listener.local_addr(), "no address");
        tokio::spawn(async move {
            let mut dead = None;
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = ok(h2::server::handshake(stream).await, "no handshake");
                // the first connection answers once, and is then open and silent
                let mut answered = 0;
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    if answered == 1 && dead.is_none() {
                        break;
                    }
                    ok(respond.send_response(http::Response::new(()), true), "cannot answer");
                    answered += 1;
                }
                dead.get_or_insert(connection);
            }
        });
        let headworks = start(&proxy("", ", version: http2, response_timeout: 500ms"), &[("web", &address)]);
        let mut send = connect(headworks.address()).await;
        for status in [200, 504, 200, 200] {
            assert_eq!(ask(&mut send, request(Method::GET, "/"), None).await.status, status);
        }
    });
}

/// RFC 8441, with a server library that knows WebSocket over HTTP/1.1 only.
#[test]
fn web_socket_over_http2() {
    run(async {
        let listener = ok(TcpListener::bind("127.0.0.1:0").await, "cannot listen");
        let address = ok(listener.local_addr(), "no address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { continue };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() && socket.send(message).await.is_err() {
                        break;
                    }
                }
            }
        });
        let headworks = start(&proxy("", ""), &[("web", &address)]);
        let mut send = connect(headworks.address()).await;
        // the settings that allow it have come with the first answer
        ask(&mut send, request(Method::TRACE, "/"), None).await;
        assert!(send.is_extended_connect_protocol_enabled());
        let mut wanted = request(Method::CONNECT, "/chat");
        wanted.headers_mut().insert("sec-websocket-version", http::HeaderValue::from_static("13"));
        wanted.extensions_mut().insert(Protocol::from_static("websocket"));
        let (response, mut out) = ok(send.send_request(wanted, false), "cannot ask");
        let (head, mut back) = ok(response.await, "no answer").into_parts();
        assert_eq!(head.status, 200);
        assert!(!head.headers.contains_key("sec-websocket-accept"));
        // a masked text frame (RFC 6455 section 5.2), the mask being zeros
        ok(out.send_data(Bytes::from_static(b"\x81\x85\0\0\0\0hello"), false), "cannot send");
        let mut echoed = Vec::new();
        while echoed.len() < 7 {
            let frame = back.data().await.unwrap_or_else(|| panic!("the stream ended"));
            echoed.extend_from_slice(&ok(frame, "the stream failed"));
        }
        assert_eq!(echoed, b"\x81\x05hello");
        // another protocol is none of ours (RFC 9220 section 3)
        let mut other = request(Method::CONNECT, "/");
        other.extensions_mut().insert(Protocol::from_static("connect-udp"));
        assert_eq!(ask(&mut send, other, None).await.status, 501);
    });
}
