//! Over real sockets: a WebSocket, a stream, and the end of an instance.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::browser::Browser;
use super::house::House;
use crate::shop::error::ShopError;
use crate::shop::instance::serve;
use crate::shop::version::Version;

/// An instance that listens.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ShopError>>,
    _house: House,
}

async fn start() -> Running {
    let house = House::new();
    let app = house.instance("a", Version::V1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(serve(listener, Arc::clone(&app), async move { _ = stopped.await }));
    Running { address, stop, ended, _house: house }
}

#[tokio::test]
async fn a_websocket_echoes_and_is_told_when_the_instance_stops() {
    let running = start().await;
    let url = format!("ws://{}/ws", running.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    for message in [Message::text("grüezi"), Message::binary(vec![0, 255, 7])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    running.stop.send(()).unwrap();
    let Message::Close(Some(frame)) = socket.next().await.unwrap().unwrap() else { panic!("a close frame") };
    assert_eq!(frame.code, CloseCode::Away);
    running.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_no_new_one_is_taken() {
    let running = start().await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(b"GET /stream HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 12];
    client.read_exact(&mut answer).await.unwrap();
    running.stop.send(()).unwrap();
    client.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("transfer-encoding: chunked"), "{answer}");
    for number in 1..=10 {
        assert!(answer.contains(&format!("line {number} of 10 from a v1\n")), "{answer}");
    }
    running.ended.await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn the_doors_for_experiments_do_what_they_say() {
    let house = House::new();
    let app = house.instance("b", Version::V2).await;
    let mut browser = Browser::default();
    assert_eq!(browser.get(&app, "/healthz").await.status.as_u16(), 200);
    for status in [400, 418, 500, 503, 599] {
        assert_eq!(browser.get(&app, &format!("/fail?status={status}")).await.status.as_u16(), status);
    }
    assert_eq!(browser.get(&app, "/slow?ms=1").await.value()["slept_ms"], 1);
    let who = browser.get(&app, "/whoami?x=1").await.value();
    assert_eq!((&who["instance"], &who["version"]), (&"b".into(), &"v2".into()));
    assert_eq!(who["pid"], std::process::id());
    assert_eq!(who["request"], "GET /whoami?x=1 HTTP/1.1");
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let running = start().await;
    for path in ["/", "/cart", "/api/products", "/healthz", "/nothing", "/products/gold", "/api/orders/1"] {
        let (get, head) = (exchange(running.address, "GET", path).await, exchange(running.address, "HEAD", path).await);
        assert_eq!(head.0.lines().next(), get.0.lines().next(), "{path}");
        assert_eq!((head.1, &*field(&head.0, "content-length")), (String::new(), &*get.1.len().to_string()), "{path}");
        assert_eq!(field(&head.0, "content-type"), field(&get.0, "content-type"), "{path}");
    }
}

/// One request on a connection of its own: the head and the body that came back.
async fn exchange(address: SocketAddr, method: &str, path: &str) -> (String, String) {
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn field(head: &str, name: &str) -> String {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default().to_owned()
}
