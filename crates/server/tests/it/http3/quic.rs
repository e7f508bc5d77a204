//! A client of HTTP/3 that says whatever it is told to, byte by byte, over `quinn`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use headworks_message::h3::{Code, FrameHead, FrameKind, Settings, put_headers, put_integer, stream};
use headworks_message::qpack;
use headworks_message::section::FieldSection;
use headworks_testkit::Caller;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, ReadError, RecvStream, SendStream, VarInt};
use tokio::runtime::Runtime;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub(crate) struct Client {
    runtime: Runtime,
    endpoint: Endpoint,
    pub(crate) connection: Connection,
    /// Streams that must stay open.
    kept: Vec<SendStream>,
}

/// An answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Vec<(String, String)>>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Reset(u64),
    Closed(Option<u64>),
}

/// A request that has been begun.
pub(crate) struct Exchange {
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
}

/// The name that requests are for.
pub(crate) const NAME: &str = "shop.example.com";

/// A frame of any type.
pub(crate) fn frame(kind: u64, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    put_integer(&mut out, kind);
    put_integer(&mut out, payload.as_ref().len() as u64);
    out.extend_from_slice(payload.as_ref());
    out
}

/// A HEADERS frame.
pub(crate) fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let (mut section, mut out) = (Vec::new(), Vec::new());
    qpack::begin(&mut section);
    fields.iter().for_each(|(name, value)| qpack::put(&mut section, name.as_bytes(), value.as_bytes()));
    put_headers(&mut out, &section);
    out
}

/// The head of a request, with further fields.
pub(crate) fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let head = [(":method", method), (":scheme", "https"), (":authority", NAME), (":path", path)];
    headers(&[&head, more].concat())
}

/// What a control stream begins with.
pub(crate) fn control() -> Vec<u8> {
    let mut out = vec![stream::CONTROL as u8];
    Settings::default().put(&mut out);
    out
}

impl Client {
    /// Connects, and says nothing yet. What is sent goes out while nobody waits, too.
    pub(crate) fn connect(caller: &Caller, to: SocketAddr) -> Client {
        Client::try_connect(caller, to).unwrap_or_else(|error| panic!("no connection: {error}"))
    }

