//! A client of HTTP/2 for tests that block: the `h2` crate's, driven by a thread of its own, asked in the words of HTTP/1.1.

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::sync::OnceLock;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use headworks_testkit::wait::PATIENCE;
use headworks_testkit::wire::{self, Body, Framing};
use headworks_testkit::{Ask, Fields, Headworks, Response};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Drives all clients, in a thread of its own: tests themselves block.
fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(pending::<()>()));
        handle
    })
}

pub(crate) fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = runtime().block_on(async { tokio::time::timeout(PATIENCE, future).await });
    done.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// A client connection.
pub(crate) struct Http2 {
    send: SendRequest<Bytes>,
    over: JoinHandle<Result<(), h2::Error>>,
}

/// A request whose answer is awaited.
pub(crate) struct Asked {
    pub(crate) answer: ResponseFuture,
    pub(crate) body: SendStream<Bytes>,
}

impl Http2 {
    pub(crate) fn connect(headworks: &Headworks) -> Http2 {
        Http2::with(headworks, &Builder::new())
    }

    pub(crate) fn with(headworks: &Headworks, builder: &Builder) -> Http2 {
        Http2::at(headworks.address(), builder)
    }

    pub(crate) fn at(address: SocketAddr, builder: &Builder) -> Http2 {
        let connected = within("a connection", async {
            let stream = tokio::net::TcpStream::connect(address).await.map_err(|error| error.to_string())?;
            builder.handshake::<_, Bytes>(stream).await.map_err(|error| error.to_string())
        });
        let (send, connection) = connected.unwrap_or_else(|error| panic!("no connection: {error}"));
        Http2 { send, over: runtime().spawn(connection) }
    }

    /// Sends a head, and leaves the body open.
    pub(crate) fn begin(&mut self, ask: &Ask) -> Asked {
        let (head, _) = translated(ask);
        self.send_head(head, false)
    }

    /// Sends a request.
    pub(crate) fn ask(&mut self, ask: &Ask) -> Asked {
        let (head, body) = translated(ask);
        let mut asked = self.send_head(head, body.is_empty());
        if !body.is_empty() {
            let sent = asked.body.send_data(body.into(), true);
            sent.unwrap_or_else(|error| panic!("{ask}: {error}"));
        }
        asked
    }

    fn send_head(&mut self, head: http::Request<()>, ends: bool) -> Asked {
        let send = self.send.clone();
        let mut send = within("a stream", send.ready()).unwrap_or_else(|error| panic!("no stream: {error}"));
        let (answer, body) = send.send_request(head, ends).unwrap_or_else(|error| panic!("cannot ask: {error}"));
        Asked { answer, body }
    }

    pub(crate) fn exchange(&mut self, ask: &Ask) -> Response {
        self.ask(ask).response().unwrap_or_else(|error| panic!("no answer to {ask}: {error}"))
    }

    /// Waits for the connection's end.
    pub(crate) fn over(self) -> Result<(), h2::Error> {
        drop(self.send);
        within("the connection's end", self.over).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Asked {
    pub(crate) fn response(self) -> Result<Response, h2::Error> {
        within("an answer", async {
            let (head, mut body) = self.answer.await?.into_parts();
            let mut content = Vec::new();
            read(&mut body, &mut content).await?;
            Ok(response(&head, content))
        })
    }
}

pub(crate) fn response(head: &http::response::Parts, content: Vec<u8>) -> Response {
    let text = |value: &http::HeaderValue| wire::latin1(value.as_bytes());
    let fields = head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    Response {
        status: head.status.as_u16(),
        reason: String::new(),
        fields: Fields(fields.collect()),
        body: Body { content, ..Body::default() },
        framing: Framing::UntilClose,
        raw: format!("{head:?}\n").into_bytes(),
    }
}

async fn read(body: &mut RecvStream, into: &mut Vec<u8>) -> Result<(), h2::Error> {
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        into.extend_from_slice(&piece);
    }
    Ok(())
}

/// What is written for HTTP/1.1, said in HTTP/2.
fn translated(ask: &Ask) -> (http::Request<()>, Vec<u8>) {
    let bytes = ask.bytes();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let head = wire::Request::parse(&bytes[..end]).unwrap_or_else(|why| panic!("{ask}: {why}"));
    let host = head.fields.one("Host").unwrap_or_default();
    let mut request =
        http::Request::builder().method(head.method.as_str()).uri(format!("http://{host}{}", head.target));
    for (name, value) in head.fields.0.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        let value: Vec<u8> = value.chars().map(|c| c as u8).collect();
        request = request.header(name.to_ascii_lowercase(), value);
    }
    (request.body(()).unwrap_or_else(|error| panic!("{ask}: {error}")), bytes[end..].to_vec())
}
