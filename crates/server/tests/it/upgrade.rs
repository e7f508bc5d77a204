//! Upgrades (H10): the connection becomes a tunnel to the target that answered 101.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use headworks_testkit::stream::End;
use headworks_testkit::{Ask, Headworks, Origin, Step, ask};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::{proxy, start};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n";

fn upgrade(path: &str) -> Ask {
    ask("GET", path).with("Upgrade: echo").with("Connection: Upgrade")
}

/// A real client library and a real server library, through the product.
#[test]
fn web_socket() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    let echoed = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), web_socket_echo()).await });
    assert!(echoed.is_ok(), "the conversation does not end");
}

async fn web_socket_echo() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("cannot listen: {error}"));
    let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let headworks = start(&proxy("", ""), &[("web", &address)]);
    let place = headworks.address();
    let stream = TcpStream::connect(place).await.unwrap_or_else(|error| panic!("cannot connect: {error}"));
    let (mut socket, response) = tokio_tungstenite::client_async(format!("ws://{place}/chat?room=1"), stream)
        .await
        .unwrap_or_else(|error| panic!("no WebSocket: {error}"));
    assert_eq!(response.status(), 101);
    let messages = [
        Message::text("hello"),
        Message::binary(vec![0; 200_000]),
        Message::text("x".repeat(70_000)),
        Message::binary(Vec::<u8>::new()),
    ];
    for message in messages {
        socket.send(message.clone()).await.unwrap_or_else(|error| panic!("cannot send: {error}"));
        match socket.next().await {
            Some(Ok(back)) => assert_eq!(back, message),
            other => panic!("no echo: {other:?}"),
        }
    }
    socket.close(None).await.unwrap_or_else(|error| panic!("cannot close: {error}"));
    // the other side's close frame, then the end
    while let Some(message) = socket.next().await {
        if let Ok(message) = message {
            assert!(message.is_close(), "{message:?}");
        }
    }
}

fn tunnel() -> (Origin, Headworks) {
    let web = Origin::new("web")
        .on("/tunnel", [Step::send(SWITCH), Step::Mirror])
        .on("/greeting", [Step::send(format!("{SWITCH}first")), Step::Mirror])
        .on("/reset", [Step::send(SWITCH), Step::Read(4), Step::Reset])
        .on("/no", [Step::answer(426, "not here")])
        .start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    (web, headworks)
}

#[test]
fn bytes_both_ways_until_both_have_said_their_last() {
    let (web, headworks) = tunnel();
    let mut client = headworks.client();
    // bytes that follow the request in the same write belong to the tunnel
    let mut bytes = upgrade("/tunnel").bytes();
    bytes.extend_from_slice(b"early");
    let response = client.send(bytes).response();
    assert_eq!((response.status, response.field("Upgrade")), (101, Some("echo")), "{response}");
    assert!(response.fields.lists("Connection", "upgrade"), "{response}");
    assert_eq!(client.bytes(5), b"early");
    for text in ["one", "two", "GET / HTTP/1.1\r\n\r\n"] {
        assert_eq!(client.send(text).bytes(text.len()), text.as_bytes());
    }
    let seen = web.received();
    assert!(seen[0].request.fields.lists("Connection", "Upgrade"), "{:?}", seen[0].request);
    assert_eq!(seen[0].request.fields.one("Upgrade"), Some("echo"));
    // a half-close goes through, and the last bytes still come back
    client.send("last").finish();
    let (rest, end) = client.rest();
    assert_eq!((rest.as_slice(), end), (b"last".as_slice(), End::Closed));
    assert_eq!(web.wait_end(1), End::Closed);
}

#[test]
fn bytes_that_follow_the_101_at_once() {
    let (_web, headworks) = tunnel();
    let mut client = headworks.client();
    assert_eq!(client.exchange(&upgrade("/greeting")).status, 101);
    assert_eq!(client.bytes(5), b"first");
    assert_eq!(client.send("more").bytes(4), b"more");
}

#[test]
fn an_upgrade_that_is_refused_is_an_answer_like_any() {
    let (_web, headworks) = tunnel();
    let mut client = headworks.client();
    let response = client.exchange(&upgrade("/no"));
    assert_eq!((response.status, response.text().as_str()), (426, "not here"), "{response}");
    assert_eq!(client.exchange(&ask("GET", "/next")).echo().target, "/next");
}

/// Without Connection: upgrade the field is not passed on, and a 101 that nobody asked for is a bad answer.
#[test]
fn upgrades_that_were_not_asked_for() {
    let (_web, headworks) = tunnel();
    let echo = headworks.ask(&ask("GET", "/").with("Upgrade: echo")).echo();
    assert_eq!(echo.fields.one("Upgrade"), None);
    assert_eq!(headworks.ask(&ask("GET", "/tunnel")).status, 502);
    // RFC 9110 section 7.8: an upgrade in HTTP/1.0 is ignored
    let echo = headworks.ask(&upgrade("/").http10()).echo();
    assert_eq!(echo.fields.one("Upgrade"), None);
}

#[test]
fn a_reset_goes_through() {
    let (_web, headworks) = tunnel();
    let mut client = headworks.client();
    assert_eq!(client.exchange(&upgrade("/reset")).status, 101);
    client.send("ping").expect_ended();
    headworks.expect_alive();
}

/// H10: the idle timeout still applies.
#[test]
fn idle_tunnels_are_closed() {
    let web = Origin::new("web").on("/tunnel", [Step::send(SWITCH), Step::Mirror]).start();
    let headworks = start(&proxy(", idle_timeout: 300ms", ""), &[("web", &web)]);
    let mut client = headworks.client();
    assert_eq!(client.exchange(&upgrade("/tunnel")).status, 101);
    client.expect_ended();
    web.wait_end(1);
}