    pub(crate) fn try_connect(caller: &Caller, to: SocketAddr) -> Result<Client, ConnectionError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
        let mut config = caller.config();
        config.alpn_protocols = vec![b"h3".to_vec()];
        let crypto = QuicClientConfig::try_from(config).unwrap_or_else(|error| panic!("no QUIC: {error}"));
        let config = ClientConfig::new(Arc::new(crypto));
        let (endpoint, connection) = runtime.block_on(async {
            let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into());
            let endpoint = endpoint.unwrap_or_else(|error| panic!("no socket: {error}"));
            let connecting = endpoint.connect_with(config, to, NAME).unwrap_or_else(|error| panic!("{error}"));
            (endpoint, tokio::time::timeout(PATIENCE, connecting).await)
        });
        let connection = connection.unwrap_or_else(|_| panic!("no handshake in time"))?;
        Ok(Client { runtime, endpoint, connection, kept: Vec::new() })
    }

    /// Connects and opens the control stream.
    pub(crate) fn greet(caller: &Caller, to: SocketAddr) -> Client {
        let mut client = Client::connect(caller, to);
        client.say(&control(), false);
        client
    }

    fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let waited = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await });
        waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// Opens a unidirectional stream with these bytes, and perhaps ends it. The connection may be gone by now.
    pub(crate) fn say(&mut self, bytes: &[u8], ends: bool) {
        let Ok(mut stream) = self.wait("a stream", self.connection.open_uni()) else { return };
        let _ = self.wait("room", stream.write_all(bytes));
        if ends {
            let _ = stream.finish();
        } else {
            self.kept.push(stream);
        }
    }

    /// Opens a stream with these bytes, and perhaps ends it.
    pub(crate) fn begin(&self, bytes: &[u8], ends: bool) -> Result<Exchange, Refused> {
        let opened = self.wait("a stream", self.connection.open_bi());
        let (send, recv) = opened.map_err(|error| closed(&error))?;
        let mut exchange = Exchange { send, recv };
        self.add(&mut exchange, bytes, ends);
        Ok(exchange)
    }

    /// Sends more on a stream; what the other side makes of it is seen in its answer.
    pub(crate) fn add(&self, exchange: &mut Exchange, bytes: &[u8], ends: bool) {
        let _ = self.wait("room", exchange.send.write_all(bytes));
        if ends {
            let _ = exchange.send.finish();
        }
    }

    /// Gives a request up, both ways.
    pub(crate) fn give_up(&self, exchange: &mut Exchange) {
        let code = VarInt::from_u32(Code::RequestCancelled as u32);
        let _ = exchange.send.reset(code);
        let _ = exchange.recv.stop(code);
    }

    /// Sends a whole request, and waits for its answer.
    pub(crate) fn ask(&self, bytes: &[u8]) -> Result<Answer, Refused> {
        let exchange = self.begin(bytes, true)?;
        self.answer(exchange)
    }

    /// Waits for an answer, to the end of its stream.
    pub(crate) fn answer(&self, mut exchange: Exchange) -> Result<Answer, Refused> {
        let read = self.wait("an answer", exchange.recv.read_to_end(64 * 1024 * 1024));
        let bytes = read.map_err(|error| match error {
            quinn::ReadToEndError::Read(ReadError::Reset(code)) => Refused::Reset(code.into_inner()),
            quinn::ReadToEndError::Read(ReadError::ConnectionLost(error)) => closed(&error),
            error => panic!("{error}"),
        })?;
        Ok(parse(&bytes))
    }

    /// Waits for the connection to end: with which code, if it was one of HTTP/3.
    pub(crate) fn ended(&self) -> Option<u64> {
        match closed(&self.wait("the end of the connection", self.connection.closed())) {
            Refused::Closed(code) => code,
            Refused::Reset(_) => None,
        }
    }

    /// Waits for the server's control stream and takes `count` frames of it.
    pub(crate) fn control_frames(&self, count: usize) -> Vec<(FrameKind, Vec<u8>)> {
        self.wait("the control stream", async {
            let mut control = self.connection.accept_uni().await.unwrap_or_else(|error| panic!("{error}"));
            let (mut bytes, mut found) = (Vec::new(), Vec::new());
            while found.len() < count {
                match control.read_chunk(usize::MAX, true).await {
                    Ok(Some(chunk)) => bytes.extend_from_slice(&chunk.bytes),
                    ended => panic!("no more frames: {ended:?}"),
                }
                let frames = bytes.strip_prefix(&[stream::CONTROL as u8]).unwrap_or_else(|| panic!("{bytes:x?}"));
                found = split(frames);
            }
            found
        })
    }

    /// Goes on from another port, as a client whose address was translated anew.
    pub(crate) fn move_away(&self) {
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap_or_else(|error| panic!("no socket: {error}"));
        let entered = self.runtime.enter();
        self.endpoint.rebind(socket).unwrap_or_else(|error| panic!("cannot move: {error}"));
        drop(entered);
    }
}

fn closed(error: &ConnectionError) -> Refused {
    match error {
        ConnectionError::ApplicationClosed(close) => Refused::Closed(Some(close.error_code.into_inner())),
        _ => Refused::Closed(None),
    }
}

/// Whole frames at the start of `bytes`.
fn split(mut bytes: &[u8]) -> Vec<(FrameKind, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, length)) = FrameHead::parse(bytes) {
        let end = length + usize::try_from(head.length).unwrap_or(usize::MAX);
        let Some(payload) = bytes.get(length..end) else { break };
        frames.push((head.kind, payload.to_vec()));
        bytes = bytes.get(end..).unwrap_or_default();
    }
    frames
}

fn fields(encoded: &[u8]) -> Vec<(String, String)> {
    let mut section = FieldSection::default();
    qpack::decode(encoded, 1 << 20, &mut section).unwrap_or_else(|fault| panic!("{fault:?}: {encoded:x?}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    section.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// Strictly: heads, content, trailers, in this order and no more.
fn parse(bytes: &[u8]) -> Answer {
    let mut answer = Answer::default();
    for (kind, payload) in split(bytes) {
        assert_eq!(answer.trailers, None, "a frame behind trailers");
        match kind {
            FrameKind::Headers if answer.status < 200 => {
                answer.fields = fields(&payload);
                assert_eq!(answer.fields.first().map(|(name, _)| name.as_str()), Some(":status"));
                answer.status = answer.field(":status").and_then(|status| status.parse().ok()).unwrap_or_default();
                let is_lower = |(name, _): &(String, String)| name.bytes().all(|b| !b.is_ascii_uppercase());
                assert!(answer.fields.iter().all(is_lower), "{:?}", answer.fields);
            }
            FrameKind::Headers => answer.trailers = Some(fields(&payload)),
            FrameKind::Data if answer.status >= 200 => answer.body.extend(payload),
            kind => panic!("{kind:?} on a request's stream, behind {answer:?}"),
        }
    }
    answer
}
